"""
Tests for L{txsessionsock.stores.sql}, on SQLite.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import (
    ISessionStore,
    StoreFailure,
)
from txsessionsock.stores.sql import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    SQLStore,
    Table,
)
from txsessionsock.testing import PrivateReactor, StoreContract


SCHEMAS = {
    DJANGO: "CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY,"
    " session_data text NOT NULL, expire_date datetime NOT NULL)",
    FLASK_SESSION: "CREATE TABLE sessions (id INTEGER NOT NULL,"
    " session_id VARCHAR(255), data BLOB, expiry DATETIME, PRIMARY KEY (id),"
    " UNIQUE (session_id))",
    CONNECT_PG_SIMPLE: "CREATE TABLE session (sid varchar NOT NULL PRIMARY KEY,"
    # Declared as json, SQLite would make a number of what looks like one.
    " sess text NOT NULL, expire timestamp(6) NOT NULL)",
}


class _Fixture(SynchronousTestCase):
    """
    The database of a web application, a reactor, and stores that are closed in
    the end.
    """

    table: Table = DJANGO

    def setUp(self) -> None:
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        directory = self.mktemp()
        os.makedirs(directory)
        self.path = os.path.join(directory, "web application.db")
        sqlite3.connect(self.path).close()
        self.execute(SCHEMAS[self.table])
        super().setUp()

    def open(self, timeout: float = 2.0, table: Table | None = None) -> SQLStore:
        """
        A store, as one more process would have it.
        """
        store = SQLStore(
            f"sqlite:{self.path}", table or self.table, self.reactor, timeout
        )
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        return store

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Be the web application.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()

    def outage(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        Wait for a failure of exactly this kind; its text names the file.
        """
        with self.assertRaises(StoreFailure) as caught:
            self.reactor.wait(answer)
        self.assertIs(type(caught.exception), kind)
        self.assertIn(os.path.abspath(self.path), str(caught.exception))
        return str(caught.exception)


class DjangoContractTests(StoreContract, _Fixture):
    """
    What stores promise, in Django's table.
    """

    def makeStore(self) -> ISessionStore:
        return self.open()

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return self.open()

    def wait(self, answer):  # type: ignore[no-untyped-def]  # as in the contract
        return self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def now(self) -> float:
        return self.reactor.seconds()


class FlaskSessionContractTests(DjangoContractTests):
    """
    What stores promise, in Flask-Session's table.
    """

    table = FLASK_SESSION


class ConnectPgSimpleContractTests(DjangoContractTests):
    """
    What stores promise, in connect-pg-simple's table.
    """

    table = CONNECT_PG_SIMPLE
