"""
Tests for L{txsessionsock.stores._deadlines.Deadlines}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.stores._deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """
    Tests for L{Deadlines}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.1)
        self.due: list[str] = []
        self.deadlines = Deadlines(self.clock, self.due.append)

    def expect(self, key: str, delay: float | None) -> None:
        """
        Expect a key to end so many seconds from now.
        """
        end = None if delay is None else self.clock.seconds() + delay
        self.deadlines.expect(key, end)

    def test_due(self) -> None:
        """
        Each deadline is told when it is there, and once.
        """
        for key, delay in ("b", 2.0), ("a", 1.0), ("c", 3.0), ("past", -1.0):
            self.expect(key, delay)
        self.clock.advance(0)
        self.assertEqual(self.due, ["past"])
        self.clock.pump([0.99, 0.02])
        self.assertEqual(self.due, ["past", "a"])
        self.clock.advance(10.0)
        self.assertEqual(self.due, ["past", "a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_moved(self) -> None:
        """
        It is the last that counts: earlier, later, or never.
        """
        for key, delay in ("a", 5.0), ("b", 5.0), ("c", 5.0), ("d", 5.0):
            self.expect(key, delay)
        self.expect("a", 1.0)
        self.expect("b", 9.0)
        self.expect("c", None)
        self.deadlines.forget("d")
        self.clock.advance(1.0)
        self.assertEqual(self.due, ["a"])
        self.clock.advance(7.9)
        self.assertEqual(self.due, ["a"])
        self.clock.advance(0.2)
        self.assertEqual(self.due, ["a", "b"])

    def test_clear(self) -> None:
        """
        After the end nothing is due, and no timer is left.
        """
        self.expect("a", 1.0)
        self.deadlines.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(2.0)
        self.assertEqual(self.due, [])

    def test_within(self) -> None:
        """
        Who is told of a deadline may set the next at once, for this key and
        others.
        """

        def due(key: str) -> None:
            self.due.append(key)
            if len(self.due) < 4:
                self.expect(key, 1.0)
                self.deadlines.forget("b")

        self.deadlines = Deadlines(self.clock, due)
        self.expect("a", 1.0)
        self.expect("b", 1.5)
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.due, ["a"] * 4)

    def test_bounded(self) -> None:
        """
        Neither what is put off with each write nor keys that come and go add
        up, and there is one timer.
        """
        for n in range(10_000):
            self.clock.advance(0.01)
            self.expect("a", 1000.0)
            self.expect("b", 1000.0 - n / 100)
            self.expect(f"k{n}", 500.0)
            self.deadlines.forget(f"k{n}")
        self.assertLess(len(self.deadlines._heap), 100)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(2000.0)
        self.assertEqual(sorted(self.due), ["a", "b"])
        self.assertEqual(self.deadlines._heap, [])

    def test_putOff(self) -> None:
        """
        To put a deadline off costs nothing until it comes.
        """
        for _ in range(50):
            self.clock.advance(0.01)
            self.expect("a", 1000.0)
        self.assertEqual(len(self.deadlines._heap), 1)

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.none() | st.integers(-1, 9))
            | st.tuples(st.just("pass"), st.integers(0, 4))
            | st.tuples(st.just("forget"), st.sampled_from("abc"))
        )
    )
    def test_model(self, steps: list[tuple[str, object]]) -> None:
        """
        At each time, exactly those were told whose last deadline is past.
        """
        self.setUp()
        ends: dict[str, float] = {}
        for name, value in steps:
            if name == "pass":
                assert isinstance(value, int)
                self.clock.advance(value / 8)
                now = self.clock.seconds()
                over = sorted(key for key, end in ends.items() if end <= now)
                self.assertEqual(sorted(self.due), over)
                self.due.clear()
                for key in over:
                    del ends[key]
            elif name == "forget":
                self.deadlines.forget(str(value))
                ends.pop(str(value), None)
            else:
                assert value is None or isinstance(value, int)
                self.expect(name, None if value is None else value / 8)
                ends.pop(name, None)
                if value is not None:
                    ends[name] = self.clock.seconds() + value / 8
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
