"""
Express with its sessions in PostgreSQL, and our sockets with the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from tests.support.expresses import DIRECTORY, PROGRAM, expressIsThere, withoutOurs
from tests.support.postgresqlcase import NOTIFY, TRIGGER
from tests.support.postgresserver import sharedServer
from tests.support.servers import SECRET, inReactor, reactor
from tests.support.webapplications import Scene, running, sharesSessions
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import Document
from txsessionsock.stores._sql.table import CONNECT_PG_SIMPLE
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


pytestmark = [
    pytest.mark.postgresql,
    expressIsThere,
]

TABLE = DIRECTORY / "node_modules/connect-pg-simple/table.sql"


class Row:
    """
    The only session.
    """

    def __init__(self, execute: Any) -> None:
        self.execute = execute

    @property
    def text(self) -> str:
        """
        What is stored.
        """
        ((text,),) = self.execute("SELECT sess::text FROM session")
        return str(text)

    @property
    def left(self) -> float:
        """
        How many seconds it has to live, as Express counts them.
        """
        sql = "SELECT extract(epoch FROM expire - now()::timestamp) FROM session"
        ((left,),) = self.execute(sql)
        return float(left)

    def replace(self, raw: bytes) -> None:
        """
        Store something else.
        """
        self.execute("UPDATE session SET sess = %s::json", raw.decode())

    def age(self) -> None:
        """
        Leave it less than a minute to live.
        """
        seconds = "interval '50 seconds'"
        self.execute(f"UPDATE session SET expire = now()::timestamp + {seconds}")


@asynccontextmanager
async def app(
    newStore: type[SQLStore] = WatchableSQLStore,
) -> AsyncIterator[tuple[Scene, Row]]:
    """
    Run an Express whose table is as its authors have it.
    """
    server = sharedServer()
    database = server.newDatabase()
    execute, url = partial(server.execute, database=database), server.url(database)
    for sql in TABLE.read_text("utf-8"), NOTIFY:
        execute(sql)
    execute(TRIGGER.format(table="session", key="sid"))
    framework = Express(SECRET, prefix="")
    store = newStore(url, CONNECT_PG_SIMPLE, reactor)
    async with running(
        *(PROGRAM, "postgresql", framework), store=store, place=url
    ) as scene:
        yield scene, Row(execute)


@inReactor
async def test_shared() -> None:
    """
    What one side writes, the other reads; a logout closes the socket.
    """
    async with app() as (scene, _):
        await sharesSessions(scene)


@inReactor
async def test_unwatched() -> None:
    """
    The same without being told of changes: each message shows what is there.
    """
    async with app(SQLStore) as (scene, _):
        await scene.pages.post("/login?ann")
        socket = await scene.connect()
        for n in range(1, 9, 2):
            await scene.pages.post("/add?n")
            assert await socket.ask(["get", "n"]) == n
            assert await socket.ask(["add", "n"]) == n + 1
            assert await scene.session() == {"user": "ann", "n": n + 1}
        await scene.pages.post("/logout")
        socket.say(["add", "n"])
        assert await socket.closes() == (4401, "session-destroyed")
        assert await scene.session() == {}


@inReactor
async def test_written() -> None:
    """
    What we write is what Express wrote, byte for byte, and lives as long.
    """
    async with app() as (scene, row):
        await scene.pages.post("/login?ann")
        await scene.pages.post("/add?n")
        theirs = withoutOurs(row.text)
        assert row.left == pytest.approx(86400, abs=10)
        row.age()
        assert 0 < row.left <= 50
        socket = await scene.connect()
        assert await socket.ask(["add", "n"]) == 2
        assert withoutOurs(row.text) == theirs.replace('"n":1', '"n":2')
        assert row.left == pytest.approx(86400, abs=10)


@inReactor
async def test_values() -> None:
    """
    What PostgreSQL has no text for, it keeps as JSON.
    """
    data = {"": "\x00", "\x00": "\ud800", "\ud800": [2**53 - 1, -1.5, {"é": "☃🎉"}]}
    framework = Express(SECRET, prefix="")
    async with app() as (scene, row):
        await scene.pages.post("/login?ann")
        envelope = framework.loads(row.text.encode(), reactor.seconds()).envelope
        row.replace(framework.dumps(Document(data, envelope), reactor.seconds()))
        assert await scene.session() == data
        assert await (await scene.connect()).ask(["add", "n"]) == 1
        assert await scene.session() == data | {"n": 1}
        await scene.pages.post("/add?n")
        document = framework.loads(row.text.encode(), reactor.seconds())
        assert document.data.items() >= (data | {"n": 2}).items()
