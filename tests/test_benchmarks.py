"""
The benchmarks that need no server work.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.journal import WAYS, measure


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
