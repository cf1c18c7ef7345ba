"""
Two nodes that count in one SQLite file, which somebody keeps locked for longer
than a store waits.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.stores.test_store_sql import SCHEMAS
from tests.support.managing import Recorder
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID, StoreFailure
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import SQLStore
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.testing import PrivateReactor


pytestmark = pytest.mark.e2e

TIMEOUT = 0.8

LOCKED = TIMEOUT * 1.25


class LockedTests(SynchronousTestCase):
    """
    What was acknowledged is counted, once, and what failed is not lost.
    """

    def setUp(self) -> None:
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.path = os.path.abspath(self.mktemp())
        self.acknowledged = 0
        self.failures: list[Any] = []

    def sleep(self, seconds: float) -> None:
        self.reactor.wait(deferLater(self.reactor, seconds))

    def node(self, makeStore: Callable[[], Any]) -> SessionManager:
        """
        One more node, that leaves no stamps.
        """
        store = makeStore()
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        framework = Express("for tests")
        manager = SessionManager(
            store, framework, self.reactor, storeTimeout=TIMEOUT, repair=False
        )
        self.addCleanup(lambda: self.reactor.wait(manager.stop()))
        return manager

    def count(self, session: Session) -> None:
        """
        Count once more, and wait for it.
        """
        session.increment("n")
        self.note(session.save())

    def note(self, saved: Deferred[None]) -> None:
        def acknowledged(_: object) -> None:
            self.acknowledged += 1

        def failed(failure: Failure) -> None:
            failure.trap(StoreFailure)
            self.failures.append(failure.value)

        saved.addCallbacks(acknowledged, failed)

    def locked(self, makeStore: Callable[[], Any]) -> None:
        here, there = self.node(makeStore), self.node(makeStore)
        first = here.create(Recorder())
        first["n"] = 1
        busy = here.create(Recorder())
        busy["n"] = 1
        for session in first, busy:
            self.reactor.wait(session.save())
        opened = there.open(SessionID(first.id), Recorder())
        second = self.reactor.wait(opened)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")
            # It waits in a thread, and the other one waits for that.
            busy["n"] = 2
            busy.save().addErrback(lambda failure: failure.trap(StoreFailure))
            self.sleep(TIMEOUT / 4)
            self.count(first)
            self.sleep(LOCKED - TIMEOUT / 2)
            self.count(second)
            self.sleep(TIMEOUT / 4)
            lock.execute("COMMIT")
        self.reactor.waitUntil(lambda: self.acknowledged + len(self.failures) == 2)
        # What failed without being done is tried again.
        for session in first, second:
            self.reactor.waitUntil(lambda: session.keeper.unsaved() is None)  # noqa: B023  # Waited for here.
        self.reactor.wait(second.reload())
        self.assertEqual(second["n"], 3)
        self.assertEqual([type(error).__name__ for error in self.failures][1:], [])

    def test_file(self) -> None:
        """
        In a file of sessions.
        """
        self.locked(lambda: SQLiteStore(self.path, self.reactor, timeout=TIMEOUT))

    def test_table(self) -> None:
        """
        In a table of a web application.
        """
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(SCHEMAS[DJANGO])
        url = f"sqlite:{self.path}"
        self.locked(lambda: SQLStore(url, DJANGO, self.reactor, timeout=TIMEOUT))
