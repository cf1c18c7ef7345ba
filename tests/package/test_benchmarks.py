"""
The benchmarks that need no server work.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.journal import WAYS, measure
from benchmarks.routes import routes


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
