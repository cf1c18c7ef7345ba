"""
Whom L{benchmarks.compare} compares, and how it gives them sessions: each finds in the
Redis what its framework would have stored there, with a cookie to it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any
from uuid import uuid4

from benchmarks.load import SOCKETIO, Protocol
from benchmarks.serving import OTHERS, ROOT
from tests.support.redisserver import RedisServer
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import Document


__all__ = ["BASE", "CONTESTANTS", "Contestant", "Sessions"]

_PEERS = ROOT / "benchmarks" / "peers"
_OURS = (sys.executable, "-P")
_PYTHON = (str(OTHERS / "venv" / "bin" / "python"), "-P")
_NODE = ("node",)

_INNER = frozenset(("get", "set", "pttl", "pexpire", "persist", "del"))
"""
What our node never sends, and its scripts do.
"""


class _ByHand:
    """
    The sessions of C{peers/byhand.py}.
    """

    cookieName = "session"

    def newSessionID(self) -> str:
        return uuid4().hex

    def cookieValue(self, sessionID: str) -> str:
        return sessionID

    def newDocument(self, now: float) -> Document:
        return Document({}, {})

    def key(self, sessionID: str) -> str:
        return f"session:{sessionID}"

    def dumps(self, document: Document, now: float) -> bytes:
        return json.dumps(document.data).encode()

    def loads(self, raw: bytes, now: float) -> Document:
        return Document(json.loads(raw), {})


@dataclass(frozen=True, eq=False)
class Contestant:
    """
    @ivar framework: How its sessions are stored; L{None} if it has none.

    @ivar modes: In which parts it takes part, and with which argument.

    @ivar way: What is to be said beside the name of a measure.

    @ivar inner: Commands that only scripts do in the Redis.
    """

    name: str
    command: Sequence[str]
    framework: Any
    modes: dict[str, str]
    protocol: Protocol = field(default_factory=Protocol)
    way: str = ""
    inner: frozenset[str] = frozenset()

    def arguments(self, part: str, redis: RedisServer) -> list[str]:
        """
        The command line of its server.
        """
        *program, file = self.command
        return [*program, str(_PEERS / file), self.modes[part], redis.url]


_ALL = {"connection": "connection", "message": "message", "processes": "message"}
_TWO = {"connection": "connection", "message": "message"}
_ONE = {"connection": "connection"}
_EXPRESS = Express("a secret")

BASE = "Node ws"
"""
What all are compared with.
"""

CONTESTANTS = (
    Contestant(BASE, (*_NODE, "ws.js"), _EXPRESS, _ALL),
    Contestant("this library", (*_OURS, "ours.py"), _EXPRESS, _ALL, inner=_INNER),
    Contestant(
        *("this library", (*_OURS, "ours.py"), _EXPRESS),
        {"processes": "increment"},
        way=", `increment`",
        inner=_INNER,
    ),
    Contestant(
        *("this library", (*_OURS, "ours.py"), _EXPRESS),
        {"message": "repeatable", "processes": "repeatable"},
        way=", `repeatable`",
        inner=_INNER,
    ),
    Contestant("bare Autobahn", (*_OURS, "bareautobahn.py"), None, _ONE),
    Contestant("Autobahn, by hand", (*_OURS, "byhand.py"), _ByHand(), _ALL),
    Contestant("aiohttp", (*_PYTHON, "onaiohttp.py"), Aiohttp(), _ALL),
    Contestant("Channels", (*_PYTHON, "onchannels.py"), Django(pickled=True), _ALL),
    Contestant("picows, bare", (*_PYTHON, "onpicows.py"), None, _ONE),
    Contestant("Node socket.io", (*_NODE, "socketio.js"), _EXPRESS, _TWO, SOCKETIO),
    Contestant(
        *("our Socket.IO", (*_OURS, "oursocketio.py"), _EXPRESS, _TWO, SOCKETIO),
        inner=_INNER,
    ),
)


class Sessions:
    """
    Those of one run.

    @param framework: As L{Contestant} has it.
    """

    def __init__(self, redis: RedisServer, framework: Any) -> None:
        self._redis, self._framework = redis, framework
        self._keys: list[str] = []

    def mint(self, count: int, data: Mapping[str, object] | None = None) -> list[str]:
        """
        Store sessions that have counted nothing.

        @param data: What else is in each.

        @return: The C{Cookie} headers of their browsers; empty where there are no
            sessions.
        """
        framework, now = self._framework, time()
        if framework is None:
            return [""] * count
        cookies = []
        with self._redis.client() as client:
            for _ in range(count):
                sessionID = framework.newSessionID()
                new = framework.newDocument(now)
                values = {**new.data, **(data or {}), "pings": 0}
                document = Document(values, new.envelope)
                raw, key = framework.dumps(document, now), framework.key(sessionID)
                client.command("SET", key, raw, "EX", 86400)
                self._keys.append(key)
                value = framework.cookieValue(sessionID)
                cookies.append(f"{framework.cookieName}={value}")
        return cookies

    def counted(self) -> int:
        """
        @return: How much all of them have counted, as they are stored.
        """
        now, total = time(), 0
        with self._redis.client() as client:
            for key in self._keys:
                raw = client.command("GET", key)
                total += self._framework.loads(raw, now).data["pings"]
        return total
