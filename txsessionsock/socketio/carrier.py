# -*- test-case-name: tests.socketio.test_connection -*-
"""
A namespace of a connection as the carrier of a client.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import partial
from secrets import token_bytes
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from txsessionsock._deferreds import inOrder
from txsessionsock._repeatable import NOW, refuseRepeatable
from txsessionsock._waiting import waitable
from txsessionsock.clients import Client, Listener, Phase
from txsessionsock.closecodes import Code
from txsessionsock.handshake import Handshake
from txsessionsock.hub import Label, Member
from txsessionsock.interfaces import (
    ClientGone,
    ConnectRefused,
    SecondSession,
    SessionError,
    SessionID,
)
from txsessionsock.messages import Event
from txsessionsock.session import Session

from .application import EventApplication
from .conveyor import Conveyor, Frame
from .ghost import Ghost
from .packets import Kind, Packet
from .places import Place
from .refusal import eventOf, isFinal, refusal
from .rooms import groupsOf
from .trail import Codec, Numbered, Trail


__all__ = ["NamespaceCarrier"]

# A name of its own: Python 3.11 is slow to find the members of an Enum, and this one
# is asked for at each event.
_ACK = Kind.ACK

_MORE = 16
"""
How many times as many messages may wait while a handler waits for an answer.
"""

_ID_SIZE = 15
"""
How many random bytes the id of a socket has: it is the name of a room, too.
"""


@dataclass(slots=True)
class _Asked:
    """
    What an event asks for.

    @ivar number: Of the answer; L{None} if it wants none, or has it.
    """

    number: int | None


class NamespaceCarrier:
    """
    Carries a client that is connected to a namespace.

    @ivar handshake: The request with which the connection began, and what the client
        sent along to name itself.

    @ivar id: What the client knows its socket by.

    @ivar client: That client.

    @ivar sessionID: The session that it has, or has unless it is refused; L{None}
        before that is read.

    @ivar isAnswered: Whether the client knows that it is connected.

    @ivar isPaused: Whether too much waits for its handlers.

    @ivar closed: There is no close frame of a namespace.

    @ivar peer: Where the client is.

    @ivar reason: Why it was disconnected, in Socket.IO's words; empty before.

    @ivar pid: What the client names to come back; empty if it is not to.

    @ivar trail: What it was sent last, if it may come back.

    @ivar isRecovered: Whether it has come back.

    @ivar mayRecover: Whether it may have: not if it was in this namespace before by
        the same connection.
    """

    closed: tuple[bool, int | None, str | None] = (False, None, None)

    def __init__(
        self, connection: Conveyor, place: Place, handshake: Handshake
    ) -> None:
        """
        @param handshake: The request with which the connection began, and what the
            client sent along to name itself.
        """
        self._connection = connection
        self.equipment = connection.equipment
        self.sockets = self.equipment.sockets
        self.place = place
        self.handshake = handshake
        self.id = urlsafe_b64encode(token_bytes(_ID_SIZE)).decode("ascii")
        self.peer = connection.peer
        self._parser = connection.parser
        self.isAnswered = self.isPaused = False
        self.sessionID: SessionID | None = None
        self.reason = ""
        # What the application says to a client that it does not let in.
        self._why: dict[str, Any] | None = None
        # The packet that tells the client that it is connected.
        self._answer: Frame | None = None
        self.pid = ""
        self.trail: Trail | None = None
        self.isRecovered = False
        self.mayRecover = True
        self._rooms: tuple[Label, ...] = ()
        self._missed: list[Numbered] = []
        self._ghost: Ghost | None = None
        self._calls: dict[int, Deferred[Any]] = {}
        self._lastCall = 0
        face = place.protocol()
        face._sessionsock = self
        application = EventApplication(self, place, face)
        self.client: Client = self.sockets.client(self, application, face)

    @property
    def namespace(self) -> str:
        """
        The name of the namespace.
        """
        return self.place.name

    @property
    def groups(self) -> tuple[Label, ...]:
        return *groupsOf(self.namespace, self.id), *self._rooms

    # From CONNECT to the session.

    def awaitCredential(self) -> None:
        # The session that the cookie named may have ended just now.
        self.sessionID = None
        # Clients send nothing before they are connected.
        self.write(self._connected())
        self._connection.awaitSession()

    def _connected(self) -> Frame:
        data = {"sid": self.id}
        if self.pid:
            data["pid"] = self.pid
        packet = Packet(Kind.CONNECT, self.namespace, data)
        self._answer = self._parser.encode(packet)
        return self._answer

    def prepare(self, session: Session) -> Deferred[None] | None:
        if self._connection.isSecond(session.id):
            return fail(SecondSession("another namespace has another session"))
        self.sessionID = session.id
        self._connection.hasSession()
        face = self.client.handlers.face
        try:
            asking = inOrder(partial(_ask, f, face, session) for f in self.place.gates)
        except Exception:
            asking = fail()
        if asking is None:
            return self._recover(session)
        return asking.addCallbacks(lambda _: self._recover(session), self._refused)

    def _recover(self, session: Session) -> Deferred[None] | None:
        ghosts = self.place.ghosts
        if ghosts is None or self._answer is not None or not self.client.isOpen:
            return None
        return ghosts.begin(self, session)

    def recover(
        self,
        socketID: str,
        pid: str,
        rooms: tuple[Label, ...],
        missed: list[Numbered],
    ) -> None:
        """
        Be who the client was before its connection was lost.
        """
        self.isRecovered = True
        self.id, self.pid = socketID, pid
        self._rooms, self._missed = rooms, missed

    def _refused(self, failure: Failure) -> Failure:
        if isinstance(failure.value, ConnectRefused):
            error = failure.value
            why = {"message": error.message}
            if error.data is not None:
                why["data"] = error.data
            try:
                self._parser.encode(Packet(Kind.CONNECT_ERROR, self.namespace, why))
            except ValueError:
                # The client would wait forever for what cannot be sent.
                return Failure()
            self._why = why
        return failure

    def whose(self, session: Session) -> Frame | None:
        return self._connected() if self._answer is None else None

    # What comes in.

    def event(self, packet: Packet, size: int) -> None:
        """
        The client sent an event.
        """
        name, *args = packet.data
        self.client.received(Event(name, tuple(args)), size, _Asked(packet.id))

    def pause(self) -> None:
        if self._calls and self._mayTakeMore():
            # The answer that a handler waits for is behind what was sent before.
            return
        self.isPaused = True
        self._connection.pause(self)

    def _mayTakeMore(self) -> bool:
        limits = self.equipment.limits
        messages, size, _ = self.client.waiting
        most = _MORE * limits.waitingMessages
        return messages < most and size < limits.waitingBytes

    def resume(self) -> None:
        self.isPaused = False
        self._connection.resume(self)

    # What goes out.

    @property
    def unsent(self) -> int:
        # What waits for other namespaces is nothing to a client that has left.
        return 0 if self.reason else self._connection.unsent

    @property
    def mostUnsent(self) -> int:
        return self._connection.mostUnsent

    @property
    def isWritable(self) -> bool:
        return self._connection.isWritable

    @property
    def encoding(self) -> Codec:
        return self.place.encodings[self._parser]

    def encode(self, value: Any, messageID: str = "") -> Frame:
        return self.encoding.encode(value, messageID)

    def _encode(self, event: Event, number: int | None) -> Frame:
        data = [event.name, *event.args]
        return self._parser.encode(Packet(Kind.EVENT, self.namespace, data, number))

    def check(self, frame: Frame) -> None:
        limit, size = self.equipment.limits.messageSize, self.size(frame)
        if size > limit:
            raise ValueError(
                f"an event of {size} bytes; no more than {limit} can be sent"
                " (Limits.messageSize)"
            )

    def size(self, frame: Frame) -> int:
        # Most have no attachments.
        if len(frame) == 1:
            return len(frame[0][0])
        return sum(len(payload) for payload, _ in frame)

    def write(self, frame: Frame) -> None:
        if self._answer is None:
            # A client that is not connected keeps it until it is, which may be with
            # another session.
            return
        if self.trail is not None and isinstance(frame, Numbered):
            ghosts = self.place.ghosts
            assert ghosts is not None
            ghosts.log(self.trail, frame)
        self._connection.send(frame)
        if frame is self._answer:
            self.isAnswered = True
            missed, self._missed = self._missed, []
            for each in missed:
                self.write(each)

    def refuseEarly(self) -> None:
        """
        @raise SessionError: It is not decided yet whether the client is let in.
        """
        if self.client.life.phase is Phase.OPENING:
            raise SessionError(
                "nothing is sent to a client before it is let in, nor is it in rooms:"
                " right is to do that in sconnection"
            )

    def emit(self, event: Event) -> None:
        """
        Send the client an event, or keep it until the client comes back.

        @raise ValueError: It cannot be sent.

        @raise SessionError: See L{refuseEarly}.
        """
        self.refuseEarly()
        if self._ghost is None:
            self.client.send(event)
        elif NOW.run is None:
            self._ghost.emit(event)
        else:
            # It is missed when what the handler changed is stored.
            frame = self.encode(event)
            self.check(frame)
            self.client.sendFrame(frame)

    def missed(self, frame: Frame) -> None:
        ghost = self._ghost
        # Answers are of no use to a client that does not know its question.
        if ghost is None or not isinstance(frame, Numbered):
            return
        heir = ghost.heir
        if heir is None:
            ghost.keep(frame)
        elif heir.encoding is self.encoding:
            heir.client.sendFrame(frame)

    @property
    def standIn(self) -> Member | None:
        """
        Who is where the client was before it was lost: what waits for it, or the
        client that it is since it came back.
        """
        return None if self._ghost is None else self._ghost.current

    # Answers, in both directions.

    def answer(self, values: tuple[Any, ...]) -> None:
        """
        Answer the event that is being handled, if it asks for that and was not
        answered, when all that was changed until now is stored.

        @raise ValueError: A value cannot be sent.
        """
        asked: _Asked | None = self.client.source
        if asked is None or asked.number is None:
            return
        packet = Packet(_ACK, self.namespace, list(values), asked.number)
        frame = self._parser.encode(packet)
        self.check(frame)
        asked.number = None
        self.client.sendFrame(frame)

    def call(self, event: Event, timeout: float | None) -> Deferred[Any]:
        """
        Send an event that asks for an answer.

        @param timeout: For how many seconds to wait.

        @raise ValueError: The event cannot be sent.

        @raise SessionError: See L{refuseEarly}.
        """
        refuseRepeatable("call()")
        self.refuseEarly()
        if not self.client.isOpen:
            return fail(ClientGone("the client is gone"))
        self._lastCall += 1
        number = self._lastCall
        frame = self._encode(event, number)
        self.check(frame)

        def forget(_: Deferred[Any]) -> None:
            self._calls.pop(number, None)

        asked: Deferred[Any] = Deferred(forget)
        if timeout is not None:
            clock: Any = self.sockets.manager.reactor
            asked.addTimeout(timeout, clock)
        self._calls[number] = asked
        self.client.sendFrame(frame)
        if self.isPaused and self._mayTakeMore():
            # See pause(): too much has come before this was asked.
            self.resume()
        return asked

    def answered(self, packet: Packet) -> None:
        """
        The client has answered an event.
        """
        if packet.id in self._calls:
            self.client.answered(partial(self._deliver, packet))

    def _deliver(self, packet: Packet) -> None:
        # Its time may be up by now.
        asked = self._calls.pop(packet.id or 0, None)
        if asked is not None:
            values = packet.data
            asked.callback(values[0] if len(values) == 1 else tuple(values) or None)

    # The end.

    def close(self, code: int, reason: str) -> None:
        connection = self._connection
        if not isFinal(code):
            connection.closeSoon(code, reason)
        elif not self.isAnswered:
            connection.refuse(self, code, self._why or refusal(code, reason))
        else:
            if self.client.session is None and (self._why or code != Code.NORMAL):
                # Its CONNECT was answered before it had to name its session.
                event = eventOf(self._why or refusal(code, reason))
                connection.send(self._encode(event, None))
            connection.disconnect(self, code)

    def cut(self, why: str) -> None:
        self._connection.cut(why)

    def disconnectAll(self) -> None:
        """
        Disconnect the client from all namespaces.
        """
        refuseRepeatable("disconnect()")
        self._connection.disconnectAll()

    def lost(self, code: int, reason: str) -> Ghost | None:
        """
        The client is disconnected.

        @return: What stands in for it, if it may come back.
        """
        self.reason = reason
        if self.place.ghosts is not None:
            self._ghost = self.place.ghosts.lost(self, reason)
        self.client.lost(code)
        # One by one: whoever learns of the first may have the others cancelled.
        while self._calls:
            asked = self._calls.pop(next(iter(self._calls)))
            asked.errback(ClientGone("the client is gone"))
        return self._ghost


def _ask(gate: Listener, face: Any, session: Session) -> object:
    """
    Call a function that lets clients in.
    """
    result = waitable(gate(face, session))
    if isinstance(result, Deferred):
        return result.addCallback(_refuseAnswer)
    _refuseAnswer(result)
    return None


def _refuseAnswer(result: object) -> None:
    """
    @raise TypeError: Who wrote the function expects that C{False} keeps a client out.
    """
    if isinstance(result, bool):
        raise TypeError(
            f"a function of use() returned {result}, and whom it returns for is let"
            " in; right is raise ConnectRefused(message), or to return nothing"
        )
