"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server that ends
connections, and on each kind of reactor.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress as suppressing
from time import monotonic
from typing import Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.protocol import Factory
from twisted.internet.selectreactor import SelectReactor
from twisted.protocols.wire import Echo
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.postgresqlcase import NOTIFY, SCHEMAS, TRIGGER
from tests.support.postgresserver import sharedServer
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import WatchableSQLStore


_CLIENTS = 8
"""
More than the descriptors that lost connections give back.
"""

_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class LostTests(SynchronousTestCase):
    """
    Tests for connections that the server ends, on each kind of reactor.
    """

    def setUp(self) -> None:
        self.server = sharedServer()
        self.database = self.server.newDatabase()
        trigger = TRIGGER.format(table="django_session", key="session_key")
        for change in SCHEMAS[DJANGO], NOTIFY, trigger:
            self.execute(change)

    def execute(self, sql: str) -> None:
        """
        Be the web application.
        """
        self.server.execute(sql, database=self.database)

    def until(self, happened: Callable[[], Any]) -> None:
        """
        Run until something has happened.
        """
        end = monotonic() + 10.0
        while not happened():
            self.assertLess(monotonic(), end, "nothing happened")
            self.reactor.iterate(0.01)

    def wait(self, answer: Deferred[Any]) -> None:
        """
        Run until there is an answer, which is no failure.
        """
        self.until(lambda: answer.called)
        self.successResultOf(answer)

    def finish(self) -> None:
        """
        Give the file descriptors back.
        """
        reactor = self.reactor
        internal = reactor._internalReaders.copy()
        for reader in [*reactor.removeAll(), *internal]:
            reactor.removeReader(reader)
            reader.connectionLost(Failure(ConnectionAbortedError()))

    def goesOn(self, reactor: Any) -> None:
        """
        The store sees that its connections are gone; whoever comes now, and is
        given their numbers, is served; and the store hears again what is done.
        """
        self.reactor = reactor
        self.addCleanup(self.finish)
        reported: list[str] = []
        store = WatchableSQLStore(self.server.url(self.database), DJANGO, reactor)
        store.watch("k", reported.append)
        self.wait(store.fence("k"))
        factory = Factory.forProtocol(Echo)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
        # So that these do not take the numbers.
        clients = [socket.socket() for _ in range(_CLIENTS)]
        reported.clear()
        self.execute(_END)
        self.until(lambda: store._listener._connection is None)
        for client in clients:
            self.addCleanup(client.close)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.sendall(b"hello")
        answers: list[bytes] = []

        def answered() -> bool:
            for client in clients:
                with suppressing(BlockingIOError):
                    answers.append(client.recv(9))
            return len(answers) == _CLIENTS

        self.until(answered)
        self.assertEqual(answers, [b"hello"] * _CLIENTS)
        self.until(lambda: reported)
        self.assertEqual(reported, ["k"])
        self.execute("INSERT INTO django_session VALUES ('k', '', now())")
        self.until(lambda: len(reported) == 2)
        self.wait(store.fence("k"))
        self.wait(store.close())

    def test_epoll(self) -> None:
        """
        With epoll, which knows a descriptor even if nobody else does.
        """
        reactor = EPollReactor()
        self.addCleanup(reactor._poller.close)
        self.goesOn(reactor)

    def test_poll(self) -> None:
        """
        With poll.
        """
        self.goesOn(PollReactor())

    def test_select(self) -> None:
        """
        With select.
        """
        self.goesOn(SelectReactor())

    def test_asyncio(self) -> None:
        """
        With asyncio.
        """
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.goesOn(AsyncioSelectorReactor(loop))
