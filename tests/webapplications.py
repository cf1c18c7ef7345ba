"""
Live web applications beside our sockets, and what is to be seen of each.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txsessionsock.interfaces import IFramework, ISignedCookies
from txsessionsock.manager import SessionManager
from txsessionsock.session.journal import STAMP
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore

from .redisserver import RedisServer, sharedServer
from .servers import Conditions, reactor, site
from .visitors import Refused, Socket, Visitor


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

_PROGRAMS = Path(__file__).parent / "e2e" / "webapps"

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


class _Application(ProcessProtocol, Conditions):
    """
    A web application at work.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said = self.errors = ""
        self.isGone = False

    @property
    def port(self) -> int:
        """
        Where it listens; 0 if it does not yet.
        """
        line, newline, _ = self.said.partition("\n")
        return int(line) if newline else 0

    def outReceived(self, data: bytes) -> None:
        self.said += data.decode()
        self.happened()

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode()

    def processEnded(self, reason: Failure) -> None:
        self.isGone = True
        self.happened()


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

    @param settings: Of the manager.
    """
    redis = sharedServer()
    ours: Any = store
    if ISignedCookies.providedBy(framework):
        ours = CookieStore(framework, reactor)
    elif store is None:
        ours = RedisStore(redis.url, reactor)
    application = _Application()
    command = [*_command(program), kind, place or str(redis.port)]
    process: Any = reactor.spawnProcess(application, command[0], command, env=None)
    try:
        await application.until(lambda: application.port or application.isGone)
        assert application.port, application.errors
        manager = SessionManager(ours, framework, reactor, **settings)
        async with site(manager, perMessage=True) as (port, _):
            yield Scene(application.port, port, redis)
    finally:
        with suppress(ProcessExitedAlready):
            process.signalProcess("KILL")
        await application.until(lambda: application.isGone)
        if not isinstance(ours, CookieStore):
            await ours.close()
    assert not _TROUBLE.search(application.errors), application.errors


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
