"""
Express itself, and our sockets with its sessions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import deferLater

from tests.support.expresses import (
    KINDS,
    PROGRAM,
    RedisSession,
    app,
    expiresAt,
    expressIsThere,
    withoutOurs,
)
from tests.support.recorded import VALUES
from tests.support.servers import PATIENCE, SECRET, inReactor, reactor
from tests.support.visitors import Visitor
from tests.support.webapplications import Scene, isRefused, running, sharesSessions
from txsessionsock.cookies import sign
from txsessionsock.frameworks.express import ATTRIBUTES, Express
from txsessionsock.interfaces import Document, SessionID, UnencodableSession


pytestmark = [pytest.mark.redis, expressIsThere]

everyKind = pytest.mark.parametrize("kind", KINDS)


@everyKind
@inReactor
async def test_shared(kind: str) -> None:
    """
    What one side writes, the other reads; a logout closes the socket.
    """
    async with running(PROGRAM, kind, KINDS[kind]) as scene:
        await sharesSessions(scene)


@inReactor
async def test_anotherLogin() -> None:
    """
    A login that regenerates the session closes the sockets of the old one.
    """
    async with app("redis") as (scene, _):
        socket = await scene.connect()
        assert await socket.ask(["get", "user"]) == "ann"
        await scene.pages.post("/login?bob")
        assert await socket.closes() == (4401, "session-destroyed")
        assert await (await scene.connect()).ask(["get", "user"]) == "bob"


@everyKind
@inReactor
async def test_written(kind: str) -> None:
    """
    What we write is what Express wrote, byte for byte and to the last option
    of the cookie, but for the date on which that ends: a maximal age from now.
    """
    async with app(kind) as (scene, stored):
        await scene.pages.post("/add?n")
        theirs, age = withoutOurs(stored.text), stored.cookie["originalMaxAge"]
        assert ("partitioned" in theirs) is (kind == "shop")
        assert bool(age) is (kind in ("aging", "shop"))
        before = reactor.seconds()
        assert await (await scene.connect()).ask(["add", "n"]) == 2
        assert withoutOurs(stored.text) == theirs.replace('"n":1', '"n":2')
        assert stored.cookie["originalMaxAge"] == age
        if age:
            left = expiresAt(stored.cookie) - age / 1000
            assert before - 0.001 <= left <= reactor.seconds()
        else:
            assert stored.cookie["expires"] is None


@pytest.mark.parametrize("kind", ["redis", "aging", "shop"])
@inReactor
async def test_begunHere(kind: str) -> None:
    """
    A session that a page of ours begins is one that Express would have begun.
    """
    async with app(kind) as (scene, stored):
        theirs, lifetime = withoutOurs(stored.text), stored.ttl
        await scene.pages.post("/logout")
        ours = Visitor(scene.port)
        await ours.post("/login?ann")
        assert withoutOurs(stored.text) == theirs
        assert stored.ttl == pytest.approx(lifetime, abs=5)
        scene.pages.cookies = ours.cookies
        assert await scene.session() == {"user": "ann"}
        assert await (await scene.connect()).ask(["get", "user"]) == "ann"


@everyKind
@inReactor
async def test_deadline(kind: str) -> None:
    """
    A visit, and a change, put the end of the session off as far as with
    Express, or leave it where it is.
    """
    async with app(kind) as (scene, stored):
        get, post = scene.pages.get, scene.pages.post
        for visit, page, verb in (get, "/session", "get"), (post, "/add?n", "add"):
            stored.age()
            await visit(page)
            theirs = stored.ttl
            isLeft = verb == "get" and kind in ("notouch", "forever")
            assert (0 < theirs <= 50) is isLeft
            stored.age()
            socket = await scene.connect()
            await socket.ask([verb, "n"])
            # A touch keeps no answer waiting.
            await eventually(lambda: stored.ttl, pytest.approx(theirs, abs=5))
            socket.sendClose()
            await socket.closes()


async def eventually(find: Callable[[], float], expected: object) -> None:
    """
    Wait until something is as it has to be.
    """
    end = reactor.seconds() + PATIENCE
    while (found := find()) != expected:
        assert reactor.seconds() < end, f"still {found}, not {expected}"
        await deferLater(reactor, 0.01)


@pytest.mark.parametrize("page", ["/remember?5000000", "/until"])
@inReactor
async def test_remembered(page: str) -> None:
    """
    How long the browser keeps the cookie is up to the application, for each
    session, also by a date; from then on each visit puts that off.
    """
    async with app("redis") as (scene, stored):
        if page == "/until":
            page += f"?{round(reactor.seconds() * 1000) + 5000000}"
        await scene.pages.post(page)
        age = stored.cookie["originalMaxAge"]
        assert age == pytest.approx(5000000, abs=1000)
        stored.age()
        before = reactor.seconds()
        await (await scene.connect()).ask(["add", "n"])
        assert stored.ttl == pytest.approx(5000, abs=5)
        assert stored.cookie["originalMaxAge"] == age
        assert expiresAt(stored.cookie) >= before + age / 1000 - 0.001
        assert await scene.session() == {"user": "ann", "remembered": True, "n": 1}


@inReactor
async def test_cookies() -> None:
    """
    Both sides accept the same cookies, and refuse the same.
    """
    async with app("rotated") as (scene, stored):
        sessionID = stored.key.removeprefix("sess:")
        (name, genuine) = scene.pages.cookies.popitem()
        old, forged = (
            Express(secret).cookieValue(SessionID(sessionID))
            for secret in ("an old secret", "another")
        )
        plain = "s:" + sign(sessionID, SECRET)
        for value, isGood in [
            (genuine, True),
            (old, True),
            (plain, True),
            (f'"{genuine}"', True),
            (f"{genuine}; {name}={forged}", True),
            (f"{forged}; {name}={genuine}", False),
            (forged, False),
            (sessionID, False),
            (f"s:{sessionID}", False),
            (f"s:{sessionID}.", False),
            (plain.removeprefix("s:"), False),
            (genuine[:-1], False),
            (genuine + "A", False),
            ("s:." + plain.rpartition(".")[2], False),
            ("x" + genuine, False),
        ]:
            scene.pages.cookies = {name: value}
            theirs = await scene.session()
            assert theirs == ({"user": "ann"} if isGood else {}), value
            if isGood:
                assert await (await scene.connect()).ask(["get", "user"]) == "ann"
            else:
                assert await isRefused(scene), value


@inReactor
async def test_attributes() -> None:
    """
    What is stored under the name of something that all its sessions have,
    Express neither reads nor keeps, not even if a request only reads; nor do
    we, and nobody can put it there.
    """
    async with app("redis") as (scene, stored):
        names = set((await scene.pages.get("/attributes")).value)
        assert names == ATTRIBUTES
        framework = KINDS["redis"]
        values = json.loads(stored.text) | dict.fromkeys(names, 1)
        raw = json.dumps(values).encode()
        stored.replace(raw)
        document = framework.loads(raw, 0.0)
        assert await scene.session() == document.data == {"user": "ann"}
        assert json.loads(stored.text).keys() == {"cookie", "user"}
        for name in names:
            with pytest.raises(UnencodableSession, match="itself keeps"):
                framework.dumps(Document({name: 1}, document.envelope), 0.0)


TEXTS = st.text(st.characters()).filter(lambda text: text not in ATTRIBUTES)


@pytest_twisted.async_yield_fixture(scope="module")  # type: ignore[untyped-decorator]  # It has no types.
async def live() -> AsyncIterator[tuple[Scene, RedisSession]]:
    """
    An Express for many sessions, one after the other.
    """
    async with app("redis") as found:
        yield found


@given(data=st.dictionaries(TEXTS, VALUES | TEXTS, max_size=4))
@inReactor
async def test_values(live: tuple[Scene, RedisSession], data: dict[str, Any]) -> None:
    """
    Whatever we store, Express reads; and when it has stored it again, so do
    we.
    """
    scene, stored = live
    framework = KINDS["redis"]
    stored.replace(framework.dumps(Document(data, stored.cookie), reactor.seconds()))
    assert asNumbers(await scene.session()) == asNumbers(data)
    await scene.pages.post("/add?how%20many")
    document = framework.loads(stored.text.encode(), reactor.seconds())
    assert asNumbers(document.data) == asNumbers(data | {"how many": 1})


def asNumbers(value: Any) -> Any:
    """
    A value with the numbers that JavaScript has.
    """
    if isinstance(value, dict):
        return {key: asNumbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [asNumbers(inner) for inner in value]
    return float(value) if type(value) is int else value
