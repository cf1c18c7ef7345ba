"""
Live web applications beside our sockets, and what is to be seen of each.
"""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.support.programs import Program
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import STARTING, reactor, site
from tests.support.visitors import Refused, Socket, Visitor
from txsessionsock.interfaces import IFramework, ISignedCookies
from txsessionsock.manager import SessionManager
from txsessionsock.session.journal import STAMP
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore


__all__ = [
    "WIDE",
    "Scene",
    "installed",
    "readsCookies",
    "running",
    "setsOneCookie",
    "sharesSessions",
]

WIDE = {"domain": "example.com", "secure": True, "sameSite": "strict"}
"""
What applications of the kind C{wide} set on their cookie.
"""

_PROGRAMS = Path(__file__).parents[1] / "e2e" / "webapps"

_RUN_BY = {".py": sys.executable, ".js": "node"}

_TROUBLE = re.compile(
    r"Traceback|PHP (?:Warning|Fatal|Notice|Deprecated|Parse)|^ +at .*:\d+\)?$",
    re.MULTILINE,
)


def installed(modules: Iterable[str]) -> Any:
    """
    Skip tests where modules are missing, which are not among what all tests
    need.
    """
    missing = [module for module in modules if find_spec(module) is None]
    reason = f"not installed here: {', '.join(missing)}"
    return pytest.mark.skipif(bool(missing), reason=reason)


class _Application(Program):
    """
    A web application at work.
    """

    @property
    def port(self) -> int:
        """
        Where it listens; 0 if it does not yet.
        """
        line, newline, _ = self.said.partition("\n")
        return int(line) if newline else 0

    async def starts(self) -> None:
        """
        Wait until it listens.
        """
        await self.until(lambda: self.port or self.isGone, patience=STARTING)
        assert self.port, self.errors

    async def check(self) -> None:
        """
        Fail if it has gone, or complained.
        """
        # What is in the pipe is read when the reactor has looked once.
        await deferLater(reactor, 0)
        assert not _TROUBLE.search(self.errors), self.errors
        assert not self.isGone, self.errors


_kept: dict[tuple[str, ...], _Application] = {}
"""
Those that run for all tests, by their commands.
"""


@asynccontextmanager
async def _started(*command: str, isKept: bool) -> AsyncIterator[_Application]:
    """
    Have an application at work.

    @param isKept: Whether it may have worked for other tests, and goes on for
        more.  It does not after one that failed.
    """
    application = _kept.pop(command, None) or _Application(*command)
    try:
        await application.starts()
        yield application
        await application.check()
        if isKept and command not in _kept:
            _kept[command] = application
    finally:
        if _kept.get(command) is not application:
            await application.ends()


@atexit.register
def _killAll() -> None:
    for application in _kept.values():
        application.kill()


class Scene:
    """
    A browser that has a page of a web application and sockets with us.

    @ivar pages: Visits the application.

    @ivar port: Where our site is.
    """

    def __init__(self, application: int, port: int, redis: RedisServer) -> None:
        self.pages = Visitor(application)
        self._sockets = Visitor(port)
        self.port = port
        self.redis = redis

    async def connect(self) -> Socket:
        """
        Open a socket with the cookies of the pages.
        """
        self._sockets.cookies = dict(self.pages.cookies)
        return await self._sockets.connect()

    async def session(self) -> dict[str, Any]:
        """
        What the application has.
        """
        value: dict[str, Any] = (await self.pages.get("/session")).value
        for hidden in "_permanent", STAMP:
            value.pop(hidden, None)
        return value


@asynccontextmanager
async def running(
    program: str,
    kind: str,
    framework: IFramework,
    *,
    store: SQLStore | CachedStore | None = None,
    place: str = "",
    isKept: bool = False,
    **settings: Any,
) -> AsyncIterator[Scene]:
    """
    Run a web application, and a site of ours with the same sessions.

    @param program: One of C{tests/e2e/webapps}, with its suffix unless that is
        Python's.

    @param store: Where the sessions are; unless given, in Redis or, if the
        framework has them there, in the cookie.  It is closed in the end.

    @param place: What the program is told of that; the port of Redis unless
        given.

    @param isKept: Whether this place is for all tests, as the Redis is, so that
        one application serves them all.

    @param settings: Of the manager.
    """
    redis = sharedServer()
    ours: Any = store
    if ISignedCookies.providedBy(framework):
        ours = CookieStore(framework, reactor)
    elif store is None:
        ours = RedisStore(redis.url, reactor)
    command = [*_command(program), kind, place or str(redis.port)]
    try:
        async with _started(*command, isKept=isKept or not place) as application:
            manager = SessionManager(ours, framework, reactor, **settings)
            async with site(manager, perMessage=True) as (port, _):
                yield Scene(application.port, port, redis)
    finally:
        if not isinstance(ours, CookieStore):
            await ours.close()


