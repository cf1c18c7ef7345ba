"""
Servers that are measured, in processes of their own: where they run, what time of the
processor and what memory they have taken.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


__all__ = ["OTHERS", "ROOT", "Server", "ownProcessor", "processorTime"]

ROOT = Path(__file__).resolve().parent.parent
OTHERS = ROOT / "build" / "peers"


def ownProcessor() -> int | None:
    """
    Leave the first processor to the servers, with all that is started from now on.

    @return: That one; L{None} if there is no other.
    """
    available = os.sched_getaffinity(0)
    first, last = min(available), max(available)
    if first == last:
        return None
    os.sched_setaffinity(0, {last})
    return first


def processorTime(pid: int) -> float:
    """
    @return: How many seconds a process has taken, with all its threads.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Server:
    """
    One that says first at which port it listens.

    @param processor: Where it has to run, if that is not left to the system.
    """

    def __init__(self, command: Sequence[str], processor: int | None) -> None:
        # Not by os.sched_setaffinity: Node has threads by then.
        pinned = [] if processor is None else ["taskset", "-c", str(processor)]
        self._process = subprocess.Popen(
            [*pinned, *command],
            env={
                **os.environ,
                "NODE_ENV": "production",
                "NODE_PATH": str(OTHERS / "node_modules"),
                "PYTHONPATH": str(ROOT),
                "PYTHONWARNINGS": "ignore",
            },
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            raise SystemExit(f"{' '.join(command)} does not serve")
        self.port = int(line)

    @property
    def seconds(self) -> float:
        """
        How much time of a processor it has taken.
        """
        return processorTime(self.pid)

    @property
    def memory(self) -> int:
        """
        How many bytes it has.
        """
        text = Path(f"/proc/{self.pid}/statm").read_text("ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """
        Have it end, and wait for that.
        """
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
