# -*- test-case-name: tests.socketio.test_engine -*-
"""
A connection of Engine.IO, which goes by long-polling or by WebSocket, and from the
one to the other without losing or doubling a packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from secrets import token_urlsafe
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txsessionsock._deferreds import Timer
from txsessionsock.closecodes import Code
from txsessionsock.handshake import Handshake
from txsessionsock.protocol import Equipment
from txsessionsock.websocket import Place

from .enginepackets import (
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG,
    PROBE,
    PROBED,
    UPGRADE,
    Message,
)
from .heartbeat import Heartbeat
from .polling import Polling, Rounds, mostUnsentOf
from .wire import Wire


__all__ = ["EngineConnection", "Receiver", "Stage"]

_log = Logger()

_SID_SIZE = 20
"""
How many random bytes name a connection.
"""

_ABNORMAL = 1006
"""
The code for a connection that ended without any (RFC 6455, section 7.1.5).
"""


class Receiver(Protocol):
    """
    Is told what comes by one connection.
    """

    def received(self, payload: bytes, isBinary: bool) -> None:
        """
        The client sent a message.

        @param payload: The message, without the digit that says that it is one.
        """

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """

    def lost(self, code: int, reason: str) -> None:
        """
        The connection is over.  Called once, as the last, and by none of the
        methods of the connection.

        @param code: As of a WebSocket.

        @param reason: As Socket.IO has it, such as C{"transport close"}.
        """


class _Engine(Protocol):
    """
    All connections of a server.
    """

    @property
    def equipment(self) -> Equipment: ...

    @property
    def reactor(self) -> IReactorTime: ...

    @property
    def rounds(self) -> Rounds: ...

    def forget(self, sid: str) -> None:
        """
        A connection is over.
        """


class Stage(IntEnum):
    """
    Where a connection is in its life.
    """

    POLLING = 0
    """It goes by polling."""

    PROBED = 1
    """It does, and there is a WebSocket which has said nothing yet."""

    UPGRADING = 2
    """The WebSocket works: polls are answered at once, until the client goes over
    to it."""

    WEBSOCKET = 3
    """It goes by WebSocket."""

    CLOSING = 4
    """It is to be closed when all has gone out that was sent."""

    CLOSED = 5
    """It is over."""


_S = Stage

_NEXT: dict[Stage, frozenset[Stage]] = {
    _S.POLLING: frozenset({_S.PROBED, _S.CLOSING, _S.CLOSED}),
    _S.PROBED: frozenset({_S.POLLING, _S.UPGRADING, _S.CLOSING, _S.CLOSED}),
    _S.UPGRADING: frozenset({_S.POLLING, _S.WEBSOCKET, _S.CLOSING, _S.CLOSED}),
    _S.WEBSOCKET: frozenset({_S.CLOSING, _S.CLOSED}),
    _S.CLOSING: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
}
"""
Which stage may follow which.
"""

# Names of their own: Python 3.11 is slow to find the members of an Enum, and these
# are asked for at each message.
_CLOSING, _CLOSED = Stage.CLOSING, Stage.CLOSED