def _command(program: str) -> list[str]:
    """
    How to run one.
    """
    path = _PROGRAMS / program
    if not path.suffix:
        path = path.with_suffix(".py")
    found = which(_RUN_BY[path.suffix])
    assert found, f"no {_RUN_BY[path.suffix]} to run {program}"
    return [found, str(path)]


async def sharesSessions(
    scene: Scene, login: tuple[str, object] = ("user", "ann")
) -> None:
    """
    Log in, count on both sides, log out: what one side writes, the other
    reads, the login stays, the socket is closed, and nothing revives the
    session.

    @param login: What the socket finds in the session of whom the application
        calls C{ann}.
    """
    pages, (key, who) = scene.pages, login
    assert (await pages.post("/login?ann")).value["user"] == "ann"
    assert await scene.session() == {"user": "ann"}
    assert (await pages.post("/add?n")).value["n"] == 1
    socket = await scene.connect()
    assert await socket.ask(["get", key]) == who
    for n in range(2, 20, 2):
        assert await socket.ask(["add", "n"]) == n
        assert await scene.session() == {"user": "ann", "n": n}
        assert (await pages.post("/add?n")).value["n"] == n + 1
        assert await socket.ask(["get", "n"]) == n + 1
    kept = dict(pages.cookies)
    answer = await pages.post("/logout")
    assert (answer.code, answer.value) == (200, {})
    assert await socket.closes() == (4401, "session-destroyed")
    # Whoever kept the cookie has nothing of it, here or there.
    pages.cookies = kept
    assert await isRefused(scene)
    assert await scene.session() == {}


async def changesID(scene: Scene) -> None:
    """
    Log somebody else in as C{docs} say, with a new id: the sockets of the old
    one are closed, and it opens nothing any more.
    """
    pages = scene.pages
    await pages.post("/login?ann")
    socket, old = await scene.connect(), dict(pages.cookies)
    assert await socket.ask(["get", "user"]) == "ann"
    assert (await pages.post("/renew?bob")).value["user"] == "bob"
    assert await socket.closes() == (4401, "session-destroyed")
    assert pages.cookies != old
    assert await (await scene.connect()).ask(["get", "user"]) == "bob"
    pages.cookies = old
    assert await isRefused(scene)


async def isRefused(scene: Scene) -> bool:
    """
    Whether the cookies that the browser has open no session here.
    """
    try:
        socket = await scene.connect()
    except Refused:
        return True
    return (await socket.closes())[0] == 4401


async def setsOneCookie(scene: Scene) -> None:
    """
    Go on in our pages with a session of the application: they set the cookie
    that it set, and drop it.
    """
    pages, ours = scene.pages, Visitor(scene.port)
    await pages.post("/add?n")
    theirs, lasts = _attributes(pages)
    assert {"domain=example.com", "secure", "samesite=strict"} < theirs
    ours.cookies = pages.cookies
    await ours.post("/login?ann")
    assert _attributes(ours) == (theirs, lasts)
    assert (await pages.get("/session")).value["n"] == 1
    await ours.post("/logout")
    assert _attributes(ours) == (theirs, True)
    assert ours.cookies == {}


def _attributes(visitor: Visitor) -> tuple[set[str], bool]:
    """
    @return: What was set on the only cookie, and whether it has a lifetime.
    """
    (line,) = visitor.setCookies
    said = {part.strip().lower() for part in line.split(";")[1:]}
    lifetime = {part for part in said if part.startswith(("max-age=", "expires="))}
    return said - lifetime, bool(lifetime)


async def readsCookies(
    scene: Scene, login: tuple[str, object] = ("user", "ann")
) -> None:
    """
    Log in, and count: a session that is in the cookie is read as it was when
    the socket opened.

    @param login: As for L{sharesSessions}.
    """
    key, who = login
    await scene.pages.post("/login?ann")
    socket = await scene.connect()
    assert await socket.ask(["get", key]) == who
    await scene.pages.post("/add?n")
    assert await socket.ask(["get", "n"]) is None
    assert await (await scene.connect()).ask(["get", "n"]) == 1
