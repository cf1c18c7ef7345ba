"""
Handlers that may run again, in two processes on one SQLite file.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.redisprocesses import nodes, together
from tests.support.servers import SECRET, inReactor, reactor
from tests.support.visitors import Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.sqlite import SQLiteStore


pytestmark = pytest.mark.e2e

_WRITERS = 6
_TIMES = 20


@inReactor
async def test_plain(tmp_path: Path) -> None:
    """
    Sockets of one session on both count by C{+=}, and lose nothing.
    """
    framework = Express(SECRET)
    sessionID = framework.newSessionID()
    key, path = framework.key(sessionID), tmp_path / "sessions.db"
    store = SQLiteStore(path, reactor)
    assert await store.create(key, b'{"cookie": {}}', 600.0)
    async with nodes(2, f"sqlite:{path}", protocol="e2e.again.Again") as members:
        cookie = framework.cookieValue(sessionID)
        visitors = [Visitor(each.port, cookie) for each in members]
        sockets = await together(*[visitors[n % 2].connect() for n in range(_WRITERS)])
        for socket in sockets:
            socket.say(*[["add", "n"]] * _TIMES)
        found = [await socket.next() for socket in sockets for _ in range(_TIMES)]
    assert sorted(found) == list(range(1, _WRITERS * _TIMES + 1))
    stored = await store.load(key)
    assert stored is not None
    assert json.loads(stored.raw)["n"] == _WRITERS * _TIMES
    await store.close()
