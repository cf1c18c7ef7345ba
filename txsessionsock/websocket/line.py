# -*- test-case-name: tests.websocket.test_websocket -*-
"""
All that a hardened WebSocket has beside Autobahn's own: what waits to come in and
to go out, and how it ends.
"""

from __future__ import annotations

from typing import Any, Protocol

from autobahn.util import encode_truncate
from autobahn.websocket.protocol import PreparedMessage
from twisted.logger import Logger

from txsessionsock._deferreds import Timer
from txsessionsock._seldom import Seldom
from txsessionsock.forwarded import Proxies, trusted
from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.messages import Shared
from txsessionsock.origins import Origins

from .admission import Admission, Overfull, Place, addressOf
from .answers import Answers
from .compression import mayGrowTo
from .frames import Frames
from .opening import begin
from .outflow import Outflow
from .quiet import Quiet
from .turns import Turns


__all__ = ["Line", "Rules"]

_log = Logger()

_FRAME_HEAD = 10
"""
How many bytes the head of a frame has at most, if it is not masked (RFC 6455,
section 5.2).
"""

_REASON_SIZE = 123
"""
How many bytes of a reason fit into a close frame (RFC 6455, section 5.5).
"""


class Rules(Protocol):
    """
    The attribute C{_sessionsock} of a factory of L{Hardened
    <txsessionsock.websocket.Hardened>} protocols.

    @ivar origins: The web sites whose pages may connect.

    @ivar trustProxy: Which proxies are believed.

    @ivar refusals: The lines of the log about clients that do what they should
        not.

    @ivar quiet: What Autobahn's own methods log to.

    @ivar admission: How many connections there are.

    @ivar shortFrames: Whether ordinary frames go past Autobahn.

    @ivar turns: Whose handshake, frames or end is handled next, where they wait.

    @ivar takesSubprotocols: Whether a subprotocol may be a credential.
    """

    @property
    def limits(self) -> Limits: ...

    @property
    def origins(self) -> Origins: ...

    @property
    def trustProxy(self) -> bool | Proxies: ...

    @property
    def refusals(self) -> Seldom: ...

    def refused(self, kind: str) -> None:
        """
        A connection was not let in.

        @param kind: Why, in one of few words.
        """

    @property
    def quiet(self) -> Quiet: ...

    @property
    def admission(self) -> Admission: ...

    @property
    def shortFrames(self) -> bool: ...

    @property
    def turns(self) -> Turns: ...

    @property
    def takesSubprotocols(self) -> bool: ...


