# -*- test-case-name: tests.test_store_postgresql -*-
"""
The database of a web application in PostgreSQL.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from math import ceil
from threading import Lock
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from txsessionsock.interfaces import (
    StoreError,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
)

from ._sqltable import Deadline, Table, Value
from ._sqlwork import Dialect


__all__ = ["Connection", "PostgreSQLDatabase", "PostgreSQLDialect"]


Connection = psycopg.Connection[tuple[Any, ...]]

_PATIENCE = 0.75
"""
The share of its time that a statement has.  What the server gave up did
nothing, and that is known.
"""

_WRITER = "txsessionsock.writer"
"""
The setting that tells C{notify.sql} who writes.
"""

_PREPARE = f"""
SELECT pid, backend_start,
    set_config('statement_timeout', %(patience)s, false),
    set_config('lock_timeout', %(patience)s, false),
    set_config('{_WRITER}', %(writer)s, false),
    set_config('TimeZone', COALESCE(%(zone)s, current_setting('TimeZone')), false)
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""

_HURRY = """
SELECT set_config('statement_timeout', %(patience)s, false),
    set_config('lock_timeout', %(patience)s, false)
"""

_NEARLY = 0.8
"""
What share of its time a statement may have lost before it is told.
"""

_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %s AND backend_start = %s
"""

_NOT_NOW = ("25006", "40", "53", "55", "57", "58")
"""
The beginnings of the codes of errors that pass.
"""

_REFUSED = ("22", "23514", "54000")
"""
The same, of errors that the value has: the wrong characters, the wrong form, too
long, not as the table's CHECK has it.
"""

_TELLING = (*_NOT_NOW, "08", "23", "28", "3D", "3F", "42")
"""
The same, of errors whose message shows no value.
"""


class PostgreSQLDialect(Dialect):
    """
    How PostgreSQL is spoken to.
    """

    def parameter(self, name: str) -> str:
        return f"%({name})s"

    def shown(self, column: str) -> str:
        return f"{column}::text" if self.table.keeps is Value.JSON else column

    def given(self, name: str) -> str:
        return f"%({name})s"

    def seconds(self, column: str) -> str:
        isUTC = self.table.deadline is Deadline.UTC
        cast = "" if isUTC else "::timestamptz"
        return f"extract(epoch FROM {column}{cast})::float8"

    def moment(self, name: str) -> str:
        then = f"to_timestamp(%({name})s::float8)"
        isUTC = self.table.deadline is Deadline.UTC
        return f"({then} AT TIME ZONE 'UTC')" if isUTC else then

    def fromBytes(self, raw: bytes) -> object:
        if self.table.keeps is Value.BYTES:
            return raw
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise StoreRefusal(f"{self.table.value} is for text: this is none")
        return text

    def toBytes(self, value: Any) -> bytes:
        return value.encode() if isinstance(value, str) else bytes(value)

    def fromSeconds(self, moment: float) -> float:
        return moment

    def toSeconds(self, value: float) -> float:
        return value


class PostgreSQLDatabase:
    """
    A server, in several connections.

    A connection that was lost while it wrote leaves something behind on the
    server that may still be done: before anything else is asked, that is
    ended.

    @ivar writer: What tells our changes from those of others.
    """

    module = "psycopg"

    # Each statement by itself.
    commits = False

    def __init__(
        self,
        url: str,
        timeout: float,
        threads: int,
        writer: str,
        zone: str | None = None,
    ) -> None:
        """
        @param zone: What points in time mean that have no time zone; L{None}:
            what the database says.

        @raise ValueError: The URL is none; it is not shown.
        """
        self.threads, self.writer, self._zone = threads, writer, zone
        try:
            settings = conninfo_to_dict(url)
        except psycopg.Error:
            raise ValueError("this is no URL of a PostgreSQL database") from None
        self._secrets = [
            str(settings[name])
            for name in ("password", "sslpassword")
            if settings.get(name)
        ]
        where = settings.get("host") or settings.get("hostaddr") or "localhost"
        port, database = settings.get("port") or 5432, settings.get("dbname") or ""
        self.name = f"postgresql://{where}:{port}/{database}"
        self.settings: dict[str, Any] = {
            "connect_timeout": max(2, ceil(timeout)),
            "tcp_user_timeout": ceil(timeout * 1000),
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **settings,
            "autocommit": True,
        }
        self._timeout = timeout
        self._patience = ceil(timeout * _PATIENCE * 1000)
        self._patiences: dict[int, int] = {}
        self._marks: dict[int, tuple[int, object]] = {}
        self._undead: list[tuple[int, object]] = []
        self._lock = Lock()

    def dialect(self, table: Table) -> PostgreSQLDialect:
        """
        How it is spoken to about a table.
        """
        return PostgreSQLDialect(table)

    def opened(self, connection: Connection) -> None:
        """
        Prepare a new connection.
        """
        values = {
            "patience": str(self._patience),
            "writer": self.writer,
            "zone": self._zone,
        }
        try:
            pid, since, *_ = connection.execute(_PREPARE, values).fetchall()[0]
        except BaseException:
            connection.close()
            raise
        self._patiences[id(connection)] = self._patience
        with self._lock:
            self._marks[id(connection)] = pid, since

    def isUsable(self, connection: Connection) -> bool:
        """
        Whether a connection seems to be as good as before.
        """
        with suppress(psycopg.Error):
            # A server that leaves says so, and then is gone.
            for _ in range(2):
                connection.pgconn.consume_input()
            return not connection.closed
        return False

    def settle(self, connection: Connection) -> None:
        """
        See to it that nothing which failed with an unknown outcome can happen
        any more.

        @raise StoreUnavailable: It still may.
        """
        with self._lock:
            undead = list(self._undead)
        end = monotonic() + self._timeout * _PATIENCE
        for mark in undead:
            while connection.execute(_END, mark).fetchall():
                if monotonic() > end:
                    raise StoreUnavailable("an earlier call is still under way")
                sleep(0.01)
            with self._lock:
                if mark in self._undead:
                    self._undead.remove(mark)

    def begin(self, connection: Connection, writes: bool, seconds: float) -> None:
        """
        Let a statement wait for others as long as somebody waits for it: one
        that had to wait in line has less time.

        @param seconds: For how long somebody does.
        """
        patience = ceil(seconds * _PATIENCE * 1000)
        if patience > self._patience * _NEARLY:
            patience = self._patience
        if patience != self._patiences.get(id(connection)):
            self._patiences[id(connection)] = patience
            # 0 would be without end.
            connection.execute(_HURRY, {"patience": str(max(1, patience))})

    def end(self, connection: Connection, commits: bool) -> None:
        """
        Whatever was begun is done.
        """

    def abort(self, connection: Connection, writes: bool) -> None:
        """
        Have the thread that uses a connection come back.
        """
        if writes:
            self._mourn(connection)
        with suppress(OSError, psycopg.Error):
            # Not to close the descriptor, which is the thread's.
            end = socket.socket(fileno=os.dup(connection.fileno()))
            with end:
                end.shutdown(socket.SHUT_RDWR)

    def _mourn(self, connection: Connection) -> None:
        with self._lock:
            mark = self._marks.pop(id(connection), None)
            if mark is not None:
                self._undead.append(mark)

    def failure(
        self, error: Exception, connection: Connection | None, writes: bool
    ) -> StoreFailure:
        """
        What a store fails with when this failed.
        """
        if isinstance(error, StoreFailure):
            return type(error)(f"{self.name}: {error}")
        if not isinstance(error, psycopg.Error):
            # The database may not have all characters.
            isUnfit = isinstance(error, UnicodeError)
            kind = StoreRefusal if isUnfit else StoreError
            return kind(f"{self.name}: {type(error).__name__}")
        text = self._said(error)
        if connection is None:
            return StoreUnavailable(text)
        if connection.closed:
            if writes:
                self._mourn(connection)
            return (StoreTimeout if writes else StoreUnavailable)(text)
        return _kindOf(error)(text)

    def _said(self, error: psycopg.Error) -> str:
        """
        An error in one line that shows no value, and no password.
        """
        code = error.sqlstate
        if code and code.startswith(_TELLING):
            text = error.diag.message_primary or code
        elif code or isinstance(error, psycopg.DataError):
            text = f"{type(error).__name__} {code or ''}: does not fit"
        else:
            text = " ".join(str(error).split())
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return f"{self.name}: {text}"


def _kindOf(error: psycopg.Error) -> type[StoreError | StoreUnavailable]:
    code = error.sqlstate or ""
    if code.startswith(_NOT_NOW):
        return StoreUnavailable
    isUnfit = not code and isinstance(error, psycopg.DataError)
    return StoreRefusal if isUnfit or code.startswith(_REFUSED) else StoreError
