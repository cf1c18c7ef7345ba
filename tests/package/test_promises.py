"""
The pages C{docs/promises.md} and C{SECURITY.md}: what they say has a test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
SECURITY = ROOT / "SECURITY.md"
ROW = re.compile(r"\| (?P<promise>.+\.) \| `(?P<file>\w+)::(?P<test>[\w.]+)` \|")

NONE = "—"
"""
Where no test is named.
"""

ASVS = {"4.4": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2}
"""
How many requirements the parts of ASVS 5.0.0 have that the page goes through.
"""

_NAMED = re.compile(r"`(\w+)::([\w.]+)`")
_WHO = {"library", "application", "operator"}


def namesOfTests(tree: ast.Module) -> set[str]:
    """
    @return: The names of the tests of a module, with those of their classes.
    """
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for name in _functions(node.body)}
    return found | _functions(tree.body)


def _functions(body: list[ast.stmt]) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in body if isinstance(node, kinds)}


@cache
def _testsIn(name: str) -> set[str]:
    """
    @param name: Of a file of tests, without its folder.
    """
    trees = [
        ast.parse(path.read_text("utf-8"))
        for path in (ROOT / "tests").rglob(f"{name}.py")
    ]
    return set().union(*map(namesOfTests, trees))


def missing(text: str) -> list[str]:
    """
    @return: The tests that a page names and that are not there.
    """
    named = _NAMED.findall(text)
    return [f"{file}::{test}" for file, test in named if test not in _testsIn(file)]


def tables(page: Path, *heads: str) -> Iterator[list[str]]:
    """
    @return: The cells of each row of the tables with these heads.
    """
    head, isInside = f"| {' | '.join(heads)} |", False
    for line in page.read_text("utf-8").splitlines():
        if not line.startswith("|"):
            isInside = False
        elif line == head:
            isInside = True
        elif isInside and not line.startswith("| ---"):
            yield [cell.strip() for cell in line[1:-1].split("|")]


class PromisesTests(SynchronousTestCase):
    """
    Tests for the page of promises.
    """

    def test_there(self) -> None:
        """
        The tests that it names exist, and each row of its tables names one.
        """
        rows = [
            line
            for line in PAGE.read_text("utf-8").splitlines()
            if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
        ]
        self.assertGreater(len(rows), 50)
        for row in rows:
            self.assertIsNotNone(ROW.fullmatch(row), row)
            self.assertEqual(missing(row), [], row)

    def test_once(self) -> None:
        """
        Nothing is promised twice.
        """
        promises = [match["promise"] for match in ROW.finditer(PAGE.read_text("utf-8"))]
        self.assertEqual(len(promises), len(set(promises)))


class SecurityTests(SynchronousTestCase):
    """
    Tests for C{SECURITY.md}.
    """

    def test_there(self) -> None:
        """
        The tests that it names exist.  What is done against a threat is a
        sentence, and has one.
        """
        text = SECURITY.read_text("utf-8")
        self.assertEqual(missing(text), [])
        # Whatever has two colons is looked for.
        self.assertEqual(text.count("::"), len(_NAMED.findall(text)))
        rows = list(tables(SECURITY, "what is done by default", "test"))
        self.assertGreater(len(rows), 50)
        for said, tests in rows:
            self.assertRegex(said, r"^[A-Z].*\.$")
            self.assertRegex(tests, _NAMED, said)

    def test_threats(self) -> None:
        """
        Each threat says what is done, and what is left to who runs it.
        """
        text = SECURITY.read_text("utf-8")
        threats = text.split("\n## Threats\n")[1].split("\n## ")[0].split("\n### ")[1:]
        self.assertGreater(len(threats), 8)
        for threat in threats:
            self.assertIn("\n| what is done by default | test |\n", threat)
            self.assertIn("\n**You:** ", threat)

    def test_asvs(self) -> None:
        """
        Each requirement has its row, which says who meets it.  Where that is the
        library, a test shows it.
        """
        heads = ("requirement", "level", "asks", "who", "how", "test")
        rows = list(tables(SECURITY, *heads))
        numbers = [f"{p}.{n + 1}" for p, count in ASVS.items() for n in range(count)]
        self.assertEqual([row[0] for row in rows], numbers)
        for _, level, asks, who, _, tests in rows:
            self.assertIn(level, ("1", "2", "3"))
            self.assertTrue(asks)
            self.assertLessEqual(set(who.split(", ")), _WHO)
            if tests != NONE or "library" in who:
                self.assertRegex(tests, _NAMED, asks)
