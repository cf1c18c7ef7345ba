"""
C{twistd sessionsock} as its users run it: its options at work, and what it
says when they are wrong.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from tests.support.servers import (
    MODULES,
    SECRET,
    VERBS,
    inReactor,
    mint,
    reactor,
    twistd,
)
from tests.support.visitors import Refused, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.sqlite import SQLiteStore


@pytest.fixture
def taken() -> Iterator[str]:
    """
    A port that somebody else has.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"tcp:{listening.getsockname()[1]}:interface=127.0.0.1"


async def said(directory: Path, *options: str) -> str:
    """
    Run a server that cannot start.

    @return: The one line that it says before it ends with 1.
    """
    async with twistd(*options, listen=0, cwd=directory) as server:
        assert await server.ends() == 1, (options, server.log)
    assert "Traceback" not in server.log, server.log
    assert server.errors.count("\n") == 1, (options, server.errors)
    line = server.errors.rstrip("\n")
    assert line.startswith("twistd sessionsock: "), line
    return line.removeprefix("twistd sessionsock: ")


@inReactor
async def test_mistakes(tmp_path: Path, taken: str) -> None:
    """
    One of each kind: one line on standard error, and exit code 1.  More of
    them are in C{test_tap}.
    """
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "lacking.py").write_text("import there_is_no_such_module\n")
    (tmp_path / "notes.txt").write_text("no database " * 100)
    mistakes = {
        ("--nonsense",): "option --nonsense not recognized",
        ("--store", "sqlite:notes.txt"): "not an SQLite database",
        ("--secret-file", "missing"): "No such file",
        (
            *("--listen", taken, "--store", "sqlite:new.db"),
        ): f"cannot listen on {taken}: Address already in use",
        ("--protocol", "broken.Class"): "broken.py, line 1",
        ("--protocol", "lacking.Class"): "No module named 'there_is_no_such_module'",
        (*VERBS[:2], "--class", "verbs.Nothing"): "--class verbs.Nothing",
    }
    few = DeferredSemaphore(os.cpu_count() or 1)

    def run(options: tuple[str, ...]) -> Deferred[str]:
        return Deferred.fromCoroutine(said(tmp_path, *options))

    lines = await gatherResults([few.run(run, options) for options in mistakes])
    for line, (options, why) in zip(lines, mistakes.items(), strict=True):
        assert why in line, (options, line)


@inReactor
async def test_daemon(tmp_path: Path, taken: str) -> None:
    """
    As a daemon it says that it cannot start, in its log too, and does not keep
    anybody waiting.
    """
    options = ["--listen", taken]
    async with twistd(*options, listen=0, cwd=tmp_path, inFront=False) as server:
        assert await server.ends() == 1
    assert "cannot listen on" in server.errors
    log = (tmp_path / "twistd.log").read_text()
    assert log.count("Address already in use\n") == 1
    assert "Traceback" not in log


@inReactor
async def test_pages(tmp_path: Path) -> None:
    """
    Pages of C{--class} have the sessions of the sockets, at each C{--listen}
    and below any path; the cookie has the name that C{--cookie} gives, and the
    sockets are where C{--socket-path} says.
    """
    options = (*VERBS, "--cookie", "sid", "--socket-path", "/live/")
    async with twistd(*options, listen=2) as server:
        one, two = server.ports
        visitor = Visitor(one)
        await visitor.post("/add?n")
        assert list(visitor.cookies) == ["sid"]
        (line,) = visitor.setCookies
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(line.split("; "))
        assert "Secure" not in line.split("; ")
        other = Visitor(two, visitor.cookies["sid"], "sid")
        socket = await other.connect("/live")
        assert await socket.ask(["add", "n"]) == 2
        assert (await visitor.get("/deep/path")).value == {"n": 2}
        script = await visitor.get("/sessionsock.js")
        assert b"class SessionSocket" in script.body
        with pytest.raises(Refused):
            await other.connect("/ws")
    async with twistd(*VERBS, "--socket-path", "deep/down/ws") as server:
        visitor = Visitor(server.port)
        await visitor.post("/deep/add?n")
        assert await (await visitor.connect("/deep/down/ws")).ask(["get", "n"]) == 1
        for path in "/deep/down", "/deep/ws", "/ws", "/deep/down/w":
            assert (await visitor.get(path)).value == {"n": 1}
            with pytest.raises(Refused):
                await visitor.connect(path)


@inReactor
async def test_files(tmp_path: Path) -> None:
    """
    C{--path} serves files beside the sockets, and C{--protocol} finds a class
    in the current directory, without any C{PYTHONPATH}.
    """
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "page.html").write_text("a page")
    (tmp_path / "mine.py").write_text((Path(MODULES) / "verbs.py").read_text())
    async with twistd(
        *("--protocol", "mine.Verbs", "--path", "files"),
        *("--store", "sqlite:sessions.db"),
        cwd=tmp_path,
        environment={"SESSIONSOCK_SECRET": SECRET},
    ) as server:
        store = SQLiteStore(tmp_path / "sessions.db", reactor)
        visitor = Visitor(server.port, await mint(store, {"n": 41}))
        await store.close()
        assert (await visitor.get("/page.html")).body == b"a page"
        assert (await visitor.get("/missing")).code == 404
        socket = await visitor.connect()
        assert await socket.ask(["add", "n"]) == 42


