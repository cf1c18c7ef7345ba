"""
The benchmarks that need no server work.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.journal import WAYS, measure
from benchmarks.routes import routes
from benchmarks.socketioclients import Counted, percentiles


class JournalTests(SynchronousTestCase):
    """
    L{benchmarks.journal}.
    """

    def test_measure(self) -> None:
        """
        A write takes some time, with and without the journal.
        """
        for way in WAYS.values():
            for repair in True, False:
                self.assertGreater(measure(way, 3, repair=repair), 0.0)


class RoutesTests(SynchronousTestCase):
    """
    L{benchmarks.routes}.
    """

    def test_routes(self) -> None:
        """
        Each way leads from one wing to others, and a message that only reads has
        the shortest of those to a session.
        """
        found = routes()
        for what, route in found.items():
            self.assertGreater(route.wings, 0, what)
        reads = found["a message that reads"]
        self.assertEqual(sum(reads.files.values()), reads.calls)
        changes = found["a message that changes the session, to its answer"]
        self.assertLess(reads.crossings, changes.crossings)


class CountedTests(SynchronousTestCase):
    """
    L{benchmarks.socketioclients}.
    """

    def test_check(self) -> None:
        """
        Only the right answers pass, in order, and in pieces.
        """
        counted = Counted(16)
        size = counted.answerSize
        right = b'\x81\x14431000["0000000001"]\x81\x14431001["0000000002"]'
        counted.check(0, right)
        counted.check(size - 3, right[size - 3 : size + 5])
        for place, wrong in (
            (0, right[size:]),
            (0, right[:size] * 2),
            (0, right[: size - 3] + b'2"]'),
            (0, b"\x81\x012"),
            (size, right),
        ):
            with self.assertRaises(AssertionError):
                counted.check(place, wrong)

    def test_events(self) -> None:
        """
        As many events as are asked for, with the numbers that come next.
        """
        counted = Counted(16)
        for done in 0, 999, 1000, 12_345:
            self.assertEqual(len(counted.events(done, 16)), 16 * counted.eventSize)
        self.assertEqual(counted.events(999, 2), counted.events(1999, 2))
        self.assertNotEqual(counted.events(0, 1), counted.events(1, 1))

    def test_percentiles(self) -> None:
        """
        Each time counts as often as it was.
        """
        self.assertEqual(percentiles([(3.0, 1), (1.0, 98), (2.0, 1)]), (1.0, 2.0))
        self.assertEqual(percentiles([(5.0, 1)]), (5.0, 5.0))
