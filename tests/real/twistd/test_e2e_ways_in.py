"""
The ways into a server: TLS, IPv6, Unix sockets, sockets of systemd, the PROXY
protocol, and what is in front of it.  Through each comes a client that knows nothing
of Twisted, has a session, says something, and logs out, which closes its socket; the
next one is there when the server stops.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.real.twistd.test_e2e_proxies import haproxyAt, nginxAt
from tests.support.certificates import Certificates
from tests.support.guests import Way, through
from tests.support.servers import (
    MODULES,
    PATIENCE,
    SECRET,
    Twistd,
    inReactor,
    program,
    reactor,
    twistd,
)


ROOT = Path(MODULES).parents[1]
PATHS = {
    "PYTHONPATH": os.pathsep.join([MODULES, str(ROOT)]),
    "SESSIONSOCK_SECRET": SECRET,
}
WHOAMI = ("--protocol", "whoami.Whoami", "--class", "verbs.Pages", "--trust-proxy")

CLIENT = "127.9.8.7"
"""
From where clients come whose address is to be told from that of a proxy.
"""

_SYSTEMD = """
import os, socket, sys
kind, where, *command = sys.argv[1:]
made = socket.socket(getattr(socket, "AF_" + kind))
made.bind(where if kind == "UNIX" else (where, 0))
made.listen()
if made.fileno() != 3:
    os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(command[0], command)
