"""
Tests for the plans that broke a rule once.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from simulation.mended import Mended, kept, read, replayed, written
from simulation.mistakes.__main__ import broken, named
from simulation.plan import drawn
from simulation.rules import RULES


class MendedTests(SynchronousTestCase):
    """
    Tests for L{kept} and L{replayed}.
    """

    def test_mended(self) -> None:
        """
        None of them breaks a rule any more.
        """
        plans = kept()
        self.assertTrue(plans)
        for mended, why in replayed(plans):
            self.assertIsNone(why, mended.name)
            self.assertIn(mended.rule, RULES)
            self.assertRegex(mended.sentence, r"^[A-Za-z].*\.$")

    def test_planted(self) -> None:
        """
        Each does, when what was mended is made wrong again.

        One that does not is none any more: the world has changed.  Have it found
        again, by C{python -m simulation.mistakes --keep} and its name.
        """
        for mended in kept():
            text = broken(named(mended.mistake))
            self.assertIn(f"breaks {mended.rule}", text, mended.name)
            self.assertIn(f"broken again: {mended.name}", text)

    def test_written(self) -> None:
        """
        What is written and read again is the same, whatever is drawn, and one
        file is as another.
        """
        for seed in range(300):
            mended = Mended("name", "A sentence.", "fresh", "", drawn(seed))
            text = written(mended)
            self.assertEqual(read("name", text), mended)
            self.assertEqual(written(read("name", text)), text)

    def test_unknown(self) -> None:
        """
        What is not known here is an error, which says what to do.
        """
        text = written(Mended("cake", "A sentence.", "fresh", "", drawn(1)))
        for name in ("seed", "steps"):
            raw = json.loads(text)
            raw["plan"]["flavour" if name == "seed" else name] = [["bake", 1, 0.0]]
            with TemporaryDirectory() as path:
                (Path(path) / "cake.json").write_text(json.dumps(raw), "utf-8")
                error = self.assertRaises(ValueError, kept, Path(path))
            self.assertIn("cake: ", str(error))
            self.assertIn("flavour" if name == "seed" else "bake", str(error))
            self.assertIn("--keep cake", str(error))

    def test_missing(self) -> None:
        """
        So is a field that is not there and has no default.
        """
        raw = json.loads(written(Mended("cake", "", "fresh", "", drawn(1))))
        del raw["plan"]["latency"]
        error = self.assertRaises(ValueError, read, "cake", json.dumps(raw))
        self.assertIn("'latency'", str(error))
        self.assertIn("default", str(error))
