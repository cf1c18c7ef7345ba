"""
C{twistd sessionsock} behind real proxies, which are set up as C{docs/containers.md}
says, or wrong.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Certificates
from tests.support.nginx import installedProxy, nginxWith
from tests.support.redisprocess import freePort
from tests.support.servers import VERBS, Twistd, inReactor, program, twistd
from tests.support.visitors import Refused, Trusting, Visitor


_PAGE = Path(__file__).parents[3] / "docs" / "containers.md"


def _documented(kind: str) -> str:
    """
    @return: The settings of a kind of proxy, as the page documents them.
    """
    (text,) = _blocks(kind)
    return text


def _blocks(kind: str) -> list[str]:
    return re.findall(f"```{kind}\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)


def _replaced(text: str, changes: dict[str, str]) -> str:
    """
    Replace each of some strings, all of which have to be there.
    """
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def nginxAt(
    directory: Path,
    server: Twistd,
    made: Certificates | None,
    wrong: dict[str, str] | None = None,
) -> AsyncIterator[int]:
    """
    Run nginx before a server, until the end of the block.

    @param made: If it ends TLS.

    @param wrong: What is set up otherwise than documented.

    @return: Its port.
    """
    port = freePort()
    text = _replaced(_documented("nginx"), wrong or {})
    changes = {"127.0.0.1:8080": f"127.0.0.1:{server.port}"}
    if made is None:
        text = re.sub("ssl_certificate.*", "", text)
        changes["listen 443 ssl"] = f"listen 127.0.0.1:{port}"
    else:
        changes["listen 443"] = f"listen 127.0.0.1:{port}"
        changes["/etc/nginx/shop.pem"] = str(made.certificate)
        changes["/etc/nginx/shop.key"] = str(made.key)
    async with nginxWith(directory, _replaced(text, changes)):
        yield port


@asynccontextmanager
async def haproxyAt(
    directory: Path, server: Twistd, made: Certificates | None, how: str = ""
) -> AsyncIterator[int]:
    """
    The same with HAProxy, which looks every 50 ms whether the server is well.

    @param how: How else it speaks to the server.
    """
    port, text = freePort(), _documented("haproxy")
    often = f"127.0.0.1:{server.port} {how} check inter 50 fall 999"
    changes = {"127.0.0.1:8080 check": often, "bind :443": f"bind 127.0.0.1:{port}"}
    if made is None:
        changes[" ssl crt /etc/haproxy/shop.pem"] = ""
        changes["Proto https"] = "Proto http"
    else:
        both = directory / "both.pem"
        both.write_text(made.certificate.read_text() + made.key.read_text())
        changes["/etc/haproxy/shop.pem"] = str(both)
    file = directory / "haproxy.cfg"
    file.write_text(_replaced(text, changes))
    async with program(
        installedProxy("haproxy"), "-db", "-f", str(file), listen=0
    ) as proxy:
        # When it has found that the server is well, twice.
        checks = '"GET /sessionsock.js HTTP/1.0" '
        await server.until(lambda: server.log.count(checks) > 1 or proxy.status)
        assert proxy.status is None, proxy.errors
        assert server.log.count(checks) == server.log.count(f"{checks}200")
        yield port


@asynccontextmanager
async def nginx(
    directory: Path, server: Twistd, wrong: dict[str, str] | None = None
) -> AsyncIterator[Visitor]:
    """
    Run nginx with TLS.

    @return: Who visits it.
    """
    made = Certificates.make(directory)
    async with nginxAt(directory, server, made, wrong) as port:
        yield Visitor(port, trusting=Trusting(made))


@asynccontextmanager
async def haproxy(directory: Path, server: Twistd) -> AsyncIterator[Visitor]:
    """
    The same with HAProxy.
    """
    made = Certificates.make(directory)
    async with haproxyAt(directory, server, made) as port:
        yield Visitor(port, trusting=Trusting(made))


@pytest.mark.parametrize("behind", [nginx, haproxy])
@inReactor
async def test_documented(behind: Any, tmp_path: Path) -> None:
    """
    With the documented settings, pages and sockets have one session, the cookie
    is C{Secure}, pages of other origins are refused, and clients are told when
    the server ends.
    """
    async with (
        twistd(*VERBS, "--trust-proxy") as server,
        behind(tmp_path, server) as visitor,
    ):
        await visitor.post("/add?n")
        assert "Secure" in visitor.setCookies[0].split("; ")
        socket = await visitor.connect(origin=visitor.site)
        assert await socket.ask(["add", "n"]) == 2
        assert (await visitor.get("/session")).value == {"n": 2}
        for origin in "https://127.0.0.1", f"http://127.0.0.1:{visitor.port}":
            with pytest.raises(Refused, match="403"):
                await visitor.connect(origin=origin)
        # What a client says of itself counts for nothing.
        forged = {"X_Forwarded_Host": "a.example", "X_Forwarded_Proto": "http"}
        with pytest.raises(Refused, match="403"):
            await visitor.connect(origin="http://a.example", **forged)
        server.signal("TERM")
        assert await socket.closes() == (1001, "server going away")


@pytest.mark.parametrize("behind", [nginx, haproxy])
@inReactor
async def test_addresses(behind: Any, tmp_path: Path) -> None:
    """
    With the documented settings, each client has as many sockets as an address
    may have, and is not counted with the others.
    """
    options = "--trust-proxy", "--per-address", "2"
    async with (
        twistd(*VERBS, *options) as server,
        behind(tmp_path, server) as visitor,
    ):
        await visitor.post("/add?n")
        # On this machine, what comes from 127.0.0.1 is a proxy too.
        for last in 1, 2:
            client = {"X_Forwarded_For": f"6.6.6.6, 192.0.2.{last}"}
            for _ in range(2):
                await visitor.connect(origin=visitor.site, **client)
            with pytest.raises(Refused, match="429"):
                await visitor.connect(origin=visitor.site, **client)
        await server.until(lambda: "refused a connection from 192.0.2.1" in server.log)


@inReactor
async def test_forwarded(tmp_path: Path) -> None:
    """
    With the documented C{Forwarded} instead, it counts, and nothing that a client
    sends passes for it.
    """
    settings = _documented("nginx")
    old = [line for line in settings.splitlines() if "X-Forwarded-" in line]
    client, header = _blocks("conf")
    wrong = {"\n".join(old): header, "map $http_upgrade": f"{client}map $http_upgrade"}
    options = "--trust-proxy", "--forwarded", "--per-address", "1"
    async with (
        twistd(*VERBS, *options) as server,
        nginx(tmp_path, server, wrong) as visitor,
    ):
        await visitor.post("/add?n")
        assert "Secure" in visitor.setCookies[0].split("; ")
        await visitor.connect(origin=visitor.site)
        for forged in (
            {"Forwarded": "for=192.0.2.1"},
            {"X_Forwarded_For": "192.0.2.1"},
        ):
            with pytest.raises(Refused, match="429"):
                await visitor.connect(origin=visitor.site, **forged)


_HOST = "proxy_set_header Host $http_host;"
_FORWARDED = "proxy_set_header X-Forwarded-Host $http_host;"
_PROTO = "proxy_set_header X-Forwarded-Proto $scheme;"


@pytest.mark.parametrize(
    ("isTrusted", "wrong", "own", "hint"),
    [
        (False, {}, "http://127.0.0.1:{port}", "count only with trustProxy=True"),
        (
            True,
            {_FORWARDED: _FORWARDED.replace("http_host", "host")},
            "https://127.0.0.1",
            "if a proxy drops the port, right is X-Forwarded-Host: '127.0.0.1:{port}'",
        ),
        (
            True,
            {_FORWARDED: "", _HOST: _HOST.replace("http_host", "host")},
            "https://127.0.0.1",
            "if a proxy drops the port, right is Host: '127.0.0.1:{port}'",
        ),
        (
            True,
            {_PROTO: ""},
            "http://127.0.0.1:{port}",
            "where a proxy ends TLS, right is X-Forwarded-Proto: https",
        ),
        (
            True,
            {_FORWARDED: "", _HOST: "proxy_set_header Host $proxy_host;"},
            "https://127.0.0.1:{inner}",
            "this server is",
        ),
        (
            False,
            {_FORWARDED: "", _PROTO: "", _HOST: "proxy_set_header Host backend;"},
            "http://backend",
            "a proxy has changed the name",
        ),
    ],
)
@inReactor
async def test_wrong(
    isTrusted: bool, wrong: dict[str, str], own: str, hint: str, tmp_path: Path
) -> None:
    """
    The log says what is wrong with the settings of the proxy, or that it is not
    trusted.
    """
    trust = ["--trust-proxy"] if isTrusted else []
    async with (
        twistd(*VERBS, *trust) as server,
        nginx(tmp_path, server, wrong) as visitor,
    ):
        await visitor.post("/add?n")
        with pytest.raises(Refused, match="403"):
            await visitor.connect(origin=visitor.site)
        ports = {"port": visitor.port, "inner": server.port}
        await server.until(lambda: "refused a page" in server.log)
        line = server.log.partition("refused a page")[2].partition("\n")[0]
        assert f"this server is {own.format(**ports)!r}" in line
        assert hint.format(**ports) in line


@inReactor
async def test_noUpgrade(tmp_path: Path) -> None:
    """
    If a proxy does not pass on C{Upgrade}, the answer and the log say so.
    """
    wrong = {"proxy_set_header Upgrade $http_upgrade;": ""}
    async with twistd(*VERBS) as server, nginx(tmp_path, server, wrong) as visitor:
        await visitor.post("/add?n")
        with pytest.raises(Refused, match="426"):
            await visitor.connect(origin=visitor.site)
        said = "a handshake came without Upgrade: websocket, which a proxy has dropped"
        await server.until(lambda: said in server.log)
