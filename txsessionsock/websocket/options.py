# -*- test-case-name: tests.websocket.test_websocket -*-
"""
The options of Autobahn that are ours to set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txsessionsock.limits import Limits


__all__ = ["AutobahnTimer", "setLimits", "takeOptions"]


class AutobahnTimer:
    """
    Takes the place of Autobahn's, which goes by the global reactor, whichever
    its factory was given, and by whole seconds.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def call_later(self, delay: float, f: Callable[..., object]) -> IDelayedCall:
        return self._reactor.callLater(delay, f)


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
    Give a protocol the options of its factory that it has not set itself.
    Autobahn's way is to make a table of them for its log, for each connection,
    whether anybody reads it or not.
    """
    for name in WebSocketServerProtocol.CONFIG_ATTRS:
        if not hasattr(protocol, name):
            setattr(protocol, name, getattr(protocol.factory, name))
