# -*- test-case-name: tests.real.sqlite.test_store_sqlite -*-
"""
A file of sessions, as seen from the thread that reads and writes it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress

from txsessionsock.interfaces import (
    TTL,
    NoSuchSession,
    SessionConflict,
    SessionError,
    Stored,
    StoreError,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.stores._watchers import deadline

from .opening import PASSING, errorCode, openFile


__all__ = ["Abandoned", "SessionFile", "Work"]


TOMBSTONE = 60.0
"""
For how many seconds others can see that a session ended.
"""

SWEEP = 1000
"""
How many rows are swept in one transaction.
"""

MANY = 5000
"""
If more sessions than this were changed at once, all are reported.
"""

Work = Callable[["SessionFile"], object]
"""
What is to be done within a transaction.
"""

_ALIVE = "raw IS NOT NULL AND (expires IS NULL OR expires > :now)"

_UNREACHABLE = PASSING | {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}

_UNFIT = (
    UnicodeError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class Abandoned(Exception):
    """
    Nothing was done, because somebody was told so.
    """


class SessionFile:
    """
    One connection to a file of sessions.

    Everything happens in L{run}, one transaction per call.  The other public
    methods are the L{Work} to give it.
    """

    def __init__(
        self, path: str, seconds: Callable[[], float], powerSafe: bool
    ) -> None:
        """
        @param seconds: The clock; called in the thread.
        """
        self._path = path
        self._seconds = seconds
        self._synchronous = "FULL" if powerSafe else "NORMAL"
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        # What the last look saw: the number of the last transaction, the
        # version of the file, the time.
        self._seen = 0
        self._version = -1
        self._now = 0.0
        self._wrote = False
        self._changed: set[str] = set()
        self._missed = True
        self._overdue: set[str] = set()

    def run(
        self,
        works: Sequence[tuple[Work, bool]],
        patience: float,
        mayCommit: Callable[[], bool],
    ) -> tuple[list[object], frozenset[str] | None]:
        """
        See what others did, and do some work in one transaction.

        @param works: What to do, and whether that writes.

        @param patience: For how many seconds to wait for a lock.

        @param mayCommit: Asked last, if something was written.

        @return: What came of each work, an exception if it failed, and the
            keys that others changed, L{None} if that can be any.

        @raise Abandoned: It may not.
        """
        try:
            self._ready(patience)
            outcomes = self._transact(works, mayCommit)
        except Abandoned:
            self._changed, self._missed = set(), True
            raise
        except (sqlite3.Error, OSError, StoreFailure) as error:
            if errorCode(error) not in PASSING:
                self.close()
            self._changed, self._missed = set(), True
            return [self._failure(error)] * len(works), frozenset()
        changed = None if self._missed else frozenset(self._changed)
        self._changed, self._missed = set(), False
        return outcomes, changed

    def close(self) -> None:
        """
        Let go of the file; the next L{run} opens it again.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def nothing(self) -> None:
        """
        Only look.
        """

    def load(self, key: str) -> Stored | None:
        row = self._execute(
            f"SELECT raw, expires FROM sessions WHERE key = :key AND {_ALIVE}",
            key=key,
        ).fetchone()
        if row is None:
            return None
        raw, expires = row
        if not (isinstance(raw, bytes) and isinstance(expires, float | None)):
            raise UndecodableSession("what is stored was not written by this library")
        return Stored(raw, expires)

    def create(self, key: str, raw: bytes, ttl: TTL) -> bool:
        written = self._write(
            "INSERT INTO sessions (key, raw, expires, change)"
            " VALUES (:key, :raw, :expires, :change)"
            " ON CONFLICT (key) DO UPDATE SET raw = excluded.raw,"
            " expires = excluded.expires, change = excluded.change"
            " WHERE sessions.raw IS NULL OR sessions.expires <= :now",
            key=key,
            raw=raw,
            expires=self._expires(key, ttl, 0.0),
        )
        return written > 0

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Stored:
        current = self._unchanged(key, old)
        if current is None:
            raise NoSuchSession
        stored = Stored(new, self._expires(key, ttl, current.expires))
        self._write(
            "UPDATE sessions SET raw = :raw, expires = :expires, change = :change"
            " WHERE key = :key",
            key=key,
            raw=new,
            expires=stored.expires,
        )
        return stored

    def touch(self, key: str, ttl: TTL) -> float | None:
        row = self._execute(
            f"SELECT expires FROM sessions WHERE key = :key AND {_ALIVE}", key=key
        ).fetchone()
        if row is None:
            raise NoSuchSession
        expires = self._expires(key, ttl, row[0])
        self._write(
            "UPDATE sessions SET expires = :expires, change = :change WHERE key = :key",
            key=key,
            expires=expires,
        )
        return expires

    def destroy(self, key: str, old: bytes | None = None) -> bool:
        if old is not None:
            self._unchanged(key, old)
        written = self._write(
            "UPDATE sessions SET raw = NULL, expires = :gone, change = :change"
            f" WHERE key = :key AND {_ALIVE}",
            key=key,
            gone=self._now + TOMBSTONE,
        )
        return written > 0

    def _unchanged(self, key: str, old: bytes) -> Stored | None:
        """
        The session, if there is one.

        @raise SessionConflict: It is other than C{old}.
        """
        current = self.load(key)
        if current is not None and current.raw != old:
            raise SessionConflict(current)
        return current

    def sweep(self) -> bool:
        """
        Make tombstones of what has expired and drop tombstones that have.

        @return: Whether there is more to do.
        """
        due = (
            "SELECT rowid, change FROM sessions"
            f" WHERE raw IS {{}} AND expires <= :now ORDER BY expires LIMIT {SWEEP}"
        )
        buried, ended = due.format("NULL"), due.format("NOT NULL")
        (last,) = self._execute(f"SELECT max(change) FROM ({buried})").fetchone()
        dropped = 0
        if last is not None:
            self._write("UPDATE state SET swept = max(swept, :last)", last=last)
            dropped = self._write(
                f"DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM ({buried}))"
            )
        expired = self._write(
            "UPDATE sessions SET raw = NULL, expires = :gone, change = :change"
            f" WHERE rowid IN (SELECT rowid FROM ({ended}))",
            gone=self._now + TOMBSTONE,
        )
        return max(dropped, expired) == SWEEP

    def _expires(self, key: str, ttl: TTL, current: float | None) -> float | None:
        expires = deadline(ttl, self._now, current)
        if expires is not None and expires <= self._now:
            # The next look begins now and would not see it expire.
            self._overdue.add(key)
        return expires

    def _execute(self, sql: str, **values: object) -> sqlite3.Cursor:
        assert self._connection is not None
        values.update(now=self._now, change=self._seen + 1)
        return self._connection.execute(sql, values)

    def _write(self, sql: str, **values: object) -> int:
        """
        @return: How many rows were written.
        """
        written = self._execute(sql, **values).rowcount
        self._wrote = self._wrote or written > 0
        return written

    def _transact(
        self, works: Sequence[tuple[Work, bool]], mayCommit: Callable[[], bool]
    ) -> list[object]:
        connection, committing = self._connection, False
        assert connection is not None
        try:
            refused = self._begin(any(writes for _, writes in works))
            self._wrote = False
            self._look()
            outcomes = [
                refused if writes and refused else self._do(work)
                for work, writes in works
            ]
            if self._wrote:
                self._execute("UPDATE state SET change = :change")
                if not mayCommit():
                    raise Abandoned
            committing = self._wrote
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                connection.rollback()
            if committing and errorCode(error) not in PASSING:
                raise StoreTimeout(f"{self._path}: commit failed: {error}") from error
            raise
        self._seen += self._wrote
        return outcomes

    def _begin(self, writes: bool) -> StoreFailure | None:
        """
        Begin a transaction, for reading only if there can be no other.

        @return: Why there can be no other.
        """
        assert self._connection is not None
        refused = None
        if writes:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return None
            except sqlite3.OperationalError as error:
                refused = self._failure(error)
        self._connection.execute("BEGIN")
        return refused

    def _do(self, work: Work) -> object:
        try:
            return work(self)
        except SessionError as error:
            return error.with_traceback(None)
        except _UNFIT as error:
            # The text of the error may quote the key.
            return StoreRefusal(f"{self._path}: {type(error).__name__}: does not fit")

    def _look(self) -> None:
        """
        Find out what others changed since the last look.
        """
        since, self._now = self._now, self._seconds()
        version = self._execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            last, swept = self._execute("SELECT change, swept FROM state").fetchone()
            if swept > self._seen:
                self._missed = True
            self._note("change > :since", self._seen)
            self._seen, self._version = last, version
        self._note("raw IS NOT NULL AND expires > :since AND expires <= :now", since)
        self._changed |= self._overdue
        self._overdue.clear()

    def _note(self, condition: str, since: float) -> None:
        if self._missed:
            return
        keys = self._execute(
            f"SELECT key FROM sessions WHERE {condition} LIMIT {MANY + 1}",
            since=since,
        ).fetchall()
        self._missed = len(keys) > MANY
        self._changed.update(key for (key,) in keys)

    def _ready(self, patience: float) -> None:
        """
        See to it that the connection is to the file that is there now.
        """
        inode = _inode(self._path)
        if self._connection is None or inode != self._inode:
            self.close()
            if inode is None and self._inode is not None:
                # A new file would log everybody out.
                raise StoreUnavailable(f"{self._path} is gone: put it back, or restart")
            self._connection = openFile(self._path, self._synchronous, patience)
            self._inode = _inode(self._path)
            self._version, self._missed = -1, True
        self._connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")

    def _failure(self, error: BaseException) -> StoreFailure:
        """
        What a store fails with when SQLite or the system fails.
        """
        code = errorCode(error)
        if isinstance(error, StoreFailure):
            return error
        if isinstance(error, OSError):
            return StoreUnavailable(f"{self._path}: {error.strerror}")
        if code == sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"{self._path} is not an SQLite database:"
                " give a file of its own, which is created if it is not there"
            )
        kind = StoreUnavailable if code in _UNREACHABLE else StoreError
        return kind(f"{self._path}: {error}")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