@inReactor
async def test_wsgi() -> None:
    """
    C{--wsgi} serves an application, which sees the whole path, beside the
    sockets and the script.
    """
    options = (*VERBS[:2], "--wsgi", "verbs.application")
    async with twistd(*options) as server:
        visitor = Visitor(server.port)
        assert (await visitor.get("/a/b")).body == b"wsgi at /a/b"
        assert (await visitor.get("/")).body == b"wsgi at /"
        assert b"class SessionSocket" in (await visitor.get("/sessionsock.js")).body
        types = await visitor.get("/sessionsock.d.ts")
        assert b"declare class SessionSocket" in types.body
        socket = await visitor.connect()
        assert await socket.closes() == (4401, "session-missing")


@inReactor
async def test_plainProtocol() -> None:
    """
    An Autobahn protocol that knows nothing of sessions is served to who has
    one.
    """
    async with twistd("--protocol", "verbs.Echo", *VERBS[2:]) as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        socket = await visitor.connect()
        assert await socket.ask("hello") == "hello"
        stranger = await Visitor(server.port).connect()
        assert await stranger.closes() == (4401, "session-missing")


@inReactor
async def test_secrets(tmp_path: Path) -> None:
    """
    Of the secrets in a file, the first signs and all verify; what is signed
    with another opens nothing, and no secret is logged.
    """
    (tmp_path / "secrets").write_text("new secret\nold secret\n")
    store = SQLiteStore(tmp_path / "sessions.db", reactor)
    cookies = {
        secret: await mint(store, {"n": 1}, Express(secret))
        for secret in ("new secret", "old secret", "other secret")
    }
    await store.close()
    async with twistd(
        *(*VERBS, "--secret-file", "secrets", "--store", "sqlite:sessions.db"),
        cwd=tmp_path,
    ) as server:
        for secret in "new secret", "old secret":
            socket = await Visitor(server.port, cookies[secret]).connect()
            assert await socket.ask(["add", "n"]) == 2
        socket = await Visitor(server.port, cookies["other secret"]).connect()
        assert await socket.closes() == (4401, "session-bad-signature")
        made = Visitor(server.port)
        await made.post("/add?n")
        value = made.cookies["connect.sid"]
        now = reactor.seconds()
        assert Express("new secret").sessionID(value, now)
    assert "secret" not in server.log + server.errors


@inReactor
async def test_noSecret() -> None:
    """
    Without a secret there is a warning, and all works.
    """
    async with twistd(*VERBS, environment={"PYTHONPATH": MODULES}) as server:
        assert server.log.count("no secret given") == 1
        assert "--secret-file or SESSIONSOCK_SECRET" in server.log
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        socket = await visitor.connect()
        assert await socket.ask(["get", "n"]) == 1


@inReactor
async def test_origins() -> None:
    """
    Pages of the same origin may connect, and those of C{--origin}; nobody
    else's.
    """
    options = ("--origin", "https://a.example", "--origin", "http://b.example:81")
    async with twistd(*VERBS, *options) as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        own = f"http://127.0.0.1:{server.port}"
        for origin in own, "https://a.example", "http://b.example:81", None:
            socket = await visitor.connect(origin=origin)
            assert await socket.ask(["get", "n"]) == 1, origin
        for origin in (
            "http://127.0.0.1:1",
            "http://a.example",
            "http://b.example",
            "https://127.0.0.1",
            "null",
        ):
            with pytest.raises(Refused, match="403"):
                await visitor.connect(origin=origin)


@inReactor
async def test_trustProxy() -> None:
    """
    With C{--trust-proxy}, what the proxy says about scheme and host counts: the
    cookie is C{Secure}, and the public origin is the own one.  Without it,
    not.
    """
    said = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "www.example"}
    public = "https://www.example"
    async with twistd(*VERBS, "--trust-proxy") as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n", None, **said)
        assert "Secure" in visitor.setCookies[0].split("; ")
        socket = await visitor.connect(origin=public, **said)
        assert await socket.ask(["get", "n"]) == 1
        with pytest.raises(Refused, match="403"):
            await visitor.connect(origin=f"http://127.0.0.1:{server.port}", **said)
    async with twistd(*VERBS) as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n", None, **said)
        assert "Secure" not in visitor.setCookies[0].split("; ")
        with pytest.raises(Refused, match="403"):
            await visitor.connect(origin=public, **said)


@inReactor
async def test_help() -> None:
    """
    C{--help} tells of every option, and starts nothing.
    """
    async with twistd("--help", listen=0) as server:
        assert await server.ends() == 0
    for option in (
        *("listen", "store", "framework", "secret-file", "cookie", "per-message"),
        *("freshness", "protocol", "socket-path", "path", "wsgi", "class"),
        *("origin", "trust-proxy", "trusted-network", "forwarded", "drain"),
        *("max-connections", "per-address", "per-network"),
    ):
        assert f"--{option}" in server.log, option


@inReactor
async def test_drain() -> None:
    """
    A client that does not answer the close frame does not keep the server from
    ending within C{--drain}.
    """
    async with twistd(*VERBS, "--drain", "1") as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        dead = await visitor.connect()
        dead.transport.pauseProducing()
        began = reactor.seconds()
        server.signal("TERM")
        assert await server.ends() == -signal.SIGTERM
        assert reactor.seconds() - began < 2.5
        said = (
            r"gave up waiting for clients to leave after 0\.\d+ s, with 1 sockets left"
        )
        assert re.search(said, server.log), server.log
        dead.transport.resumeProducing()
        assert (await dead.closes())[0] == 1001
