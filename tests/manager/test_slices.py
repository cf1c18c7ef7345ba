"""
Tests for L{txsessionsock.manager.slices}.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import chain
from weakref import ref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import turn
from txsessionsock._collector import COLLECTIONS
from txsessionsock.manager.slices import SLICE, Slices


class Session:
    """
    Somebody who has work to be done.
    """


class SlicesTests(SynchronousTestCase):
    """
    Tests for L{Slices}, on a clock that stands still unless work is done.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.slices = Slices(self.clock)
        self.done: list[object] = []

    def work(self, name: object, seconds: float = 0.0) -> None:
        """
        Do something that takes a while.
        """
        self.clock.rightNow += seconds
        self.done.append(name)

    def do(self, who: Session, name: object, seconds: float, times: int) -> None:
        """
        Have somebody do things one after the other, as a client does.
        """
        for left in range(times, 0, -1):
            if not self.slices.hasTime():
                self.slices.later(who, partial(self.do, who, name, seconds, left))
                return
            self.slices.spend(partial(self.work, name, seconds))

    def turn(self) -> list[object]:
        """
        Let the reactor go round once.

        @return: What was done then.
        """
        self.done = []
        turn(self.clock)
        return self.done

    def test_quick(self) -> None:
        """
        As long as little time was spent, there is time, and the reactor has
        nothing to do.
        """
        self.do(Session(), "a", 0.0, 10_000)
        self.assertEqual(len(self.done), 10_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow(self) -> None:
        """
        No more is begun once a slice is over; the rest is done in later turns of
        the reactor.
        """
        self.do(Session(), "a", 0.006, 5)
        self.assertEqual(self.done, ["a", "a"])
        self.assertEqual(self.turn(), ["a", "a"])
        self.assertEqual(self.turn(), ["a"])
        self.assertEqual(self.turn(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """
        A slice is for all together: two hundred who come in one turn have no
        more than one.
        """
        for number in range(200):
            self.do(Session(), number, 0.004, 1)
        self.assertEqual(self.done, [0, 1, 2])
        turns = []
        while done := self.turn():
            turns.append(done)
        self.assertEqual([*chain.from_iterable(turns)], [*range(3, 200)])
        self.assertLessEqual(max(map(len, turns)), 3)

    def test_littleFirst(self) -> None:
        """
        Whoever has had little comes before those who had much, and wait too.
        """
        greedy = [Session() for _ in range(20)]
        for number, each in enumerate(greedy):
            self.do(each, number, 0.001, 100)
        for _ in range(50):
            self.turn()
        self.do(modest := Session(), "modest", 0.001, 1)
        self.assertIn("modest", self.turn())
        # It goes on so, as long as it takes no more than its share.
        for _ in range(10):
            self.turn()
            self.do(modest, "modest", 0.0001, 1)
            self.assertIn("modest", self.turn())

    def test_alike(self) -> None:
        """
        Those who want without end have the same share each, whatever one thing
        that they do takes; and a session has one share, whoever does it.
        """
        one, two, three = Session(), Session(), Session()
        self.do(one, "one", 0.0001, 10**6)
        self.do(two, "two", 0.003, 10**6)
        for _ in range(10):
            self.do(three, "three", 0.001, 10**6)
        cost: dict[object, float] = {"one": 0.0001, "two": 0.003, "three": 0.001}
        done = [name for _ in range(500) for name in self.turn()]
        spent = [seconds * done.count(name) for name, seconds in cost.items()]
        self.assertLess(max(spent) / min(spent), 1.1, spent)

    def test_comesLater(self) -> None:
        """
        Whoever comes later has no claim to what the others had before.
        """
        one, two = Session(), Session()
        self.do(one, "one", 0.001, 10**6)
        for _ in range(200):
            self.turn()
        self.do(two, "two", 0.001, 10**6)
        done = [name for _ in range(40) for name in self.turn()]
        self.assertLess(abs(done.count("one") - done.count("two")), 5)

    def test_within(self) -> None:
        """
        What is done within something else is counted once, and stopped too.
        """

        def outer() -> None:
            for number in range(10):
                if not self.slices.hasTime():
                    return
                self.slices.spend(partial(self.work, number, 0.004))

        self.slices.spend(outer)
        self.assertEqual(self.done, [0, 1, 2])
        self.turn()
        self.assertTrue(self.slices.hasTime())

    def test_collected(self) -> None:
        """
        Whoever is at work when Python's garbage collector comes does not pay for it.
        """
        unlucky, other = Session(), Session()

        def collect() -> None:
            self.work("unlucky", 0.05)
            COLLECTIONS.seconds += 0.05

        self.do(other, "other", 0.003, 10)
        self.slices.later(unlucky, collect)
        while "unlucky" not in self.turn():
            pass
        self.do(unlucky, "unlucky", 0.003, 1)
        self.assertIn("unlucky", self.turn())

    def test_newcomers(self) -> None:
        """
        Whoever had little comes before hundreds who come for the first time.
        """
        known = Session()
        self.do(Session(), "greedy", 0.004, 100)
        self.do(known, "known", 0.0001, 1)
        while "known" not in self.turn():
            pass
        for number in range(200):
            self.do(Session(), number, 0.004, 1)
        self.do(known, "known", 0.0001, 1)
        self.assertIn("known", self.turn())

    def test_bulk(self) -> None:
        """
        Whoever is there comes before thousands of sessions that come, go or are to be
        stored, each time anew.
        """
        known = Session()
        for number in range(2000):
            later = partial(self.work, number, 0.001)
            self.slices.later(Session(), later, isBulk=True)
        for _ in range(100):
            self.slices.later(known, partial(self.work, "known", 0.0001))
            self.assertEqual(self.turn()[0], "known")

    def test_bulkHalf(self) -> None:
        """
        They have half of the time, where those who are there want more than there is;
        and so has one session for its own.
        """
        one, other = Session(), Session()
        for who in one, other:
            for isBulk in False, True:
                name = "bulk" if isBulk else "there"
                for _ in range(500):
                    work = partial(self.work, name, 0.001)
                    self.slices.later(who, work, isBulk=isBulk)
        done = [name for _ in range(50) for name in self.turn()]
        self.assertLess(abs(done.count("bulk") - done.count("there")), 3)

    def test_fails(self) -> None:
        """
        Whatever one of them raises, the others are served.
        """
        self.do(Session(), "a", SLICE, 1)
        self.slices.later(Session(), lambda: 1 // 0)
        self.slices.later(Session(), sys.exit)
        self.slices.later(Session(), partial(self.work, "b"))
        self.assertEqual(self.turn(), ["b"])
        failed = self.flushLoggedErrors(ZeroDivisionError, SystemExit)
        self.assertEqual(len(failed), 2)

    def test_forgotten(self) -> None:
        """
        Of those who were served, nothing is kept.
        """
        session = Session()
        self.do(session, "a", SLICE, 3)
        seen = ref(session)
        del session
        for _ in range(4):
            self.turn()
        self.assertIsNone(seen())
