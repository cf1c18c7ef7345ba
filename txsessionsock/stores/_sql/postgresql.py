# -*- test-case-name: tests.real.postgresql.test_store_postgresql -*-
"""
The database of a web application in PostgreSQL.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from math import ceil
from threading import Lock
from time import monotonic, sleep
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from txsessionsock.interfaces import (
    StoreError,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
)

from .statements import Dialect, Execute
from .table import Deadline, Table, Value


__all__ = ["READ_ONLY", "Connection", "PostgreSQLDatabase", "PostgreSQLDialect"]


Connection = psycopg.Connection[tuple[Any, ...]]

_PATIENCE = 0.75
"""
The share of its time that a statement has.  What the server gave up did
nothing, and that is known.
"""

_WRITER = "txsessionsock.writer"
"""
The setting that tells C{notify.sql} which store writes.
"""

READ_ONLY = "the server is read-only, as a standby is"

_PREPARE = f"""
SELECT pid, backend_start, current_setting('transaction_read_only'),
    extract(epoch FROM clock_timestamp())::float8,
    set_config('statement_timeout', %(patience)s, pid <> %(told)s),
    set_config('lock_timeout', %(patience)s, pid <> %(told)s),
    set_config('{_WRITER}', %(writer)s, pid <> %(told)s),
    set_config('TimeZone', COALESCE(%(zone)s, current_setting('TimeZone')),
        pid <> %(told)s)
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
"""
What is set holds for the session if the server itself told its C{pid}, else
for this statement.
"""

_HURRY = """
SELECT set_config('statement_timeout', %(patience)s, false),
    set_config('lock_timeout', %(patience)s, false)
"""

_POOLED = f"""{{mark}}
SELECT set_config('statement_timeout', CASE
        WHEN clock_timestamp() < to_timestamp({{until}})
        THEN '{{patience}}' ELSE 'too late' END, true),
    set_config('lock_timeout', '{{patience}}', true),
    set_config('{_WRITER}', '{{writer}}', true),
    set_config('TimeZone', COALESCE({{zone}}, current_setting('TimeZone')), true);
"""
"""
What is put before a statement, to be sent as one: both are one transaction,
also where a pooler allows no other.  If the server comes to it when nobody
waits any more, it is an error.
"""

_LATE = "22023"
"""
The code of that error.
"""

_NEARLY = 0.8
"""
What share of its time a statement may have lost before it is told.
"""

