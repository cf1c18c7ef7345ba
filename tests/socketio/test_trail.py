"""
Tests for L{txsessionsock.socketio.trail}.
"""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.messages import Event
from txsessionsock.socketio.packets import TEXT
from txsessionsock.socketio.trail import Budget, Codec, Numbered, Trail


def frame(offset: str, size: int = 100) -> Numbered:
    """
    An event of a size.
    """
    made = Numbered.of([(b"4", False)], offset)
    made.size = size
    return made


class TrailTests(SynchronousTestCase):
    """
    Tests for L{Trail} and L{Budget}.
    """

    def setUp(self) -> None:
        self.budget = Budget(10_000)
        self.trail = Trail(self.budget, 1000)

    def after(self, offset: str | None) -> list[str] | None:
        """
        The offsets of what comes after one.
        """
        found = self.trail.after(offset)
        return None if found is None else [each.offset for each in found]

    def fill(self, text: str, size: int = 100) -> None:
        """
        Send events.
        """
        for n, offset in enumerate(text):
            self.trail.add(frame(offset, size), float(n))

    def test_after(self) -> None:
        """
        What comes after an event comes in its order; after none, all of it.
        """
        self.assertEqual(self.after(None), [])
        self.fill("abc")
        self.assertEqual(self.after(None), ["a", "b", "c"])
        self.assertEqual(self.after("a"), ["b", "c"])
        self.assertEqual(self.after("c"), [])
        self.assertIsNone(self.after("x"))
        self.assertIsNone(self.after(""))

    def test_bytes(self) -> None:
        """
        It forgets the oldest when it would be too much.  Who got the last that was
        forgotten has missed nothing; from the beginning it is not known any more.
        """
        self.fill("abcdefghijkl")
        self.assertEqual(len(self.trail), 10)
        self.assertIsNone(self.after(None))
        self.assertIsNone(self.after("a"))
        self.assertEqual(self.after("b"), list("cdefghijkl"))
        self.trail.add(frame("large", 1001), 20.0)
        self.assertEqual(len(self.trail), 0)
        self.assertEqual(self.after("large"), [])
        self.assertIsNone(self.after("l"))

    def test_seconds(self) -> None:
        """
        It forgets what is too old.
        """
        self.fill("abc")
        self.trail.forget(1.0)
        self.assertEqual(self.after("a"), ["b", "c"])
        self.assertIsNone(self.after(None))
        self.trail.forget(9.0)
        self.assertEqual(self.after("c"), [])

    def test_budget(self) -> None:
        """
        What many are sent counts once.
        """
        trails = [Trail(self.budget, 1000) for _ in range(10)]
        shared = frame("a", 500)
        for trail in trails:
            trail.add(shared, 0.0)
        self.assertEqual(self.budget.used, 500 + 10 * 16)
        for trail in trails[1:]:
            trail.clear()
        self.assertEqual(self.budget.used, 500 + 16)
        self.assertFalse(self.budget.isOver)
        self.fill("abcdefghij" * 2)
        trails[0].clear()
        self.trail.clear()
        self.assertEqual(self.budget.used, 0)


class CodecTests(SynchronousTestCase):
    """
    Tests for L{Codec}.
    """

    def test_numbered(self) -> None:
        """
        The last argument of an event is its offset: what a message for many is
        called, else one of its own.
        """
        codec = Codec("/a", TEXT, isNumbered=True)
        made = codec.encode(Event("e", (1,)), "id")
        self.assertEqual(list(made), [(b'42/a,["e",1,"id"]', False)])
        assert isinstance(made, Numbered)
        self.assertEqual(made.offset, "id")
        offsets = set()
        for _ in range(100):
            ((payload, _),) = codec.encode("hello")
            name, text, offset = json.loads(payload.partition(b",")[2])
            self.assertEqual((name, text), ("message", "hello"))
            offsets.add(offset)
        self.assertEqual(len(offsets), 100)

    def test_plain(self) -> None:
        """
        Without recovery an event is as it was sent.
        """
        codec = Codec("/", TEXT, isNumbered=False)
        self.assertEqual(codec.encode(Event("e"), "id"), ((b'42["e"]', False),))
