"""
The web applications that keep their sessions in a store, where sockets can
change them: how to run each beside us, and to see what is stored.
"""

from __future__ import annotations

import atexit
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.expresses import PROGRAM, expressIsThere
from tests.support.histories import (
    History,
    postgresqlHistory,
    redisHistory,
    sqliteHistory,
)
from tests.support.phpprograms import installedPHP
from tests.support.redisserver import sharedServer
from tests.support.servers import SECRET, reactor
from tests.support.webapplications import Scene, installed, running
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django, DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starsessions
from txsessionsock.interfaces import IFramework
from txsessionsock.stores._sql.table import (
    CONNECT_PG_SIMPLE,
    DJANGO,
    FLASK_SESSION,
    Table,
)
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore, WatchableSQLStore


__all__ = ["APPLICATIONS", "Application", "Place"]


@dataclass(frozen=True)
class Place:
    """
    A web application at work.

    @ivar newStore: Makes a store for its sessions, as one more node has it.

    @ivar where: The same for C{twistd}'s C{--store}, with what goes with it.

    @ivar tellsWhose: Whether the history tells who wrote.
    """

    scene: Scene
    framework: IFramework
    history: History
    newStore: Callable[[], Any]
    where: Sequence[str] = ()
    tellsWhose: bool = True


@asynccontextmanager
async def _inRedis(application: Application) -> AsyncIterator[Place]:
    framework = application.framework()
    async with (
        running(application.program, application.kind, framework) as scene,
        redisHistory(scene.redis) as history,
    ):
        newStore = partial(RedisStore, scene.redis.url, reactor)
        where = [f"--store={scene.redis.url}"]
        yield Place(scene, framework, history, newStore, where)


@asynccontextmanager
async def _inSQLite(application: Application, table: Table) -> AsyncIterator[Place]:
    framework = application.framework()
    path = _file(application.program)
    newStore = partial(SQLStore, f"sqlite:{path}", table, reactor)
    async with running(
        application.program,
        application.kind,
        framework,
        store=newStore(),
        place=f"sqlite:{path}",
        isKept=True,
        recheckInterval=0.5,
    ) as scene:
        history = _historyOfFile(path, table)
        with closing(sqlite3.connect(path)) as connection, connection:
            for name in table.path, "history":
                connection.execute(f"DELETE FROM {name}")
        where = [f"--store=sqlite:{path}", f"--table={table.name}"]
        yield Place(scene, framework, history, newStore, where, tellsWhose=False)


@cache
def _file(program: str) -> str:
    """
    The database file of an application.
    """
    directory = TemporaryDirectory()
    atexit.register(directory.cleanup)
    return str(Path(directory.name) / "db.sqlite3")


_historyOfFile = cache(sqliteHistory)


@asynccontextmanager
async def _inPostgreSQL(
    application: Application,
    table: Table,
    *,
    isThere: bool = False,
    fragment: str = "",
    around: Callable[[SQLStore], Any] = lambda rows: rows,
) -> AsyncIterator[Place]:
    """
    @param isThere: Whether the application expects its table to be there.

    @param fragment: What the application is told beside the URL.

    @param around: Makes a store of that with the rows.
    """
    # Where there is no server, only these are not run.
    case: Any = import_module("tests.support.postgresqlcase")
    server, framework = case.sharedServer(), application.framework()
    schema = case.SCHEMAS[table] if isThere else ""
    database = _database(application.program, application.kind, schema)
    execute, url = partial(server.execute, database=database), server.url(database)
    async with running(
        application.program,
        application.kind,
        framework,
        store=around(SQLStore(url, table, reactor)),
        place=url + fragment,
        isKept=True,
        recheckInterval=0.5,
    ) as scene:
        history = _historyOf(database, table)
        for name in table.path, "history":
            execute(f"DELETE FROM {name}")

        def newStore() -> Any:
            return around(WatchableSQLStore(url, table, reactor))

        yield Place(scene, framework, history, newStore, [f"--store={url}"])


@cache
def _database(program: str, kind: str, schema: str) -> str:
    """
    The database of an application.
    """
    case: Any = import_module("tests.support.postgresqlcase")
    server = case.sharedServer()
    name: str = server.newDatabase()
    if schema:
        server.execute(schema, database=name)
    return name


@cache
def _historyOf(database: str, table: Table) -> History:
    """
    Have a table, which is there by now, tell of changes.
    """
    case: Any = import_module("tests.support.postgresqlcase")
    execute = partial(case.sharedServer().execute, database=database)
    execute(case.NOTIFY)
    execute(case.TRIGGER.format(table=table.path, key=table.key))
    return postgresqlHistory(execute, table)


@asynccontextmanager
async def _cached(application: Application) -> AsyncIterator[Place]:
    """
    In PostgreSQL, with copies in Redis.
    """
    redis = sharedServer()
    framework = DjangoDatabase(SECRET)

    def cached(rows: SQLStore) -> CachedStore:
        cache = RedisStore(redis.url, reactor)
        return CachedStore(rows, cache, framework.cacheKey, reactor)

    fragment = f"#{redis.port}"
    async with _inPostgreSQL(
        application, DJANGO, fragment=fragment, around=cached
    ) as place:
        yield replace(place, where=[*place.where, f"--cache={redis.url}"])


