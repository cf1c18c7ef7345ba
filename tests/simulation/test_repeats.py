"""
Tests for clients in histories whose handlers may run again.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from simulation.plan import Plan, Step, drawn
from simulation.rules import judged
from simulation.world import happened


class RepeatTests(SynchronousTestCase):
    """
    Histories in which handlers run again.
    """

    def setUp(self) -> None:
        seeds = (seed for seed in range(1000) if drawn(seed).repeating)
        self.plan: Plan = replace(
            drawn(next(seeds)),
            kind="watched",
            freshness="strict",
            offsets=(0.0, 0.0, 0.0),
            latency=0.02,
            repeating=4,
            isNarrow=False,
        )

    def steps(self, *dos: str) -> Plan:
        """
        All four tabs do something at once, several times.
        """
        steps = [
            Step("send", tab, 0.0, (do, "a", 4 * number + tab, False))
            for number, do in enumerate(dos)
            for tab in range(4)
        ]
        return replace(self.plan, steps=tuple(steps))

    def test_counted(self) -> None:
        """
        They run again, and all are stored, and answered.
        """
        world = happened(self.steps("plus", "append", "plus", "push", "pop", "read"))
        self.assertEqual(judged(world.plan, world.history).breaches, [])
        words = [each.what for each in world.history.all]
        self.assertIn("runs again", words)
        self.assertEqual(words.count("hears"), 24)

    def test_fails(self) -> None:
        """
        One that raises closes its socket, and what it did is stored nowhere; what is
        forbidden is refused.
        """
        world = happened(self.steps("forbidden", "raise"))
        self.assertEqual(judged(world.plan, world.history).breaches, [])
        closes = [each for each in world.history.all if each.what == "closes"]
        self.assertEqual({each.more["reason"] for each in closes}, {"handler failed"})

    def test_drawn(self) -> None:
        """
        Some plans have such handlers, and some of these other ones beside them.
        """
        plans = [plan for plan in map(drawn, range(1000)) if plan.repeating]
        self.assertTrue(20 < len(plans) < 100)
        self.assertEqual({plan.repeating for plan in plans}, {2, 3, 4})
