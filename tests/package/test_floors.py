"""
Tests for C{.ci/floors.py}: which versions C{make floors} has the tests run with.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase


ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / ".ci" / "floors.py"))


class FloorsTests(SynchronousTestCase):
    """
    Tests for the lowest versions.
    """

    def test_ours(self) -> None:
        """
        All that C{setup.py} needs or offers has a lowest version, which is the
        one that is tested.
        """
        given = SCRIPT["asked"]()
        found = SCRIPT["floors"](given)
        for requirement in given["install_requires"]:
            name, _, version = requirement.partition(">=")
            self.assertIn(f"{name}=={version.partition(',')[0]}", found)
        for name in "psycopg", "hiredis", "itsdangerous", "pyopenssl":
            self.assertTrue([each for each in found if each.startswith(f"{name}==")])
        self.assertFalse([each for each in found if each.startswith("hypothesis")])

    def test_none(self) -> None:
        """
        What has none is an error, and what is only for our tests needs none.
        """
        given: dict[str, Any] = {
            "install_requires": ["a>=1.2,<2", "b.c>=6.post1"],
            "extras_require": {"x": ["d[binary]>=3"], "test": ["e"], "dev": ["f"]},
        }
        self.assertEqual(SCRIPT["floors"](given), ["a==1.2", "b.c==6.post1", "d==3"])
        given["extras_require"]["x"] = ["d"]
        with self.assertRaises(ValueError) as caught:
            SCRIPT["floors"](given)
        self.assertEqual(str(caught.exception), "setup.py: 'd' has no lowest version")
