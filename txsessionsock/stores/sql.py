# -*- test-case-name: tests.stores.test_store_sql -*-
"""
Sessions in the database of a web application, in its own table::

    store = SQLStore("postgresql://web@localhost/shop", DJANGO)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import time
from typing import Any, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.python.reflect import namedModule
from zope.interface import implementer

from txsessionsock._arguments import AboveZero, Size, checked
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock.interfaces import KEEP, TTL, ITableStore, IWatchableStore, Stored
from txsessionsock.stores._sql.pool import Database, Pool
from txsessionsock.stores._sql.sqlite import SQLiteDatabase
from txsessionsock.stores._sql.statements import TableSessions
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Deadline,
    Table,
    Value,
)

from ._watchers import Changed, newDeadline


__all__ = [
    "CONNECT_PG_SIMPLE",
    "DJANGO",
    "FLASK_SESSION",
    "Deadline",
    "SQLStore",
    "Table",
    "Value",
    "WatchableSQLStore",
    "checkTable",
]


_Stored = TypeVar("_Stored", Stored, Stored | None)

_SERVERS = ("postgresql", "postgres")


@checked
@implementer(ITableStore)
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
        reactor: Clock | None = None,
        timeout: AboveZero = 2.0,
        connections: Size = 4,
    ) -> None:
        """
        @param url: C{sqlite:PATH} or C{postgresql://…}, as libpq has it.

        @param reactor: The global reactor unless said otherwise; one that has
            threads.

        @param timeout: After how many seconds a call fails.

        @param connections: How many there may be to a PostgreSQL server.

        @raise ValueError: The URL is none.
        """
        clock, writer = clockOf(reactor), uuid4().hex
        self._database = _databaseAt(url, table, timeout, connections, writer)
        self._pool = Pool(self._database, clock, timeout)
        self._sessions = TableSessions(self._database.dialect(table), clock.seconds)

    def load(self, key: str) -> Deferred[Stored | None]:
        work = partial(self._sessions.load, key=key)
        return self._pool.ask(work, writes=False, key=key)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        newDeadline(ttl, 0.0)
        work = partial(self._sessions.create, key=key, raw=bytes(raw), ttl=ttl)
        return self._pool.ask(work, key=key)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        was, new = bytes(old), bytes(new)
        work = partial(self._sessions.replace, key=key, old=was, new=new, ttl=ttl)
        return self._pool.ask(work, key=key)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        work = partial(self._sessions.touch, key=key, ttl=ttl)
        return self._pool.ask(work, writes=ttl is not KEEP, key=key)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        was = None if old is None else bytes(old)
        work = partial(self._sessions.destroy, key=key, old=was)
        return self._pool.ask(work, key=key)

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """
        return self._pool.close()


@checked
@implementer(IWatchableStore)
class WatchableSQLStore(SQLStore):
    """
    A store in a table that tells what is done to it: in PostgreSQL, where the
    trigger of C{notify.sql} is installed.  While it is not, every L{fence}
    fails, and a manager reads before each message.
    """

    def __init__(
        self,
        url: str,
        table: Table,
        reactor: Clock | None = None,
        timeout: AboveZero = 2.0,
        connections: Size = 4,
    ) -> None:
        """
        See L{SQLStore.__init__}.
        """
        if url.partition(":")[0] not in _SERVERS:
            raise ValueError("only PostgreSQL tells what is done to a table")
        super().__init__(url, table, reactor, timeout, connections)
        from txsessionsock.stores._sql.listener import TableListener  # noqa: PLC0415  # an extra

        self._listener = TableListener(
            self._database, table, self._pool, clockOf(reactor), timeout
        )

    def load(self, key: str) -> Deferred[Stored | None]:
        return super().load(key).addCallback(self._noted, key)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return super().replace(key, old, new, ttl).addCallback(self._noted, key)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        def touched(expires: float | None) -> float | None:
            self._listener.note(key, expires)
            return expires

        return super().touch(key, ttl).addCallback(touched)

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        return self._listener.watch(key, changed)

    def fence(self, key: str) -> Deferred[None]:
        return self._listener.fence(key)

    def close(self) -> Deferred[None]:
        self._listener.close()
        return super().close()

    def _noted(self, stored: _Stored, key: str) -> _Stored:
        if stored is not None:
            self._listener.note(key, stored.expires)
        return stored


@checked
def checkTable(url: str, table: Table, timeout: AboveZero = 2.0) -> list[Stored]:
    """
    See whether a table is there, and wait for the answer: before there is a
    reactor that could.

    @return: Some of the sessions there, if it is in a file.

    @raise StoreError: It is not, or it is another one.

    @raise StoreUnavailable: There is no answer.

    @raise ValueError: The URL is none.
    """
    database = _databaseAt(url, table, timeout, 1, "")
    connection: Any = None

    def execute(statement: str, **values: object) -> list[Any]:
        rows: list[Any] = connection.execute(statement, values).fetchall()
        return rows

    try:
        connection = namedModule(database.module).connect(**database.settings)
        database.opened(connection)
        sessions = TableSessions(database.dialect(table), time)
        sessions.load(execute, "")
        # A server may have millions, and no index to find the last ones by.
        return sessions.last(execute) if isinstance(database, SQLiteDatabase) else []
    except Exception as error:
        raise database.failure(error, connection, writes=False) from None
    finally:
        if connection is not None:
            connection.close()


def _databaseAt(
    url: str, table: Table, timeout: float, connections: int, writer: str
) -> Database:
    kind, _, where = url.partition(":")
    if kind == "sqlite":
        return SQLiteDatabase(where, timeout)
    if kind not in _SERVERS:
        raise ValueError("give sqlite:PATH or postgresql://HOST/DATABASE")
    try:
        from txsessionsock.stores._sql.postgresql import PostgreSQLDatabase  # noqa: PLC0415  # an extra
    except ImportError as error:
        problem = "PostgreSQL needs psycopg 3: pip install txsessionsock[postgresql]"
        raise ImportError(problem) from error
    zone = table.deadline.key if isinstance(table.deadline, ZoneInfo) else None
    return PostgreSQLDatabase(url, timeout, connections, writer, zone)
