"""
Sockets whose sessions live in the browser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.servers import inReactor, reactor, site
from tests.support.signedcookies import SECRET, flaskCookie, flaskPayload
from tests.support.visitors import Visitor
from txsessionsock.frameworks.flask import Flask
from txsessionsock.manager import SessionManager
from txsessionsock.stores.cookie import CookieStore


@asynccontextmanager
async def served(lifetime: int) -> AsyncIterator[Visitor]:
    """
    Serve sockets, and be a browser with a session that was signed just now.
    """
    framework = Flask(SECRET, lifetime=lifetime)
    manager = SessionManager(CookieStore(framework, reactor), framework, reactor)
    payload = flaskPayload(b'{"user":"ann"}')
    cookie = flaskCookie(payload, now=int(reactor.seconds()))
    async with site(manager, perMessage=True) as (port, _):
        yield Visitor(port, cookie, "session")


@inReactor
async def test_changing() -> None:
    """
    A handler that changes the session fails, and only its socket is closed.
    """
    async with served(600) as visitor:
        socket, other = await visitor.connect(), await visitor.connect()
        assert await socket.ask(["get", "user"]) == "ann"
        socket.say(["add", "n"])
        assert (await socket.closes())[0] == 1011
        assert await other.ask(["get", "n"]) is None


@inReactor
async def test_expires() -> None:
    """
    A socket is closed when its cookie is too old.
    """
    async with served(1) as visitor:
        socket = await visitor.connect()
        began = reactor.seconds()
        assert await socket.closes() == (4401, "session-expired")
        assert reactor.seconds() - began < 5
