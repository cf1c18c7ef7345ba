"""
C{twistd sessionsock} with the sessions in the table of a web application.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGTERM
from time import time
from typing import Any

import pytest

from tests.stores.test_store_sql import SCHEMAS
from tests.support.redisserver import sharedServer as sharedRedis
from tests.support.servers import SECRET, VERBS, inReactor, reactor, twistd
from tests.support.visitors import Visitor
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.interfaces import IFramework, SessionID
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.sql import SQLStore


async def put(place: str, framework: IFramework, data: dict[str, Any]) -> SessionID:
    """
    Store a session, as the web application would.
    """
    now, sessionID = time(), framework.newSessionID()
    document = framework.newDocument(now)
    document.data.update(data)
    raw, ttl = framework.dumps(document, now), framework.lifetime(document, now)
    store = SQLStore(place, DJANGO, reactor)
    assert await store.create(framework.key(sessionID), raw, ttl)
    await store.close()
    return sessionID


async def counts(
    place: str, readRow: Callable[[str], str], log: list[str], *options: str
) -> None:
    """
    A socket changes a row.

    @param readRow: What the web application sees of a session.

    @param log: Gets what the server logs.
    """
    framework = DjangoDatabase(SECRET)
    sessionID = await put(place, framework, {"n": 41})
    more = ("--framework=django-db", f"--store={place}", "--per-message")
    async with twistd(*VERBS, *more, *options) as server:
        visitor = Visitor(server.port, framework.cookieValue(sessionID), "sessionid")
        socket = await visitor.connect()
        assert await socket.ask(["add", "n"]) == 42
        raw = readRow(sessionID).encode()
        assert framework.loads(raw, time()).data["n"] == 42
        server.signal("TERM")
        assert await server.ends() == -SIGTERM, server.log
        log.append(server.log + server.errors)
    assert "Traceback" not in log[0], log[0]


@inReactor
async def test_file(tmp_path: Path) -> None:
    """
    In Django's SQLite file, in a table with another name.
    """
    path = tmp_path / "shop.db"

    def execute(sql: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()

    execute(SCHEMAS[DJANGO])

    def readRow(key: str) -> str:
        select = "SELECT session_data FROM django_session WHERE session_key = ?"
        ((value,),) = execute(select, key)
        return str(value)

    await counts(f"sqlite:{path}", readRow, [], "--table=main.django_session")


@pytest.mark.postgresql
@inReactor
async def test_server() -> None:
    """
    In Django's PostgreSQL: a missing trigger is told, a table that is missing
    is the end; no password is shown.
    """
    from tests.support.postgresserver import PASSWORD, sharedServer  # noqa: PLC0415  # it skips

    postgresql = sharedServer()
    database = postgresql.newDatabase()
    place = postgresql.url(database)
    options = ("--framework=django-db", f"--store={place}")
    async with twistd(*VERBS, *options, listen=0) as server:
        assert await server.ends() == 1
    assert server.errors.count("\n") == 1, server.errors
    assert 'relation "django_session" does not exist' in server.errors
    assert PASSWORD not in server.errors + server.log

    from tests.support.postgresqlcase import SCHEMAS as THEIRS  # noqa: PLC0415  # so

    postgresql.execute(THEIRS[DJANGO], database=database)

    def readRow(key: str) -> str:
        select = "SELECT session_data FROM django_session WHERE session_key = %s"
        ((value,),) = postgresql.execute(select, key, database=database)
        return str(value)

    log: list[str] = []
    await counts(place, readRow, log)
    assert "its table has no trigger: see notify.sql" in log[0]
    assert PASSWORD not in log[0]


@pytest.mark.redis
@inReactor
async def test_cached(tmp_path: Path) -> None:
    """
    In Django's C{cached_db}, by two workers: what Django has in its cache is
    deleted when a socket has changed the session.
    """
    path, redis = tmp_path / "shop.db", sharedRedis()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(SCHEMAS[DJANGO])
    framework = DjangoDatabase(SECRET)
    sessionID = await put(f"sqlite:{path}", framework, {"n": 1})
    key = framework.cacheKey(sessionID)
    redis.command("SET", key, "what Django read")
    async with twistd(
        *("--framework=django-cached-db", f"--store=sqlite:{path}"),
        *(f"--cache={redis.url}", "--workers=2", "--per-message", *VERBS),
    ) as server:
        visitor = Visitor(server.port, framework.cookieValue(sessionID), "sessionid")
        socket = await visitor.connect()
        assert await socket.ask(["get", "n"]) == 1
        assert redis.command("EXISTS", key) == 1
        assert await socket.ask(["add", "n"]) == 2
        assert redis.command("EXISTS", key) == 0
        server.signal("TERM")
        assert await server.ends() == 0, server.log
