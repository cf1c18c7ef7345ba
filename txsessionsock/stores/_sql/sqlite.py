# -*- test-case-name: tests.stores.test_store_sql -*-
"""
The database of a web application in an SQLite file.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import MAXYEAR, UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from txsessionsock.interfaces import (
    StoreError,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.stores._sqlite.opening import PASSING, errorCode

from .statements import NEVER, Dialect
from .table import Deadline, Table, Value


__all__ = ["SQLiteDatabase", "SQLiteDialect"]


_PATIENCE = 0.75
"""
The share of its time that a call waits for a lock.  One that does not come
must not look like an unknown outcome.
"""

_PASSING = PASSING | {sqlite3.SQLITE_INTERRUPT}

_UNREACHABLE = _PASSING | {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}

_UNFIT = UnicodeError, OverflowError, sqlite3.DataError, sqlite3.InterfaceError


class SQLiteDialect(Dialect):
    """
    How SQLite is spoken to.  It keeps any bytes in any column, and points in
    time as text.
    """

    def column(self, name: str) -> str:
        # What is in double quotes and no column is taken for a string.
        return f"[{name}]"

    def parameter(self, name: str) -> str:
        return f":{name}"

    def shown(self, column: str) -> str:
        return f"COALESCE(CAST({column} AS BLOB), x'')"

    def given(self, name: str) -> str:
        isBytes = self.table.keeps is Value.BYTES
        return f":{name}" if isBytes else f"CAST(:{name} AS TEXT)"

    def seconds(self, column: str) -> str:
        return column

    def moment(self, name: str) -> str:
        return f":{name}"

    def fromBytes(self, raw: bytes) -> bytes:
        return raw

    def toBytes(self, value: bytes) -> bytes:
        return value

    def fromSeconds(self, moment: float) -> str:
        # In the format of Django and SQLAlchemy: SQLite compares it as text.
        then = datetime.fromtimestamp(moment, UTC)
        if self.table.deadline is Deadline.LOCAL:
            then = then.astimezone()
        elif isinstance(self.table.deadline, ZoneInfo):
            then = then.astimezone(self.table.deadline)
        return then.replace(tzinfo=None).isoformat(" ", "microseconds")

    def toSeconds(self, value: str) -> float:
        deadline = self.table.deadline
        try:
            then = datetime.fromisoformat(value)
            if then.year == MAXYEAR:
                # In a zone, that may be beyond the end of the calendar.
                return NEVER
            if then.tzinfo is None and deadline is not Deadline.LOCAL:
                zone = deadline if isinstance(deadline, ZoneInfo) else UTC
                then = then.replace(tzinfo=zone)
            return then.timestamp()
        except (OverflowError, TypeError, ValueError):
            raise UndecodableSession(
                f"the {self.table.expires} of what is stored is no date and time"
            ) from None


class SQLiteDatabase:
    """
    A file, which is not created.
    """

    module = "sqlite3"

    # With a transaction, what was not begun in time is never done.
    commits = True

    # One thread: a write that timed out while the disk hung may still be done,
    # so nothing that is asked later may be answered before it has ended.
    threads = 1

    def __init__(self, path: str, timeout: float) -> None:
        if path in ("", ":memory:"):
            raise ValueError(f"{path!r} is no file")
        self.name = os.path.abspath(path)
        self.settings: dict[str, Any] = {
            "database": f"file:{quote(self.name)}?mode=rw",
            "uri": True,
            "timeout": timeout * _PATIENCE,
            "isolation_level": None,
            # It is closed from another one.
            "check_same_thread": False,
        }

    def dialect(self, table: Table) -> SQLiteDialect:
        """
        How it is spoken to about a table.
        """
        return SQLiteDialect(table)

    def opened(self, connection: sqlite3.Connection) -> None:
        """
        Prepare a new connection.
        """

    def isUsable(self, connection: sqlite3.Connection) -> bool:
        """
        Whether a connection seems to be as good as before.
        """
        return True

    def settle(self, connection: sqlite3.Connection) -> None:
        """
        See to it that nothing which failed with an unknown outcome can happen
        any more: there is one thread.
        """

    def begin(
        self, connection: sqlite3.Connection, writes: bool, seconds: float
    ) -> None:
        """
        Begin something, when others let us.

        @param seconds: For how long it is waited for.
        """
        patience = int(seconds * _PATIENCE * 1000)
        connection.execute(f"PRAGMA busy_timeout = {patience}")
        if writes:
            connection.execute("BEGIN IMMEDIATE")

    def end(self, connection: sqlite3.Connection, commits: bool) -> None:
        """
        Do what was begun, or do nothing of what is not done.
        """
        if commits:
            connection.commit()
        elif connection.in_transaction:
            connection.rollback()

    def abort(self, connection: sqlite3.Connection, writes: bool) -> None:
        """
        Have the thread that uses a connection come back.
        """
        connection.interrupt()

    def failure(
        self, error: Exception, connection: sqlite3.Connection | None, writes: bool
    ) -> StoreFailure:
        """
        What a store fails with when this failed.
        """
        if isinstance(error, StoreFailure):
            return type(error)(f"{self.name}: {error}")
        if isinstance(error, _UNFIT):
            # The text of the error may quote the key.
            return StoreRefusal(f"{self.name}: {type(error).__name__}: does not fit")
        if not isinstance(error, sqlite3.Error):
            return StoreError(f"{self.name}: {type(error).__name__}")
        if isinstance(error, sqlite3.IntegrityError) and not writes:
            return StoreRefusal(f"{self.name}: {error}")
        code = errorCode(error)
        if writes and code not in _PASSING:
            return StoreTimeout(f"{self.name}: commit failed: {error}")
        kind = StoreUnavailable if code in _UNREACHABLE else StoreError
        return kind(f"{self.name}: {error}")
