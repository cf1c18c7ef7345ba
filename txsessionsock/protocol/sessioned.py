# -*- test-case-name: tests.test_protocol -*-
"""
What a WebSocket with a session does otherwise than Autobahn's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, overload

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import PreparedMessage
from twisted.logger import Logger

from txsessionsock._seldom import shown
from txsessionsock._waiting import refuseToWait, waitable
from txsessionsock.clients import METHODS, Listener, listen, refuseUnknown, without
from txsessionsock.closecodes import Code, refuseCode
from txsessionsock.handshake import Handshake, handshakeOf
from txsessionsock.interfaces import SessionError
from txsessionsock.messages import Messages

from .carrier import Wire


__all__ = ["Sessioned"]

_log = Logger()

_L = TypeVar("_L", bound=Listener)

_AUTOBAHNS = "message"
"""
The one event that Autobahn itself has.
"""

_NO_STATUS = 1005
"""
The code of a close frame without one (RFC 6455, section 7.1.5).
"""

_HEADER_END = b"\r\n\r\n"


class Sessioned(WebSocketServerProtocol):
    """
    Stands before an Autobahn protocol.  It takes the names of Autobahn's own
    methods, and two more.

    @ivar _sessionsockMessages: What messages are; L{None} if C{messages} says.
    """

    transport: Any
    peer: Any
    autoPingTimeout: float
    websocket_protocols: list[str]
    websocket_protocol_in_use: str | None
    _transport_details: Any

    _sessionsock: Wire
    _sessionsockMessages: Messages | None = None

    @property
    def factory(self) -> Any:
        return vars(self).get("factory")

    @factory.setter
    def factory(self, factory: Any) -> None:
        if not hasattr(factory, "_sessionsock"):
            raise SessionError(
                f"{factory!r} gives no sessions: right is a SessionSocketFactory, or"
                " enable(factory, manager)"
            )
        vars(self)["factory"] = factory

    @overload
    def on(self, event: str, listener: _L) -> _L: ...

    @overload
    def on(self, event: str) -> Callable[[_L], _L]: ...

    def on(self, event: str, listener: _L | None = None) -> Any:
        """
        Have a function called on each event of this client: C{"smessage"}
        with the message and the session, C{"disconnect"} with the session and
        the code, and so on.  Without a function, a decorator.  Autobahn's own
        event C{"message"} is still there.

        @raise ValueError: There is no such event.

        @raise TypeError: That is no function.
        """
        if event == _AUTOBAHNS:
            return listen(partial(super().on, event), listener)
        refuseUnknown(event, _AUTOBAHNS)
        listeners: Any = self._sessionsock.client.handlers.listeners
        return listeners.on(event, listener)

    def off(self, event: str | None = None, handler: Listener | None = None) -> None:
        """
        Have a function called no more; without one, none of that event, and
        without an event, none at all.

        @raise ValueError: There is no such event.
        """
        if event == _AUTOBAHNS:
            # In a new list, or Autobahn, which goes through its own, would leave
            # out who comes after a listener that takes itself off.
            if self._listeners and event in self._listeners:
                left = without(self._listeners[event], handler)
                self._listeners[event] = left
            return
        listeners = self._sessionsock.client.handlers.listeners
        if event is not None:
            refuseUnknown(event, _AUTOBAHNS)
            listeners.off(event, handler)
            return
        # Autobahn's refuses a handler without an event.
        super().off(None, handler)
        for each in METHODS:
            listeners.off(each)

    def sendMessage(
        self,
        payload: bytes,
        isBinary: bool = False,
        fragmentSize: int | None = None,
        sync: bool = False,
        doNotCompress: bool = False,
    ) -> None:
        """
        Send a message that is encoded already.  In C{perMessage} mode it goes
        out when all that was changed in the session until now is stored.
        When the client is gone, nothing happens.
        """
        if not isinstance(payload, bytes):
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        self._sessionsock.checkSize(payload)
        frame = (bytes(payload), bool(isBinary), fragmentSize, sync, doNotCompress)
        self._sessionsock.client.sendFrame(frame)

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:
        """
        Disconnect, when what was sent before has gone out.  Autobahn's
        refuses most codes.

        @raise ValueError: That code cannot be sent (RFC 6455, section 7.4).
        """
        code = Code.NORMAL if code is None else code
        refuseCode(code)
        self._sessionsock.client.close(code, reason or "")

    def sendPreparedMessage(self, preparedMsg: PreparedMessage) -> None:
        """
        The same for what many clients get.
        """
        self._sessionsock.client.sendFrame(preparedMsg)

    def endMessage(self) -> None:
        super().endMessage()
        self._sessionsock.messageEnded()

    def sendData(self, data: bytes, *args: Any, **more: Any) -> None:
        # All goes through here, also pongs, which the client can ask for.
        super().sendData(data, *args, **more)
        self._sessionsock.wrote(len(data))

    # From the connection to the session.

    def connectionMade(self) -> None:
        self._sessionsock = Wire(self, super().sendMessage, super().unregisterProducer)
        # An HTTP channel leaves itself as the transport's producer.
        self.transport.unregisterProducer()
        super().connectionMade()

    def processHandshake(self) -> None:
        # Before Autobahn's check, which answers 400, and before onConnect.
        handshake = self._handshakeIn(self.data)
        equipment = self._sessionsock.equipment
        why = None if handshake is None else equipment.origins.refusal(handshake)
        if why is None:
            onConnect = self.onConnect
            with self._instead("onConnect", lambda asked: waitable(onConnect(asked))):
                super().processHandshake()
            return
        equipment.refusals.warn(_log, why, self.factory.reactor.seconds())
        self.failHandshake("origin not allowed", 403)

    def _handshakeIn(self, data: bytes) -> Handshake | None:
        end = data.find(_HEADER_END)
        if end < 0:
            return None
        details = self._transport_details
        return handshakeOf(data[:end], details is not None and bool(details.is_secure))

    def _onOpen(self) -> None:
        # Autobahn's does some things and then calls onOpen, whose time is
        # after sconnection.
        with self._instead("onOpen", lambda: None):
            super()._onOpen()
        if self.websocket_protocols and self.websocket_protocol_in_use is None:
            offered = shown(", ".join(self.websocket_protocols))
            self._sessionsock.equipment.refusals.warn(
                _log,
                f"a client offered the subprotocols {offered} and none was chosen, so"
                " browsers drop the connection; onConnect(request) returns the one to"
                " speak",
                self.factory.reactor.seconds(),
            )
        handshake = self._handshakeIn(self.http_request_data)
        assert handshake is not None
        self._guard(self._sessionsock.begin, handshake)

    @contextmanager
    def _instead(self, name: str, call: Callable[..., object]) -> Iterator[None]:
        """
        Have Autobahn call something else than a method of the application.
        """
        own = vars(self)
        theirs = own.get(name)
        own[name] = call
        try:
            yield
        finally:
            del own[name]
            if theirs is not None:
                own[name] = theirs

    # While it is open, and its end.

    def _onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._guard(self._received, payload, isBinary)

    def _received(self, payload: bytes, isBinary: bool) -> None:
        wire = self._sessionsock
        if wire.isAside(payload, isBinary):
            return
        try:
            message = wire.messages.decode(payload, isBinary)
            refuseToWait(message, "decode()")
        except ValueError:
            wire.client.closeNow(Code.BAD_PAYLOAD, "bad message")
        else:
            wire.client.received(message, len(payload), (payload, isBinary))

    def _onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        wire = self._sessionsock
        wire.closed = (wasClean, code, reason)
        self._guard(wire.drop)
        if wire.handshake is None:
            return
        if self.closedByMe and self.localCloseCode is not None:
            code = self.localCloseCode
        self._guard(wire.client.lost, _NO_STATUS if code is None else code)

    def _guard(self, call: Callable[..., object], *args: Any) -> None:
        """
        Autobahn has no good answer to an exception in what it calls.
        """
        try:
            call(*args)
        except Exception:
            _log.failure("a session socket failed")
            self._sessionsock.client.closeNow(Code.INTERNAL_ERROR, "")

    def onAutoPingTimeout(self) -> None:
        if self._sessionsock.isPaused:
            # The pong may wait in the socket that we do not read.
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )
        else:
            super().onAutoPingTimeout()

    def dropConnection(self, abort: bool = False) -> None:
        self._sessionsock.drop()
        super().dropConnection(abort)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._sessionsock.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._sessionsock.unregisterProducer()
