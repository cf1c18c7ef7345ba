"""
Tests for L{txsessionsock.stores.sql}, on a real PostgreSQL server.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsessionsock.interfaces import (
    TTL,
    ISessionStore,
    SessionConflict,
    Stored,
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

from .postgresserver import PASSWORD, sharedServer


pytestmark = pytest.mark.postgresql

SCHEMAS = {
    DJANGO: "CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY,"
    " session_data text NOT NULL, expire_date timestamp with time zone NOT NULL)",
    FLASK_SESSION: "CREATE TABLE sessions (id SERIAL NOT NULL,"
    " session_id VARCHAR(255), data BYTEA, expiry TIMESTAMP WITHOUT TIME ZONE,"
    " PRIMARY KEY (id), UNIQUE (session_id))",
    CONNECT_PG_SIMPLE: 'CREATE TABLE "session" ("sid" varchar NOT NULL COLLATE'
    ' "default", "sess" json NOT NULL, "expire" timestamp(6) NOT NULL)'
    " WITH (OIDS=FALSE);"
    ' ALTER TABLE "session" ADD CONSTRAINT "session_pkey" PRIMARY KEY ("sid")'
    " NOT DEFERRABLE INITIALLY IMMEDIATE",
}


class _Fixture(SynchronousTestCase):
    """
    A database with the table of a web application, a reactor, and stores that
    are closed in the end.
    """

    table: Table = DJANGO
    changes: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.server = sharedServer()
        self.database = self.server.newDatabase()
        self.execute(SCHEMAS[self.table])
        for change in self.changes:
            self.execute(change)
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        super().setUp()

    def open(self, timeout: float = 2.0, connections: int = 4) -> SQLStore:
        """
        A store, as one more process would have it.
        """
        store = SQLStore(
            self.server.url(self.database),
            self.table,
            self.reactor,
            timeout,
            connections,
        )
        self.addCleanup(lambda: self.reactor.wait(store.close()))
        return store

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """
        Be the web application.
        """
        return self.server.execute(sql, *values, database=self.database)

    def outage(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        Wait for a failure of exactly this kind; its text names the database
        and not the password.
        """
        with self.assertRaises(StoreFailure) as caught:
            self.reactor.wait(answer)
        self.assertIs(type(caught.exception), kind)
        text = str(caught.exception)
        self.assertIn(f"127.0.0.1:{self.server.port}/", text)
        self.assertNotIn(PASSWORD, text)
        return text


@implementer(ISessionStore)
class Encoded:
    """
    A store for which a framework makes what fits of any bytes.
    """

    def __init__(
        self,
        inner: SQLStore,
        encode: Callable[[bytes], bytes],
        decode: Callable[[bytes], bytes],
    ) -> None:
        self.inner, self.encode, self.decode = inner, encode, decode

    def _decoded(self, stored: Stored) -> Stored:
        return Stored(self.decode(stored.raw), stored.expires)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self.inner.load(key).addCallback(
            lambda stored: None if stored is None else self._decoded(stored)
        )

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self.inner.create(key, self.encode(raw), ttl)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        def failed(failure: Failure) -> Stored:
            failure.trap(SessionConflict)
            assert isinstance(failure.value, SessionConflict)
            raise SessionConflict(self._decoded(failure.value.current))

        answer = self.inner.replace(key, self.encode(old), self.encode(new), ttl)
        return answer.addCallbacks(self._decoded, failed)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self.inner.touch(key, ttl)

    def destroy(self, key: str) -> Deferred[bool]:
        return self.inner.destroy(key)


class FlaskSessionContractTests(StoreContract, _Fixture):
    """
    What stores promise, in Flask-Session's table.
    """

    table = FLASK_SESSION
    # The contract has a longer key.
    changes: tuple[str, ...] = ("ALTER TABLE sessions ALTER session_id TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return self.open()

    def makeOther(self, store: ISessionStore) -> ISessionStore:
        return self.makeStore()

    def wait(self, answer):  # type: ignore[no-untyped-def]  # as in the contract
        return self.reactor.wait(answer)

    def advance(self, seconds: float) -> None:
        self.reactor.advance(seconds)

    def now(self) -> float:
        return self.reactor.seconds()


class DjangoContractTests(FlaskSessionContractTests):
    """
    What stores promise, in Django's table, where there is text.
    """

    table = DJANGO
    changes = ("ALTER TABLE django_session ALTER session_key TYPE varchar",)

    def makeStore(self) -> ISessionStore:
        return Encoded(self.open(), b64encode, b64decode)


class ConnectPgSimpleContractTests(FlaskSessionContractTests):
    """
    What stores promise, in connect-pg-simple's table, where there is JSON.
    """

    table = CONNECT_PG_SIMPLE
    changes = ()

    def makeStore(self) -> ISessionStore:
        return Encoded(
            self.open(),
            lambda raw: json.dumps({"": raw.decode("latin-1")}).encode(),
            lambda text: str(json.loads(text)[""]).encode("latin-1"),
        )
