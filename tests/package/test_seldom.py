"""
Tests for L{txsessionsock._seldom}: lines of the log that anybody can cause.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._seldom import LongError, Seldom, clipped, shown


_log = Logger()


class SeldomTests(SynchronousTestCase):
    """
    L{Seldom}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.seldom = Seldom(self.clock)

    def said(self, *lines: str, kind: object = None) -> list[str | None]:
        """
        @return: What is logged of some lines.
        """
        with capturedLogs() as logs:
            for line in lines:
                self.seldom.warn(_log, line, self.clock.seconds(), kind)
        return [formatEvent(event) for event in logs]

    def passed(self, seconds: float) -> list[str | None]:
        """
        @return: What is logged while time passes.
        """
        with capturedLogs() as logs:
            self.clock.advance(seconds)
        return [formatEvent(event) for event in logs]

    def test_once(self) -> None:
        """
        Each line is logged once in a minute, and at its end the log says how
        often it would have been, also if nothing follows.
        """
        self.assertEqual(self.said("a", "a", "b", "a", "{c}"), ["a", "b", "{c}"])
        self.assertEqual(self.passed(59.9), [])
        self.assertEqual(self.passed(0.2), ["left out: 2 more of: a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.said("a"), ["a"])
        self.assertEqual(self.passed(600), [])

    def test_kinds(self) -> None:
        """
        Lines of one kind count as one, whatever a client writes into them.
        """
        self.assertEqual(self.said("a", "b", "c", kind="origin"), ["a"])
        self.assertEqual(self.said("b", kind="other"), ["b"])
        self.assertEqual(self.passed(60), ["left out: 2 more of: a"])

    def test_many(self) -> None:
        """
        Of too many kinds, the rest is only counted.
        """
        lines = [str(n) for n in range(100)]
        self.assertEqual(self.said(*lines, *lines), lines[:20])
        left = [f"left out: 1 more of: {n}" for n in range(20)]
        self.assertEqual(self.passed(60), [*left, "left out: 160 of other kinds"])

    def test_nothingKept(self) -> None:
        """
        What was logged is forgotten, however much it was.
        """
        for n in range(10_000):
            self.said(str(n))
        self.assertLessEqual(len(self.seldom._said), 20)
        self.passed(60)
        self.assertEqual(len(self.seldom._said), 0)

    def test_clockSetBack(self) -> None:
        """
        After a clock was set back, lines are soon logged again.
        """
        self.said("a", "a")
        self.clock.rightNow -= 3600
        self.assertEqual(self.said("a"), ["left out: 1 more of: a", "a"])
        self.clock.advance(7200)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_withoutClock(self) -> None:
        """
        Without a clock, the next line comes with what was left out.
        """
        self.seldom = Seldom()
        self.said("a", "a")
        self.clock.advance(60)
        self.assertEqual(self.said("b"), ["left out: 1 more of: a", "b"])

    def test_long(self) -> None:
        """
        No line is long.
        """
        ((line,), (shorter,)) = self.said("x" * 10_000), self.said("y" * 1000)
        assert line is not None and shorter is not None
        self.assertEqual((len(line), len(shorter)), (1000, 1000))
        self.assertEqual(len(shown("\n" * 10_000)), 200)
        self.assertEqual((clipped("ab", 2), clipped("abc", 2)), ("ab", "a…"))


class FailureTests(SynchronousTestCase):
    """
    L{Seldom.failure}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.seldom = Seldom(self.clock)

    def fail_(self, error: Exception, deep: int = 0) -> None:
        """
        Log a failure.
        """
        try:
            if deep:
                self.fail_(error, deep - 1)
                return
            raise error
        except Exception:
            self.seldom.failure(_log, "it failed", Failure(), self.clock.seconds())

    def logged(self, kind: type[Exception]) -> list[Any]:
        """
        @return: The failures that were logged.
        """
        return list(self.flushLoggedErrors(kind))

    def test_once(self) -> None:
        """
        The same traceback is logged once, and then how often it came.
        """
        for n in range(50):
            self.fail_(ValueError(f"this is {n}"))
        (failure,) = self.logged(ValueError)
        self.assertEqual(failure.getErrorMessage(), "this is 0")
        with capturedLogs() as logs:
            self.clock.advance(60)
        line = "left out: 49 more of: it failed: ValueError"
        self.assertEqual([formatEvent(event) for event in logs], [line])

    def test_others(self) -> None:
        """
        Those of other types, and from elsewhere, are others.
        """
        self.fail_(ValueError("a"))
        self.fail_(KeyError("a"))
        self.seldom.failure(_log, "it failed", Failure(ValueError("a")), 0.0)
        self.assertEqual(len(self.logged(ValueError)), 2)
        self.assertEqual(len(self.logged(KeyError)), 1)

    def test_long(self) -> None:
        """
        What a client sent and an error repeats is not shown whole.
        """
        with capturedLogs() as logs:
            self.fail_(ValueError("x" * 1_000_000))
        (failure,) = self.logged(LongError)
        self.assertIn("ValueError: xxx", failure.getErrorMessage())
        self.assertLess(len(failure.getTraceback()), 2000)
        self.assertIn("in fail_", failure.getTraceback())
        self.assertLess(len(str(formatEvent(logs[0]))), 300)
