"""
Tests for the command line.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from simulation.__main__ import main


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
