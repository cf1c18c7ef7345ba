"""
Tests for time and chance.
"""

from __future__ import annotations

from functools import partial
from random import Random
from secrets import token_urlsafe

from twisted.trial.unittest import SynchronousTestCase

from simulation.queue import BEGIN, SECOND, NodeClock, Queue, chanceFrom


class QueueTests(SynchronousTestCase):
    """
    Tests for L{Queue} and L{NodeClock}.
    """

    def setUp(self) -> None:
        self.queue = Queue(1)
        self.seen: list[str] = []

    def see(self, what: str) -> None:
        """
        Note what happens.
        """
        self.seen.append(what)

    def test_order(self) -> None:
        """
        What is due first happens first, and of two things that are due at one
        time the one that was there first.
        """
        for what, seconds in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
            self.queue.after(seconds, partial(self.see, what))
        self.assertTrue(self.queue.run(3.0, 100))
        self.assertEqual(self.seen, ["a", "b", "c"])
        self.assertEqual(self.queue.now, BEGIN + 3 * SECOND)

    def test_endless(self) -> None:
        """
        What does not come to an end is told.
        """

        def again() -> None:
            self.queue.after(0, again)

        again()
        self.assertFalse(self.queue.run(1.0, 100))

    def test_offset(self) -> None:
        """
        A clock may be wrong, and what it calls later comes in time.
        """
        clock = NodeClock(self.queue, 30.0)
        self.assertEqual(clock.seconds(), BEGIN / SECOND + 30)
        call = clock.callLater(1.0, self.see, "a")
        self.queue.run(0.9, 100)
        self.assertEqual(self.seen, [])
        self.queue.run(0.2, 100)
        self.assertEqual(self.seen, ["a"])
        self.assertFalse(call.active())

    def test_due(self) -> None:
        """
        Whoever is called later finds that the time has passed.
        """
        clock = NodeClock(self.queue, -7.3)
        for delay in (0.1, 0.123456789, 1 / 3):
            due = clock.seconds() + delay
            clock.callLater(
                delay, lambda due=due: self.see(str(clock.seconds() >= due))
            )
        self.queue.run(1.0, 100)
        self.assertEqual(self.seen, ["True"] * 3)

    def _late(self, clock: NodeClock, due: float) -> None:
        self.see(str(clock.seconds() >= due))

    def test_changed(self) -> None:
        """
        Calls can be put off, brought forward and taken back.
        """
        clock = NodeClock(self.queue)
        clock.callLater(1.0, self.see, "late").reset(3.0)
        clock.callLater(5.0, self.see, "soon").reset(1.0)
        clock.callLater(1.0, self.see, "never").cancel()
        self.queue.run(2.0, 100)
        self.assertEqual(self.seen, ["soon"])
        self.queue.run(2.0, 100)
        self.assertEqual(self.seen, ["soon", "late"])

    def test_work(self) -> None:
        """
        Who is at work sees time pass, and all else comes after that; others go on.
        """
        clock, other = NodeClock(self.queue), NodeClock(self.queue)

        def work() -> None:
            clock.work(0.015)
            clock.work(0.005)
            self.see(f"worked {clock.seconds() - BEGIN / SECOND:.3f}")
            clock.callLater(0, lambda: self.see(f"later {self.queue.now - BEGIN}"))
            clock.callLater(0.001, self.see, "last")

        clock.callLater(0, work)
        clock.callLater(0.01, self.see, "due")
        other.callLater(0.01, self.see, "other")
        self.queue.run(1.0, 100)
        self.assertEqual(
            self.seen, ["worked 0.020", "other", "due", "later 20000", "last"]
        )
        self.assertEqual(clock.seconds(), other.seconds())

    def test_jump(self) -> None:
        """
        When a clock jumps, what waits for a time comes sooner, or later.
        """
        clock = NodeClock(self.queue)
        clock.callLater(10.0, self.see, "a")
        clock.jump(9.5)
        self.queue.run(1.0, 100)
        self.assertEqual(self.seen, ["a"])

    def test_paused(self) -> None:
        """
        What comes to a node while it is paused happens afterwards in the same
        order, also if it is paused again meanwhile.
        """
        clock = NodeClock(self.queue)
        clock.pause(1.0)
        self.queue.after(0.5, lambda: self.see("a"), clock)
        self.queue.after(0.6, lambda: clock.pause(0.5))
        self.queue.after(1.05, lambda: self.see("b"), clock)
        self.queue.run(1.09, 100)
        self.assertEqual(self.seen, [])
        self.queue.run(1.0, 100)
        self.assertEqual(self.seen, ["a", "b"])

    def test_stopped(self) -> None:
        """
        Nothing happens at a node that was killed.
        """
        clock = NodeClock(self.queue)
        clock.callLater(1.0, self.see, "a")
        self.queue.after(1.0, lambda: self.see("b"), clock)
        clock.stop()
        self.queue.run(2.0, 100)
        self.assertEqual(self.seen, [])

    def test_chance(self) -> None:
        """
        What the library draws comes from the source that it is given, and
        afterwards no more.
        """
        drawn = []
        for _ in range(2):
            with chanceFrom(Random(1)):
                drawn.append(token_urlsafe(6))
        drawn.append(token_urlsafe(6))
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
