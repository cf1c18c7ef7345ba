# -*- test-case-name: tests.hub.test_hub_nodes -*-
"""
Which clients of this process are in which groups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from hashlib import sha256
from typing import Generic, Literal, TypeVar

from txsessionsock import _json
from txsessionsock.interfaces import SessionID


__all__ = [
    "Label",
    "Members",
    "describe",
    "indexLabel",
    "namespaceLabel",
    "roomLabel",
    "sessionLabel",
    "socketLabel",
]

_M = TypeVar("_M", bound=Hashable)

Label = tuple[Literal["session", "index", "room", "namespace", "socket"], str, str]
"""
The name of a group on every node: its kind, the name of the index, room or
namespace, and the value in the index, or the hash of the session's id.  Of a
socket, the namespace and the id of the socket.  A room has the namespace behind
its name, nothing if it is one of the hub's own.
"""


def sessionLabel(sessionID: SessionID) -> Label:
    """
    The clients of a session.  The id cannot be read from the label.
    """
    hashed = sha256(sessionID.encode("utf-8", "surrogatepass")).hexdigest()
    return "session", "", hashed


def indexLabel(name: str, value: object) -> Label:
    """
    The clients with a value in an index.

    @raise ValueError: It is no value for an index.
    """
    if type(value) is not str and type(value) is not int:
        raise ValueError(
            f"values of an index are str and int, not {type(value).__name__}"
        )
    return "index", name, _json.dumps(value).decode()


def roomLabel(name: str, namespace: str = "") -> Label:
    """
    The clients in a room.

    @param namespace: Where the room is; nowhere, unless given.

    @raise ValueError: It is no name of a room.
    """
    if type(name) is not str:
        raise ValueError(f"the name of a room is a str, not {type(name).__name__}")
    return "room", name, namespace


def namespaceLabel(namespace: str) -> Label:
    """
    The clients that are connected to a namespace.
    """
    return "namespace", namespace, ""


def socketLabel(namespace: str, socketID: str) -> Label:
    """
    One client of a namespace.
    """
    return "socket", namespace, socketID


def describe(label: Label) -> str:
    """
    @return: The name of a group for a log, which does not show the session.
    """
    kind, name, value = label
    return f"{kind} {value[:8]}" if kind == "session" else f"{kind} {name!r}"


class Members(Generic[_M]):
    """
    Members by group, and groups by member.
    """

    def __init__(self) -> None:
        self._groups: dict[Label, dict[_M, None]] = {}
        self._labels: dict[_M, dict[Label, None]] = {}

    def __contains__(self, member: _M) -> bool:
        return member in self._labels

    def __iter__(self) -> Iterator[_M]:
        """
        All who are in any group.
        """
        return iter(list(self._labels))

    def __len__(self) -> int:
        """
        How many groups there are.
        """
        return len(self._groups)

    def of(self, label: Label) -> list[_M]:
        """
        The members in a group.
        """
        return list(self._groups.get(label, ()))

    def among(
        self, labels: Iterable[Label], apart: Iterable[Label], within: Label
    ) -> list[_M]:
        """
        The members that are in any of some groups, each once, in the order of
        the groups.

        @param apart: The groups whose members are left out.

        @param within: The group in which they all are.
        """
        found: dict[_M, None] = {}
        for label in labels:
            found.update(self._groups.get(label, {}))
        for label in apart:
            for member in self._groups.get(label, ()):
                found.pop(member, None)
        inside = self._groups.get(within, {})
        return [member for member in found if member in inside]

    def groups(self, member: _M) -> list[Label]:
        """
        The groups in which a member is.
        """
        return list(self._labels.get(member, ()))

    def add(self, member: _M, label: Label) -> None:
        """
        Have a member in a group.
        """
        self._labels.setdefault(member, {})[label] = None
        self._groups.setdefault(label, {})[member] = None

    def remove(self, member: _M, label: Label) -> bool:
        """
        Take it out of that group.

        @return: Whether it was.
        """
        labels = self._labels.get(member, {})
        if label not in labels:
            return False
        del labels[label]
        group = self._groups[label]
        del group[member]
        if not group:
            del self._groups[label]
        return True

    def drop(self, member: _M) -> None:
        """
        Take it out of all groups.
        """
        for label in list(self._labels.get(member, ())):
            self.remove(member, label)
        self._labels.pop(member, None)

    def move(self, member: _M, name: str, label: Label | None) -> None:
        """
        Have a member at one place in an index, or at none.
        """
        for other in list(self._labels.get(member, ())):
            if other[:2] == ("index", name) and other != label:
                self.remove(member, other)
        if label is not None:
            self.add(member, label)
