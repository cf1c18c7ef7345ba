# -*- test-case-name: tests.protocol.test_closed -*-
"""
A factory of Autobahn's that builds WebSockets with sessions only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from txsessionsock.interfaces import SessionError
from txsessionsock.messages import JSON, Raw
from txsessionsock.websocket import AutobahnTimer, setLimits

from .application import ApplicationMethods, overrides
from .equipment import Equipment
from .sessioned import Sessioned


__all__ = ["SessionedFactory", "equip"]

_log = Logger()


class SessionedFactory(WebSocketServerFactory):
    """
    Stands before an Autobahn factory.  Each protocol that it builds has a
    session, whatever class it is of, whoever made it, and whenever the factory
    was told to; what cannot have one is not served.
    """

    _sessionsock: Equipment

    @property
    def protocol(self) -> Any:
        return vars(self).get("protocol", super().protocol)

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        _refuse(protocol, self._sessionsock)
        vars(self)["protocol"] = protocol

    @property
    def buildProtocol(self) -> Any:
        build = vars(self).get("buildProtocol", super().buildProtocol)
        return lambda address: self._withSession(build(address))

    @buildProtocol.setter
    def buildProtocol(self, build: Callable[[IAddress], Any]) -> None:
        vars(self)["buildProtocol"] = build

    def _withSession(self, protocol: Any) -> Any:
        if protocol is None:
            return None
        kind: Any = type(protocol)
        try:
            if not issubclass(kind, Sessioned):
                _refuse(kind, self._sessionsock)
                protocol.__class__ = _sessioned(kind)
                isRaw = overrides(protocol, "onMessage")
                protocol._sessionsockMessages = Raw() if isRaw else JSON()
            # Where that is no factory with sessions, it raises.
            protocol.factory = protocol.factory or self
            # What a function makes was not looked at before.
            self._sessionsock.sockets.refuseRepeatable(protocol)
        except (SessionError, TypeError, ValueError):
            _log.failure("a connection is refused, since it would have no session")
            return None
        return protocol

    def setProtocolOptions(self, *args: Any, **options: Any) -> None:
        super().setProtocolOptions(*args, **options)
        # Origins says which pages may connect; Autobahn would answer 400 to some
        # of them.  Each call without this option takes it back.
        self.allowNullOrigin = True

    def resetProtocolOptions(self) -> None:
        super().resetProtocolOptions()
        setLimits(self, self._sessionsock.limits)


def equip(factory: Any, equipment: Equipment) -> None:
    """
    Have a factory build nothing but protocols with sessions.

    @raise ValueError: It has connections, which have none.

    @raise TypeError: Its C{protocol} cannot have a session.
    """
    _refuse(factory.protocol, equipment)
    if factory.countConnections:
        raise ValueError(
            f"{factory!r} has connections without sessions: enable it before it serves"
        )
    factory.__class__ = _before(SessionedFactory, type(factory))
    factory._sessionsock = equipment
    factory._batched_timer = AutobahnTimer(factory.reactor)
    setLimits(factory, equipment.limits)


def _refuse(protocol: Any, equipment: Equipment) -> None:
    """
    @raise TypeError: What this is, or makes, cannot have a session.

    @raise ValueError: Its handlers may run again, and with such sessions cannot.
    """
    if isinstance(protocol, type):
        # The protocol that Autobahn's factories have from the start is a base of
        # that class, not a subclass.
        isDefault = protocol is WebSocketServerFactory.protocol
        isUsable = isDefault or issubclass(protocol, WebSocketServerProtocol)
    else:
        # A protocol that a function makes is looked at when it is made.
        isUsable = protocol is None or callable(protocol)
    if not isUsable:
        raise TypeError(
            "a factory's protocol is a subclass of SessionSocketProtocol, or of"
            f" autobahn.twisted's WebSocketServerProtocol, not {protocol!r}"
        )
    equipment.sockets.refuseRepeatable(protocol)


def _before(first: type, theirs: type, *more: type) -> Any:
    """
    Make a class that goes by the name of another and comes before it.
    """
    own = {"__module__": theirs.__module__}
    return type(theirs.__name__, (first, theirs, *more), own)


@lru_cache
def _sessioned(protocol: type[WebSocketServerProtocol]) -> Any:
    """
    Make a class with sessions of one of somebody else.
    """
    return _before(Sessioned, protocol, ApplicationMethods)
