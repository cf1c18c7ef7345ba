"""
Tests for the names that L{txsessionsock} itself hands on.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txsessionsock


class FaceTests(SynchronousTestCase):
    """
    Tests for what C{from txsessionsock import ...} finds.
    """

    def test_names(self) -> None:
        """
        Each name is the one of the wing that it comes from, and is listed.
        """
        self.assertEqual(sorted(txsessionsock._HOMES), sorted(txsessionsock.__all__))
        for name, home in txsessionsock._HOMES.items():
            module = import_module(home, "txsessionsock")
            self.assertIs(getattr(txsessionsock, name), getattr(module, name))
            self.assertIn(name, module.__all__)
            self.assertIn(name, dir(txsessionsock))
        self.assertIn("interfaces", dir(txsessionsock))

    def test_typed(self) -> None:
        """
        Type checkers are told the same names, from the same modules.
        """
        tree = ast.parse(Path(txsessionsock.__file__).read_text("utf-8"))
        typed = {
            alias.name: f".{node.module}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level
            for alias in node.names
        }
        self.assertEqual(typed, txsessionsock._HOMES)

    def test_unknown(self) -> None:
        """
        Another name is no attribute.
        """
        with self.assertRaises(AttributeError) as caught:
            self.fail(txsessionsock.SesionManager)  # type: ignore[attr-defined]  # or so mypy says, too
        self.assertEqual(
            str(caught.exception),
            "module 'txsessionsock' has no attribute 'SesionManager'",
        )

    def test_lazy(self) -> None:
        """
        A name loads its module, which the package alone does not; a pickle, a
        C{hasattr} or a C{dir} loads none.
        """
        code = """
import sys, txsessionsock
dir(txsessionsock), hasattr(txsessionsock, "__path__"), hasattr(txsessionsock, "nobody")
print(sorted(name for name in sys.modules if name.startswith("txsessionsock")))
txsessionsock.MemoryStore
print("txsessionsock.stores.memory" in sys.modules, "txsessionsock.web" in sys.modules)
from txsessionsock import *
print(SQLiteStore.__name__, "twisted.internet.reactor" in sys.modules)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(
            done.stdout.splitlines(),
            ["['txsessionsock']", "True False", "SQLiteStore False"],
        )
