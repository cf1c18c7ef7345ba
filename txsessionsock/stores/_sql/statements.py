# -*- test-case-name: tests.stores.test_store_sql -*-
"""
What a store does to a table, in SQL: one statement for each change, so that
no transaction is ever open.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from txsessionsock.interfaces import (
    KEEP,
    TTL,
    AtLeast,
    NoSuchSession,
    SessionConflict,
    Stored,
    StoreError,
    UndecodableSession,
)
from txsessionsock.stores._watchers import deadline

from .table import Table, quoted


__all__ = ["NEVER", "Dialect", "Execute", "TableSessions"]


Execute = Callable[..., list[Any]]
"""
Executes a statement with named values, and gives the rows.
"""

NEVER: Final = 253370764800.0
"""
The deadline of what does not end, where there must be one: the year 9999.
"""

_DAY = 86400.0

_ATTEMPTS = 3
"""
How often to write: between that and looking why nothing was written, others
may write, too.
"""


class Dialect:
    """
    How a database is spoken to about a table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def column(self, name: str) -> str:
        """
        The name of a column.
        """
        return quoted(name)

    def parameter(self, name: str) -> str:
        """
        The place of a value.
        """
        raise NotImplementedError

    def shown(self, column: str) -> str:
        """
        What is compared with, and read as, the bytes of a session.
        """
        raise NotImplementedError

    def given(self, name: str) -> str:
        """
        The place of the bytes of a session, to be stored.
        """
        raise NotImplementedError

    def compared(self, name: str) -> str:
        """
        The place of the bytes of a session, to be compared.
        """
        return self.parameter(name)

    def seconds(self, column: str) -> str:
        """
        A point in time, to be read.
        """
        raise NotImplementedError

    def moment(self, name: str) -> str:
        """
        The place of a point in time.
        """
        raise NotImplementedError

    def checkServer(self, execute: Execute) -> None:
        """
        See whether this is the server to believe that there is no such session.
        """

    def fromBytes(self, raw: bytes) -> object:
        """
        The bytes of a session as a value.

        @raise StoreError: They cannot be stored.
        """
        raise NotImplementedError

    def toBytes(self, value: Any) -> bytes:
        """
        The inverse.
        """
        raise NotImplementedError

    def fromSeconds(self, moment: float) -> object:
        """
        Seconds since the epoch as a value.
        """
        raise NotImplementedError

    def toSeconds(self, value: Any) -> float:
        """
        The inverse.
        """
        raise NotImplementedError