@dataclass(frozen=True)
class Application:
    """
    One way to have a web application keep sessions.

    @ivar program: One of C{tests/e2e/webapps}.

    @ivar kind: What it is told to do.

    @ivar marks: Of tests that run it.

    @ivar readersWrite: Whether it writes the session also if nothing was
        changed.
    """

    program: str
    kind: str
    framework: Callable[[], IFramework]
    marks: Sequence[Any] = ()
    place: Callable[..., AbstractAsyncContextManager[Place]] = _inRedis
    readersWrite: bool = False

    @property
    def lacks(self) -> str:
        """
        Why it cannot be run here, if so.
        """
        skips = [mark for mark in self.marks if mark.name == "skipif"]
        return ", ".join(mark.kwargs["reason"] for mark in skips if mark.args[0])

    @property
    def options(self) -> Sequence[str]:
        """
        What C{twistd} is told of the framework.
        """
        make = self.framework
        kind, given = make, {}
        if isinstance(make, partial):
            kind, given = make.func, make.keywords
        name = "django-cached-db" if self.place is _cached else _NAMES[kind]
        words = {True: "yes", False: "no"}
        return [
            f"--framework={name}",
            *(
                f"--framework-option={option}={words.get(value, value)}"
                for option, value in given.items()
                if value != ""  # As it is for a table.
            ),
        ]

    def atWork(self) -> AbstractAsyncContextManager[Place]:
        """
        Run it.
        """
        return self.place(self)


_NAMES: dict[Callable[..., IFramework], str] = {
    Aiohttp: "aiohttp",
    Django: "django",
    DjangoDatabase: "django-db",
    Express: "express",
    FlaskSession: "flask-session",
    PHP: "php",
    Starsessions: "starsessions",
}
"""
What C{twistd} calls the frameworks.
"""

_AIOHTTP = [pytest.mark.redis, installed(["aiohttp", "aiohttp_session", "redis"])]
_DJANGO = [installed(["django", "redis", "django_redis"])]
_FLASK = [installed(["flask", "flask_session", "flask_sqlalchemy", "redis"])]
_STARLETTE = [
    pytest.mark.redis,
    installed(["starlette", "starsessions", "redis", "uvicorn"]),
]
_EXPRESS = [pytest.mark.redis, expressIsThere]
_PHP = [pytest.mark.redis, installedPHP()]

APPLICATIONS: dict[str, Application] = {
    "aiohttp": Application("aiohttpapp", "forever", Aiohttp, _AIOHTTP),
    "Django": Application("djangoapp", "json", Django, [*_DJANGO, pytest.mark.redis]),
    "Django, saving at every request": Application(
        "djangoapp",
        "every",
        partial(Django, saveEveryRequest=True),
        [*_DJANGO, pytest.mark.redis],
        readersWrite=True,
    ),
    "Django, SQLite": Application(
        "djangoapp",
        "database",
        partial(DjangoDatabase, SECRET),
        _DJANGO,
        partial(_inSQLite, table=DJANGO),
    ),
    "Django, PostgreSQL": Application(
        "djangoapp",
        "database",
        partial(DjangoDatabase, SECRET),
        [*_DJANGO, pytest.mark.postgresql],
        partial(_inPostgreSQL, table=DJANGO),
    ),
    "Django, cached_db": Application(
        "djangoapp",
        "cached",
        partial(DjangoDatabase, SECRET),
        [*_DJANGO, pytest.mark.postgresql, pytest.mark.redis],
        _cached,
    ),
    "Flask-Session": Application(
        "flaskapp",
        "msgpack",
        FlaskSession,
        [*_FLASK, pytest.mark.redis],
        readersWrite=True,
    ),
    "Flask-Session, SQLite": Application(
        "flaskapp",
        "sql",
        FlaskSession,
        _FLASK,
        partial(_inSQLite, table=FLASK_SESSION),
        readersWrite=True,
    ),
    "Flask-Session, PostgreSQL": Application(
        "flaskapp",
        "sql",
        FlaskSession,
        [*_FLASK, pytest.mark.postgresql],
        partial(_inPostgreSQL, table=FLASK_SESSION),
        readersWrite=True,
    ),
    "starsessions": Application(
        "starletteapp",
        "fixed",
        partial(Starsessions, lifetime=600),
        _STARLETTE,
        readersWrite=True,
    ),
    "Express": Application(PROGRAM, "redis", partial(Express, SECRET), _EXPRESS),
    "Express, resave": Application(
        PROGRAM, "resave", partial(Express, SECRET), _EXPRESS, readersWrite=True
    ),
    "Express, disableTouch": Application(
        PROGRAM, "notouch", partial(Express, SECRET, disableTouch=True), _EXPRESS
    ),
    "Express, PostgreSQL": Application(
        PROGRAM,
        "postgresql",
        partial(Express, SECRET, prefix=""),
        [expressIsThere, pytest.mark.postgresql],
        partial(_inPostgreSQL, table=CONNECT_PG_SIMPLE, isThere=True),
    ),
    "PHP": Application("phpapp", "php", PHP, _PHP),
    "PHP, php_serialize": Application(
        "phpapp", "php_serialize", partial(PHP, handler="php_serialize"), _PHP
    ),
    "PHP, lazy_write=0": Application("phpapp", "eager", PHP, _PHP, readersWrite=True),
}
"""
By what tests call them.
"""
