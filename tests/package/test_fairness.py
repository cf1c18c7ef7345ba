"""
Tests for L{txsessionsock._fairness}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._fairness import FairQueue


class FairQueueTests(SynchronousTestCase):
    """
    Tests for L{FairQueue}.
    """

    def setUp(self) -> None:
        self.queue = FairQueue[str]()
        self.order = ""

    def add(self, names: str, start: float = 0.0, *, isBulk: bool = False) -> None:
        """
        Have some wait, all of whom have had as much.
        """
        for name in names:
            self.queue.add(name, start, isBulk=isBulk)

    def take(self, seconds: float = 1.0) -> str:
        """
        Take the next one, who takes so long.
        """
        _, name, isBulk = self.queue.take()
        self.queue.took(seconds, isBulk=isBulk)
        return name

    def all(self) -> str:
        """
        Take all of them.
        """
        return "".join(self.take() for _ in range(len(self.queue)))

    def test_least(self) -> None:
        """
        The one that has had the least comes first, equals in the order in which they
        came, and the time of the queue goes on with them.
        """
        self.add("cd", 2.0)
        self.add("a", 1.0)
        self.add("e", 3.0)
        self.add("b", 1.0)
        self.assertEqual(self.all(), "abcde")
        self.assertEqual(self.queue.now, 3.0)
        self.add("f", 1.0)
        self.all()
        self.assertEqual(self.queue.now, 3.0)
        self.assertRaises(IndexError, self.queue.take)

    def test_bulk(self) -> None:
        """
        One that is not bulk comes before all that is, however much it has had.
        """
        self.add("bcd", isBulk=True)
        self.add("a", 100.0)
        self.assertTrue(self.queue.hasBulk)
        self.assertEqual(self.take(), "a")
        self.add("A", 101.0)
        self.assertEqual(self.all(), "bAcd")
        self.assertFalse(self.queue.hasBulk)

    def test_half(self) -> None:
        """
        As long as both wait, each kind has half of the time, whatever one of them
        takes.
        """
        spent = {"a": 0.0, "b": 0.0}
        self.add("a" * 1000)
        self.add("b" * 1000, isBulk=True)
        for _ in range(200):
            _, name, isBulk = self.queue.take()
            seconds = 0.001 if isBulk else 0.01
            self.queue.took(seconds, isBulk=isBulk)
            spent[name] += seconds
        self.assertLess(abs(spent["a"] - spent["b"]), 0.02)

    def test_alone(self) -> None:
        """
        What one kind had while nobody else waited is not held against it.
        """
        self.add("b" * 100, isBulk=True)
        for _ in range(50):
            self.take()
        self.add("a" * 4)
        self.assertEqual("".join(self.take() for _ in range(8)), "abababab")
        self.all()
        self.add("a" * 100)
        for _ in range(50):
            self.take()
        self.add("b" * 4, isBulk=True)
        self.assertEqual("".join(self.take() for _ in range(6)), "ababab")
