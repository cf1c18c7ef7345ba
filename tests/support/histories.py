"""
What became of one stored session: all that was written under its key, when,
and by whom.
"""

from __future__ import annotations

import re
import sqlite3
from ast import literal_eval
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from tests.support.redisserver import RedisServer
from tests.support.servers import Conditions, reactor
from txsessionsock.stores._sql.table import Table, Value


__all__ = ["History", "Version", "postgresqlHistory", "redisHistory", "sqliteHistory"]


@dataclass(frozen=True)
class Version:
    """
    What was stored from a moment on.

    @ivar at: In seconds, by the clock of the server.

    @ivar raw: L{None} if the session was deleted.

    @ivar isOurs: Whether we wrote it; L{None} if nobody can tell.
    """

    at: float
    raw: bytes | None = field(repr=False)
    isOurs: bool | None


class History(Protocol):
    """
    Sees what is written, from when it was made.
    """

    async def versions(self, key: str) -> list[Version]:
        """
        @return: All that was written until now under a key, in order.
        """


# Redis.

_SAID = re.compile(rb"\+?([0-9.]+) \[\d+ ([^ \]]+)\] (.*)")
_WORD = re.compile(rb'"(?:[^"\\]|\\.)*"')


class _Monitor(LineOnlyReceiver, Conditions):
    """
    Sees every command, those of scripts too.
    """

    delimiter = b"\r\n"
    MAX_LENGTH = 1 << 24
    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []

    def connectionMade(self) -> None:
        self.transport.write(b"MONITOR\r\n")

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)
        self.happened()


class _RedisHistory:
    def __init__(self, redis: RedisServer, monitor: _Monitor) -> None:
        self._redis = redis
        self._monitor = monitor

    async def versions(self, key: str) -> list[Version]:
        token = uuid4().hex.encode()
        self._redis.command("ECHO", token)
        lines = self._monitor.lines
        await self._monitor.until(lambda: lines and token in lines[-1])
        return list(self._written(key.encode()))

    def _written(self, key: bytes) -> Iterator[Version]:
        for line in self._monitor.lines:
            if key not in line:
                continue
            said = _SAID.fullmatch(line)
            assert said is not None, line
            at, by, rest = said.groups()
            # Redis escapes as Python does.
            words = [literal_eval(f"b{word.decode()}") for word in _WORD.findall(rest)]
            match [words[0].upper(), *words[1:]]:
                case [b"SET", name, raw, *_] if name == key:
                    yield Version(float(at), raw, by == b"lua")
                case [b"SETEX" | b"PSETEX", name, _, raw] if name == key:
                    yield Version(float(at), raw, by == b"lua")
                case [b"DEL" | b"UNLINK", *names] if key in names:
                    yield Version(float(at), None, by == b"lua")


@asynccontextmanager
async def redisHistory(redis: RedisServer) -> AsyncIterator[History]:
    """
    Watch the sessions in a Redis.  Who writes by scripts is taken for us.
    """
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", redis.port)
    factory = Factory.forProtocol(_Monitor)
    factory.noisy = False
    monitor: Any = await endpoint.connect(factory)
    await monitor.until(lambda: monitor.lines)
    try:
        yield _RedisHistory(redis, monitor)
    finally:
        monitor.transport.abortConnection()


# SQL.


class _SQLHistory:
    def __init__(self, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
        self._ask = ask

    async def versions(self, key: str) -> list[Version]:
        rows = self._ask("SELECT at, name, raw, ours FROM history ORDER BY number")
        return [
            Version(
                at,
                raw.encode() if isinstance(raw, str) else raw,
                None if ours is None else bool(ours),
            )
            for at, name, raw, ours in rows
            if name == key
        ]


def sqliteHistory(path: str, table: Table) -> History:
    """
    Watch the sessions in a table of an SQLite file.
    """
    now = "(julianday('now') - 2440587.5) * 86400"
    script = (
        "CREATE TABLE history (number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " at REAL, name TEXT, raw BLOB, ours INTEGER);"
    )
    for event, row in ("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"):
        raw = "NULL" if event == "DELETE" else f"NEW.{table.value}"
        script += (
            f"CREATE TRIGGER history_{event} AFTER {event} ON {table.path} BEGIN"
            f" INSERT INTO history (at, name, raw)"
            f" VALUES ({now}, {row}.{table.key}, {raw}); END;"
        )

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()

    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return _SQLHistory(ask)


def postgresqlHistory(
    execute: Callable[[str], list[tuple[Any, ...]]], table: Table
) -> History:
    """
    Watch the sessions in a table of a PostgreSQL database.

    @param execute: Executes SQL there.
    """
    kind = "bytea" if table.keeps is Value.BYTES else "text"
    execute(
        "CREATE TABLE history (number serial, at double precision, name text,"
        f" raw {kind}, ours boolean)"
    )
    execute(
        "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$"
        " DECLARE"
        "  ours boolean := current_setting('txsessionsock.writer', true) <> '';"
        "  at double precision := extract(epoch FROM clock_timestamp());"
        " BEGIN IF TG_OP = 'DELETE' THEN"
        "  INSERT INTO history (at, name, ours)"
        f"  VALUES (at, OLD.{table.key}, coalesce(ours, false));"
        " ELSE"
        "  INSERT INTO history (at, name, raw, ours)"
        f"  VALUES (at, NEW.{table.key}, NEW.{table.value}, coalesce(ours, false));"
        " END IF; RETURN NULL; END $$"
    )
    execute(
        f"CREATE TRIGGER history AFTER INSERT OR UPDATE OR DELETE ON {table.path}"
        " FOR EACH ROW EXECUTE FUNCTION remember()"
    )
    return _SQLHistory(execute)
