"""
Long-polling of Socket.IO to two nodes behind a proxy, with the documented settings.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import ROOT
from tests.support.eventvisitors import PollingClient
from tests.support.nginx import installedProxy, nginxWith
from tests.support.redisprocess import freePort
from tests.support.servers import Twistd, inReactor, mint, program, reactor, twistd
from tests.support.visitors import Visitor
from txsessionsock.stores.sqlite import SQLiteStore


ADDRESSES = ("10.0.0.1:8080", "10.0.0.2:8080")

CLIENTS = 12


def documented(page: str, kind: str, nodes: list[Twistd]) -> str:
    """
    The settings that a page shows, for these nodes.
    """
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.findall(f"```{kind}\n(.*?)```", text, re.DOTALL)[0]
    for address, node in zip(ADDRESSES, nodes, strict=True):
        found = found.replace(address, f"127.0.0.1:{node.port}")
    return str(found)


@asynccontextmanager
async def nginx(directory: Path, nodes: list[Twistd]) -> AsyncIterator[int]:
    """
    Run nginx before two nodes.

    @return: Its port.
    """
    port = freePort()
    server = documented("containers.md", "nginx", nodes)
    server = re.sub("ssl_certificate.*", "", server)
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    server = server.replace("http://127.0.0.1:8080", "http://sockets")
    upstream = documented("socketio.md", "nginx", nodes)
    assert "proxy_pass http://sockets" in server
    async with nginxWith(directory, upstream + server):
        yield port


@asynccontextmanager
async def haproxy(directory: Path, nodes: list[Twistd]) -> AsyncIterator[int]:
    """
    The same with HAProxy.
    """
    port = freePort()
    text = documented("containers.md", "haproxy", nodes).partition("\nbackend ")[0]
    text = text.replace("bind :443", f"bind 127.0.0.1:{port}")
    text = text.replace(" ssl crt /etc/haproxy/shop.pem", "")
    file = directory / "haproxy.cfg"
    file.write_text(f"{text}\n" + documented("socketio.md", "haproxy", nodes))
    command = (installedProxy("haproxy"), "-db", "-f", str(file))
    async with program(*command, listen=0) as proxy:
        # When it has found that they are well.
        check = '"GET /sessionsock.js HTTP/1.0" 200'
        for node in nodes:
            await node.until(partial(_said, node, check))
        assert proxy.status is None, proxy.errors
        yield port


def _said(node: Twistd, words: str) -> bool:
    return words in node.log


@pytest.mark.parametrize("behind", [nginx, haproxy])
@inReactor
async def test_sticky(behind: Any, tmp_path: Path) -> None:
    """
    All requests of a client come to the node that has its connection, and both nodes
    have clients.
    """
    place = tmp_path / "sessions.db"
    store = SQLiteStore(place, reactor)
    cookies = [await mint(store, {}) for _ in range(CLIENTS)]
    await store.close()
    options = ("--socketio", "--protocol", "figs.Figs", "--trust-proxy")
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(twistd(*options, f"--store=sqlite:{place}"))
            for _ in ADDRESSES
        ]
        port = await stack.enter_async_context(behind(tmp_path, nodes))
        for cookie in cookies:
            client = PollingClient(Visitor(port, cookie))
            assert (await client.open()).code == 200
            assert (await client.says("40")).startswith('40{"sid"')
            for n in 1, 2, 3:
                assert await client.says(f'42{n}["add","figs"]') == f"43{n}[{n}]"
        for node in nodes:
            # Of those by polling, only handshakes have a line.
            assert "GET /socket.io/" in node.log
