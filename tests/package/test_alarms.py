"""
Tests for L{txsessionsock._alarms}.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._alarms import Alarms, Timers


class _Sleeper:
    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake


class AlarmsTests(SynchronousTestCase):
    """
    Tests for L{Alarms}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.0)
        self.alarms = Alarms(self.clock)
        self.woken: list[tuple[object, float]] = []

    def start(self, seconds: float, name: object) -> int:
        """
        Have somebody woken who notes when.
        """

        def wake() -> None:
            self.woken.append((name, self.clock.seconds() - 1_700_000_000.0))

        return self.alarms.start(self.clock.seconds() + seconds, _Sleeper(wake))

    def test_inTime(self) -> None:
        """
        Each is woken once, when its time is there, by one timer.
        """
        for seconds in (3, 1, 2):
            self.start(seconds, seconds)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.75)
        self.assertEqual(self.woken, [])
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.woken, [(1, 1.0), (2, 2.0), (3, 3.0)])
        self.assertEqual((len(self.alarms), self.clock.getDelayedCalls()), (0, []))

    def test_inOrder(self) -> None:
        """
        Those of one time are woken in the order in which they asked for it.
        """
        for name in "abc":
            self.start(1, name)
        self.clock.advance(2)
        self.assertEqual(self.woken, [("a", 2.0), ("b", 2.0), ("c", 2.0)])

    def test_stop(self) -> None:
        """
        Who is stopped is not woken; to stop twice, or too late, does nothing.
        """
        first, second = self.start(1, "first"), self.start(2, "second")
        for _ in range(2):
            self.alarms.stop(first)
        self.clock.advance(5)
        self.assertEqual(self.woken, [("second", 5.0)])
        self.start(1, "third")
        self.alarms.stop(second)
        self.clock.advance(1)
        self.assertEqual(self.woken[1:], [("third", 6.0)])

    def test_noneLeft(self) -> None:
        """
        With nobody to wake, no timer runs.
        """
        self.alarms.stop(self.start(1, "nobody"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopsAnother(self) -> None:
        """
        Who is woken may stop who is due at the same time.
        """
        first = _Sleeper(lambda: self.alarms.stop(second))
        self.alarms.start(self.clock.seconds() + 1, first)
        second = self.start(1, "second")
        self.clock.advance(1)
        self.assertEqual(self.woken, [])

    def test_again(self) -> None:
        """
        Who is woken and asks for that again, at once, comes after the others, and
        after what the reactor has to do.
        """
        again = _Sleeper(lambda: self.start(0, "again"))
        self.alarms.start(self.clock.seconds() + 1, again)
        self.start(1, "another")
        self.clock.callLater(1, self.woken.append, ("the reactor's", 1.0))
        self.clock.advance(1)
        names = [name for name, _ in self.woken]
        self.assertEqual(names, ["another", "the reactor's", "again"])

    def test_raises(self) -> None:
        """
        If one raises, the reactor hears of it, and the others are woken.
        """
        self.alarms.start(self.clock.seconds() + 1, _Sleeper(lambda: 1 // 0))
        self.start(1, "after it")
        with self.assertRaises(ZeroDivisionError):
            self.clock.advance(1)
        self.clock.advance(0)
        self.assertEqual(self.woken, [("after it", 1.0)])

    def test_stoppedAreForgotten(self) -> None:
        """
        What was stopped takes no room for long.
        """
        self.start(1, "stays")
        for _ in range(1000):
            self.alarms.stop(self.start(2, "goes"))
        self.assertLess(len(self.alarms._heap), 100)
        self.clock.advance(3)
        self.assertEqual(self.woken, [("stays", 3.0)])

    @given(
        st.lists(
            st.tuples(st.floats(0, 50), st.booleans(), st.floats(0, 20)), max_size=50
        )
    )
    def test_asCallLater(self, steps: list[tuple[float, bool, float]]) -> None:
        """
        They do what as many calls of the reactor's would do, by whatever steps
        time passes.
        """
        self.setUp()
        wanted: list[tuple[object, float]] = []

        def noted(name: int) -> None:
            wanted.append((name, self.clock.seconds() - 1_700_000_000.0))

        calls = []
        for name, (seconds, stops, passes) in enumerate(steps):
            call = self.clock.callLater(seconds, noted, name)
            calls.append((call, self.start(seconds, name)))
            if stops:
                call, number = calls[len(calls) // 2]
                self.alarms.stop(number)
                if call.active():
                    call.cancel()
            self.clock.advance(passes)
        self.clock.advance(60)
        self.assertEqual(sorted(map(repr, self.woken)), sorted(map(repr, wanted)))


class TimersTests(SynchronousTestCase):
    """
    Tests for L{Timers}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.called: list[str] = []

    def test_each(self) -> None:
        """
        Each runs by itself; one that is started anew was not started before.
        """
        for name, seconds in (("a", 1), ("b", 2), ("a", 3)):
            self.timers.start(name, seconds, partial(self.called.append, name))
        self.assertEqual([self.timers.due(name) for name in "abc"], [3.0, 2.0, inf])
        self.assertEqual(
            [self.timers.isRunning(name) for name in "abc"], [True, True, False]
        )
        self.clock.pump([1.0] * 4)
        self.assertEqual(self.called, ["b", "a"])

    def test_stop(self) -> None:
        """
        Those that are stopped call nothing, also if they were not started.
        """
        for name in "abc":
            self.timers.start(name, 1, partial(self.called.append, name))
        self.timers.stop("a", "c", "d")
        self.clock.advance(2)
        self.assertEqual(self.called, ["b"])
        self.timers.stop("a", "b")

    def test_whileCalling(self) -> None:
        """
        One that calls its function does not run, and may be started.
        """

        def called() -> None:
            self.called.append(str(self.timers.isRunning("a")))
            if len(self.called) == 1:
                self.timers.start("a", 1, called)

        self.timers.start("a", 1, called)
        self.clock.pump([1.0] * 4)
        self.assertEqual(self.called, ["False", "False"])

    def test_nothingStays(self) -> None:
        """
        Without one that runs, it takes nothing.
        """
        self.timers.start("a", 1, lambda: None)
        self.timers.start("b", 1, lambda: None)
        self.timers.stop("b")
        self.clock.advance(1)
        self.assertIsNone(self.timers._running)
