"""
C{twistd sessionsock} as a container runs it: as process 1 of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which

import pytest

from tests.support.servers import MODULES, SECRET, VERBS, Twistd, inReactor, program
from tests.support.visitors import Visitor


_ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def _isPossible() -> bool:
    if which(_ALONE[0]) is None:
        return False
    return not subprocess.run([*_ALONE, "true"], check=False).returncode


pytestmark = [
    pytest.mark.skipif(not _isPossible(), reason="no PID namespaces here"),
]


@asynccontextmanager
async def container(directory: Path, *options: str) -> AsyncIterator[Twistd]:
    """
    Run what C{docs/twistd.md} says, but for the PID file, as process 1.
    """
    twistd = str(Path(sysconfig.get_path("scripts")) / "twistd")
    listen = "--listen=tcp:0:interface=127.0.0.1"
    command = [*_ALONE, twistd, "-n", "sessionsock", *VERBS, listen, *options]
    given = {"PYTHONPATH": MODULES, "SESSIONSOCK_SECRET": SECRET}
    async with program(*command, cwd=directory, environment=given) as server:
        yield server


def _first(server: Twistd) -> int:
    """
    @return: What process 1 is called outside.
    """
    outer = server.transport.pid
    inside = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(inside[0])


@inReactor
async def test_killed(tmp_path: Path) -> None:
    """
    It comes back after it was killed: the PID file that it left names the new
    process, too.
    """
    for _ in range(2):
        async with container(tmp_path) as server:
            assert (tmp_path / "twistd.pid").read_text() == "1"
            os.kill(_first(server), signal.SIGKILL)
            await server.ends()
    assert "removed twistd.pid: it named this very process" in server.log


@pytest.mark.parametrize("workers", [1, 2])
@inReactor
async def test_terminated(workers: int, tmp_path: Path) -> None:
    """
    It ends well when it is told to, which the kernel does not do to process 1 by
    itself.
    """
    store = f"--store=sqlite:{tmp_path}/sessions.db"
    async with container(tmp_path, store, f"--workers={workers}") as server:
        visitor = Visitor(server.port)
        await visitor.post("/add?n")
        socket = await visitor.connect()
        assert await socket.ask(["get", "n"]) == 1
        os.kill(_first(server), signal.SIGTERM)
        assert (await socket.closes())[0] == 1001
        assert await server.ends() == 0
    assert not (tmp_path / "twistd.pid").exists()
