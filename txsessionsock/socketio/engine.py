# -*- test-case-name: tests.socketio.test_engine -*-
"""
Engine.IO, version 4: the connections of one server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IReactorTime

from txsessionsock.handshake import Handshake
from txsessionsock.limits import Limits
from txsessionsock.protocol import Equipment
from txsessionsock.websocket import Place

from .engineconnection import EngineConnection, Receiver, Stage
from .enginepackets import opening
from .polling import Rounds
from .wire import Wire, factoryFor


__all__ = ["Engine", "refuseLimits"]


def refuseLimits(limits: Limits) -> None:
    """
    @raise ValueError: Engine.IO does not work with these limits.
    """
    if not limits.pingInterval:
        raise ValueError(
            "Limits.pingInterval is 0; clients of Socket.IO close a connection on"
            " which no ping comes: right is a number of seconds, such as 25"
        )


class Engine:
    """
    The connections of one server.

    @ivar equipment: The things that they share.

    @ivar reactor: The clock.

    @ivar factory: What builds their WebSockets.

    @ivar rounds: What answers their polls.

    @ivar isGoingAway: Whether no more are to come, because the server ends.
    """

    def __init__(
        self,
        equipment: Equipment,
        reactor: IReactorTime,
        connect: Callable[[EngineConnection], Receiver],
    ) -> None:
        """
        @param connect: Called with each connection that comes; it returns who is
            told of what comes by it.

        @raise ValueError: It does not work with these limits.
        """
        refuseLimits(equipment.limits)
        self.equipment = equipment
        self.reactor = reactor
        self.rounds = Rounds(reactor)
        self.factory = factoryFor(self)
        self.isGoingAway = False
        self._connect = connect
        self._connections: dict[str, EngineConnection] = {}

    def __len__(self) -> int:
        """
        How many connections there are.
        """
        return len(self._connections)

    def __iter__(self) -> Iterator[EngineConnection]:
        """
        All of them.
        """
        return iter(list(self._connections.values()))

    def find(self, sid: str) -> EngineConnection | None:
        """
        @return: The connection of that name.
        """
        return self._connections.get(sid)

    def forget(self, sid: str) -> None:
        """
        A connection is over.
        """
        self._connections.pop(sid, None)

    def opened(
        self, request: Handshake, connectedAt: float, place: Place
    ) -> EngineConnection:
        """
        A client has come by polling.

        @param place: The place that it takes.
        """
        connection = EngineConnection(self, request, connectedAt, place, None)
        return self._begin(connection)

    def openedBy(self, wire: Wire) -> EngineConnection:
        """
        A client has come by WebSocket.
        """
        assert wire.request is not None
        connection = EngineConnection(self, wire.request, wire.connectedAt, None, wire)
        wire.write(opening(connection.sid, (), self.equipment.limits))
        return self._begin(connection)

    def _begin(self, connection: EngineConnection) -> EngineConnection:
        connection.begin(self._connect(connection))
        if connection.stage is not Stage.CLOSED:
            self._connections[connection.sid] = connection
        return connection