class TableSessions:
    """
    The sessions in a table, as seen from a thread with a connection.
    """

    def __init__(self, dialect: Dialect, seconds: Callable[[], float]) -> None:
        """
        @param seconds: The clock; called in the thread.  Web applications
            compare deadlines with their own clock, too, not with that of the
            database.
        """
        table = dialect.table
        self._dialect, self._seconds = dialect, seconds
        self._isNullable = table.isNullable
        key, value, expires = (
            dialect.column(name) for name in (table.key, table.value, table.expires)
        )
        place, at = dialect.parameter, dialect.moment("expires")
        alive = self._alive(expires)
        whose = f"{key} = {place('key')} AND {alive}"
        unchanged = f"{dialect.shown(value)} = {dialect.compared('old')}"
        row = f"{dialect.shown(value)}, {dialect.seconds(expires)}"
        new = dialect.given("new")
        self._load = f"SELECT {row} FROM {table.path} WHERE {whose}"
        self._last = f"SELECT {row} FROM {table.path} ORDER BY {expires} DESC LIMIT 5"
        self._create = (
            f"INSERT INTO {table.path} AS was ({key}, {value}, {expires})"
            f" VALUES ({place('key')}, {new}, {at}) ON CONFLICT ({key}) DO UPDATE"
            f" SET {value} = excluded.{value}, {expires} = excluded.{expires}"
            f" WHERE NOT {self._alive(f'was.{expires}')} RETURNING 1"
        )
        update = f"UPDATE {table.path} SET"
        isLater = f"{expires} > {at}"
        if self._isNullable:
            isLater = f"{expires} IS NULL OR {isLater}"
        # Compare with the row at the time of the write: another process may
        # have put its end off since we read it.
        atLeast = f"CASE WHEN {isLater} THEN {expires} ELSE {at} END"
        self._keep = (
            f"{update} {value} = {new} WHERE {whose} AND {unchanged} RETURNING {row}"
        )
        self._replace, self._prolong = (
            f"{update} {value} = {new}, {expires} = {end}"
            f" WHERE {whose} AND {unchanged} RETURNING {row}"
            for end in (at, atLeast)
        )
        self._touch, self._putOff = (
            f"{update} {expires} = {end} WHERE {whose}"
            f" RETURNING {dialect.seconds(expires)}"
            for end in (at, atLeast)
        )
        self._destroy = (
            f"DELETE FROM {table.path} WHERE {key} = {place('key')} RETURNING {alive}"
        )
        self._compareAndDestroy = (
            f"DELETE FROM {table.path} WHERE {whose} AND {unchanged} RETURNING 1"
        )

    def _alive(self, expires: str) -> str:
        isLater = f"{expires} > {self._dialect.moment('now')}"
        if self._isNullable:
            return f"({expires} IS NULL OR {isLater})"
        return f"COALESCE({isLater}, FALSE)"

    def load(self, execute: Execute, key: str) -> Stored | None:
        rows = execute(self._load, key=key, now=self._now())
        if rows:
            return self._stored(*rows[0])
        self._dialect.checkServer(execute)
        return None

    def last(self, execute: Execute) -> list[Stored]:
        """
        Some sessions, of those that end last, or have ended last; without
        those of which nobody knows when they end.
        """
        found = []
        for row in execute(self._last):
            with suppress(UndecodableSession):
                found.append(self._stored(*row))
        return found

    def create(self, execute: Execute, key: str, raw: bytes, ttl: TTL) -> bool:
        new = self._dialect.fromBytes(raw)
        expires = self._expires(ttl)
        return bool(
            execute(self._create, key=key, new=new, now=self._now(), expires=expires)
        )

    def replace(
        self, execute: Execute, key: str, old: bytes, new: bytes, ttl: TTL
    ) -> Stored:
        values = {"new": self._dialect.fromBytes(new)}
        statement = self._keep
        if ttl is not KEEP:
            values["expires"] = self._expires(ttl)
            statement = self._prolong if isinstance(ttl, AtLeast) else self._replace
        rows = self._ifUnchanged(execute, statement, key, old, **values)
        if not rows:
            raise NoSuchSession
        return self._stored(*rows[0])

    def _ifUnchanged(
        self, execute: Execute, statement: str, key: str, old: bytes, **values: object
    ) -> list[Any]:
        """
        Execute a statement that changes a session, if exactly C{old} is stored.

        @return: The rows; none if there is no session.

        @raise SessionConflict: Something else is stored.
        """
        for _ in range(_ATTEMPTS):
            try:
                was = self._dialect.fromBytes(old)
                rows = execute(statement, key=key, old=was, now=self._now(), **values)
            except StoreError:
                # It cannot be what is stored.
                rows = []
            if rows:
                return rows
            current = self.load(execute, key)
            if current is None:
                return []
            if current.raw != old:
                raise SessionConflict(current)
        raise StoreError("what is stored does not compare as what it is shown as")

    def touch(self, execute: Execute, key: str, ttl: TTL) -> float | None:
        if ttl is KEEP:
            current = self.load(execute, key)
            if current is None:
                raise NoSuchSession
            return current.expires
        expires = self._expires(ttl)
        statement = self._putOff if isinstance(ttl, AtLeast) else self._touch
        rows = execute(statement, key=key, now=self._now(), expires=expires)
        if not rows:
            raise NoSuchSession
        return self._end(*rows[0])

    def destroy(self, execute: Execute, key: str, old: bytes | None = None) -> bool:
        if old is not None:
            return bool(self._ifUnchanged(execute, self._compareAndDestroy, key, old))
        rows = execute(self._destroy, key=key, now=self._now())
        return bool(rows and rows[0][0])

    def _now(self) -> object:
        return self._dialect.fromSeconds(self._seconds())

    def _expires(self, ttl: TTL) -> object:
        """
        The deadline of what begins now.
        """
        expires = deadline(ttl, self._seconds())
        if expires is None and self._isNullable:
            return None
        return self._dialect.fromSeconds(
            NEVER if expires is None else min(max(0.0, expires), NEVER)
        )

    def _stored(self, value: Any, expires: Any) -> Stored:
        raw = b"" if value is None else self._dialect.toBytes(value)
        return Stored(raw, self._end(expires))

    def _end(self, expires: Any) -> float | None:
        end = None if expires is None else self._dialect.toSeconds(expires)
        # A day off, wherever in the world that text was written.
        return None if end is None or end >= NEVER - _DAY else end
