"""
Tests for L{tests.support.sharingjudge}: on histories that are made up.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support import sharingjudge
from tests.support.histories import Version
from tests.support.sharing import Done
from tests.support.sharingjudge import Outcome, outcome
from txsessionsock.session.journal import STAMP


class _Running:
    """
    What is left of a run in which C{one} was killed and C{two} was not.
    """

    requests = 1
    killed = frozenset({"one"})

    def __init__(self) -> None:
        self.scene = SimpleNamespace(session=self._session)
        self.done: list[Done] = []
        self.stored: list[tuple[Version, dict[str, Any]]] = []

    async def versions(self) -> list[tuple[Version, dict[str, Any]]]:
        return [*self.stored]

    async def _session(self) -> dict[str, Any]:
        return self.stored[-1][1]

    def stores(self, at: float, data: dict[str, Any], **stamps: int) -> None:
        """
        Nodes, or the application, stored something.
        """
        numbers = {node: [number, at] for node, number in stamps.items()}
        self.stored.append((Version(at, b"", None), {STAMP: numbers, **data}))

    def does(self, by: str, token: str, answered: float) -> None:
        """
        A clerk assigned something to its own key.
        """
        key = f"own {by}"
        others = {"one", "two"} - {by}
        done = Done("assign", key, token, by, frozenset(others), answered, token)
        self.done.append(done)


class OutcomeTests(SynchronousTestCase):
    """
    L{outcome}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100.0)
        self.patch(sharingjudge, "reactor", self.clock)
        self.running = _Running()

    def judge(self) -> Deferred[Outcome]:
        running: Any = self.running
        return Deferred.fromCoroutine(outcome(running, {}))

    def passes(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.pump([0.1] * round(10 * seconds))

    def putBack(self) -> None:
        """
        The application overwrites what C{one} stored, and C{two} puts that back,
        again and again; then C{one} stores more.
        """
        a, b = {"own one": "a"}, {"own one": "b"}
        self.running.does("one", "a", 1.1)
        self.running.stores(1.0, a, n1=1)
        for n in range(4):
            self.running.stores(2.0 + n, {})
            self.running.stores(2.5 + n, a, n1=1, n2=n + 1)
        self.running.does("one", "b", 7.1)
        self.running.stores(7.0, b, n1=2, n2=4)

    def test_unseen(self) -> None:
        """
        What a killed node stored may be lost if no other node wrote after that.
        """
        self.putBack()
        self.running.stores(8.0, {"own one": "a"}, n1=1, n2=4)
        found = self.successResultOf(self.judge())
        self.assertEqual(found.lost, [])
        self.assertEqual(found.excepted, {"killed before anybody saw it": 1})

    def test_seen(self) -> None:
        """
        Otherwise it may not, and the judge tells what became of it.
        """
        self.putBack()
        self.running.stores(7.5, {"own one": "b"}, n1=2, n2=5)
        self.running.stores(8.0, {"own one": "a"}, n1=1, n2=4)
        found = self.successResultOf(self.judge())
        self.assertEqual([done.token for done in found.lost], ["b"])
        self.assertIn("assign own one b of n1, answered 6.100:", str(found))
        self.assertIn("6.000 by n1, {'n1': 2, 'n2': 4}: 'b'", str(found))
        self.assertIn("7.000 by the application, {'n1': 1, 'n2': 4}: 'a'", str(found))

    def test_late(self) -> None:
        """
        The judge waits until a node had the time to put back what is missing,
        since somebody has written last.
        """
        self.running.does("two", "a", 99.0)
        self.running.stores(99.0, {"own two": "a"}, n2=1)
        self.running.stores(100.0, {})
        judging = self.judge()
        self.passes(6)
        self.running.stores(106.0, {}, n1=1)
        self.passes(6)
        self.assertNoResult(judging)
        self.running.stores(112.0, {"own two": "a"}, n1=1, n2=2)
        self.passes(1)
        self.assertTrue(self.successResultOf(judging).isRight)

    def test_never(self) -> None:
        """
        Then it is lost.
        """
        self.running.does("two", "a", 99.0)
        self.running.stores(99.0, {"own two": "a"}, n2=1)
        self.running.stores(100.0, {})
        judging = self.judge()
        self.passes(7)
        found = self.successResultOf(judging)
        self.assertEqual([done.token for done in found.lost], ["a"])
        self.assertFalse(found.isRestless)

    def test_restless(self) -> None:
        """
        Nodes that write all the time, though nothing is missing, never end.
        """
        self.running.stores(100.0, {}, n2=1)
        judging = self.judge()
        for number in range(460):
            self.running.stores(self.clock.seconds(), {}, n2=number)
            self.passes(0.1)
        self.assertTrue(self.successResultOf(judging).isRestless)