class EngineConnection:
    """
    The connection of one client.

    @ivar sid: Its name, a secret of the client's.

    @ivar request: The request with which it began.

    @ivar connectedAt: When that came, in seconds since the epoch.

    @ivar stage: Where it is in its life.

    @ivar isPaused: Whether nothing is received for now.
    """

    def __init__(
        self,
        engine: _Engine,
        request: Handshake,
        connectedAt: float,
        place: Place | None,
        wire: Wire | None,
    ) -> None:
        limits, reactor = engine.equipment.limits, engine.reactor
        self.sid = token_urlsafe(_SID_SIZE)
        self.request = request
        self.connectedAt = connectedAt
        self.stage = Stage.POLLING if wire is None else Stage.WEBSOCKET
        self.isPaused = False
        self._engine = engine
        self._limits = limits
        self._reactor = reactor
        self._place = place
        self._receiver: Receiver | None = None
        self._wire = wire
        self._probe: Wire | None = None
        self._polling: Polling | None = None
        if wire is None:
            turns = engine.equipment.turns
            self._polling = Polling(self, limits, turns, engine.rounds, reactor)
        self._closing = (int(Code.NORMAL), "")
        self._heartbeat = Heartbeat(self, limits, reactor)
        self._late = Timer(reactor)

    def begin(self, receiver: Receiver) -> None:
        """
        The client may be told of its connection.
        """
        self._receiver = receiver
        self._heartbeat.start()

    def _become(self, stage: Stage) -> None:
        """
        Enter the next stage.

        @raise RuntimeError: It cannot follow the one that this connection is in.
        """
        if stage not in _NEXT[self.stage]:
            raise RuntimeError(
                f"a connection that is {self.stage.name} cannot become {stage.name}"
            )
        self.stage = stage

    # What an application sees.

    @property
    def transport(self) -> str:
        """
        The name of what carries it: C{"polling"} or C{"websocket"}.
        """
        return "polling" if self._wire is None else "websocket"

    @property
    def unsent(self) -> int:
        """
        How many bytes wait because the client does not read.
        """
        if self._polling is not None:
            return self._polling.unsent
        return 0 if self._wire is None else self._wire.unsent

    @property
    def mostUnsent(self) -> int:
        """
        How many may wait; when there would be more, it is cut off.
        """
        return (
            mostUnsentOf(self._limits) if self._wire is None else self._wire.mostUnsent
        )

    @property
    def isWritable(self) -> bool:
        """
        Whether what is sent now goes out at once.
        """
        if self.stage >= Stage.CLOSING:
            return False
        if self._polling is not None:
            return self._polling.isPolled
        wire = self._wire
        return wire is not None and not wire.unsent and not wire.isFilled

    def send(self, messages: Sequence[Message]) -> None:
        """
        Send messages, behind all that was sent before.

        @param messages: Each as a WebSocket has it: a text begins with C{4}.  None
            is larger than C{Limits.messageSize}.
        """
        if self.stage < _CLOSING:
            self._send(messages)

    def _send(self, messages: Sequence[Message]) -> None:
        if self._polling is not None:
            self._polling.send(messages)
        elif self._wire is not None:
            for message in messages:
                self._wire.write(message)

    def pause(self) -> None:
        """
        Receive nothing more for now.  Who calls this calls L{resume} later: until
        then, a client by WebSocket that has left is not lost yet, for what it sent
        before is still to be received.
        """
        if self.stage >= Stage.CLOSING:
            return
        self.isPaused = True
        if self._wire is not None:
            self._wire.pause()

    def resume(self) -> None:
        """
        Receive again.
        """
        self.isPaused = False
        if self._polling is not None:
            self._polling.resume()
        elif self._wire is not None:
            self._wire.resume()

    def close(self, code: int, reason: str) -> None:
        """
        Disconnect, when what was sent before has gone out.
        """
        if self.stage >= Stage.CLOSING:
            return
        self._heartbeat.stop()
        self._closing = code, reason
        self._become(Stage.CLOSING)
        if self.isPaused:
            # What waits is read and let go: behind it are the answer to our close
            # frame, or the end of the WebSocket.
            self.resume()
        if self._wire is not None:
            self._wire.close(code, reason)
            return
        self._late.start(self._limits.closeTimeout, self._closeFailed)
        assert self._polling is not None
        self._polling.close()

    def _closeFailed(self) -> None:
        self._leave(*self._closing, "forced close", isCut=True)

    def cut(self, why: str) -> None:
        """
        Disconnect at once; nothing of what waits goes out.
        """
        if self.stage is Stage.CLOSED:
            return
        wire = self._wire
        if wire is not None:
            wire.connection = None
            wire.cut(why)
        else:
            refusals, now = self._engine.equipment.refusals, self._reactor.seconds()
            refusals.warn(_log, f"a client is cut off: {why}", now)
        self._leave(_ABNORMAL, "", "transport error", isCut=True)

    # Its end.

    def broken(self, reason: str) -> None:
        """
        The client did what it may not, or is gone.
        """
        isWrong = reason == "parse error"
        code = Code.BAD_PAYLOAD if isWrong else _ABNORMAL
        self._leave(code, reason if isWrong else "", reason)

    def _leave(
        self,
        code: int,
        text: str,
        reason: str,
        *,
        last: Message = CLOSE,
        isCut: bool = False,
    ) -> None:
        """
        It is over.

        @param text: The reason for a close frame.

        @param last: See L{Polling.end}.
        """
        if self.stage is Stage.CLOSED:
            return
        # What the client posted is no fault of its then, and it is to learn of the
        # end by its poll only: browsers have several connections, and the answer to
        # a post may come first.
        isOurs = self.stage is Stage.CLOSING
        self._become(Stage.CLOSED)
        self._engine.forget(self.sid)
        self._heartbeat.stop()
        self._late.stop()
        if self._place is not None:
            self._place.leave()
        self._dropProbe()
        # Whoever calls this may be in the midst of something.
        self._reactor.callLater(0, self._tell, code, reason)
        wire, self._wire = self._wire, None
        polling, self._polling = self._polling, None
        if wire is not None and wire.connection is not None:
            wire.letGo(code if code != _ABNORMAL else Code.NORMAL, text)
        if polling is not None:
            polling.end(last, isCut=isCut, isFine=isOurs or last is not CLOSE)

    def _tell(self, code: int, reason: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(code, reason)

    # The heartbeat.

    def ping(self) -> None:
        """
        Ping the client.
        """
        self._send([PING])

    @property
    def mayHavePonged(self) -> bool:
        """
        Whether a pong may wait where we do not read.
        """
        if self._wire is not None:
            return self.isPaused or self._wire.awaits
        polling = self._polling
        # A client that is there polls, also when its posts are not answered, and
        # has taken the ping.
        isTaken = polling is not None and polling.isTaken
        return polling is not None and (polling.isFull or (self._isBusy and isTaken))

    @property
    def _isBusy(self) -> bool:
        """
        Whether posts of the client are not answered for now.
        """
        return self.isPaused or (self._polling is not None and self._polling.isPosted)

    def silent(self) -> None:
        """
        The client has not answered a ping in time.
        """
        wire = self._wire
        if wire is not None:
            wire.connection = None
            wire.cut("it has not answered a ping in time")
        self._leave(_ABNORMAL, "", "ping timeout")

    # What comes in.

    def took(self, packet: Message) -> None:
        """
        The client sent a packet.
        """
        if self.stage is _CLOSED:
            return
        payload, isBinary = packet
        isMessage = isBinary or payload.startswith(MESSAGE)
        if isMessage:
            if self.stage < _CLOSING and self._receiver is not None:
                self._receiver.received(payload if isBinary else payload[1:], isBinary)
        elif packet == PONG:
            self._heartbeat.ponged()
        elif packet == CLOSE:
            self._leave(Code.NORMAL, "", "transport close", last=NOOP)
        else:
            self.broken("parse error")

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """
        if self.stage < Stage.CLOSING and self._receiver is not None:
            self._receiver.relieved()

    # Polling.

    def poll(self, request: Any) -> bool:
        """
        The client polls.

        @return: Whether it may; otherwise it is not answered.
        """
        polling = self._polling
        if polling is not None:
            polling.poll(request)
        return polling is not None

    def posts(self, request: Any) -> None:
        """
        The client begins to post something.
        """
        if self._polling is not None:
            self._polling.posts(request)

    def post(self, request: Any, body: bytes) -> bool:
        """
        The client posts something.

        @return: See L{poll}.
        """
        polling = self._polling
        if polling is not None:
            polling.post(request, body)
        return polling is not None

    def given(self) -> None:
        """
        All that was sent has gone out.
        """
        if self.stage is Stage.CLOSING:
            self._leave(*self._closing, "forced close")

    # The upgrade.

    @property
    def isUpgrading(self) -> bool:
        """
        Whether each poll is to be answered at once.
        """
        return self.stage is Stage.UPGRADING

    def isProbedBy(self, wire: Wire) -> bool:
        """
        Whether the client may go over to this WebSocket.
        """
        if self.stage is not Stage.POLLING:
            return False
        self._become(Stage.PROBED)
        self._probe = wire
        self._late.start(self._limits.handshakeTimeout, self._probeLate)
        return True

    def _probeLate(self) -> None:
        if self._isBusy:
            # A client goes over when its posts are answered.
            self._late.start(self._limits.handshakeTimeout, self._probeLate)
        else:
            self._endProbe()

    def _endProbe(self) -> None:
        """
        The connection stays as it was.
        """
        self._dropProbe()
        if self.stage in (Stage.PROBED, Stage.UPGRADING):
            self._late.stop()
            self._become(Stage.POLLING)

    def _dropProbe(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.letGo(Code.NORMAL, "")

    def wireTook(self, wire: Wire, packet: Message) -> None:
        """
        Something came by a WebSocket.
        """
        if wire is self._wire:
            self.took(packet)
        elif wire is not self._probe:
            return
        elif packet == PROBE and self.stage is Stage.PROBED:
            self._become(Stage.UPGRADING)
            wire.write(PROBED)
            assert self._polling is not None
            self._polling.flush()
        elif packet == UPGRADE and self._mayUpgrade:
            self._upgrade(wire)
        else:
            self._endProbe()

    @property
    def _mayUpgrade(self) -> bool:
        # Whoever has a request under way does not know what was in its answer.
        isProbed = self.stage in (Stage.UPGRADING, Stage.CLOSING)
        return isProbed and self._polling is not None and self._polling.isIdle

    def _upgrade(self, wire: Wire) -> None:
        polling = self._polling
        assert polling is not None
        isClosing, wasFull = self.stage is Stage.CLOSING, polling.isFull
        self._late.stop()
        self._polling, self._probe, self._wire = None, None, wire
        waiting = polling.taken()
        if not isClosing:
            self._become(Stage.WEBSOCKET)
        for message in waiting:
            if message is not CLOSE:
                wire.write(message)
        if isClosing:
            wire.close(*self._closing)
            return
        if self.isPaused:
            wire.pause()
        if wasFull and not wire.isHeld:
            self.relieved()

    def wireRelieved(self, wire: Wire) -> None:
        """
        There is room again for what is sent by a WebSocket.
        """
        if wire is self._wire:
            self.relieved()

    def wireLost(self, wire: Wire, code: int, reason: str) -> None:
        """
        A WebSocket is gone.
        """
        if wire is self._probe:
            self._probe = None
            self._endProbe()
        elif wire is self._wire:
            isOurs = self.stage is Stage.CLOSING
            if isOurs:
                code, reason = self._closing[0], "forced close"
            self._leave(code, "", reason)
