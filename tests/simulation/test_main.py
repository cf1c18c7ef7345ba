"""
Tests for the command line.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from simulation.__main__ import main
from simulation.history import History
from simulation.plan import drawn
from simulation.rules import RULES, Verdict
from simulation.tally import Tally
from txsessionsock.clients.short import ShortWay


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

    def test_long(self) -> None:
        """
        Messages take the short way, or none does.
        """
        ways: list[bool] = []
        takes = ShortWay.takes

        def noted(way: ShortWay, message: object, source: object, until: float) -> bool:
            ways.append(takes(way, message, source, until))
            return ways[-1]

        self.patch(ShortWay, "takes", noted)
        run = "--seed", "5", "--histories", "5", "--unreplayed"
        self.assertEqual(self.said(*run)[0], 0)
        self.assertEqual({*ways}, {False, True})
        ways.clear()
        self.assertEqual(self.said(*run, "--long")[0], 0)
        self.assertEqual({*ways}, {False})

    def test_many(self) -> None:
        """
        Of many it is told how fast they were, and how often rules applied.
        """
        code, text = self.said("--seed", "5", "--histories", "5", "--steps", "10")
        self.assertEqual(code, 0)
        self.assertIn("seeds 5 to 9", text)
        self.assertIn("5 histories, ", text)
        self.assertRegex(text, r"nothingIsLeft +100.0 % all +100.0 %")
        self.assertRegex(text, r"step send +\d+\.\d+ a history, in +\d+\.\d %")
        self.assertRegex(text, r"event quiet +1\.00 a history, in 100.0 %")
        self.assertRegex(text, r"[1-9]\d*\.\d histories a second of the processor")

    def test_blind(self) -> None:
        """
        A rule that does not apply in one of a hundred histories of its kind is
        blind, if there were a thousand.
        """
        plan = replace(drawn(1), perMessage=True, freshness="strict")
        tally = Tally()
        applied = dict.fromkeys(RULES, 1)
        for number in range(1000):
            if number == 5:
                del applied["fresh"]
            tally.add(plan, History(lambda: 0), Verdict([], applied, {}))
            if number == 998:
                self.assertEqual(tally.blind(), [])
        # Those of other kinds did apply, in none of their histories.
        self.assertIn("fresh", tally.blind())
        self.assertNotIn("inOrder", tally.blind())
        other = Tally()
        other.add(plan, History(lambda: 0), Verdict([], {}, {"fresh": 2000}))
        other.merge(tally)
        self.assertEqual((other.all, other.times["inOrder"]), (1001, 1000))
        line = next(each for each in other.lines() if each.startswith("fresh "))
        self.assertRegex(line, r"fresh +0\.5 % strict .* 0\.0 +2\.0$")

    def test_replay(self) -> None:
        """
        What was mended happens first, in each run of many, or alone.
        """
        for arguments in (["--replay"], ["--histories", "2", "--steps", "3"]):
            code, text = self.said(*arguments)
            self.assertEqual(code, 0)
            self.assertRegex(text, r"^[0-9]+ that were mended: well\n")
        _, text = self.said("--histories", "2", "--steps", "3", "--unreplayed")
        self.assertNotIn("mended", text)

    def test_seconds(self) -> None:
        """
        As many happen as take so long.
        """
        code, text = self.said("--seconds", "0.1", "--steps", "3", "--unreplayed")
        self.assertEqual(code, 0)
        self.assertRegex(text, r"^seeds [0-9]+ on\n[0-9]+ histories, [0-9]+ a second\n")
