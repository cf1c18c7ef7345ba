"""
The page C{docs/promises.md}: each promise has a test.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "promises.md"
ROW = re.compile(r"\| (?P<promise>.+\.) \| `(?P<file>\w+)::(?P<test>[\w.]+)` \|")


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


class PromisesTests(SynchronousTestCase):
    """
    Tests for the page.
    """

    def test_there(self) -> None:
        """
        The tests that it names exist, and each row of its tables names one.
        """
        files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
        rows = [
            line
            for line in PAGE.read_text("utf-8").splitlines()
            if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
        ]
        self.assertGreater(len(rows), 50)
        for row in rows:
            match = ROW.fullmatch(row)
            assert match is not None, row
            self.assertIn(match["file"], files, row)
            tree = ast.parse(files[match["file"]].read_text("utf-8"))
            self.assertIn(match["test"], namesOfTests(tree), row)

    def test_once(self) -> None:
        """
        Nothing is promised twice.
        """
        promises = [match["promise"] for match in ROW.finditer(PAGE.read_text("utf-8"))]
        self.assertEqual(len(promises), len(set(promises)))
