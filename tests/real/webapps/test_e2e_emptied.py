"""
Web applications that take the last key out of a session, as tutorials log out:
with sockets beside them, whose stamps are in it, they do as without.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.support.servers import inReactor, reactor
from tests.support.visitors import Socket
from tests.support.webapplications import isRefused
from tests.support.webstores import APPLICATIONS, Place
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.interfaces import NoSuchSession
from txsessionsock.session.journal import STAMP


_KEPT = frozenset({STAMP, "_permanent"})
_ALL = APPLICATIONS | {
    "Flask-Session, SESSION_PERMANENT off": replace(
        APPLICATIONS["Flask-Session"],
        kind="passing",
        framework=partial(FlaskSession, permanent=False),
    )
}


_ENDING = "aiohttp", "Flask-Session", "starsessions"
_DOINGS = "read", "change", "share"


async def _begin(place: Place, does: str) -> Socket:
    """
    Begin a session with one key of the application, C{user}, and open a
    socket.

    @param does: What the socket does: C{read} only; C{change} something and
        take it out again; or C{share} something that the application takes out.
    """
    pages = place.scene.pages
    pages.cookies = {}
    assert (await pages.post("/mark?user")).code == 200
    socket = await place.scene.connect()
    assert await socket.ask(["get", "user"]) is True
    if does != "read":
        assert await socket.ask(["add", "tab"]) == 1
    if does == "change":
        assert await socket.ask(["delete", "tab"]) is None
    if does == "share":
        assert "tab" not in (await pages.post("/delete?tab")).value
        assert await socket.ask(["get", "tab"]) is None
    assert await _left(place) == {"user"}
    return socket


async def _left(place: Place) -> set[str] | None:
    """
    Which keys are in the store; L{None} if there is no session.
    """
    now, framework, store = reactor.seconds(), place.framework, place.newStore()
    cookie = place.scene.pages.cookies[framework.cookieName]
    try:
        stored = await store.load(framework.key(framework.sessionID(cookie, now)))
    finally:
        await store.close()
    if stored is None:
        return None
    try:
        return {*framework.loads(stored.raw, now).data} - _KEPT
    except NoSuchSession:
        return None


async def _ends(place: Place, socket: Socket) -> None:
    pages = place.scene.pages
    kept = dict(pages.cookies)
    assert (await pages.post("/delete?user")).code == 200
    assert await socket.closes() == (4401, "session-destroyed")
    pages.cookies = kept
    assert await _left(place) is None
    assert await isRefused(place.scene)
    assert await place.scene.session() == {}


async def _stays(place: Place, socket: Socket) -> None:
    pages = place.scene.pages
    kept = dict(pages.cookies)
    assert (await pages.post("/delete?user")).code == 200
    assert await socket.ask(["get", "user"]) is None
    assert await _left(place) == set()
    assert await place.scene.session() == {}
    assert await socket.ask(["add", "n"]) == 1
    assert await place.scene.session() == {"n": 1}
    assert pages.cookies == kept


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=each.marks) for name, each in _ALL.items()]
)
@inReactor
async def test_emptied(name: str) -> None:
    """
    It ends where they end an empty session: it is no more in the store, and
    its socket is closed.  Where they keep it, it stays, and so does the socket.
    Everywhere it stays where a socket emptied it: to read a page of the
    application is to take nothing out.
    """
    async with _ALL[name].atWork() as place:
        for does in _DOINGS:
            check = _ends if name.startswith(_ENDING) else _stays
            await check(place, await _begin(place, does))
        socket = await _begin(place, "change")
        assert await socket.ask(["delete", "user"]) is None
        assert await place.scene.session() == {}
        assert await _left(place) == set()
        assert await socket.ask(["add", "n"]) == 1
        assert await _left(place) == {"n"}
