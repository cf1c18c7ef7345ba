"""
How many connections wait while nobody accepts them: counted at a server that
was stopped, so it is the kernel that answers.
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .certificates import Certificates
from .servers import DESK, Twistd, inReactor, program, twistd
from .test_e2e_programs import example, readme, saved


pytestmark = pytest.mark.e2e

MANY = 100
"""
More than Twisted's default.  A queue takes one more than was said.
"""

FAMILIES = {"tcp6": (socket.AF_INET6, "::1"), "unix": (socket.AF_UNIX, "")}


def waiting(family: int, address: Any) -> int:
    """
    Connect many times at once.

    @return: How many of them found a place.
    """
    with ExitStack() as stack:
        tries = []
        for _ in range(MANY):
            each = stack.enter_context(socket.socket(family))
            each.setblocking(False)
            failed = each.connect_ex(address)
            assert failed in (0, errno.EINPROGRESS, errno.EAGAIN), os.strerror(failed)
            # A full queue of a Unix socket says so at once.
            if failed != errno.EAGAIN:
                tries.append(each)
        # What the kernel dropped is tried again after a second only.
        _, connected, _ = select.select([], tries, [], 0.3)
        return len(connected)


def state(pid: int) -> str:
    """
    What a process does.
    """
    return subprocess.check_output(("ps", "-o", "state=", "-p", str(pid)), text=True)


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """
    Have processes do nothing.
    """
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        while not state(pid).startswith("T"):
            pass
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def listening(folder: Path) -> dict[str, str]:
    """
    An endpoint of each kind that has a queue.
    """
    made = Certificates.make(folder)
    names = folder / "names"
    names.mkdir()
    both = made.certificate.read_text() + made.key.read_text()
    (names / "localhost.pem").write_text(both)
    certificate = f"privateKey={made.key}:certKey={made.certificate}"
    return {
        "tcp": "tcp:0:interface=127.0.0.1",
        "tcp6": r"tcp6:0:interface=\:\:1",
        "ssl": f"ssl:0:{certificate}:interface=127.0.0.1",
        "tls": f"tls:{names}:0:interface=127.0.0.1",
        "unix": f"unix:{folder}/socket",
        "haproxy": "haproxy:tcp:0:interface=127.0.0.1",
    }


async def places(server: Twistd, kind: str, folder: Path, pids: list[int]) -> int:
    """
    @return: How many connections wait at a server of that kind.
    """
    family, host = FAMILIES.get(kind, (socket.AF_INET, "127.0.0.1"))
    where: object = str(folder / "socket") if kind == "unix" else (host, server.port)
    with stopped(pids):
        return waiting(family, where)


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "ssl", "tls", "unix", "haproxy"])
@inReactor
async def test_twistd(kind: str, tmp_path: Path) -> None:
    """
    C{twistd} has many wait, at each kind of endpoint, and as few as it is told.
    """
    where = listening(tmp_path)[kind]
    for more, expected in ("", MANY), (":backlog=50", 51), (":backlog=10", 11):
        # A Unix socket says that it listens before it does; then comes the other.
        options = (*DESK, "--listen", where + more, "--listen", "tcp:0")
        async with twistd(*options, listen=0, cwd=tmp_path) as server:
            await server.until(lambda: server.log.count("starting on") == 2)
            assert server.status is None, server.log
            pids = [server.transport.pid]
            assert await places(server, kind, tmp_path, pids) == expected, more


@inReactor
async def test_workers(tmp_path: Path) -> None:
    """
    So have workers: each of them as many as were said.
    """
    where = "tcp:0:interface=127.0.0.1"
    for more, least, most in ("", MANY, MANY), (":backlog=10", 11, 22):
        options = (*DESK, "--workers=2", "--store=sqlite:x", "--listen", where + more)
        async with twistd(*options, listen=0, cwd=tmp_path) as server:
            await server.until(lambda: server.log.count(" is ready") == 2)
            said = re.findall(r"\(pid (\d+)\) is ready", server.log)
            pids = [int(pid) for pid in said]
            assert least <= await places(server, "tcp", tmp_path, pids) <= most, more


NAMES = ("README", "listeners.py", "per_connection.py", "per_message.py", "site.py")


@pytest.mark.parametrize("name", NAMES)
@inReactor
async def test_programs(name: str, tmp_path: Path) -> None:
    """
    And the programs that the documentation shows.
    """
    text = readme(tmp_path) if name == "README" else example(tmp_path, name)
    async with program(*saved(tmp_path, text), cwd=tmp_path) as server:
        pids = [server.transport.pid]
        assert await places(server, "tcp", tmp_path, pids) == MANY
