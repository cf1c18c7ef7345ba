"""
Tests for L{txsessionsock.session.versions}.
"""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session import Memory
from txsessionsock.session.branches import Stamp
from txsessionsock.session.merge import same
from txsessionsock.session.versions import Version, shared, weigh


class MemoryTests(SynchronousTestCase):
    """
    L{Memory}
    """

    def test_limit(self) -> None:
        """
        If there is too much, the oldest versions go, whose session they ever
        are; that is counted, and said once.
        """
        memory = Memory(limit=250)
        versions = [Version({}, {"n": n}, 100) for n in range(5)]
        with capturedLogs() as logs:
            for version in versions:
                memory.keep(version)
        self.assertEqual([version.data for version in versions[:3]], [None] * 3)
        self.assertEqual(
            [version.data for version in versions[3:]], [{"n": 3}, {"n": 4}]
        )
        self.assertEqual((memory.used, memory.forgotten, len(logs)), (200, 3, 1))

    def test_forget(self) -> None:
        """
        What is forgotten in time makes room.
        """
        memory = Memory(limit=250)
        for _ in range(100):
            version = Version({}, {}, 100)
            memory.keep(version)
            memory.forget(version)
            memory.forget(version)
        self.assertEqual((memory.used, memory.forgotten), (0, 0))
        self.assertLess(len(memory._replaced), 3)

    def test_old(self) -> None:
        """
        A number is old that is not above one that was seen an hour ago.
        """
        memory = Memory()
        memory.note({"a": Stamp(5, 0, 5)}, 100.0)
        memory.note({"a": Stamp(9, 0, 9)}, 3000.0)
        self.assertFalse(memory.isOld("a", 5))
        memory.note({"a": Stamp(9, 0, 9)}, 3700.0)
        self.assertTrue(memory.isOld("a", 5))
        self.assertFalse(memory.isOld("a", 6))
        memory.note({"a": Stamp(12, 0, 12)}, 7300.0)
        self.assertTrue(memory.isOld("a", 9))
        self.assertFalse(memory.isOld("a", 10))
        self.assertFalse(memory.isOld("b", 1))

    def test_manyNodes(self) -> None:
        """
        Not more than a thousand nodes are known.
        """
        memory = Memory()
        for number in range(1100):
            memory.note({f"n{number}": Stamp(1, 0, 1)}, 0.0)
        self.assertEqual(len(memory._nodes), 1000)
        self.assertNotIn("n99", memory._nodes)


class SharingTests(SynchronousTestCase):
    """
    Versions share what did not change.
    """

    def test_shared(self) -> None:
        """
        Values that are the same are those of before.
        """
        old = {"a": [1], "b": {"c": 1}, "gone": 1}
        new = {"a": [1], "b": {"c": 2}, "new": [1]}
        found = shared(new, old, same)
        self.assertEqual(found, new)
        self.assertIs(found["a"], old["a"])
        self.assertIs(found["b"], new["b"])

    def test_weigh(self) -> None:
        """
        Only what is a version's own counts.
        """
        large = {"text": "x" * 10_000, "many": [b"y" * 1000] * 10, "deep": {"k": ["z"]}}
        self.assertGreater(weigh(large, {}), 20_000)
        self.assertLess(weigh({**large, "n": 1}, large), 1000)
        inner = {**large, "many": [*large["many"], b"y"]}
        self.assertLess(weigh({"inner": inner}, {"inner": large}), 2000)
        self.assertGreater(weigh({"inner": inner}, {"inner": 1}), 20_000)
