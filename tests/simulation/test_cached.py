"""
Tests for the model of a store with copies in front of it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from simulation.cached import LINKS, CachedPlace
from simulation.queue import NodeClock, Queue
from txsessionsock.interfaces import KEEP, StoreUnavailable


class CachedTests(SynchronousTestCase):
    """
    Tests for L{CachedPlace} and who is connected to it.
    """

    def setUp(self) -> None:
        self.queue = Queue(1)
        self.told: list[str] = []
        self.place = CachedPlace(self.queue, lambda what, *_: self.told.append(what))
        self.place.create("k", b"0", 1000.0, "web1", None)
        self.link: Any = LINKS["cached"](
            "node1", self.place, NodeClock(self.queue), 0.01
        )

    def run_(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.assertTrue(self.queue.run(seconds, 100_000))

    def answer(self, asked: Deferred[Any]) -> Any:
        """
        What is answered.
        """
        self.run_(0.1)
        return self.successResultOf(asked)

    def raw(self) -> bytes | None:
        """
        What a web application reads.
        """
        stored = self.place.get("k")
        return None if stored is None else stored.raw

    def test_copied(self) -> None:
        """
        A web application has a copy of what it read, a little later, and of what it
        wrote; and reads that.
        """
        self.assertEqual(self.raw(), b"0")
        self.assertIsNone(self.place.copies.get("k"))
        self.run_(0.2)
        self.assertIsNotNone(self.place.copies.get("k"))
        self.place.put("k", b"1", 1000.0, "web1")
        self.run_(0.1)
        self.assertEqual(self.raw(), b"1")
        self.place.destroy("k", None, "web1", None)
        self.assertIsNone(self.raw())
        self.place.put("k", b"2", 1000.0, "web1")
        self.assertIsNone(self.raw())
        self.assertEqual(
            self.told,
            ["created", "copied", "stored", "copied", "deleted", "uncopied"],
        )

    def test_deleted(self) -> None:
        """
        Nodes delete copies, and read none.
        """
        self.raw()
        self.run_(0.2)
        self.answer(self.link.store.replace("k", b"0", b"1", KEEP))
        self.assertIsNone(self.place.copies.get("k"))
        self.place.copies.put("k", b"9", 1000.0, "web1")
        self.assertEqual(self.answer(self.link.store.load("k")).raw, b"1")

    def test_trouble(self) -> None:
        """
        The cache may be away alone, or the table, or both.
        """
        seen = set()
        for _ in range(20):
            self.link.befall("refused")
            self.assertTrue(self.link.isIll)
            seen.add((self.link.trouble, self.link.copies.trouble))
            asked = self.link.store.replace("k", b"0", b"1", KEEP)
            self.run_(0.05)
            self.failureResultOf(asked, StoreUnavailable)
            self.link.heal()
            self.run_(1.0)
        self.assertFalse(self.link.isIll)
        self.assertEqual(len(seen), 3)
