"""
Django and Flask-Session themselves with their sessions in an SQL database, and
our sockets with the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.redisserver import sharedServer
from tests.support.servers import SECRET, inReactor, reactor
from tests.support.webapplications import Scene, installed, running, sharesSessions
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.stores._sql.table import DJANGO, FLASK_SESSION, Table
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


pytestmark = [
    pytest.mark.redis,
    installed(["django", "redis", "flask", "flask_session", "flask_sqlalchemy"]),
]

LOGIN = ("_auth_user_id", "1")


class Place:
    """
    A database for a web application.

    @ivar url: Where it is.
    """

    url: str

    def store(self, table: Table) -> SQLStore:
        """
        The best that there is for it.
        """
        raise NotImplementedError

    def prepare(self, table: Table) -> None:
        """
        To be called when the web application has made its tables.
        """


class File(Place):
    def __init__(self, directory: Path) -> None:
        self.url = f"sqlite:{directory / 'shop.db'}"

    def store(self, table: Table) -> SQLStore:
        return SQLStore(self.url, table, reactor)


class Server(Place):
    def __init__(self) -> None:
        from tests.support import postgresserver  # noqa: PLC0415 - needs psycopg

        self._server = postgresserver.sharedServer()
        self._database = self._server.newDatabase()
        self.url = self._server.url(self._database)

    def store(self, table: Table) -> WatchableSQLStore:
        return WatchableSQLStore(self.url, table, reactor)

    def prepare(self, table: Table) -> None:
        from tests.support.postgresqlcase import NOTIFY, TRIGGER  # noqa: PLC0415  # so

        trigger = TRIGGER.format(table=table.name, key=table.key)
        for sql in NOTIFY, trigger:
            self._server.execute(sql, database=self._database)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
)
def place(request: Any, tmp_path: Path) -> Place:
    """
    Each kind of database.
    """
    return File(tmp_path) if request.param == "sqlite" else Server()


@inReactor
async def test_django(place: Place) -> None:
    """
    In Django's database.
    """
    async with running(
        *("djangoapp", "database", DjangoDatabase(SECRET)),
        store=place.store(DJANGO),
        place=place.url,
        recheckInterval=0.5,
    ) as scene:
        place.prepare(DJANGO)
        await sharesSessions(scene, LOGIN)


@inReactor
async def test_flask(place: Place) -> None:
    """
    In the database of a Flask application.
    """
    async with running(
        *("flaskapp", "sql", FlaskSession()),
        store=place.store(FLASK_SESSION),
        place=place.url,
        recheckInterval=0.5,
    ) as scene:
        place.prepare(FLASK_SESSION)
        await sharesSessions(scene)


async def whatDjangoReads(scene: Scene) -> tuple[Any, Any]:
    """
    What Django has before and after a socket changes a session that Django
    has in its cache.
    """
    await scene.pages.post("/add?n")
    before = await scene.session()
    socket = await scene.connect()
    assert await socket.ask(["add", "n"]) == 2
    return before, await scene.session()


@inReactor
async def test_cached(place: Place) -> None:
    """
    In Django's database, with copies in its cache: what a socket changes,
    Django reads at once; a session that a socket ends has ended for Django.
    """
    framework = DjangoDatabase(SECRET)
    redis = sharedServer()
    rows, cache = place.store(DJANGO), RedisStore(redis.url, reactor)
    async with running(
        *("djangoapp", "cached", framework),
        store=CachedStore(rows, cache, framework.cacheKey, reactor),
        place=f"{place.url}#{redis.port}",
        recheckInterval=0.5,
    ) as scene:
        place.prepare(DJANGO)
        await sharesSessions(scene, LOGIN)
        assert await whatDjangoReads(scene) == ({"n": 1}, {"n": 2})
        socket = await scene.connect()
        assert await socket.ask(["get", "n"]) == 2
        assert await scene.session() == {"n": 2}
        # A page of ours, with the same cookie.
        await scene._sockets.post("/logout")
        assert await socket.closes() == (4401, "session-destroyed")
        assert await scene.session() == {}


@inReactor
async def test_cachedAsIfNot(tmp_path: Path) -> None:
    """
    If the copies were left alone, Django would not see what a socket changes.
    """
    place, redis = File(tmp_path), sharedServer()
    async with running(
        *("djangoapp", "cached", DjangoDatabase(SECRET)),
        store=place.store(DJANGO),
        place=f"{place.url}#{redis.port}",
    ) as scene:
        assert await whatDjangoReads(scene) == ({"n": 1}, {"n": 1})
