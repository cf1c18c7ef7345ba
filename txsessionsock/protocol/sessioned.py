# -*- test-case-name: tests.protocol.test_protocol -*-
"""
A WebSocket of Autobahn's whose client has a session.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, TypeVar, overload

from autobahn.websocket.protocol import PreparedMessage
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._waiting import refuseToWait
from txsessionsock.clients import (
    METHODS,
    Listener,
    listen,
    refuseUnknown,
    without,
)
from txsessionsock.closecodes import Code, refuseCode
from txsessionsock.interfaces import SessionError
from txsessionsock.messages import JSON, Messages
from txsessionsock.websocket import Hardened

from .carrier import SocketCarrier


__all__ = ["Sessioned"]

_log = Logger()

_L = TypeVar("_L", bound=Listener)

_LARGE = 16 * 1024
"""
Of how many bytes a message is worth a look at how many it will take.
"""

_AUTOBAHNS = "message"
"""
The one event that Autobahn itself has.
"""

_VALUES = frozenset((dict, list, str, bytes, int, float, bool, type(None)))
"""
What most messages are: nobody can wait for these, and to ask takes a while.
"""

_NO_STATUS = 1005
"""
The code of a close frame without one (RFC 6455, section 7.1.5).
"""


class Sessioned(Hardened):
    """
    A L{Hardened} WebSocket whose client has a session.  It takes one more name.

    @ivar _sessionsockMessages: What messages are; L{None} if C{messages} says.
    """

    peer: Any

    _sessionsock: SocketCarrier
    _sessionsockLine = SocketCarrier
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
            # Make a new list.  Autobahn may be going through the old one, and would
            # skip the listener after one that takes itself off.
            if self._listeners and event in self._listeners:
                others = without(self._listeners[event], handler)
                self._listeners[event] = others
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
        frame = (bytes(payload), bool(isBinary), fragmentSize, sync, doNotCompress)
        self._sessionsock.check(frame)
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
        self._sessionsock.check(preparedMsg)
        self._sessionsock.client.sendFrame(preparedMsg)

    # From the connection to the session.

    def _onOpen(self) -> None:
        self._guard(self._opened)

    def _opened(self) -> None:
        # Autobahn's method reads the TLS certificate and then calls onOpen, which
        # is called later here: after sconnection.
        with self._instead("onOpen", lambda: None):
            super()._onOpen()
        self._sessionsock.begin()

    # While it is open, and its end.

    def _onMessage(self, payload: bytes, isBinary: bool) -> None:
        carrier = self._sessionsock
        # As _guard does it, and in one: this is called for each message.
        try:
            if carrier.aside is not None and carrier.isAside(payload, isBinary):
                return
            size, most = len(payload), carrier.mostValues
            # The cost of some messages is not in their size: 350,000 empty lists fit
            # into 1 MiB, and would hold up everybody for half a second.
            if size > most and JSON.hasMoreValues(payload, int(most)):
                carrier.client.closeNow(Code.TOO_BIG, "too many values")
                return
            try:
                message = carrier.messages.decode(payload, isBinary)
                if type(message) not in _VALUES:
                    refuseToWait(message, "decode()")
            except ValueError:
                carrier.client.closeNow(Code.BAD_PAYLOAD, "bad message")
                return
            if size > _LARGE and most < inf:
                size = JSON.sizeOf(payload)
            carrier.client.received(message, size, (payload, isBinary))
        except Exception:
            _failed(carrier)

    def _onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        carrier = self._sessionsock
        carrier.closed = (wasClean, code, reason)
        self._guard(carrier.drop)
        if self.closedByMe and self.localCloseCode is not None:
            code = self.localCloseCode
        self._guard(carrier.client.lost, _NO_STATUS if code is None else code)

    def _guard(self, call: Callable[..., object], *args: Any) -> None:
        """
        Autobahn has no good answer to an exception in what it calls.
        """
        try:
            call(*args)
        except Exception:
            _failed(self._sessionsock)


def _failed(carrier: SocketCarrier) -> None:
    carrier.sockets.manager.failed(_log, "a session socket failed", Failure())
    carrier.client.closeNow(Code.INTERNAL_ERROR, "")
