"""
Live Express applications, and what they keep of sessions.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.npm import installedByNpm
from tests.support.redisserver import RedisServer
from tests.support.servers import SECRET
from tests.support.webapplications import Scene, running
from txsessionsock.frameworks.express import Express
from txsessionsock.session.journal import STAMP


__all__ = [
    "DIRECTORY",
    "KINDS",
    "PROGRAM",
    "RedisSession",
    "app",
    "expiresAt",
    "expressIsThere",
    "withoutOurs",
]

PROGRAM = "express/app.js"

DIRECTORY = Path(__file__).parents[1] / "e2e/webapps/express"

expressIsThere = installedByNpm(DIRECTORY)

KINDS = {
    "redis": Express(SECRET),
    "resave": Express(SECRET),
    "notouch": Express(SECRET, disableTouch=True),
    "forever": Express(SECRET, disableTTL=True),
    "brief": Express(SECRET, ttl=300),
    "aging": Express(SECRET, maxAge=600),
    "shop": Express(
        bytes.fromhex("fffe0a80" * 8),
        cookieName="shop.sid",
        prefix="shop:",
        maxAge=600,
        cookie={"sameSite": "lax", "priority": "high", "partitioned": True},
    ),
    "rotated": Express([SECRET, "an old secret"]),
}

_WRITTEN_ANEW = re.compile(rf',"{STAMP}":\{{[^}}]*\}}|"expires":"[^"]*"')


class RedisSession:
    """
    The only session in Redis.
    """

    def __init__(self, redis: RedisServer) -> None:
        self._command = redis.command

    @property
    def key(self) -> str:
        """
        Where it is.
        """
        key: bytes
        (key,) = self._command("KEYS", "*")
        return key.decode()

    @property
    def text(self) -> str:
        """
        What is stored.
        """
        raw: bytes = self._command("GET", self.key)
        return raw.decode()

    @property
    def cookie(self) -> dict[str, Any]:
        """
        What Express keeps of the cookie.
        """
        cookie: dict[str, Any] = json.loads(self.text)["cookie"]
        return cookie

    @property
    def ttl(self) -> float:
        """
        How many seconds it has to live; -1 for ever.
        """
        left: int = self._command("PTTL", self.key)
        return left / 1000 if left > 0 else left

    def age(self) -> None:
        """
        Leave it less than a minute to live.
        """
        assert self._command("EXPIRE", self.key, 50) == 1

    def replace(self, raw: bytes) -> None:
        """
        Store something else.
        """
        assert self._command("SET", self.key, raw, "KEEPTTL") == "OK"


@asynccontextmanager
async def app(kind: str) -> AsyncIterator[tuple[Scene, RedisSession]]:
    """
    Run an Express where ann is logged in.
    """
    async with running(PROGRAM, kind, KINDS[kind]) as scene:
        await scene.pages.post("/login?ann")
        yield scene, RedisSession(scene.redis)


def withoutOurs(text: str) -> str:
    """
    A stored session without our stamp, and the date that every write sets.
    """
    return _WRITTEN_ANEW.sub("", text)


def expiresAt(cookie: dict[str, Any]) -> float:
    """
    When the browser is to forget the cookie, in seconds since the epoch.
    """
    return datetime.fromisoformat(cookie["expires"]).timestamp()
