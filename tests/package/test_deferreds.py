"""
Tests for L{txsessionsock._deferreds}.
"""

from __future__ import annotations

from gc import collect
from math import inf
from typing import Any
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock import _deferreds
from txsessionsock._deferreds import Timer, backOff


class TimerTests(SynchronousTestCase):
    """
    Tests for L{Timer}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.timer = Timer(self.clock)
        self.called: list[object] = []

    def test_calls(self) -> None:
        """
        The function is called once, when its time is there, and with its
        arguments.
        """
        self.timer.start(2.0, lambda *all: self.called.append(all), 1, "a")
        self.clock.advance(1.9)
        self.assertEqual(self.called, [])
        self.clock.pump([0.2, 10.0])
        self.assertEqual(self.called, [(1, "a")])

    def test_state(self) -> None:
        """
        It is running until it calls the function, and knows when that will be.
        """

        def called() -> None:
            self.called.append((self.timer.isRunning, self.timer.due))

        self.assertEqual((self.timer.isRunning, self.timer.due), (False, inf))
        self.timer.start(2.0, called)
        self.assertEqual((self.timer.isRunning, self.timer.due), (True, 1_700_000_002))
        self.timer.start(1.0, called)
        self.assertEqual(self.timer.due, 1_700_000_001)
        self.timer.start(3.0, called)
        self.assertEqual(self.timer.due, 1_700_000_003)
        self.clock.advance(3.0)
        self.assertEqual(self.called, [(False, inf)])
        self.assertEqual((self.timer.isRunning, self.timer.due), (False, inf))

    def test_restarted(self) -> None:
        """
        Only what it was last started for is called, be that earlier or later.
        """
        for first, second in (5.0, 1.0), (1.0, 5.0), (3.0, 3.0):
            self.called = []
            self.timer.start(first, self.called.append, "first")
            self.timer.start(second, self.called.append, "second")
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(second - 0.1)
            self.assertEqual(self.called, [])
            self.clock.pump([0.2, 9.0])
            self.assertEqual(self.called, ["second"])

    def test_postponed(self) -> None:
        """
        To start it again for later costs the reactor no second call.
        """
        self.timer.start(1.0, self.called.append, 1)
        (before,) = self.clock.getDelayedCalls()
        self.timer.start(2.0, self.called.append, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [before])

    def test_stopped(self) -> None:
        """
        One that was stopped calls nothing, and can be started again.  It may be
        stopped when it is not running.
        """
        self.timer.stop()
        self.timer.start(1.0, self.called.append, 1)
        self.timer.stop()
        self.timer.stop()
        self.assertFalse(self.timer.isRunning)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.timer.start(1.0, self.called.append, 2)
        self.clock.advance(1.0)
        self.assertEqual(self.called, [2])

    def test_fromWithin(self) -> None:
        """
        The function may start it again, and may stop it.
        """

        def again(left: int) -> None:
            self.called.append(left)
            self.timer.stop()
            if left:
                self.timer.start(1.0, again, left - 1)

        self.timer.start(1.0, again, 2)
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.called, [2, 1, 0])

    def test_failing(self) -> None:
        """
        After a function that fails it can be started again.
        """
        self.timer.start(1.0, lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, self.clock.advance, 1.0)
        self.assertFalse(self.timer.isRunning)
        self.timer.start(1.0, self.called.append, 1)
        self.clock.advance(1.0)
        self.assertEqual(self.called, [1])

    def test_shown(self) -> None:
        """
        Who lists what a reactor is to call sees the function.
        """
        self.assertEqual(repr(self.timer), "<Timer: not running>")
        self.timer.start(1.0, self.test_shown)
        (call,) = self.clock.getDelayedCalls()
        self.assertIn("<Timer: TimerTests.test_shown>", str(call))

    def test_past(self) -> None:
        """
        What is due in the past is called at once, and not within C{start}.
        """

        class Strict(Clock):
            """
            A clock that refuses what reactors refuse.
            """

            def callLater(self, delay: float, *call: Any, **more: Any) -> Any:
                assert delay >= 0.0
                return super().callLater(delay, *call, **more)

        self.clock = Strict()
        self.timer = Timer(self.clock)
        self.timer.start(-1.0, self.called.append, 1)
        self.assertEqual(self.called, [])
        self.clock.advance(0.0)
        self.assertEqual(self.called, [1])

    def test_letsGo(self) -> None:
        """
        A timer that is not running keeps nothing alive.
        """

        class Argument:
            pass

        for end in self.timer.stop, lambda: self.clock.advance(1.0):
            argument = Argument()
            self.timer.start(1.0, lambda _: None, argument)
            known = ref(argument)
            del argument
            end()
            collect()
            self.assertIsNone(known())


class BackOffTests(SynchronousTestCase):
    """
    Tests for L{backOff}.
    """

    def test_doubles(self) -> None:
        """
        Each wait is twice the one before, up to the limit.
        """
        waits = [backOff(0.1, 1.0, tries) for tries in range(6)]
        self.assertEqual(waits, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0])

    def test_long(self) -> None:
        """
        The limit holds after any number of tries, and if it is below the
        first.
        """
        self.assertEqual(backOff(0.1, 10.0, 1_000_000), 10.0)
        self.assertEqual(backOff(2.0, 1.0, 0), 1.0)

    @given(st.integers(0, 40), st.floats(0.0, 1.0))
    def test_jitter(self, tries: int, jitter: float) -> None:
        """
        Chance takes off a share, and never more.
        """
        whole = backOff(0.5, 8.0, tries)
        wait = backOff(0.5, 8.0, tries, jitter)
        self.assertLessEqual(wait, whole)
        self.assertGreaterEqual(wait, whole * (1.0 - jitter))

    def test_spread(self) -> None:
        """
        The share is chance's, up to all of it.
        """
        asked: list[tuple[float, float]] = []

        def uniform(low: float, high: float) -> float:
            asked.append((low, high))
            return low

        self.patch(_deferreds, "_uniform", uniform)
        self.assertEqual(backOff(1.0, 4.0, 1, jitter=0.25), 1.5)
        self.assertEqual(backOff(1.0, 4.0, 1, jitter=1.0), 0.0)
        self.assertEqual(asked, [(0.75, 1.0), (0.0, 1.0)])
