"""
Tests for wires: what is on its way arrives in order, or a part of it does.
"""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import History
from simulation.queue import NodeClock, Queue
from simulation.wire import ROOM, Cut, Line, Wire
from txsessionsock.limits import Limits


_LIMITS = Limits(unsentBytes=100, messageSize=100, unsentTimeout=3.0, closeTimeout=2.0)


class _Line(Line):
    """
    What a node has of a wire.
    """

    code: int | None = None
    relieves = 0

    def relieved(self) -> None:
        self.relieves += 1

    def gone(self, code: int) -> None:
        self.code = code


class WireTests(SynchronousTestCase):
    """
    Tests for L{Wire} and L{Line}.
    """

    def setUp(self) -> None:
        self.begin(1)

    def begin(self, seed: int, latency: float = 0.1) -> None:
        """
        Begin anew.
        """
        self.queue = Queue(seed)
        self.clock = NodeClock(self.queue)
        self.wire = Wire(self.clock, "tab.1", latency)
        self.ended: list[int] = []
        self.wire.ended = self.ended.append
        history = History(lambda: self.queue.now)
        self.line = _Line(self.clock, self.wire, history, _LIMITS)
        self.came: list[int] = []
        self.heard: list[int] = []

    def run_(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.assertTrue(self.queue.run(seconds, 10_000))

    def sends(self, *numbers: int, size: int = 10) -> None:
        """
        Have the browser send something.
        """
        for number in numbers:
            came = partial(self.line.came, partial(self.came.append, number))
            self.wire.up(size, came)

    def tells(self, *numbers: int, size: int = 10) -> None:
        """
        Have the node send something.
        """
        for number in numbers:
            self.line.put(size, partial(self.heard.append, number))

    def test_inOrder(self) -> None:
        """
        What is sent arrives, in both directions and in order.
        """
        self.sends(1, 2, 3)
        self.tells(4, 5, 6)
        self.run_(0.1)
        self.assertEqual((self.came, self.heard), ([1, 2, 3], [4, 5, 6]))

    def test_cut(self) -> None:
        """
        Some of what is on its way arrives: another part in each direction, and
        always what was sent first.  Then both sides are told.
        """
        seen: set[tuple[int, int]] = set()
        hows: tuple[Cut, ...] = ("told", "reset", "node late", "browser late")
        for seed in range(40):
            self.begin(seed)
            self.sends(1, 2, 3)
            self.tells(4, 5, 6)
            self.wire.cut(hows[seed % 4], 1.0)
            self.sends(7)
            self.run_(0.5)
            self.assertEqual(self.came, [1, 2, 3][: len(self.came)])
            self.assertEqual(self.heard, [4, 5, 6][: len(self.heard)])
            seen.add((len(self.came), len(self.heard)))
            isNodeLate, isBrowserLate = seed % 4 == 2, seed % 4 == 3
            self.assertEqual(self.line.code, None if isNodeLate else 1006)
            self.assertEqual(self.ended, [] if isBrowserLate else [1006])
            self.run_(1.0)
            self.assertEqual((self.line.code, self.ended), (1006, [1006]))
        self.assertGreater(len(seen), 8)

    def test_paused(self) -> None:
        """
        What comes while nothing is received waits, and the end behind it; after a
        reset it is lost.
        """
        for how, came in (("told", [1, 2]), ("reset", [])):
            self.begin(1, latency=0.0)
            self.line.pause()
            self.sends(1, 2, size=0)
            self.run_(0.1)
            self.wire.cut("told" if how == "told" else "reset")
            self.run_(0.1)
            self.line.resume()
            self.run_(0.1)
            self.assertEqual((self.came, self.line.code), (came, 1006))

    def test_slow(self) -> None:
        """
        What is sent to a browser that does not read waits, and it is not read
        either once that is too much, until it reads again.
        """
        self.wire.stopReading(2.0)
        while not self.line.isFull:
            self.tells(len(self.heard))
        self.assertGreater(self.wire.unread, ROOM)
        self.sends(1)
        self.run_(1.0)
        self.assertEqual((self.came, self.heard, self.line.isHeld), ([], [], True))
        self.run_(2.0)
        self.assertEqual((self.came, self.line.isHeld), ([1], False))
        self.assertEqual((self.line.unsent, self.line.relieves), (0, 1))

    def test_tooSlow(self) -> None:
        """
        Who is sent too much meanwhile, or does not read for too long, is cut.
        """
        for more in (0, 1000):
            self.begin(1)
            self.wire.stopReading(60.0)
            while not self.line.isFull:
                self.tells(1)
            self.tells(*range(more // 10))
            self.run_(2.9)
            self.assertEqual(self.line.code, 1006 if more else None)
            self.run_(0.2)
            self.assertEqual(self.line.code, 1006)

    def test_close(self) -> None:
        """
        A close frame comes behind all that was sent, and nothing behind it; who
        does not answer is waited for no longer than that.
        """
        self.tells(1)
        self.line.close(1000, "")
        self.tells(2)
        self.run_(0.2)
        self.assertEqual((self.heard, self.ended), ([1], [1000]))
        self.assertIsNone(self.line.code)
        self.run_(2.0)
        self.assertEqual(self.line.code, 1000)

    def test_closeUnread(self) -> None:
        """
        Nor longer for a browser that reads again meanwhile.
        """
        self.wire.stopReading(1.0)
        while not self.line.isFull:
            self.tells(1)
        self.line.close(1000, "")
        self.run_(1.5)
        self.assertEqual((self.line.unsent, self.line.code), (0, None))
        self.run_(0.6)
        self.assertEqual(self.line.code, 1000)
