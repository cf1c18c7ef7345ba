"""
PHP itself, with C{phpredis}, and our sockets with its sessions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from tests.support.phpprograms import Codec, installedPHP
from tests.support.recorded import NOW
from tests.support.servers import PATIENCE, inReactor, reactor
from tests.support.webapplications import (
    WIDE,
    Scene,
    isRefused,
    running,
    setsOneCookie,
    sharesSessions,
)
from txsessionsock.frameworks.php import PHP
from txsessionsock.interfaces import Document


pytestmark = [pytest.mark.redis, installedPHP()]

FRAMEWORKS = {
    "php": PHP(),
    "php_serialize": PHP(handler="php_serialize"),
    "prefix": PHP(prefix="shop:", maxLifetime=600),
    "eager": PHP(),
    "strict": PHP(),
    "locking": PHP(),
}

HANDLERS: list[Literal["php", "php_serialize"]] = ["php", "php_serialize"]


class Stored:
    """
    The session of a scene, in Redis.
    """

    def __init__(self, scene: Scene, framework: PHP) -> None:
        self._framework = framework
        self.command = scene.redis.command
        cookie = scene.pages.cookies[framework.cookieName]
        self.key = framework.key(framework.sessionID(cookie, NOW))

    @property
    def raw(self) -> Any:
        """
        All of it; L{None} if it is gone.
        """
        return self.command("GET", self.key)

    @property
    def names(self) -> set[str]:
        """
        What is in it.
        """
        return {*self._framework.loads(self.raw, NOW).data}

    @property
    def ttl(self) -> int:
        """
        For how many seconds it is there.
        """
        seconds: int = self.command("TTL", self.key)
        return seconds

    @property
    def lock(self) -> Any:
        """
        Who has locked it.
        """
        return self.command("GET", f"{self.key}_LOCK")


@asynccontextmanager
async def php(kind: str) -> AsyncIterator[tuple[Scene, Stored]]:
    """
    Run PHP, where ann is logged in.
    """
    framework = FRAMEWORKS[kind]
    async with running("phpapp", kind, framework) as scene:
        await scene.pages.post("/login?ann")
        yield scene, Stored(scene, framework)


async def until(condition: Callable[[], object]) -> None:
    """
    Wait for what another program does.
    """
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "waited in vain"
        await deferLater(reactor, 0.01)


@pytest.mark.parametrize("kind", FRAMEWORKS)
@inReactor
async def test_shared(kind: str) -> None:
    """
    What one side writes, the other reads; a logout closes the socket.
    """
    async with running("phpapp", kind, FRAMEWORKS[kind]) as scene:
        await sharesSessions(scene)


@pytest.mark.parametrize("kind", ["php", "prefix"])
@inReactor
async def test_lifetime(kind: str) -> None:
    """
    A visit and a write have the session live on for as long as PHP's own do.
    """
    async with php(kind) as (scene, stored):
        lifetime = {"php": 1440, "prefix": 600}[kind]
        assert 0 <= lifetime - stored.ttl <= 1
        socket = await scene.connect()
        for visit in (
            lambda: socket.ask(["get", "user"]),
            lambda: socket.ask(["add", "n"]),
            scene.session,
        ):
            stored.command("EXPIRE", stored.key, 50)
            await visit()
            await until(lambda: 0 <= lifetime - stored.ttl <= 1)


@inReactor
async def test_anotherLogin() -> None:
    """
    A login that regenerates the id closes the sockets of the old session.
    """
    async with php("php") as (scene, old):
        socket = await scene.connect()
        assert await socket.ask(["get", "user"]) == "ann"
        await scene.pages.post("/login?bob")
        assert await socket.closes() == (4401, "session-destroyed")
        assert old.raw is None
        assert await (await scene.connect()).ask(["get", "user"]) == "bob"


@inReactor
async def test_chosenID() -> None:
    """
    An application may choose ids, short and long ones; what PHP itself takes
    for none is none here.
    """
    async with php("php") as (scene, stored):
        for chosen, isTaken in (
            *(("a", True), ("6650f3a1b2c3d", True), ("x" * 300, True)),
            *(("ann:1_é+;", True), ("ann 1", False), ("ann<1", False)),
        ):
            begin = f"session_write_close(); session_id({chosen!r}); session_start();"
            store = f"{begin} $_SESSION['user'] = 'cho'; exit('0');"
            await scene.pages.post("/run", store)
            assert (stored.command("TTL", f"PHPREDIS_SESSION:{chosen}") > 0) is isTaken
            if isTaken:
                assert await (await scene.connect()).ask(["get", "user"]) == "cho"
                assert await scene.session() == {"user": "cho"}
            else:
                scene.pages.cookies["PHPSESSID"] = quote(chosen, safe="")
                assert await isRefused(scene)


@pytest.mark.parametrize("kind", FRAMEWORKS)
@inReactor
async def test_neverRevived(kind: str) -> None:
    """
    A socket that is writing when PHP destroys the session does not bring it
    back.
    """
    async with php(kind) as (scene, stored):
        socket = await scene.connect()
        socket.say(*[["add", "n"]] * 100)
        assert await socket.next() == 1
        await scene.pages.post("/logout")
        assert await socket.closes() == (4401, "session-destroyed")
        assert stored.raw is None
        assert await isRefused(scene)


@pytest.mark.parametrize("kind", FRAMEWORKS)
@inReactor
async def test_adopted(kind: str) -> None:
    """
    After a logout PHP takes the id that the browser still has for that of a
    new session, unless it is strict.  Nothing of the old one is in it.
    """
    async with php(kind) as (scene, _):
        old = await scene.connect()
        assert await old.ask(["get", "user"]) == "ann"
        kept = dict(scene.pages.cookies)
        await scene.pages.post("/logout")
        assert await old.closes() == (4401, "session-destroyed")
        assert (await scene.pages.post("/add?n")).value == {"n": 1}
        assert (scene.pages.cookies == kept) is (kind != "strict")
        socket = await scene.connect()
        assert await socket.ask(["get", "user"]) is None
        assert await socket.ask(["add", "n"]) == 2
        assert await scene.session() == {"n": 2}
        if kind == "strict":
            scene.pages.cookies = kept
            assert await isRefused(scene)


@pytest.mark.parametrize("kind", ["php", "php_serialize", "eager", "locking"])
@inReactor
async def test_duringRequest(kind: str, tmp_path: Path) -> None:
    """
    What a socket writes while PHP is at work is stored at once, and comes back
    when PHP has overwritten it.  PHP's lock keeps other requests from the
    session, not us, and we leave it alone.
    """
    began, end = tmp_path / "began", tmp_path / "end"
    request = f"""
        touch("{began}");
        while (!file_exists("{end}")) usleep(1000);
        $_SESSION["late"] = 1;
    """
    async with php(kind) as (scene, stored):
        socket = await scene.connect()
        answer = ensureDeferred(scene.pages.post("/run", request))
        await until(began.exists)
        lock = stored.lock
        assert (lock is not None) is (kind == "locking")
        assert await socket.ask(["add", "n"]) == 1
        assert "n" in stored.names
        assert stored.lock == lock
        end.touch()
        assert (await answer).value == {"user": "ann", "late": 1}
        await until(lambda: "late" in stored.names)
        assert stored.lock is None
        wanted = {"user": "ann", "late": 1, "n": 1}
        await until(lambda: stored.names >= {*wanted})
        assert await socket.ask(["add", "n"]) == 2
        assert await scene.session() == wanted | {"n": 2}


VALUE = r"""[
    "null" => null, "yes" => true, "no" => false, "int" => PHP_INT_MIN,
    "float" => 0.1, "whole" => 2.0, "small" => -1e-300, "zero" => -0.0,
    "text" => "é\u{1F600}|;\"}", "raw" => "\xff\x00a",
    "list" => [1, [2, []]], "gap" => [1 => "one", "01" => 2],
    "negative" => [-1 => 0],
]"""


@pytest.mark.parametrize("kind", HANDLERS)
@inReactor
async def test_values(kind: str) -> None:
    """
    What PHP stores, a socket reads; and when it has written, they are the
    same to PHP, by value, type and order.
    """
    async with php(kind) as (scene, _):
        await scene.pages.post("/run", f'$_SESSION["value"] = {VALUE};')
        socket = await scene.connect()
        value = await socket.ask(["get", "value"])
        assert repr(value) == repr(
            {
                "null": None,
                "yes": True,
                "no": False,
                "int": -(2**63),
                "float": 0.1,
                "whole": 2.0,
                "small": -1e-300,
                "zero": -0.0,
                "text": 'é\U0001f600|;"}',
                "raw": "\udcff\0a",
                "list": [1, [2, []]],
                "gap": {"1": "one", "01": 2},
                "negative": {"-1": 0},
            }
        )
        assert await socket.ask(["add", "n"]) == 1
        compare = f'$_SESSION["same"] = $_SESSION["value"] === {VALUE};'
        await scene.pages.post("/run", compare)
        assert await socket.ask(["get", "same"]) is True


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(
    "change",
    [
        '$_SESSION["x"] = new ArrayObject([1]);',
        '$_SESSION["x"] = ["deep" => new stdClass()];',
        '$_SESSION["y"] = [1]; $_SESSION["x"] = &$_SESSION["y"];',
    ],
    ids=["object", "within", "reference"],
)
@inReactor
async def test_foreign(kind: str, change: str) -> None:
    """
    A session into which PHP puts an object or a reference is reported at once,
    also to whoever connects then, and left as it was; it is no logout.
    """
    async with php(kind) as (scene, stored):
        socket = await scene.connect()
        assert await socket.ask(["add", "n"]) == 1
        with capturedLogs() as logs:
            await scene.pages.post("/run", change)
            raw = stored.raw
            assert await socket.closes() == (1011, "session failed")
            another = await scene.connect()
            assert await another.closes() == (1011, "session failed")
        # The second time is left out of the log, for a minute.
        (said,) = [
            formatEvent(log) for log in logs if "cannot be read" in formatEvent(log)
        ]
        assert "object or a reference" in said
        assert stored.raw == raw
        await scene.pages.post("/run", 'unset($_SESSION["x"]);')
        assert await (await scene.connect()).ask(["add", "n"]) == 2


@inReactor
async def test_infinite() -> None:
    """
    Numbers that JSON has not stay what they are to PHP, which finds them as it
    left them.
    """
    async with php("php") as (scene, stored):
        await scene.pages.post("/run", '$_SESSION["x"] = [INF, -INF, NAN];')
        assert b"a:3:{i:0;d:INF;i:1;d:-INF;i:2;d:NAN;}" in stored.raw
        socket = await scene.connect()
        assert await socket.ask(["add", "n"]) == 1
        assert b"a:3:{i:0;d:INF;i:1;d:-INF;i:2;d:NAN;}" in stored.raw
        compare = (
            '$x = $_SESSION["x"];'
            '$_SESSION["same"] = $x[0] === INF && $x[1] === -INF && is_nan($x[2]);'
        )
        await scene.pages.post("/run", compare)
        assert await socket.ask(["get", "same"]) is True


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
KEYS = st.text('ab1-0é";:{}!', max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = KEYS.filter(lambda name: not name.lstrip("-").isdecimal())


@pytest.mark.parametrize("handler", HANDLERS)
def test_encoding(handler: Literal["php", "php_serialize"], tmp_path: Path) -> None:
    """
    What we write is to PHP what it is to us, and what PHP writes then is the
    same: so a request that only reads has nothing to write.
    """
    framework, serialize = PHP(handler=handler), PHP(handler="php_serialize")

    # It takes as long as the other program does.
    @given(st.dictionaries(NAMES, VALUES, max_size=4))
    @example({})
    @example({"a": {"0": 1, "1": 2}, "b": {"1": 1, "0": 2}, "c": {}, "": [[]]})
    @example({"a": [1e16, 1e17, 1e-7, 5e-324, 1.7976931348623157e308, -0.0, 1.0]})
    @example({"a": [12345678901234568.0, 123456789012345680.0, 0.0001, 0.00012, 1e-5]})
    def check(data: dict[str, Any]) -> None:
        raw = framework.dumps(Document(data, {}), NOW)
        ours = framework.loads(raw, NOW).data
        seen = codec.see(raw)
        assert seen is not None
        assert seen.encoded == raw
        assert repr(serialize.loads(seen.serialized, NOW).data) == repr(ours)
        if seen.json is None:
            assert any(word in repr(ours) for word in ("\\udc", "nan", "inf"))
        else:
            assert repr(json.loads(seen.json)) == repr(ours)

    with Codec(handler, tmp_path) as codec:
        check()


@inReactor
async def test_oneCookie() -> None:
    """
    Our pages set the same cookie.
    """
    async with running("phpapp", "wide", PHP(maxAge=600, cookie=WIDE)) as scene:
        await setsOneCookie(scene)
