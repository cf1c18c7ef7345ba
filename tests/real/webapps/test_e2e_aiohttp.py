"""
aiohttp itself, and our sockets with its sessions.
"""

from __future__ import annotations

import pytest

from tests.support.servers import inReactor
from tests.support.webapplications import (
    WIDE,
    changesID,
    installed,
    running,
    setsOneCookie,
    sharesSessions,
)
from txsessionsock.frameworks.aiohttp import Aiohttp


pytestmark = [
    pytest.mark.redis,
    installed(["aiohttp", "aiohttp_session", "redis"]),
]


@pytest.mark.parametrize("kind", ["forever", "aging"])
@inReactor
async def test_shared(kind: str) -> None:
    """
    What one side writes, the other reads; a logout closes the socket, and so
    does a login with a new id.
    """
    framework = Aiohttp(maxAge=600 if kind == "aging" else None)
    async with running("aiohttpapp", kind, framework) as scene:
        await sharesSessions(scene)
        await changesID(scene)


@inReactor
async def test_oneCookie() -> None:
    """
    Our pages set the same cookie.
    """
    async with running("aiohttpapp", "wide", Aiohttp(maxAge=600, cookie=WIDE)) as scene:
        await setsOneCookie(scene)