class Line:
    """
    All that a protocol has beside Autobahn's own, in one place so that few names
    are taken from those who write protocols.  It sends messages in order, and
    can stop receiving.

    @ivar connectedAt: When the connection came, in seconds since the epoch; later by
        how long its handshake waited for its turn, which is not the client's doing.

    @ivar request: The request of the handshake, once it has come whole.

    @ivar rules: Those of the factory.

    @ivar isPaused: Whether nothing is to be received for now; see L{isHeld}.

    @ivar isHeld: Whether nothing is received for now: because of L{pause}, or
        because too much waits for a client that does not read.

    @ivar mostUnsent: How many bytes may wait for a client; when there would be
        more, it is cut off.

    @cvar mostFrames: In how many frames a message of the largest size may go out.

    @ivar frames: What comes in.

    @ivar answers: What goes out.

    @ivar place: The place that it takes among all connections.

    @ivar used: See L{Turns}: how long its handshake took.

    @cvar isBulk: See there, too: it comes.
    """

    place: Place
    request: Handshake | None = None
    isPaused = False
    isHeld = False
    mostUnsent = 0
    mostFrames = 1
    used = 0.0
    isBulk = True
    _headAt: float | None = None
    _outflow: Outflow | None = None
    _linger: Timer | None = None
    # These wait for the end of a message that is sent in several frames.
    _behind: list[tuple[Any, ...] | PreparedMessage] | None = None
    _behindSize = 0

    def __init__(self, protocol: Any, ours: type) -> None:
        """
        @param ours: The class whose methods take the place of Autobahn's.
        """
        self._protocol = protocol
        self._ours = ours
        self.rules: Rules = protocol.factory._sessionsock
        self._reactor = protocol.factory.reactor
        self.connectedAt = self._reactor.seconds()
        self.answers = Answers(self, protocol, ours, self.rules.shortFrames)
        self.frames = Frames(self, protocol, ours, self.answers)

    @property
    def _autobahns(self) -> Any:
        """
        Autobahn's own methods, which are ours by name: they do at once what ours
        may do later.  Not kept, as each would be an object for each connection.
        """
        return super(self._ours, self._protocol)

    def arrive(self) -> Overfull | None:
        """
        Take a place.

        @return: Why there is none, not even to be answered; L{None} if there is.
        """
        rules, transport = self.rules, self._protocol.transport
        address = addressOf(transport, trusted(rules.trustProxy))
        self.place = rules.admission.arrive(address)
        return self.place.hopeless

    def began(self, at: float) -> None:
        """
        The connection came at another time than we had it.

        @param at: From when on its handshake has time, in seconds since the epoch.
        """
        self.connectedAt = at
        timeout = self._protocol.openHandshakeTimeoutCall
        if timeout is not None:
            elapsed = self._reactor.seconds() - at
            timeout.reset(max(0.0, self._protocol.openHandshakeTimeout - elapsed))

    @property
    def awaitsTurn(self) -> bool:
        """
        Whether its handshake has come, and waits for its turn.
        """
        return self._headAt is not None

    def headCame(self) -> None:
        """
        Its handshake has come.
        """
        if self._headAt is None:
            self._headAt = self._reactor.seconds()
            self.rules.turns.offer(self, self._reactor)

    def goOn(self) -> None:
        """
        It is the turn of this handshake.
        """
        protocol, came = self._protocol, self._headAt
        self._headAt = None
        if protocol is None or protocol.state != protocol.STATE_CONNECTING:
            return
        assert came is not None
        waited = self._reactor.seconds() - came
        if waited > 0:
            self.began(self.connectedAt + waited)
        begin(protocol)

    def opened(self) -> None:
        """
        The handshake is done.
        """
        protocol, limits = self._protocol, self.rules.limits
        transport = protocol.transport
        # Autobahn's way writes down what goes out.
        isShort = self.answers.isShort and not protocol.logOctets
        largest = max(limits.messageSize, protocol.maxMessagePayloadSize)
        self.mostUnsent = limits.unsentBytes + largest + self.mostFrames * _FRAME_HEAD
        self._outflow = Outflow(
            transport, self, self._reactor, limits, self.mostUnsent, isShort=isShort
        )
        self.answers.opened(self._outflow)

    # Its end.

    def cut(self, why: str) -> None:
        """
        Drop the connection, and all that waits.
        """
        protocol = self._protocol
        if protocol is None or protocol.state == protocol.STATE_CLOSED:
            return
        now = self._reactor.seconds()
        self.rules.refusals.warn(_log, f"a client is cut off: {why}", now)
        protocol.wasNotCleanReason = why
        protocol.dropConnection(abort=True)

    def drop(self, *, isAborted: bool = True) -> None:
        """
        The connection is about to be closed; a transport with a producer would
        wait for it.

        @param isAborted: Whether it is to be closed at once, rather than when
            all is sent.
        """
        self.answers.flush()
        outflow, self._outflow = self._outflow, None
        self.answers.outflow = None
        if outflow is not None:
            outflow.end(isAborted=isAborted)
            self._behind, self._behindSize = None, 0
            if self.isHeld:
                self.turned()
        if not isAborted:
            # The client may read nothing any more, or not answer as TLS has it.
            # Then the transport would wait for ever.
            if self._linger is None:
                self._linger = Timer(self._reactor)
            self._linger.start(
                self.rules.limits.closeTimeout, self._protocol._closeConnection, True
            )

    def end(self) -> None:
        """
        The connection is gone.  Nothing here leads to the protocol any more: it
        is to be freed with all it holds when its last owner lets go of it, not
        when the garbage collector comes.
        """
        self.drop()
        if self._linger is not None:
            self._linger.stop()
        self._behind, self._behindSize = None, 0
        self.frames.end()
        self.answers.end()
        self._protocol = None

    # What goes out.

    @property
    def unsent(self) -> int:
        """
        How many bytes wait because the client does not read.
        """
        outflow = self._outflow
        # Mostly nothing: this is asked at each message.
        if outflow is None or outflow.waiting is None:
            return self._behindSize
        return self._behindSize + len(outflow.waiting)

    @property
    def isFilled(self) -> bool:
        """
        Whether the transport has said that it is full.
        """
        return self._outflow is not None and self._outflow.isHeld

    def turned(self) -> None:
        """
        So much waits that the client is not to cause any more, or no longer.
        """
        self._hold()
        if not self._isFull:
            self.relieved()

    def relieved(self) -> None:
        """
        There is room again for what the client is sent.
        """

    @property
    def _isFull(self) -> bool:
        return self._outflow is not None and self._outflow.isFull

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let something of the application's produce.
        """
        if self._outflow is not None:
            self._outflow.register(producer, streaming)
        elif self._protocol is not None:
            self._protocol.transport.registerProducer(producer, streaming)
        else:
            # As transports do whose connection is gone.
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """
        Let it produce no more.
        """
        if self._outflow is not None:
            self._outflow.unregister()
        elif self._protocol is not None:
            self._autobahns.unregisterProducer()

    def put(self, data: bytes) -> None:
        """
        Send bytes, behind all that was sent before.
        """
        self.answers.put(data)

    def out(self, data: bytes) -> None:
        """
        Send bytes, now.
        """
        if self._outflow is None:
            self.sendAsAutobahn(data)
        else:
            self._outflow.write(data)

    def sendAsAutobahn(self, data: bytes) -> None:
        """
        Send bytes, whatever waits.
        """
        if self._protocol is not None:
            self._autobahns.sendData(data)

    def size(self, frame: tuple[Any, ...] | PreparedMessage) -> int:
        """
        About how many bytes a frame takes.

        @param frame: What L{write} takes.
        """
        if isinstance(frame, PreparedMessage):
            return len(frame.payloadHybi)
        return len(frame[0])

    def check(self, frame: tuple[Any, ...] | PreparedMessage) -> None:
        """
        @param frame: What L{write} takes.

        @raise ValueError: Autobahn would not send that much.
        """
        protocol = self._protocol
        limit = 0 if protocol is None else protocol.maxMessagePayloadSize
        if limit <= 0 or (isinstance(frame, tuple) and len(frame[0]) <= limit):
            # Most are.
            return
        size = self.size(frame)
        if isinstance(frame, PreparedMessage):
            size -= _FRAME_HEAD
        if limit < size:
            raise ValueError(
                f"a message of {size} bytes; no more than {limit} can be sent"
                " (Limits.messageSize)"
            )

    def write(self, frame: tuple[Any, ...] | PreparedMessage) -> None:
        """
        Send a message, between two others.

        @param frame: The arguments of Autobahn's C{sendMessage}, or what its
            factory has prepared.
        """
        protocol = self._protocol
        if protocol is None or protocol.state != protocol.STATE_OPEN:
            return
        if protocol.send_state != protocol.SEND_STATE_GROUND:
            # The application is in the middle of a message (beginMessage), and
            # no other may come between its frames (RFC 6455, section 5.4).
            self._putBehind(frame)
        elif type(frame) is Shared:
            if not self.answers.message(frame[0], frame[1], shared=frame):
                self._send(*frame)
        elif not isinstance(frame, PreparedMessage):
            if not self.answers.message(*frame):
                self._send(*frame)
        elif protocol._perMessageCompress is None or frame.doNotCompress:
            protocol.sendData(frame.payloadHybi)
        else:
            self._send(frame.payload, frame.binary)

    def _send(self, payload: bytes, *more: Any) -> None:
        """
        Have Autobahn send a message; the arguments are those of its method.
        """
        protocol, size = self._protocol, len(payload)
        limit = protocol.maxMessagePayloadSize
        if protocol._perMessageCompress is not None and size <= limit < mayGrowTo(size):
            # Autobahn compares what comes out of the compression, and raises when
            # it is too late: the client could not read what comes next.
            whole = (*more, *(False, None, False)[len(more) :])
            more = (*whole[:3], True)
        self._autobahns.sendMessage(payload, *more)

    def messageEnded(self) -> None:
        """
        The application has sent the last frame of a message.
        """
        behind, self._behind, self._behindSize = self._behind, None, 0
        for frame in behind or ():
            self.write(frame)
        if behind:
            self.relieved()

    def _putBehind(self, frame: tuple[Any, ...] | PreparedMessage) -> None:
        size = self.size(frame)
        if self.unsent + size > self.mostUnsent:
            self.cut("it was sent more than may wait for the end of a message")
            return
        if self._behind is None:
            self._behind = []
        self._behind.append(frame)
        self._behindSize += size

    def closing(self) -> None:
        """
        A close frame was sent.
        """
        self._hold()

    def close(self, code: int, reason: str) -> None:
        """
        Send a close frame, with any code that can be sent.
        """
        protocol = self._protocol
        if protocol is not None and protocol.state == protocol.STATE_OPEN:
            text = reason.encode("utf-8", "replace").decode("utf-8")
            # sendClose refuses every code below 3000 but 1000.
            protocol.sendCloseFrame(
                code=int(code), reasonUtf8=encode_truncate(text, _REASON_SIZE) or None
            )

    # What comes in.

    def pause(self) -> None:
        """
        Receive nothing more for now.
        """
        self.isPaused = True
        self._hold()

    def resume(self) -> None:
        """
        Receive again.
        """
        self.isPaused = False
        self._hold()

    def _hold(self) -> None:
        protocol = self._protocol
        if protocol is None:
            return
        # An answer to our close frame has to be read.  No answer to what comes
        # with it is sent any more.
        isFull = self._isFull and protocol.state == protocol.STATE_OPEN
        isHeld = self.isPaused or isFull
        if isHeld == self.isHeld:
            return
        self.isHeld = isHeld
        if isHeld:
            protocol.transport.pauseProducing()
        else:
            self.frames.resumed()
