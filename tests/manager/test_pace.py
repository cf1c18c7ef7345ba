"""
Tests for L{txsessionsock.manager.pace}.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.manager.pace import _AT_ONCE, Pace


class PaceTests(SynchronousTestCase):
    """
    L{Pace}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.pace = Pace(lambda call: self.clock.callLater(0, call))
        self.done: list[int] = []

    def do(self, *numbers: int) -> None:
        for number in numbers:
            self.pace.do(partial(self.done.append, number))

    def test_few(self) -> None:
        """
        A few things are done at once.
        """
        self.do(1, 2, 3)
        self.assertEqual(self.done, [1, 2, 3])

    def test_many(self) -> None:
        """
        Of many, so many are done in each turn, in order, and nothing is left
        to be done in the end.
        """
        number = 2 * _AT_ONCE + 7
        self.do(*range(number))
        for expected in _AT_ONCE, 2 * _AT_ONCE, number:
            self.assertEqual(self.done, [*range(expected)])
            self.clock.rightNow += 1.0
            calls, self.clock.calls = self.clock.calls, []
            for call in calls:
                call.func()
        self.assertEqual(self.done, [*range(number)])
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later(self) -> None:
        """
        What comes while others wait comes after them, and a turn that is over
        counts no more.
        """
        self.do(*range(_AT_ONCE + 1))
        self.do(_AT_ONCE + 1)
        self.assertEqual(len(self.done), _AT_ONCE)
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(self.done, [*range(_AT_ONCE + 2)])
        self.do(99)
        self.assertEqual(self.done[-1], 99)
