"""
The end of a session: logged out while a handler is at work or in another
process, logged in, and expired.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from tests.support.servers import (
    SECRET,
    VERBS,
    Conditions,
    inReactor,
    mint,
    reactor,
    site,
    twistd,
)
from tests.support.visitors import Refused, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import NoSuchSession
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.sqlite import SQLiteStore


LOGOUTS = 20


class Slow(SessionSocketProtocol):
    """
    Waits in the middle, and does not let go of its session.
    """

    gate: Deferred[None]
    results: list[Any]
    conditions: Conditions

    async def sessionMessageReceived(self, message: Any, session: Session) -> None:
        session["before"] = True
        self.results.append("began")
        self.conditions.happened()
        await self.gate
        session["after"] = True
        for attempt in session.save, session.touch, session.reload:
            try:
                await attempt()
            except NoSuchSession:
                self.results.append("gone")
        self.send("done")
        self.results.append("ended")
        self.conditions.happened()


@pytest.mark.parametrize("perMessage", [False, True])
@inReactor
async def test_logoutWhileHandling(perMessage: bool, tmp_path: Path) -> None:
    """
    The session of a handler that waits is logged out: the socket is closed at
    once, and whatever the handler does after, the session stays gone.
    """
    store = SQLiteStore(str(tmp_path / "sessions.db"), reactor)
    manager = SessionManager(store, Express(SECRET), reactor)
    happening = Conditions()
    gate: Deferred[None] = Deferred()
    held = {"gate": gate, "results": [], "conditions": happening}
    protocol: Any = type("Held", (Slow,), held)
    results: Any = held["results"]
    async with site(manager, protocol, perMessage=perMessage) as (port, _):
        cookie = await mint(store, {})
        visitor = Visitor(port, cookie)
        socket = await visitor.connect()
        socket.say("anything")
        await happening.until(lambda: results)
        assert (await visitor.post("/logout")).code == 200
        assert await socket.closes() == (4401, "session-destroyed")
        assert results == ["began"]
        gate.callback(None)
        await happening.until(lambda: "ended" in results)
        assert results == ["began", *["gone"] * 3, "ended"]
        assert await store.load(key(cookie)) is None
        assert await unknown(port, cookie)
    assert await store.load(key(cookie)) is None
    await store.close()


@inReactor
async def test_logoutElsewhere(tmp_path: Path) -> None:
    """
    Logging out in one process closes the sockets in the other.
    """
    options = [*VERBS, "--store", f"sqlite:{tmp_path / 'sessions.db'}"]
    times = []
    async with twistd(*options) as here, twistd(*options) as there:
        for _ in range(LOGOUTS):
            visitor = Visitor(here.port)
            await visitor.post("/add?n")
            cookie = visitor.cookies["connect.sid"]
            other = await Visitor(there.port, cookie).connect()
            assert await other.ask(["add", "n"]) == 2
            assert (await visitor.post("/logout")).code == 200
            assert visitor.cookies == {}
            began = reactor.seconds()
            assert await other.closes(5) == (4401, "session-destroyed")
            times.append(1000 * (reactor.seconds() - began))
            assert await unknown(there.port, cookie)
    print(f"logout elsewhere: median {median(times):.0f} ms, worst {max(times):.0f} ms")
    assert max(times) < 2000


@inReactor
async def test_login() -> None:
    """
    Logging in with a new id closes the sockets with 4307; the old id opens
    nothing, the new one the same data.
    """
    async with twistd(*VERBS) as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        old = visitor.cookies["connect.sid"]
        socket = await visitor.connect()
        await visitor.post("/login?ann")
        assert await socket.closes() == (4307, "session-moved")
        assert visitor.cookies["connect.sid"] != old
        assert await unknown(server.port, old)
        again = await visitor.connect()
        assert await again.ask(["get", "user"]) == "ann"
        assert await again.ask(["get", "n"]) == 1


@pytest.mark.timed
@inReactor
async def test_expiry() -> None:
    """
    Sessions expire, in both modes.
    """
    late = await gatherResults(
        [start(expire(mode)) for mode in (False, True)], consumeErrors=True
    )
    print(f"idle sockets were closed {late} seconds after their sessions' time")


async def expire(perMessage: bool) -> float:
    """
    A session whose time is up closes an idle socket within a second, although
    its client sent pings.  Messages, which only read, have kept another alive.

    @return: How many seconds late the first was closed.
    """
    lifetime = 2.0
    store = MemoryStore(reactor)
    framework = Express(SECRET, maxAge=lifetime)
    manager = SessionManager(store, framework, reactor)
    async with site(manager, perMessage=perMessage) as (port, _):
        began = reactor.seconds()
        idle = await Visitor(port, await mint(store, {}, framework)).connect()
        busy = await Visitor(port, await mint(store, {}, framework)).connect()
        ticking = [
            reactor.callLater(lifetime * tick / 8, say, idle, busy)
            for tick in range(1, 8)
        ]
        closed = await idle.closes()
        late: float = reactor.seconds() - began - lifetime
        assert closed == (4401, "session-expired")
        assert -0.1 < late < 1, late
        assert not any(call.active() for call in ticking)
        assert busy.closed is None
        assert len(busy.received) == len(ticking)
        visited = began + lifetime * 7 / 8
        assert await busy.closes() == (4401, "session-expired")
        # Touching is throttled to a tenth of the lifetime.
        kept = reactor.seconds() - visited
        assert 0.8 * lifetime < kept < lifetime + 1, kept
    return round(late, 3)


def say(idle: Any, busy: Any) -> None:
    """
    Ping with one, and send a message with the other.
    """
    idle.sendPing(b"I am alive")
    busy.say(["get", "n"])


def start(work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """
    Let something go on.
    """
    return Deferred.fromCoroutine(work)


def key(cookie: str) -> str:
    """
    Under which the store has the session of a cookie.
    """
    framework = Express(SECRET)
    return framework.key(framework.sessionID(cookie, reactor.seconds()))


async def unknown(port: int, cookie: str) -> bool:
    """
    Whether a session can be had no more.
    """
    try:
        socket = await Visitor(port, cookie).connect()
    except Refused:
        return False
    return await socket.closes() == (4401, "session-unknown")
