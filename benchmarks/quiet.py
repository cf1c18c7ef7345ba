"""
A quiet client, in a process of its own: it says something every ten milliseconds,
whether it was answered or not, and notes how long each answer took.

    python -m benchmarks.quiet PORT COOKIE

It ends when its input does, and prints what it noted.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, sleep

from benchmarks.answers import Answers
from benchmarks.load import Protocol, connect, learn
from benchmarks.serving import ROOT


__all__ = ["Quiet", "Waits", "waits"]

INTERVAL = 0.01

Noted = Sequence[tuple[float, float]]
"""
When something was said, by the clock of all processes, and what the answer took.
"""


@dataclass(frozen=True)
class Waits:
    """
    What a half of the answers took at most, 99 of a hundred, and all, in seconds.
    """

    half: float
    most: float
    worst: float


def waits(noted: Noted, began: float, ended: float) -> Waits:
    """
    @return: What it waited for what it said between two moments.
    """
    took = sorted(each for when, each in noted if began <= when < ended)
    if not took:
        return Waits(0.0, 0.0, 0.0)
    return Waits(took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


class Quiet:
    """
    One that is there, until it is asked what it waited.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.quiet", str(port), cookie],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def end(self) -> tuple[Noted, int]:
        """
        @return: What it noted, and how often it was cut off; in the end, all was
            answered, and rightly.
        """
        out, _ = self._process.communicate()
        assert self._process.returncode == 0, "the quiet client was not answered"
        noted, cut = json.loads(out)
        return noted, cut

    def stop(self) -> None:
        """
        Have it end, whatever it does.
        """
        self._process.kill()
        self._process.wait()


class _Talk:
    """
    What is said and answered.  If the server cuts it off, it comes again, and says
    again what was not answered.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self._port, self._cookie = port, cookie
        self._due = deque[float]()
        self.noted: list[tuple[float, float]] = []
        self.cut = 0
        self._begin()

    def _begin(self) -> None:
        [self._connection] = connect(_PROTOCOL, self._port, [self._cookie])
        template = learn(_PROTOCOL, self._connection)
        self._answers = Answers(template, template.first)
        self.socket = self._connection.socket

    @property
    def isWaiting(self) -> bool:
        return bool(self._due)

    def say(self, when: float) -> None:
        self._due.append(when)
        with self._cutting():
            self.socket.sendall(_PROTOCOL.message)

    def hear(self) -> None:
        with self._cutting():
            count = self._answers.received(self.socket.recv(65536) or _CLOSE)
            now = monotonic()
            for _ in range(count):
                when = self._due.popleft()
                self.noted.append((when, now - when))

    @contextmanager
    def _cutting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            self.cut += 1
            assert self.cut < _MOST, "the server does not serve"
            self.socket.close()
            sleep(_PAUSE)
            self._begin()
            self.socket.sendall(_PROTOCOL.message * len(self._due))

    def end(self) -> None:
        assert not self._answers.wrong, "wrong answers"
        self._connection.leave()


_PROTOCOL = Protocol()
_CLOSE = b"\x88" * 100
"""
What is no answer.
"""

_MOST = 20
_PAUSE = 0.5


def note(port: int, cookie: str) -> tuple[Noted, int]:
    """
    Be quiet until the input ends.

    @return: Also how often the server cut it off.
    """
    talk, begin, isOver = _Talk(port, cookie), monotonic(), False
    print("there", flush=True)
    while not isOver or talk.isWaiting:
        if not isOver and monotonic() >= begin:
            talk.say(begin)
            begin += INTERVAL
            continue
        left = 20.0 if isOver else max(begin - monotonic(), 0.0)
        what = [talk.socket] if isOver else [talk.socket, sys.stdin]
        readable = select.select(what, [], [], left)[0]
        isOver = isOver or sys.stdin in readable
        assert readable or not isOver, "the server says nothing any more"
        if talk.socket in readable:
            talk.hear()
    talk.end()
    return talk.noted, talk.cut


if __name__ == "__main__":
    # What runs beside it on its processor is no wait for the server.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print(json.dumps(note(int(sys.argv[1]), sys.argv[2])))
