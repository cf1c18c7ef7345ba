"""
The benchmark of L{benchmarks.redis} works.
"""

from __future__ import annotations

import os
import sys

import pytest
from twisted.internet.utils import getProcessOutputAndValue

from tests.support.redisworker import ROOT
from tests.support.servers import inReactor, reactor


pytestmark = pytest.mark.e2e

EXPECTED = (
    "strict, reading, 1 socket: messages/s, 1.000 commands (1.000 hello)",
    "strict, writing, 1 socket: messages/s, 2.000 commands",
    "tracked, reading, 1 socket: messages/s, 0.000 commands (none)",
    "tracked, writing, 1 socket: messages/s, 1.000 commands (1.000 evalsha)",
    "blind, reading, 1 socket: messages/s, commands",
    "blind, writing, 1 socket: messages/s, commands",
    "strict, idle: 0 of 20 answers stale,",
    "tracked, idle: of 20 answers stale,",
    "deleted: node 1: median worst",
    "deleted while all connections are killed: node 1: median",
    "expired: node 1: median",
    "EVALSHA of 2 x 250 bytes, by the store, 50 in flight: us",
    "PING, 50 in flight: us",
    "second node: bytes for each of 400 keys",
)
"""
Words of the lines that there have to be, in order.
"""


@inReactor
async def test_quick() -> None:
    """
    All its parts come to figures.
    """
    out, errors, status = await getProcessOutputAndValue(
        sys.executable,
        ["-m", "benchmarks.redis", "--quick"],
        os.environ,
        str(ROOT),
        reactor,
    )
    assert (status, errors) == (0, b"")
    lines = iter(out.decode().splitlines())
    for expected in EXPECTED:
        assert any(_contains(line, expected) for line in lines), (expected, out)


def _contains(line: str, expected: str) -> bool:
    """
    Whether the words of one are in the other, in order.
    """
    words = iter(line.split())
    return all(word in words for word in expected.split())
