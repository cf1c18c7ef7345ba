"""
Tests for L{txsessionsock.service.telling}, on pipes.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.service.telling import Telling


class Figures:
    """
    Figures of a test.

    @ivar size: How many bytes they are.
    """

    size = 10

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Deferred[Any] = succeed(None)
        self.text = b""

    def trouble(self) -> Deferred[Any]:
        self.asked += 1
        return self.answer

    def now(self, trouble: str | None = None) -> Any:
        self.text = f"{self.asked} {trouble} ".encode().ljust(self.size, b".")
        return self

    def asJSON(self) -> bytes:
        return self.text


class TellingTests(SynchronousTestCase):
    """
    L{Telling}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.figures = Figures()
        self.ours, pipe = os.pipe()
        os.set_blocking(self.ours, False)
        self.addCleanup(os.close, self.ours)
        self.telling = Telling(self.figures, pipe)
        self.telling.start(self.clock)

    def told(self) -> list[bytes]:
        """
        The lines that came.
        """
        data = b""
        while True:
            try:
                more = os.read(self.ours, 1 << 20)
            except BlockingIOError:
                break
            data += more
            if not more:
                break
        self.assertEqual(data[-1:] or b"\n", b"\n")
        return [line.rstrip(b".") for line in data.splitlines()]

    def test_everySecond(self) -> None:
        """
        They are told at once and every second, and for the last time at the end.
        """
        self.assertEqual(self.told(), [b"1 None "])
        self.clock.advance(0.9)
        self.assertEqual(self.told(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.told(), [b"2 None "])
        self.telling.stop()
        self.assertEqual(self.told(), [b"2 ending "])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waits(self) -> None:
        """
        While the store is asked it is not asked again.
        """
        answer = self.figures.answer = Deferred()
        self.clock.advance(1)
        self.clock.pump([1] * 5)
        self.assertEqual(self.figures.asked, 2)
        self.assertEqual(self.told(), [b"1 None "])
        self.figures.answer = succeed(None)
        answer.callback("store")
        self.assertEqual(self.told(), [b"2 store "])
        self.clock.advance(1)
        self.assertEqual(self.told(), [b"3 None "])
        self.telling.stop()

    def test_lateAnswer(self) -> None:
        """
        An answer that comes after the end is told to nobody.
        """
        answer = self.figures.answer = Deferred()
        self.clock.advance(1)
        self.telling.stop()
        answer.callback("store")
        self.assertEqual(self.told(), [b"1 None ", b"2 ending "])

    def test_full(self) -> None:
        """
        A parent that does not read holds nobody up, and later gets whole lines.
        """
        self.told()
        self.figures.size = 50_000
        self.clock.pump([1] * 20)
        lines = []
        for _ in range(4):
            data = os.read(self.ours, 1 << 20)
            lines.append(data)
            self.clock.advance(1)
        whole = b"".join(lines).splitlines(keepends=True)
        self.assertGreater(len(whole), 2)
        self.assertEqual({len(each) for each in whole[:-1]}, {50_001})
        os.read(self.ours, 1 << 20)
        self.telling.stop()

    def test_nobody(self) -> None:
        """
        A parent that is gone is no error.
        """
        ours, pipe = os.pipe()
        os.close(ours)
        telling = Telling(self.figures, pipe)
        telling.start(self.clock)
        self.clock.advance(1)
        telling.stop()
        self.telling.stop()
