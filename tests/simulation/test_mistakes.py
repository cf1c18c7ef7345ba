"""
Tests for the planted mistakes.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from simulation.mistakes import MISTAKES, ROOT
from simulation.mistakes.__main__ import found
from simulation.rules import RULES


class MistakeTests(SynchronousTestCase):
    """
    Tests for L{MISTAKES}.
    """

    def test_planted(self) -> None:
        """
        Each can be made, and makes a program.
        """
        for mistake in MISTAKES:
            with TemporaryDirectory() as path:
                copy = Path(path)
                copytree(ROOT / "txsessionsock", copy / "txsessionsock")
                mistake.plant(copy)
                text = (copy / "txsessionsock" / mistake.file).read_text("utf-8")
                compile(text, mistake.file, "exec")
                self.assertRaises(ValueError, mistake.plant, copy)
            self.assertLessEqual({*mistake.rules}, {*RULES})

    def test_found(self) -> None:
        """
        One is found, and by its rule.
        """
        mistake = next(each for each in MISTAKES if "handled first" in each.name)
        result = found(mistake, 25, 1)
        assert result is not None
        self.assertIn(result[1], mistake.rules)
