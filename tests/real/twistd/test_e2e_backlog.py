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

from tests.real.twistd.test_e2e_programs import example, readme, saved
from tests.support.certificates import Certificates
from tests.support.servers import STARTING, VERBS, Twistd, inReactor, program, twistd


MANY = 100
"""
More than Twisted's default.  A queue takes one more than was said.
"""

FAMILIES = {
    "tcp6": (int(socket.AF_INET6), "::1"),
    "unix": (int(socket.AF_UNIX), ""),
}


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
        "unix": "unix:{unix}",
        "haproxy": "haproxy:tcp:0:interface=127.0.0.1",
    }


def places(server: Twistd, pids: list[int]) -> int:
    """
    @return: How many connections wait at a server's first port.
    """
    with stopped(pids):
        return waiting(socket.AF_INET, ("127.0.0.1", server.port))


@inReactor
async def test_twistd(tmp_path: Path) -> None:
    """
    C{twistd} has many wait, at each kind of endpoint, and as few as it is told.
    """
    expected = {"": MANY, ":backlog=50": 51, ":backlog=10": 11}
    options = [*VERBS]
    addresses: list[tuple[int, Any]] = []
    endpoints = listening(tmp_path)
    for more in expected:
        for kind, where in endpoints.items():
            unix = tmp_path / f"socket{more[-2:]}"
            options += ["--listen", where.format(unix=unix) + more]
            family, host = FAMILIES.get(kind, (int(socket.AF_INET), "127.0.0.1"))
            addresses.append((family, str(unix) if kind == "unix" else host))
    # A Unix socket says that it listens before it does; this comes last.
    options += ["--listen", "tcp:0"]
    async with twistd(*options, listen=0, cwd=tmp_path) as server:
        await server.until(lambda: server.log.count("starting on") > len(addresses))
        ports = iter(server.ports)
        found = []
        with stopped([server.transport.pid]):
            for family, host in addresses:
                isUnix = family == socket.AF_UNIX
                found.append(waiting(family, host if isUnix else (host, next(ports))))
    kinds = len(found) // len(expected)
    assert found == [count for count in expected.values() for _ in range(kinds)]


@inReactor
async def test_workers(tmp_path: Path) -> None:
    """
    So have workers: each of them as many as were said.
    """
    where = "tcp:0:interface=127.0.0.1"
    for more, least, most in ("", MANY, MANY), (":backlog=10", 11, 22):
        options = (*VERBS, "--workers=2", "--store=sqlite:x", "--listen", where + more)
        async with twistd(*options, listen=0, cwd=tmp_path) as server:
            await server.until(
                lambda: server.log.count(" is ready") == 2, patience=STARTING
            )
            said = re.findall(r"\(pid (\d+)\) is ready", server.log)
            pids = [int(pid) for pid in said]
            assert least <= places(server, pids) <= most, more


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
        assert places(server, pids) == MANY
