"""
Our server, case by case, as the protocols' texts and suites have it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.socketio.protocol.__main__ import look
from tests.real.socketio.protocol.cases import CASES, Case
from tests.real.socketio.protocol.wire import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """
    One for all cases: none of them leaves anything behind.
    """
    program = [sys.executable, "-m", "tests.e2e.socketio.conformance"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url, cookie = process.stdout.readline().split()
            server = Server.at(url, cookie, connectTimeout=1.0)
            asyncio.run(server.look())
            yield server
        finally:
            process.kill()


def parameter(case: Case) -> Any:
    """
    A case as what a test gets; those of the heartbeat say how long that takes.
    """
    marks = [pytest.mark.timed] if case.group == "heartbeat" else []
    return pytest.param(case, id=str(case), marks=marks)


@pytest.mark.parametrize("case", [*map(parameter, CASES)])
def test_case(server: Server, case: Case) -> None:
    """
    What the case says is seen.
    """
    problem = asyncio.run(look(server, case))
    assert not problem, f"{case.name} {problem}"


def test_announced(server: Server) -> None:
    """
    What is announced is what the cases go by.
    """
    announced = server.pingInterval, server.pingTimeout, server.maxPayload
    assert announced == (0.3, 0.2, 1_000_000)


def test_all() -> None:
    """
    There are cases of all groups.
    """
    groups = {case.group for case in CASES}
    assert groups == {
        *("handshake", "refused", "polling", "websocket", "heartbeat", "close"),
        *("upgrade", "connect", "disconnect", "event", "binary", "ack", "malformed"),
    }
    assert len({str(case) for case in CASES}) == len(CASES) > 90
