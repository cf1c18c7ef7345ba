"""
The examples of C{examples/webapps}: each started by its one command.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from shutil import which
from types import ModuleType

import pytest
from twisted.internet.task import deferLater

from tests.support.npm import installedByNpm
from tests.support.phpprograms import installedPHP
from tests.support.redisserver import sharedServer
from tests.support.servers import inReactor, reactor
from tests.support.shops import EXAMPLES, open_
from tests.support.visitors import Refused
from tests.support.webapplications import installed


SHARING = [
    pytest.param("express", marks=installedByNpm(EXAMPLES / "express")),
    pytest.param("django", marks=installed(["django", "redis"])),
    pytest.param("flask-session", marks=installed(["flask", "flask_session", "redis"])),
    pytest.param(
        "starsessions",
        marks=installed(["starlette", "starsessions", "redis", "uvicorn"]),
    ),
    pytest.param("aiohttp", marks=installed(["aiohttp", "aiohttp_session", "redis"])),
    pytest.param("php", marks=installedPHP()),
]
COOKIES = [
    pytest.param("flask", marks=installed(["flask"])),
    pytest.param("starlette", marks=installed(["starlette", "uvicorn"])),
]
ALL = {path.parent.name for path in EXAMPLES.glob("*/Procfile")}


async def isFree(port: int) -> None:
    """
    Wait until nobody listens on a port.  Another example may have got it by now, and
    ends after a while, too.
    """
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        await deferLater(reactor, 0.1)
    pytest.fail(f"somebody listens on port {port}")


def test_all() -> None:
    """
    No example is forgotten here.
    """
    assert {str(each.values[0]) for each in SHARING + COOKIES} == ALL


@pytest.mark.redis
@pytest.mark.parametrize("name", SHARING)
@inReactor
async def test_sharing(name: str, tmp_path: Path) -> None:
    """
    The page and the sockets have one basket, a logout closes them, and
    Ctrl-C leaves nothing behind.
    """
    redis = sharedServer()
    async with open_(name, tmp_path, REDIS_URL=redis.url) as shop:
        assert b"/static/live.js" in (await shop.pages.get("/")).body
        assert b"SessionSocket" in (await shop.pages.get("/static/live.js")).body
        assert (await shop.post("/basket", good="figs")).code == 403
        assert (await shop.post("/login", name="ann")).value["user"] == "ann"
        assert (await shop.post("/basket", good="figs")).value["basket"] == {"figs": 1}
        tabs = [await shop.connect(), await shop.connect()]
        for tab in tabs:
            said = await tab.next()
            assert (said["basket"], said["readOnly"]) == ({"figs": 1}, False)
            # Django's sessions have the number of the user.
            assert said["who"] == ("1" if name == "django" else "ann")
        tabs[0].say({"add": "gold"}, {"add": "figs"})
        for tab in tabs:
            said = await tab.next()
            assert (said["basket"], said["changed"]) == ({"figs": 2}, ["basket"])
        assert await shop.has() == ("ann", {"figs": 2})
        await shop.post("/basket", good="tea")
        for tab in tabs:
            assert (await tab.next())["basket"] == {"figs": 2, "tea": 1}
        with pytest.raises(Refused, match="403"):
            await shop.connect(origin="http://elsewhere.example")
        left = (await shop.post("/logout")).value
        assert (left["user"], left["basket"]) == (None, {})
        for tab in tabs:
            assert await tab.closes() == (4401, "session-destroyed")
        assert await shop.has() == (None, {})
    for port in shop.port, shop.port + 1:
        await isFree(port)


@pytest.mark.parametrize("name", COOKIES)
@inReactor
async def test_cookies(name: str, tmp_path: Path) -> None:
    """
    A session in the cookie is what it was when the socket opened; the socket
    cannot change it.
    """
    async with open_(name, tmp_path) as shop:
        await shop.post("/login", name="ann")
        await shop.post("/basket", good="figs")
        tab = await shop.connect()
        said = await tab.next()
        assert said["who"] == "ann"
        assert (said["basket"], said["readOnly"]) == ({"figs": 1}, True)
        await shop.post("/basket", good="tea")
        again = await shop.connect()
        assert (await again.next())["basket"] == {"figs": 1, "tea": 1}
        tab.say({"add": "figs"})
        assert (await tab.closes())[0] == 1011
        assert await shop.has() == ("ann", {"figs": 1, "tea": 1})


@pytest.mark.skipif(
    not (which("redis-server") or which("valkey-server")),
    reason="no redis-server on the PATH",
)
@pytest.mark.parametrize("name", [each for each in SHARING if "php" in each.values])
@inReactor
async def test_ownRedis(name: str, tmp_path: Path) -> None:
    """
    Where no Redis is named, the example has one of its own.
    """
    async with open_(name, tmp_path) as shop:
        await shop.post("/login", name="ann")
        assert (await (await shop.connect()).next())["who"] == "ann"


def loaded() -> ModuleType:
    """
    The program that starts examples, as a module.
    """
    loader = SourceFileLoader("start", str(EXAMPLES / "start"))
    spec = spec_from_loader("start", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A secret is made once, for nobody else to read; the one that is given goes
    before it.
    """
    secretOf = loaded().secretOf
    monkeypatch.delenv("SESSION_SECRET", raising=False)
    secret = secretOf(tmp_path)
    assert len(secret) >= 40
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert secretOf(tmp_path) == secret
    monkeypatch.setenv("SESSION_SECRET", "given")
    assert secretOf(tmp_path) == "given"


def test_refusals() -> None:
    """
    A name that is none gets the list of those that are, a port that is taken
    is said to be.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, said in (
            (["rails"], "'starlette'"),
            (["--installed", f"--port={port}", "flask"], f"Port {port} or"),
        ):
            done = subprocess.run(
                [sys.executable, str(EXAMPLES / "start"), *arguments],
                capture_output=True,
                check=False,
                env={"SESSION_SECRET": "for tests"},
                text=True,
                timeout=20,
            )
            assert done.returncode != 0
            assert said in done.stderr
