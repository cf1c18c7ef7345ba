"""
Redis for tests: servers of one's own, one that is shared, Sentinel, and a
network that breaks.
"""

from __future__ import annotations

import atexit

from tests.support.redisprocess import RedisServer, eventually, findServer, freePort
from tests.support.redissentinel import SentinelSetup
from tests.support.resp import Client, ReplyError
from tests.support.tcpproxy import Proxy, proxy


__all__ = [
    "Client",
    "Proxy",
    "RedisServer",
    "ReplyError",
    "SentinelSetup",
    "eventually",
    "findServer",
    "freePort",
    "proxy",
    "sharedServer",
]

_shared: list[RedisServer] = []


def sharedServer() -> RedisServer:
    """
    The server of all tests that only need one: it is empty, and its settings
    and its life are not to be touched.
    """
    if not _shared:
        server = RedisServer()
        atexit.register(server.close)
        server.start()
        _shared.append(server)
    _shared[0].command("FLUSHALL")
    return _shared[0]
