"""
Starlette itself, and our sockets with its sessions.
"""

from __future__ import annotations

import pytest

from tests.support.servers import SECRET, inReactor
from tests.support.webapplications import (
    WIDE,
    changesID,
    installed,
    readsCookies,
    running,
    setsOneCookie,
    sharesSessions,
)
from txsessionsock.frameworks.starlette import Starlette, Starsessions


pytestmark = [
    pytest.mark.redis,
    installed(["starlette", "starsessions", "redis", "uvicorn"]),
]


@pytest.mark.parametrize("kind", ["fixed", "rolling"])
@inReactor
async def test_shared(kind: str) -> None:
    """
    What one side writes, the other reads; a logout closes the socket, and so
    does a login with a new id.
    """
    framework = Starsessions(lifetime=600, rolling=kind == "rolling")
    async with running("starletteapp", kind, framework) as scene:
        await sharesSessions(scene)
        await changesID(scene)


@inReactor
async def test_cookie() -> None:
    """
    Starlette's own sessions are read as they are in the cookie.
    """
    async with running("starletteapp", "cookie", Starlette(SECRET)) as scene:
        await readsCookies(scene)


@inReactor
async def test_oneCookie() -> None:
    """
    Our pages set the same cookie.
    """
    async with running(
        "starletteapp", "wide", Starsessions(lifetime=600, cookie=WIDE)
    ) as scene:
        await setsOneCookie(scene)
