"""
Tests for clients of Socket.IO in a world.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import Happening
from simulation.plan import Plan, drawn
from simulation.rules import judged
from simulation.world import happened


def _plans(number: int) -> list[Plan]:
    plans = (drawn(seed) for seed in range(10 * number))
    return [plan for plan in plans if plan.hasSocketIO][:number]


class SocketIOTests(SynchronousTestCase):
    """
    Tests for L{simulation.socketio} and L{simulation.page}.
    """

    def test_whatHappens(self) -> None:
        """
        All that can happen does, in some history, and breaks no rule.
        """
        seen: list[Happening] = []
        applied: set[str] = set()
        for plan in _plans(60):
            history = happened(plan).history
            verdict = judged(plan, history)
            self.assertEqual(verdict.breaches, [])
            applied |= verdict.applied.keys()
            seen += history.all
        words = {each.what for each in seen}
        for what in (
            *(
                "is in",
                "sends word",
                "shouts",
                "carries",
                "overhears",
                "replies",
                "is told",
            ),
            *("hangs up", "is gone", "cuts", "schanged", "sdestroyed", "sinvalid"),
        ):
            self.assertIn(what, words)
        more = [each.more for each in seen]
        self.assertIn(True, [each.get("recovered") for each in more])
        self.assertTrue(any("again" in each for each in more))
        self.assertTrue(any("ack" in each for each in more))
        # Another session in a second namespace.
        self.assertIn(4400, [each.get("code") for each in more])
        for rule in (
            *("acknowledgedOnce", "answersToUsAreFresh"),
            *("oneSession", "recoveredOnce"),
        ):
            self.assertIn(rule, applied)

    def test_both(self) -> None:
        """
        Sockets of both kinds have one session.
        """
        plan = next(plan for plan in _plans(40) if "plain" in plan.sockets[: plan.tabs])
        connected = [
            each.who for each in happened(plan).history.all if each.what == "connected"
        ]
        self.assertEqual({"/" in who for who in connected}, {True, False})
