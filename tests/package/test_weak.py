"""
Tests for L{txsessionsock._weak}.
"""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._weak import weakly


class Owner:
    """
    Something that is called back by what it has.
    """

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.call = weakly(self.called, 0)

    def called(self, number: int) -> int:
        self.calls.append(number)
        return number


class WeaklyTests(SynchronousTestCase):
    """
    Tests for L{weakly}.
    """

    def test_weakly(self) -> None:
        """
        A method is called as long as its object is kept, which this does not.
        """
        gc.disable()
        self.addCleanup(gc.enable)
        owner = Owner()
        call, calls = owner.call, owner.calls
        self.assertEqual((call(1), call(2)), (1, 2))
        del owner
        self.assertEqual((call(3), calls), (0, [1, 2]))