"""


@asynccontextmanager
async def served(*listen: str, **more: Any) -> AsyncIterator[Twistd]:
    """
    Run a server, and wait until it listens.
    """
    options = [f"--listen={each}" for each in listen]
    async with twistd(*WHOAMI, *options, listen=0, environment=PATHS, **more) as server:
        await server.until(lambda: " starting on " in server.log or server.status)
        assert server.status is None, server.log + server.errors
        yield server


def tcp(host: str, port: int, *, header: bytes = b"") -> Callable[[], socket.socket]:
    """
    @param header: What is said before all else.

    @return: What connects to a port.
    """

    def reach() -> socket.socket:
        source = None if ":" in host else (CLIENT, 0)
        made = socket.create_connection((host, port), 20, source)
        made.sendall(header)
        return made

    return reach


def unix(path: Path) -> socket.socket:
    """
    Connect to a Unix socket.
    """
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(str(path))
    except OSError:
        made.close()
        raise
    return made


async def listens(path: Path) -> None:
    """
    Wait until somebody answers at a Unix socket: the log says so before it is true.
    """
    end = reactor.seconds() + PATIENCE
    while reactor.seconds() < end:
        with suppress(OSError):
            unix(path).close()
            return
        await deferLater(reactor, 0.02)
    raise AssertionError(f"nobody answers at {path}")


async def visited(server: Twistd, way: Way) -> list[str]:
    """
    Visit a server and have it end, well.

    @return: What it said of the client.
    """
    who = await through(way, partial(server.signal, "TERM"))
    assert await server.ends() in (0, -15)
    for word in "Traceback", "Unhandled", "gave up":
        assert word not in server.log + server.errors, server.log + server.errors
    return who


@pytest.mark.parametrize("kind", ["ssl", "tls"])
@inReactor
async def test_tls(kind: str, tmp_path: Path) -> None:
    """
    TLS, with the certificate in options, or one for each name.
    """
    made = Certificates.make(tmp_path)
    where = f"ssl:0:privateKey={made.key}:certKey={made.certificate}"
    if kind == "tls":
        names = tmp_path / "names"
        names.mkdir()
        both = made.certificate.read_text() + made.key.read_text()
        (names / "localhost.pem").write_text(both)
        where = f"tls:{names}:0"
    async with served(f"{where}:interface=127.0.0.1") as server:
        reach = tcp("127.0.0.1", server.port)
        who = await visited(server, Way(reach, f"localhost:{server.port}", made))
    assert all(each.startswith(f"tcp4:{CLIENT}:") for each in who), who


@inReactor
async def test_ipv6() -> None:
    """
    IPv6, whose origins are in brackets.
    """
    async with served(r"tcp6:0:interface=\:\:1") as server:
        way = Way(tcp("::1", server.port), f"[::1]:{server.port}")
        who = await visited(server, way)
    assert all(each.startswith("tcp6:") and "::1" in each for each in who), who


@inReactor
async def test_unix(tmp_path: Path) -> None:
    """
    A Unix socket, for a proxy on the same machine; its file is gone when the server
    is.
    """
    path = tmp_path / "here"
    async with served(f"unix:{path}:mode=660") as server:
        await listens(path)
        assert path.stat().st_mode & 0o777 == 0o660
        await visited(server, Way(partial(unix, path), "shop.example"))
    assert not path.exists()


@pytest.mark.parametrize("which", ["index=0", "name=web"])
@pytest.mark.parametrize("kind", ["INET", "INET6", "UNIX"])
@inReactor
async def test_systemd(kind: str, which: str, tmp_path: Path) -> None:
    """
    A socket that systemd has made.
    """
    path = tmp_path / "here"
    where = {"INET": "127.0.0.1", "INET6": "::1", "UNIX": str(path)}[kind]
    command = ("-n", "--pidfile=", "sessionsock", *WHOAMI)
    async with program(
        *(sys.executable, "-c", _SYSTEMD, kind, where, _script("twistd"), *command),
        f"--listen=systemd:domain={kind}:{which}",
        listen=0,
        environment=PATHS,
    ) as server:
        await server.until(lambda: " starting on " in server.log or server.status)
        assert server.status is None, server.log + server.errors
        if kind == "UNIX":
            await listens(path)
            way = Way(partial(unix, path), "shop.example")
        else:
            host = f"[{where}]" if kind == "INET6" else where
            way = Way(tcp(where, server.port), f"{host}:{server.port}")
        await visited(server, way)


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)


def _first(version: int) -> bytes:
    """
    @return: What a proxy says first, of a client at 192.0.2.1.
    """
    if version == 1:
        return b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 443\r\n"
    addresses = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.9")
    told = addresses + struct.pack("!HH", 4711, 443)
    start = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
    return start + struct.pack("!H", len(told)) + told


@pytest.mark.parametrize("version", [1, 2])
@inReactor
async def test_proxyProtocol(version: int) -> None:
    """
    By the PROXY protocol the client's address is that of the client: for the
    application, and in the log.
    """
    async with served("haproxy:tcp:0:interface=127.0.0.1") as server:
        reach = tcp("127.0.0.1", server.port, header=_first(version))
        who = await visited(server, Way(reach, "shop.example"))
    assert who == ["tcp4:192.0.2.1:4711"] * 2
    requests = re.findall(r'"(\S+)" - - \[.*"(?:GET|POST) /', server.log)
    assert set(requests) == {"192.0.2.1"}


@pytest.mark.parametrize("version", [1, 2])
@inReactor
async def test_proxyProtocolAtPort(version: int) -> None:
    """
    The same without a site.
    """
    port = "tcp:0:interface=127.0.0.1"
    command = (sys.executable, f"{MODULES}/whoami.py", f"haproxy:{port}", port)
    async with program(*command, listen=2, environment=PATHS) as server:
        reach = tcp("127.0.0.1", server.ports[0], header=_first(version))
        pages = tcp("127.0.0.1", server.ports[1])
        who = await visited(server, Way(reach, "shop.example", pages=pages))
    assert who == ["tcp4:192.0.2.1:4711"] * 2


@pytest.mark.parametrize("isTLS", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("proxyAt", [nginxAt, haproxyAt])
@inReactor
async def test_behind(proxyAt: Any, isTLS: bool, tmp_path: Path) -> None:
    """
    A proxy that speaks HTTP in front of it, with TLS or without.
    """
    made = Certificates.make(tmp_path) if isTLS else None
    async with (
        served("tcp:0:interface=127.0.0.1") as server,
        proxyAt(tmp_path, server, made) as port,
    ):
        await visited(server, Way(tcp("127.0.0.1", port), f"127.0.0.1:{port}", made))


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
@inReactor
async def test_haproxy(how: str, tmp_path: Path) -> None:
    """
    HAProxy, which ends TLS, says by the PROXY protocol from where a client comes.
    """
    made = Certificates.make(tmp_path)
    async with (
        served("haproxy:tcp:0:interface=127.0.0.1") as server,
        haproxyAt(tmp_path, server, made, how) as port,
    ):
        way = Way(tcp("127.0.0.1", port), f"127.0.0.1:{port}", made)
        who = await visited(server, way)
    assert all(each.startswith(f"tcp4:{CLIENT}:") for each in who), who


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("runner", ["twist", "-m"])
@inReactor
async def test_twist(runner: str, workers: int, tmp_path: Path) -> None:
    """
    C{twist} and C{python -m twisted} run the same server.
    """
    start = {"twist": [_script("twist")], "-m": [sys.executable, "-m", "twisted"]}
    options = (*WHOAMI, f"--workers={workers}", f"--store=sqlite:{tmp_path}/sessions")
    async with program(
        *(*start[runner], "--log-format=text", "sessionsock", *options),
        "--listen=tcp:0:interface=127.0.0.1",
        environment=PATHS,
        cwd=tmp_path,
    ) as server:
        ready = workers if workers > 1 else 0
        await server.until(lambda: server.log.count(" is ready\n") == ready)
        way = Way(tcp("127.0.0.1", server.port), f"127.0.0.1:{server.port}")
        await visited(server, way)
