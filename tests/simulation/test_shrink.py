"""
Tests for shrinking what fails.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from simulation.plan import LONG, SHORT, Plan, Step, drawn
from simulation.shrink import shrunk


class ShrinkTests(SynchronousTestCase):
    """
    Tests for L{shrunk}.
    """

    def test_leftOut(self) -> None:
        """
        What a history does not need to fail is left out.
        """
        plan = replace(drawn(1), tabs=4, offsets=(0.0, 1.0, 2.0))
        needed = {plan.steps[7].what, plan.steps[31].what, "cut"}
        plan = replace(plan, steps=(*plan.steps, Step("cut", 3, 0.0)))

        def fails(plan: Plan) -> bool:
            return needed <= {each.what for each in plan.steps} and (
                len(plan.offsets) > 1
            )

        small = shrunk(plan, fails)
        self.assertEqual({each.what for each in small.steps}, needed)
        self.assertEqual(len(small.steps), len(needed))
        self.assertEqual((small.tabs, len(small.offsets)), (1, 2))

    def test_simplified(self) -> None:
        """
        What is left is as simple as can be: clocks are right, nobody waits, and
        handlers do what is easy to think of.
        """
        plan = Plan(
            seed=1,
            kind="polled",
            perMessage=False,
            freshness="tracked",
            repair=False,
            offsets=(30.0, -20.0),
            latency=0.2,
            ttl=SHORT,
            tabs=1,
            sessions=1,
            steps=(
                Step("send", 31, 0.3, ("update", "log", 3, True)),
                Step("jump", 7, 1.0, (4.5,)),
            ),
        )
        simple = replace(
            plan,
            kind="watched",
            perMessage=True,
            freshness="strict",
            repair=True,
            offsets=(0.0, 0.0),
            latency=0.0,
            ttl=LONG,
            steps=(
                Step("send", 0, 0.0, ("read", "a", 3, False)),
                Step("jump", 0, 0.0, (0.0,)),
            ),
        )

        def fails(plan: Plan) -> bool:
            return len(plan.offsets) == len(plan.steps) == 2

        self.assertEqual(shrunk(plan, fails), simple)
        found = shrunk(plan, lambda plan: plan.kind == "polled" and plan.latency > 0.1)
        self.assertEqual((found.kind, found.latency), ("polled", 0.2))

    def test_bounded(self) -> None:
        """
        It gives up after a while.
        """
        tried = []

        def fails(plan: Plan) -> bool:
            tried.append(plan)
            return len(plan.steps) >= 3000

        shrunk(drawn(1, 3000), fails)
        self.assertLessEqual(len(tried), 3000)
