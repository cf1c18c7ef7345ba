"""
Tests for the first lines of modules, by which trial and editors find the tests.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


ROOT = Path(__file__).resolve().parents[2]


class HeaderTests(SynchronousTestCase):
    """
    Tests for C{test-case-name}.
    """

    def test_exist(self) -> None:
        """
        The tests that a module names exist, and most modules name some.
        """
        found, stale = 0, []
        for path in sorted((ROOT / "txsessionsock").rglob("*.py")):
            first = path.read_text("utf-8").partition("\n")[0]
            named = re.fullmatch(r"# -\*- test-case-name: (.+) -\*-", first)
            found += named is not None
            for name in named[1].split(",") if named else ():
                if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists():
                    stale.append(f"{path.relative_to(ROOT)}: {name}")
        self.assertEqual(stale, [])
        self.assertGreater(found, 100)
