"""
Tests for L{txsessionsock.stores.sqlite} with several processes on one file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import time

import pytest
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.interfaces import FOREVER
from txsessionsock.stores.sqlite import SQLiteStore
from txsessionsock.testing import PrivateReactor


pytestmark = pytest.mark.e2e


class ProcessTests(SynchronousTestCase):
    """
    Tests with processes that are really others.
    """

    def setUp(self) -> None:
        self.reactor = PrivateReactor()
        self.addCleanup(self.reactor.close)
        self.path = os.path.abspath(self.mktemp())
        self.store = SQLiteStore(self.path, self.reactor)
        self.addCleanup(lambda: self.reactor.wait(self.store.close()))

    def spawn(self, task: str, times: int) -> subprocess.Popen[str]:
        """
        Start a process that works on the file.
        """
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.sqliteworker",
                self.path,
                task,
                str(times),
            ],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def test_nothingLost(self) -> None:
        """
        Processes that count in one session at the same time lose nothing.
        """
        self.reactor.wait(self.store.create("n", b"0", FOREVER))
        workers = [self.spawn("increment", 300) for _ in range(3)]
        for worker in workers:
            self.assertEqual(worker.wait(60), 0)
        stored = self.reactor.wait(self.store.load("n"))
        assert stored is not None
        self.assertEqual(stored.raw, b"900")

    def test_createdAtOnce(self) -> None:
        """
        Processes that start at the same time with no file yet agree on one,
        and each session is created by exactly one of them.  A process that
        does not close its store ends all the same.
        """
        workers = [self.spawn("create", 20) for _ in range(6)]
        for worker in workers:
            self.assertEqual(worker.wait(60), 0)
        for n in range(20):
            self.assertIsNotNone(self.reactor.wait(self.store.load(f"k{n}")))

    def test_killed(self) -> None:
        """
        Whatever was answered is there after the process was killed.
        """
        worker = self.spawn("create", 10**9)
        assert worker.stdout is not None
        while int(worker.stdout.readline()) < 500:
            pass
        worker.kill()
        # The last line may be cut short.
        answered = 500 + worker.stdout.read().count("\n")
        for n in range(answered + 1):
            stored = self.reactor.wait(self.store.load(f"k{n}"))
            assert stored is not None
            self.assertEqual(stored.raw, b"%d" % n)

    def test_notClosed(self) -> None:
        """
        When the reactor stops, a store that nobody closed ends, and lets go
        of its file in order.
        """
        self.assertEqual(self.spawn("leave", 0).wait(60), 0)
        self.assertFalse(os.path.exists(self.path + "-wal"))
        self.assertIsNotNone(self.reactor.wait(self.store.load("left")))

    @pytest.mark.timed
    def test_latency(self) -> None:
        """
        What another process does is heard of within the interval of polling.
        """
        times: list[float] = []
        self.reactor.wait(self.store.create("n", b"0", FOREVER))
        self.store.watch("n", lambda key: times.append(time()))
        self.reactor.wait(self.store.fence("n"))
        worker = self.spawn("touch", 20)
        assert worker.stdin is not None and worker.stdout is not None
        late = []
        for _ in range(20):
            times.clear()
            worker.stdin.write("\n")
            worker.stdin.flush()
            self.reactor.waitUntil(lambda: bool(times))
            late.append(times[0] - float(worker.stdout.readline()))
        late.sort()
        self.assertLess(late[len(late) // 2], 0.2)
        if "SHOW_FIGURES" in os.environ:
            print(f"reported after {late[10]:.3f} s (median), {late[-1]:.3f} s (most)")
