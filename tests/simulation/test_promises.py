"""
Tests for the rules' names: they are those of docs/promises.md.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from simulation.promises import CHAPTERS, UNRULED
from simulation.rules import RULES


_PAGE = Path(__file__).resolve().parents[2] / "docs" / "promises.md"
_ROW = re.compile(r"\| (.+?\.)(?: \| `|$)")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_FIELD = re.compile(r"^@(promise|unlisted): (.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


def rows() -> dict[str, str]:
    """
    The rows of the page, each with its chapter.
    """
    found, chapter = {}, ""
    for line in _PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            chapter = line.removeprefix("## ")
        elif line.startswith("| ") and "`" in line:
            promise = line.removeprefix("| ").rpartition(" | ")[0]
            found[_plain(promise)] = chapter
    return found


def _plain(promise: str) -> str:
    # Where a page says more, it says so in brackets.
    promise = re.sub(r" \(\[[^]]*\]\([^)]*\)\)", "", promise)
    return _LINK.sub(r"\1", promise)


def fields(name: str) -> list[tuple[str, str]]:
    """
    What a rule says of the page.
    """
    doc = inspect.getdoc(RULES[name].says) or ""
    return [(kind, " ".join(text.split())) for kind, text in _FIELD.findall(doc)]


class PromisesTests(SynchronousTestCase):
    """
    Tests for L{RULES} and L{UNRULED}.
    """

    def test_rules(self) -> None:
        """
        Each rule is a row, word for word, or says why it is none.
        """
        there = rows()
        for name in RULES:
            found = fields(name)
            self.assertTrue(found, name)
            self.assertEqual(len({kind for kind, _ in found}), 1, name)
            for kind, text in found:
                if kind == "promise":
                    self.assertIn(text, there, name)

    def test_rows(self) -> None:
        """
        Each row of the chapters on order is a rule, or it is said why not.
        """
        ruled = {
            text for name in RULES for kind, text in fields(name) if kind == "promise"
        }
        there = rows()
        self.assertGreater(len(there), 100)
        due = {row for row, chapter in there.items() if chapter not in CHAPTERS}
        self.assertEqual(due - ruled, {*UNRULED})
        self.assertFalse(ruled & {*UNRULED})
        self.assertLessEqual({*CHAPTERS}, {*there.values()})
        self.assertTrue(all(UNRULED.values()))
