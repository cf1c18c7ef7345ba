"""
aiohttp itself, and our sockets with its sessions.
"""

from __future__ import annotations

import pytest

from txsessionsock.frameworks.aiohttp import Aiohttp

from .servers import inReactor
from .webapplications import (
    WIDE,
    changesID,
    installed,
    running,
    setsOneCookie,
    sharesSessions,
)


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.webapps,
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
