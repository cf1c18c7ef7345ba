# -*- test-case-name: tests.websocket.test_websocket -*-
"""
The options of Autobahn that are ours to set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IReactorTime

from txsessionsock._alarms import Alarms
from txsessionsock.limits import Limits


__all__ = ["LEFT", "NO_QUEUE", "AutobahnTimer", "setLimits", "takeOptions"]

LEFT: Final = frozenset(
    (
        "allowNullOrigin",
        "allowedOrigins",
        "allowedOriginsPatterns",
        "flashSocketPolicy",
        "maxConnections",
        "openHandshakeTimeout",
        "perMessageCompressionAccept",
        "serveFlashSocketPolicy",
        "tcpNoDelay",
        "trustXForwardedFor",
        "versions",
        "webStatus",
    )
)
"""
Options that matter until the handshake is done at the most.  Protocols do not get
them, but find those of their factory.  Autobahn has 86 attributes with them, and from
the 86th on the dictionary of a protocol takes 3.2 KB instead of 1.5.
"""


_TAKEN: Final = tuple(
    name for name in WebSocketServerProtocol.CONFIG_ATTRS if name not in LEFT
)


class _NoQueue(deque[Any]):
    """
    Takes the place of Autobahn's queue for what is to leave in pieces or one by one.
    With us nothing does, and an empty one takes 760 bytes for each connection.
    """

    def append(self, item: Any) -> None:
        raise RuntimeError("nothing leaves in pieces: call sendData() of the protocol")


NO_QUEUE: Final = _NoQueue()


class AutobahnTimer:
    """
    Takes the place of Autobahn's, which goes by the global reactor, whichever
    its factory was given, and by whole seconds.  Each client that says nothing
    has one call that waits: for its next ping, or for the answer.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._alarms = Alarms(reactor)

    def call_later(self, delay: float, f: Callable[..., object]) -> _Call:
        return _Call(self._alarms, self._reactor, delay, f)


class _Call:
    """
    What is called later; as far as Autobahn needs it, an L{IDelayedCall
    <twisted.internet.interfaces.IDelayedCall>}.
    """

    __slots__ = ("_alarms", "_function", "_number", "_owner", "_reactor")

    def __init__(
        self,
        alarms: Alarms,
        reactor: IReactorTime,
        delay: float,
        f: Callable[..., object],
    ) -> None:
        self._alarms = alarms
        self._reactor = reactor
        # A method is taken apart: it is an object of its own, and there are many.
        self._owner = getattr(f, "__self__", None)
        self._function: Callable[..., object] | None = getattr(f, "__func__", f)
        self._number = alarms.start(reactor.seconds() + delay, self)

    def active(self) -> bool:
        return self._function is not None

    def cancel(self) -> None:
        self._alarms.stop(self._number)
        self._function = self._owner = None

    def reset(self, delay: float) -> None:
        self._alarms.stop(self._number)
        self._number = self._alarms.start(self._reactor.seconds() + delay, self)

    def wake(self) -> None:
        """
        The time is there.
        """
        function, owner = self._function, self._owner
        self._function = self._owner = None
        if function is not None:
            function(*(() if owner is None else (owner,)))


def setLimits(factory: Any, limits: Limits) -> None:
    """
    Set the options of a factory that nobody has set.
    """
    defaults = WebSocketServerFactory(reactor=factory.reactor)
    options = {
        "maxFramePayloadSize": limits.messageSize,
        "maxMessagePayloadSize": limits.messageSize,
        "openHandshakeTimeout": limits.handshakeTimeout,
        "closeHandshakeTimeout": limits.closeTimeout,
        "autoPingInterval": limits.pingInterval,
        "autoPingTimeout": limits.pingTimeout,
        # Otherwise a bad message is answered by a reset, not by a close code.
        "failByDrop": False,
    }
    factory.setProtocolOptions(
        **{
            name: value
            for name, value in options.items()
            if getattr(factory, name) == getattr(defaults, name)
        }
    )


def takeOptions(protocol: Any) -> None:
    """
    Give a protocol the options of its factory that it has not set itself, nor its
    class.  Autobahn's way is to make a table of them for its log, for each connection,
    whether anybody reads it or not.
    """
    kind, own, factory = type(protocol), vars(protocol), protocol.factory
    for name in _TAKEN:
        # Not by hasattr() of the protocol, which would ask its __getattr__ each time.
        if name not in own and not hasattr(kind, name):
            setattr(protocol, name, getattr(factory, name))
