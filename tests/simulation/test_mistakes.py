"""
Tests for the planted mistakes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from simulation.mistakes import MISTAKES, ROOT, Mistake
from simulation.mistakes.__main__ import found, how, named
from simulation.rules import RULES


QUICK = (
    "the latest message is handled first",
    "a conflict is merged before the attempt is given back",
    "a frame waits for the change before that of its handler",
)


class MistakeTests(SynchronousTestCase):
    """
    Tests for L{MISTAKES}.
    """

    def test_planted(self) -> None:
        """
        The text of each is there, once, and what it makes of the library is a
        program.  One that fails here has to follow the library.
        """
        for mistake in MISTAKES:
            path = ROOT / "txsessionsock" / mistake.file
            text = path.read_text("utf-8")
            planted = mistake.planted(text)
            self.assertNotEqual(planted, text, mistake.name)
            compile(planted, mistake.file, "exec")

    def test_names(self) -> None:
        """
        Each has a name of its own, and rules that there are.
        """
        names = [each.name for each in MISTAKES]
        self.assertEqual(len({*names}), len(names))
        self.assertGreaterEqual(len(names), 45)
        for mistake in MISTAKES:
            self.assertTrue(mistake.rules, mistake.name)
            self.assertLessEqual({*mistake.rules}, {*RULES}, mistake.name)

    def test_changes(self) -> None:
        """
        No two make the same change.
        """
        changes = [(each.file, each.old, each.new) for each in MISTAKES]
        self.assertEqual(len({*changes}), len(changes))

    def test_notThere(self) -> None:
        """
        A text that is not there, or more than once, is an error.
        """
        mistake = Mistake("name", "manager/live.py", "one", "two", ("fresh",))
        self.assertEqual(mistake.planted("no one"), "no two")
        for text in ("", "one and one"):
            error = self.assertRaises(ValueError, mistake.planted, text)
            self.assertIn("manager/live.py", str(error))

    def test_plans(self) -> None:
        """
        One that new histories do not find may be found by a plan that is kept; one
        that neither finds is not.
        """
        kept = named("what comes again is done again")
        self.assertEqual(how(kept, None), ("a kept plan  onceForEachNode", True))
        self.assertEqual(how(kept, (7, "fresh")), ("    7  fresh", True))
        missed = named("a room that nobody is in any more is kept")
        self.assertEqual(how(missed, None), ("NOT FOUND", False))

    def test_found(self) -> None:
        """
        Some are found, each by a rule of its own.  C{make mistakes} sees to all.
        """
        for name in QUICK:
            mistake = named(name)
            result = found(mistake, 300, 1)
            assert result is not None, name
            self.assertIn(result[1], mistake.rules)