_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = %(pid)s AND backend_start = %(since)s
"""

# Nobody knows which session of the server a pooler lent.  It is somebody else's
# as soon as it is idle; and one that is idle may not have read yet what it got.
_END_POOLED = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE state = 'active' AND starts_with(query, %(mark)s)
UNION ALL SELECT true WHERE clock_timestamp() < to_timestamp(%(until)s)
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

_DEMOTED = "25006"
"""
The code of a write to a server that became read-only.
"""

_LOOKING_AWAY = ("read-only", "standby", "prefer-standby")
"""
The values of C{target_session_attrs} that look for a server to read from.
"""

_TELLING = (*_NOT_NOW, _LATE, "08", "23", "28", "3D", "3F", "42")
"""
The same, of errors whose message shows no value.
"""


class _Demoted(StoreUnavailable):
    """
    A server that was written to is read-only now.
    """


class PostgreSQLDialect(Dialect):
    """
    How PostgreSQL is spoken to.
    """

    def checkServer(self, execute: Execute) -> None:
        if execute("SHOW transaction_read_only")[0][0] == "on":
            raise _Demoted(READ_ONLY)

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


class _PooledCursor(psycopg.ClientCursor[tuple[Any, ...]]):
    """
    Sends a statement together with its settings.

    A pooler in transaction mode may give the next statement to another session
    of the server, and this one to another client: what is set for a session,
    and a statement that is prepared in one, would be lost to us and a trap for
    the other.

    @cvar settings: The statement that makes them.
    """

    settings = ""

    def execute(self, query: Any, *args: Any, **more: Any) -> Self:
        """
        The same, with the settings; the rows are those of the statement.
        """
        super().execute(self.settings + query, *args, **more)
        self.nextset()
        return self


@dataclass
class _ServerSession:
    """
    What is known of a connection.

    @ivar end: What ends on the server what it left there, and the values for
        that.

    @ivar inode: What the kernel calls its socket.

    @ivar patience: How many milliseconds a statement has.

    @ivar era: How often a server had become read-only when it was made.

    @ivar ahead: How many seconds the server's clock is ahead of L{monotonic}.

    @ivar cursors: What makes its cursors, if there is a pooler between.
    """

    end: tuple[str, dict[str, object]]
    inode: int
    patience: int
    era: int
    ahead: float
    cursors: type[_PooledCursor] | None = None


class PostgreSQLDatabase:
    """
    A server, in several connections.

    A connection that was lost while it wrote leaves something behind on the
    server that may still be done: before anything else is asked, that is
    ended.

    Behind one name there may be one server after another: a connection to one
    that became read-only is not used again, nor is any that is as old.

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

        @raise ValueError: The URL is none, or asks for a server that cannot be
            written to; it is not shown.
        """
        self.threads, self.writer, self._zone = threads, writer, zone
        try:
            settings = conninfo_to_dict(url)
        except psycopg.Error:
            raise ValueError("this is no URL of a PostgreSQL database") from None
        if settings.get("target_session_attrs") in _LOOKING_AWAY:
            raise ValueError(
                "sessions are written: target_session_attrs must be read-write"
            )
        self._secrets = [
            str(settings[name])
            for name in ("password", "sslpassword")
            if settings.get(name)
        ]
        where = settings.get("host") or settings.get("hostaddr") or "localhost"
        port, database = settings.get("port") or 5432, settings.get("dbname") or ""
        self.name = f"postgresql://{where}:{port}/{database}"
        self.settings: dict[str, Any] = {
            **_whichServer(str(where)),
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
        self._sessions: dict[int, _ServerSession] = {}
        self._undead: list[tuple[str, dict[str, object]]] = []
        self._era, self._marks = 0, count()
        self._lock = Lock()

    def dialect(self, table: Table) -> PostgreSQLDialect:
        """
        How it is spoken to about a table.
        """
        return PostgreSQLDialect(table)

    def opened(self, connection: Connection) -> None:
        """
        Prepare a new connection.

        @raise StoreUnavailable: The server is read-only.
        """
        told, era = connection.info.backend_pid, self._era
        values = {
            "patience": str(self._patience),
            "writer": self.writer,
            "zone": self._zone,
        }
        try:
            pid, since, isReadOnly, now, *_ = connection.execute(
                _PREPARE, {"told": told, **values}
            ).fetchall()[0]
            if isReadOnly == "on":
                raise StoreUnavailable(READ_ONLY)
        except BaseException:
            connection.close()
            raise
        end: tuple[str, dict[str, object]] = _END, {"pid": pid, "since": since}
        ahead = now - monotonic()
        session = _ServerSession(end, _inode(connection), self._patience, era, ahead)
        self._sessions[id(connection)] = session
        if pid != told:
            # A pooler, which has numbers of its own.
            session.cursors = type("PooledCursor", (_PooledCursor,), {})
            connection.cursor_factory = session.cursors
            self._hurry(session, session.cursors, self._patience)

    def isUsable(self, connection: Connection) -> bool:
        """
        Whether a connection seems to be as good as before.
        """
        if self._sessions[id(connection)].era != self._era:
            return False
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
        if undead:
            self.begin(connection, writes=False, seconds=self._timeout)
        end = monotonic() + self._timeout * _PATIENCE
        for mark in undead:
            while connection.execute(*mark).fetchall():
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
        # 0 would be without end.
        patience = max(1, ceil(seconds * _PATIENCE * 1000))
        if patience > self._patience * _NEARLY:
            patience = self._patience
        session = self._sessions[id(connection)]
        if session.cursors is not None:
            self._hurry(session, session.cursors, patience)
        elif patience != session.patience:
            session.patience = patience
            connection.execute(_HURRY, {"patience": str(patience)})

    def _hurry(
        self, session: _ServerSession, cursors: type[_PooledCursor], patience: int
    ) -> None:
        """
        Give the next statements their time, and a mark.
        """
        mark = f"/* {self.writer} {next(self._marks)} */"
        until = monotonic() + session.ahead + patience / 1000
        session.end = _END_POOLED, {"mark": mark, "until": until}
        cursors.settings = _POOLED.format(
            mark=mark,
            until=until,
            patience=patience,
            writer=self.writer,
            zone="NULL" if self._zone is None else f"'{self._zone}'",
        )

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
                # libpq may have closed it, and its number be somebody else's.
                if _inode(end) == self._sessions[id(connection)].inode:
                    end.shutdown(socket.SHUT_RDWR)

    def _mourn(self, connection: Connection) -> None:
        with self._lock:
            session = self._sessions.get(id(connection))
            if session is not None and session.end not in self._undead:
                self._undead.append(session.end)

    def failure(
        self, error: Exception, connection: Connection | None, writes: bool
    ) -> StoreFailure:
        """
        What a store fails with when this failed.
        """
        if isinstance(error, StoreFailure):
            isDemoted = isinstance(error, _Demoted)
            self._era += isDemoted
            kind = StoreUnavailable if isDemoted else type(error)
            return kind(f"{self.name}: {error}")
        if not isinstance(error, psycopg.Error):
            # The database may not have all characters.
            isUnfit = isinstance(error, UnicodeError)
            kind = StoreRefusal if isUnfit else StoreError
            return kind(f"{self.name}: {type(error).__name__}")
        text = self._said(error)
        if error.sqlstate == _DEMOTED:
            # There may be another one now where this one was.
            self._era += 1
        if connection is None:
            return StoreUnavailable(text)
        if error.sqlstate == _LATE:
            # Perhaps there is another one now, with another clock.
            connection.close()
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


def _inode(descriptor: Connection | socket.socket) -> int:
    return os.fstat(descriptor.fileno()).st_ino


def _whichServer(hosts: str) -> dict[str, str]:
    """
    What to ask of a server: of several, to be the one that can be written to.

    Of one, L{PostgreSQLDatabase.opened} sees that.  libpq would believe
    pgbouncer, which goes on telling what a server was when it first saw it
    (measured with 1.18).
    """
    isSaid = "," not in hosts or "PGTARGETSESSIONATTRS" in os.environ
    return {} if isSaid else {"target_session_attrs": "read-write"}
