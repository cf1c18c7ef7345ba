# -*- test-case-name: tests.test_protocol -*-
"""
What stands between an Autobahn protocol and its client: the carrier, the
application with Autobahn's own methods, and the request of the handshake.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerProtocol

from ._events import inOrder
from ._outflow import Outflow
from .credentials import Handshake
from .session import Session
from .sockets import Limits


if TYPE_CHECKING:
    from .protocol import SessionSocketProtocol

__all__ = ["Carrier", "applicationOf", "handshakeOf", "overrides"]


class Carrier:
    """
    A WebSocket, as its client's carrier.
    """

    isPaused = False

    def __init__(
        self,
        protocol: SessionSocketProtocol,
        limits: Limits,
        sendMessage: Callable[..., None],
    ) -> None:
        self._protocol = protocol
        self._sendMessage = sendMessage
        self._outflow = Outflow(
            protocol.factory.reactor,
            limits,
            partial(protocol.dropConnection, abort=True),
        )
        self._isRegistered = False

    def begin(self) -> None:
        """
        The handshake is done.
        """
        self._isRegistered = True
        self._protocol.transport.registerProducer(self._outflow, True)

    def end(self) -> None:
        """
        The connection is gone.
        """
        self._outflow.stopProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let something else produce too.
        """
        if self._isRegistered and streaming:
            self._outflow.producer = producer
        else:
            self.unregisterProducer()
            self._protocol.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        Let nothing produce any more.
        """
        self._isRegistered = False
        self._outflow.stopProducing()
        self._outflow.producer = None
        self._protocol.transport.unregisterProducer()

    def encode(self, value: Any) -> tuple[Any, ...]:
        return self._protocol.messages.encode(value)

    def write(self, frame: tuple[Any, ...]) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            self._sendMessage(*frame)
            self._outflow.wrote(len(frame[0]))

    def close(self, code: int, reason: str) -> None:
        if self._protocol.state == self._protocol.STATE_OPEN:
            # sendClose refuses every code below 3000 but 1000.
            self._protocol.sendCloseFrame(
                code=int(code), reasonUtf8=reason.encode("utf-8")[:123] or None
            )

    def pause(self) -> None:
        self.isPaused = True
        self._protocol.transport.pauseProducing()

    def resume(self) -> None:
        self.isPaused = False
        if self._protocol.state != self._protocol.STATE_CLOSED:
            self._protocol.transport.resumeProducing()


class _WithAutobahnMethods:
    """
    The application of a protocol that has Autobahn's own methods too.
    """

    def __init__(self, protocol: SessionSocketProtocol) -> None:
        self._protocol = protocol
        self.sessionInvalid = protocol.sessionInvalid
        self.sessionChanged = protocol.sessionChanged
        self.sessionDestroyed = protocol.sessionDestroyed
        self.sessionError = protocol.sessionError

    def sessionConnected(self, session: Session) -> object:
        protocol = self._protocol
        return inOrder([partial(protocol.sessionConnected, session), protocol.onOpen])

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        protocol = self._protocol
        payload, isBinary = protocol.messages.encode(message)
        return inOrder(
            [
                partial(protocol.sessionMessageReceived, message, session),
                partial(protocol.onMessage, payload, isBinary),
            ]
        )

    def sessionDisconnected(self, session: Session, code: int) -> object:
        protocol = self._protocol
        return inOrder(
            [
                partial(protocol.sessionDisconnected, session, code),
                partial(protocol.onClose, *protocol._howItClosed),
            ]
        )


def applicationOf(
    protocol: SessionSocketProtocol,
) -> SessionSocketProtocol | _WithAutobahnMethods:
    if any(overrides(type(protocol), m) for m in ("onOpen", "onMessage", "onClose")):
        return _WithAutobahnMethods(protocol)
    return protocol


def overrides(protocol: type[WebSocketServerProtocol], method: str) -> bool:
    theirs = getattr(WebSocketServerProtocol, method)
    return getattr(protocol, method) is not theirs


def handshakeOf(request: bytes, isSecure: bool) -> Handshake:
    """
    Read the headers anew: Autobahn joins repeated ones, cookies with commas.

    @param request: The request as it came.
    """
    headers: dict[str, list[str]] = {}
    for line in request.decode("iso-8859-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Handshake(headers, isSecure)
