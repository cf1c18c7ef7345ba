# -*- test-case-name: tests.test_store_sql -*-
"""
Sessions in the database of a web application, in its own table::

    store = SQLStore("postgresql://web@localhost/shop", DJANGO)
"""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import KEEP, TTL, ISessionStore, Stored

from ._shared import newDeadline
from ._sqlfile import SQLiteDatabase
from ._sqlpool import Database, Pool
from ._sqltable import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Deadline,
    Table,
    Value,
)
from ._sqlwork import Sessions


__all__ = [
    "CONNECT_PG_SIMPLE",
    "DJANGO",
    "FLASK_SESSION",
    "Deadline",
    "SQLStore",
    "Table",
    "Value",
]


_SERVERS = ("postgresql", "postgres")


@implementer(ISessionStore)
class SQLStore:
    """
    A store in a table that a web application made and goes on to use.

    A change is one statement that names the session it changes, bytes and
    all; rows that expired are left to the application to sweep.
    """

    def __init__(
        self,
        url: str,
        table: Table,
        reactor: IReactorTime | None = None,
        timeout: float = 2.0,
        connections: int = 4,
    ) -> None:
        """
        @param url: C{sqlite:PATH} or C{postgresql://…}, as libpq has it.

        @param reactor: The global reactor unless said otherwise; one that has
            threads.

        @param timeout: After how many seconds a call fails.

        @param connections: How many there may be to a PostgreSQL server.

        @raise ValueError: The URL is none.
        """
        reactor = clockOf(reactor)
        self._database = _databaseAt(url, timeout, connections)
        self._pool = Pool(self._database, reactor, timeout)
        self._sessions = Sessions(self._database.dialect(table), reactor.seconds)

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._pool.ask(partial(self._sessions.load, key=key), writes=False)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        newDeadline(ttl, 0.0)
        raw = bytes(raw)
        return self._pool.ask(partial(self._sessions.create, key=key, raw=raw, ttl=ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        old, new = bytes(old), bytes(new)
        return self._pool.ask(
            partial(self._sessions.replace, key=key, old=old, new=new, ttl=ttl)
        )

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._pool.ask(
            partial(self._sessions.touch, key=key, ttl=ttl), writes=ttl is not KEEP
        )

    def destroy(self, key: str) -> Deferred[bool]:
        return self._pool.ask(partial(self._sessions.destroy, key=key))

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """
        return self._pool.close()


def _databaseAt(url: str, timeout: float, connections: int) -> Database:
    kind, _, where = url.partition(":")
    if kind == "sqlite":
        return SQLiteDatabase(where, timeout)
    if kind not in _SERVERS:
        raise ValueError("give sqlite:PATH or postgresql://HOST/DATABASE")
    try:
        from ._sqlpostgres import PostgreSQLDatabase  # noqa: PLC0415  # an extra
    except ImportError as error:
        problem = "PostgreSQL needs psycopg 3: pip install txsessionsock[postgresql]"
        raise ImportError(problem) from error
    return PostgreSQLDatabase(url, timeout, connections, uuid4().hex)
