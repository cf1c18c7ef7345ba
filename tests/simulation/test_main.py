"""
Tests for the command line.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from simulation.__main__ import main
from simulation.plan import Plan, drawn
from simulation.shrink import shrunk


class MainTests(SynchronousTestCase):
    """
    Tests for L{main}.
    """

    def said(self, *arguments: str) -> tuple[int, str]:
        """
        What it returns, and what it prints.
        """
        with redirect_stdout(io.StringIO()) as out:
            code = main(arguments)
        return code, out.getvalue()

    def test_one(self) -> None:
        """
        One history is told, the same each time.
        """
        code, text = self.said("--seed", "3", "--steps", "10")
        self.assertEqual(code, 0)
        self.assertIn("world    all is well", text)
        self.assertEqual(self.said("--seed", "3", "--steps", "10"), (code, text))

    def test_many(self) -> None:
        """
        Of many it is told how fast they were, and how often rules applied.
        """
        code, text = self.said("--seed", "5", "--histories", "5", "--steps", "10")
        self.assertEqual(code, 0)
        self.assertIn("seeds 5 to 9", text)
        self.assertIn("5 histories, ", text)
        self.assertRegex(text, r"nothingIsLeft +applied in 100.0 %")

    def test_shrunk(self) -> None:
        """
        What a history does not need to fail is left out.
        """
        plan = replace(drawn(1), tabs=4, offsets=(0.0, 1.0, 2.0))
        needed = {plan.steps[7], plan.steps[31]}

        def fails(plan: Plan) -> bool:
            return needed <= {*plan.steps} and len(plan.offsets) > 1

        small = shrunk(plan, fails)
        self.assertEqual({*small.steps}, needed)
        self.assertEqual((small.tabs, len(small.offsets)), (1, 2))
