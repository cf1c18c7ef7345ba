# -*- test-case-name: tests.hub.test_hub -*-
"""
What a node does when a hub says so: its own, or that of another node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.clients import Broadcast, Client
from txsessionsock.manager import SessionManager
from txsessionsock.messages import JSON, Shared
from txsessionsock.session import Session

from .commands import Ask, Close, Count, Disconnect, Emit, Send, Tally, decode, encode
from .events import unpack
from .members import Label, Members, describe, namespaceLabel


__all__ = ["Member", "Orders"]

_json = JSON()

Answer = Callable[[bytes], bytes | None]
_NOTHING: Answer = lambda payload: None  # noqa: E731 - it is one of those

_ForGroups = Send | Close | Count | Emit | Disconnect | Tally


class Member(Hashable, Protocol):
    """
    Who is in groups: a L{Client<txsessionsock.clients.Client>}, or what stands in
    for one that is disconnected and may come back.
    """

    @property
    def session(self) -> Session | None: ...

    @property
    def isOpen(self) -> bool: ...

    @property
    def isWritable(self) -> bool: ...

    def sendOneOfMany(self, message: Broadcast) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Orders:
    """
    Does what commands say.

    @ivar topics: Who answers what is asked, by topic.
    """

    _log = Logger()

    def __init__(
        self,
        members: Members[Member],
        indexes: Mapping[str, object],
        manager: SessionManager,
    ) -> None:
        self._members = members
        self._indexes = indexes
        self._manager = manager
        self.topics: dict[str, Answer] = {}

    def obey(self, raw: bytes) -> bytes:
        """
        Do what a command says, which may come from another node.

        @raise ValueError: It is nothing that can be done here.
        """
        command = decode(raw)
        if isinstance(command, Ask):
            answer = self.topics.get(command.topic, _NOTHING)
            return encode(answer(command.payload))
        for kind, name, _ in command.labels:
            if kind == "index" and name not in self._indexes:
                raise ValueError(f"there is no index {name!r} here")
        message = _messageOf(command)
        do = self._doing(command, message)
        reached = 0
        for member in self._meant(command):
            isDone = member.isOpen and do(member)
            reached += isDone and isinstance(member, Client)
        if message is not None:
            message.end()
        return encode(reached)

    def _meant(self, command: _ForGroups) -> list[Member]:
        """
        @return: Whom a command is about.
        """
        if isinstance(command, (Send, Close, Count)):
            return self._members.of(command.label)
        namespace = namespaceLabel(command.namespace)
        return self._members.among(command.labels, command.apart, namespace)

    def _doing(
        self, command: _ForGroups, message: Broadcast | None
    ) -> Callable[[Member], bool]:
        """
        @param message: What is to be sent.

        @return: A function that does to a client what a command says, and
            returns whether the client was reached.
        """
        if isinstance(command, (Close, Disconnect)):
            return partial(_close, command.code, command.reason)
        if message is None:
            return lambda member: True
        send = partial(self._send, message, command.labels)
        if isinstance(command, Emit) and command.isVolatile:
            return lambda member: member.isWritable and send(member)
        return send

    def _send(
        self, message: Broadcast, labels: Sequence[Label], member: Member
    ) -> bool:
        try:
            member.sendOneOfMany(message)
        except ValueError as error:
            group = ", ".join(map(describe, labels))
            line = f"{member.session} cannot be sent a message for {group}: {error}"
            self._manager.warned(self._log, line, "hub's message")
            return False
        except Exception:
            # Go on: the other clients of the group get it all the same.
            line = "a message of the hub cannot be sent"
            self._manager.failed(self._log, line, Failure())
            return False
        return True


def _messageOf(command: _ForGroups) -> Broadcast | None:
    """
    @return: What a command has clients be sent, if it does.
    """
    if isinstance(command, Emit):
        return Broadcast(unpack(command.payload), command.id)
    if isinstance(command, Send):
        value = _json.decode(command.payload, False)
        # What encodes as the sender did can have what the sender made.
        frame = Shared((command.payload, False))
        return Broadcast(value, command.id, JSON, frame)
    return None


def _close(code: int, reason: str, member: Member) -> bool:
    member.close(code, reason)
    return True
