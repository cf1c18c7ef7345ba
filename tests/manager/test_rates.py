"""
Tests for L{txsessionsock.manager.rates}.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import ManagerCase
from txsessionsock.limits import Rate
from txsessionsock.manager.rates import Bucket, Ration, Rations


NOW = 1_800_000_000.0


class BucketTests(SynchronousTestCase):
    """
    Tests for L{Bucket}, which has no clock.
    """

    def taken(self, rate: Rate, now: float, bucket: Bucket) -> int:
        """
        Take all that there are.
        """
        count = 0
        while not bucket.wait(rate, now):
            bucket.take(rate, now)
            count += 1
        return count

    def test_burst(self) -> None:
        """
        A new one has as many as the burst is, and has them again after a rest.
        """
        bucket, rate = Bucket(), Rate(10, 5)
        self.assertTrue(bucket.isFull(NOW))
        self.assertEqual(self.taken(rate, NOW, bucket), 5)
        self.assertFalse(bucket.isFull(NOW))
        self.assertAlmostEqual(bucket.wait(rate, NOW), 0.1, 5)
        self.assertEqual(self.taken(rate, NOW + 0.25, bucket), 2)
        self.assertAlmostEqual(bucket.wait(rate, NOW + 0.25), 0.05, 5)
        self.assertEqual(self.taken(rate, NOW + 1000, bucket), 5)
        self.assertTrue(bucket.isFull(NOW + 1000.5))

    def test_rate(self) -> None:
        """
        In the long run there are as many as the rate says, whenever one looks.
        """
        random = Random(1)
        for perSecond, burst in (0.5, 2), (3, 3), (1000, 40), (7.5, 100):
            bucket, rate, now, count = Bucket(), Rate(perSecond, burst), NOW, 0
            while now < NOW + 1000:
                count += self.taken(rate, now, bucket)
                now += bucket.wait(rate, now) + random.random() * burst / perSecond / 2
            # In a thousand seconds; the clock has no more digits than that.
            self.assertLess(abs(count / perSecond - 1000), 2 * burst / perSecond + 0.5)

    def test_clockSet(self) -> None:
        """
        If somebody sets the clock back, nobody waits for it to come so far.
        """
        bucket, rate = Bucket(), Rate(10, 5)
        self.taken(rate, NOW, bucket)
        self.assertLessEqual(bucket.wait(rate, NOW - 3600), 0.1001)


class Payer:
    """
    Wants some tokens.
    """

    def __init__(self, seen: list[str], name: str, ration: Ration, rate: Rate) -> None:
        self.seen, self.name, self.ration, self.rate = seen, name, ration, rate

    def want(self, many: int) -> None:
        """
        Take some now, or wait for them.
        """
        self.left = many
        while self.left and self.ration.take(self.rate):
            self.seen.append(self.name)
            self.left -= 1
        if self.left:
            self.ration.wait(self.rate, self)

    def paid(self) -> None:
        self.seen.append(self.name)
        self.want(self.left - 1)


class RationTests(SynchronousTestCase):
    """
    Tests for L{Ration}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.ration = Ration(self.clock)
        self.seen: list[str] = []

    def payer(self, name: str, rate: Rate | None = None) -> Payer:
        """
        Make somebody who wants tokens.
        """
        return Payer(self.seen, name, self.ration, rate or Rate(10, 2))

    def test_inTurn(self) -> None:
        """
        Whoever waits has the next, one after the other.
        """
        for name in "abc":
            self.payer(name).want(3)
        self.assertEqual(self.seen, ["a", "a"])
        for _ in range(10):
            self.clock.advance(0.1)
        self.assertEqual("".join(self.seen), "aaabcbcbc")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """
        If the timer comes late, those that came meanwhile are there.
        """
        self.payer("a").want(30)
        self.clock.advance(0.15)
        self.assertEqual(len(self.seen), 3)
        for _ in range(9):
            self.clock.advance(0.15)
        self.assertIn(len(self.seen), (16, 17))

    def test_fails(self) -> None:
        """
        If whoever is paid raises something, the others are paid all the same.
        """
        bad = self.payer("bad")
        bad.want(3)
        self.payer("good").want(1)
        vars(bad)["want"] = lambda many: 1 // 0
        self.assertRaises(ZeroDivisionError, self.clock.advance, 0.1)
        self.clock.advance(0.1)
        self.assertEqual(self.seen, ["bad", "bad", "bad", "good"])

    def test_notBefore(self) -> None:
        """
        Nobody gets ahead of those who wait, even if their token is there.
        """
        self.payer("a").want(3)
        self.clock.rightNow += 0.15  # The timer is late.
        self.assertFalse(self.ration.take(Rate(10, 2)))
        self.clock.advance(0)
        self.assertEqual(self.seen, ["a", "a", "a"])

    def test_leave(self) -> None:
        """
        Whoever leaves gets nothing, and the others what is left.
        """
        one, two = self.payer("a"), self.payer("b")
        one.want(5)
        two.want(5)
        self.ration.leave(one)
        self.clock.advance(0.1)
        self.assertEqual(self.seen, ["a", "a", "b"])
        self.assertFalse(self.ration.isIdle)
        self.ration.leave(two)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.ration.isIdle)
        self.clock.advance(0.3)
        self.assertTrue(self.ration.isIdle)


class RegenerateTests(ManagerCase):
    """
    A session that has a new id.
    """

    def test_same(self) -> None:
        """
        It has the tokens of the old one.
        """
        self.put()
        old = self.open()
        ration = self.manager.rations.of(("session", old.id))
        moving = self.manager.regenerate(old, self.holder)
        new, _ = self.settled(moving)
        self.assertNotEqual(new.id, old.id)
        self.assertIs(self.manager.rations.of(("session", new.id)), ration)


class RationsTests(SynchronousTestCase):
    """
    Tests for L{Rations}.
    """

    def test_forgotten(self) -> None:
        """
        Those that nobody needs are forgotten, and those that are not full or
        that somebody waits for are not: to come again is no new allowance.
        """
        clock = Clock()
        clock.advance(NOW)
        rations, rate = Rations(clock), Rate(1, 1)
        used = rations.of("used")
        self.assertTrue(used.take(rate))
        self.assertIs(rations.of("used"), used)
        for number in range(5000):
            rations.of(number)
        self.assertLess(len(rations), 2000)
        self.assertIs(rations.of("used"), used)
        self.assertFalse(used.take(rate))

    def test_moved(self) -> None:
        """
        A new name is no new allowance.
        """
        rations = Rations(Clock())
        old = rations.of("old")
        rations.moved("old", "new")
        rations.moved("unknown", "other")
        self.assertIs(rations.of("new"), old)
        self.assertIsNot(rations.of("other"), old)
