"""
Servers that are attacked in every way at once, in a smaller version than that of
C{python -m benchmarks.attack}, which measures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.attackscene import attacks, served, under
from txsessionsock.limits import Limits


SECONDS = 3.0

FEW = 4
"""
How many attackers there are of each kind, or fewer; and C{MANY} of those that only
take a connection each.
"""

MANY = 100

MEMORY = 64 * 1024 * 1024
"""
How many bytes more a server may take.  What these attackers make it take that are
not bounded is several times as much.
"""

LATE = 1.0
"""
How many seconds an answer may take, for all but one in a hundred.  It is a tenth
of that with a processor of its own.
"""

LINES = 100

_HANDSHAKE = '"GET /socket.io/?... HTTP/1.1" 200 '


@pytest.mark.timed
@pytest.mark.skipif(sys.platform != "linux", reason="epoll and /proc are of Linux")
@pytest.mark.parametrize("kind", ["port", "site", "socketio"])
def test_attacked(kind: str, tmp_path: Path) -> None:
    """
    While a server is attacked, a client that it has is answered, all of its
    messages, and others come in; memory and log stay bounded; and nothing is left
    of the attackers when they are gone.
    """
    counts = {
        name: MANY if attack.count > 1000 else min(FEW, attack.count)
        for name, attack in attacks(kind).items()
    }
    with served(kind, tmp_path) as server:
        found = under(server, counts, SECONDS)
    assert not found.unanswered, found.lost
    assert not found.refused
    assert found.share(0.99) < LATE
    lobby = Limits().lobbyBytes if kind == "socketio" else 0
    assert found.peak - found.before < MEMORY + lobby
    # Each handshake of a connection by polling is a request that has its line.
    lines = [line for line in found.log.splitlines() if _HANDSHAKE not in line]
    assert len(lines) < LINES, found.log
    assert not found.errors, found.log
    assert found.descriptors[1] <= found.descriptors[0]
    print(f"{kind}: p50 {found.share(0.5):.3f} s, p99 {found.share(0.99):.3f} s")
