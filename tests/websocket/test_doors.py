"""
Tests for L{txsessionsock.websocket.doors}.
"""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.websocket import acceptFew


class Reactor(Clock):
    """
    A reactor for a port, which reads when the test says so.
    """

    def addReader(self, reader: Any) -> None: ...

    removeReader = addWriter = removeWriter = addReader


class Accepted(Protocol):
    """
    Somebody who was let in.
    """

    def connectionMade(self) -> None:
        factory: Any = self.factory
        factory.accepted.append(self)
        acceptFew(self.transport, factory.clock)


class DoorTests(SynchronousTestCase):
    """
    Tests for L{acceptFew}, with a port of Twisted's and real sockets.
    """

    def setUp(self) -> None:
        self.clock = Reactor()
        factory: Any = Factory.forProtocol(Accepted)
        factory.clock, factory.accepted = self.clock, []
        factory.noisy = False
        self.accepted: list[Any] = factory.accepted
        self.port: Any = Port(0, factory, 500, "127.0.0.1", self.clock)
        self.port.startListening()
        self.addCleanup(self.port.connectionLost, None)

    def come(self, count: int) -> None:
        """
        Have some connect.
        """
        for _ in range(count):
            client = socket.create_connection(self.port.socket.getsockname())
            self.addCleanup(client.close)

    def turn(self) -> int:
        """
        Let the reactor go round once.

        @return: How many were accepted then.
        """
        before = len(self.accepted)
        self.clock.advance(0)
        self.port.doRead()
        for each in self.accepted[before:]:
            self.addCleanup(each.transport.socket.close)
        return len(self.accepted) - before

    def test_few(self) -> None:
        """
        A port that has hundreds of connections to accept takes some of them at once,
        and all in the end.
        """
        self.come(400)
        turns = [self.turn() for _ in range(20)]
        self.assertEqual(sum(turns), 400)
        # The first time is over before anybody can be told.
        self.assertLessEqual(max(turns[1:]), 60, turns)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_once(self) -> None:
        """
        It is told once for all that are accepted together.
        """
        self.come(100)
        self.port.doRead()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.turn()

    def test_other(self) -> None:
        """
        What has no such port is left alone.
        """
        for transport in SimpleNamespace(), SimpleNamespace(server=None):
            acceptFew(transport, self.clock)
        self.assertEqual(self.clock.getDelayedCalls(), [])
