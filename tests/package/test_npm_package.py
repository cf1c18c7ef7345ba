"""
Tests for C{.ci/npm.py}: the package for npm, and what it shares with this one.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from tests.support.documents import ROOT
from txsessionsock.web import ClientScript


SCRIPT = runpy.run_path(str(ROOT / ".ci" / "npm.py"))
STATIC = ROOT / "txsessionsock" / "static"


class PackageTests(SynchronousTestCase):
    """
    Tests for what C{make npm} makes.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        SCRIPT["build"](self.folder)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def test_same(self) -> None:
        """
        The script and its types are those that the Python package serves, byte for
        byte.
        """
        for name, isTypes in ("sessionsock.js", False), ("sessionsock.d.ts", True):
            request: Any = DummyRequest([b""])
            served = ClientScript(types=isTypes).render_GET(request)
            self.assertEqual(self.read(name), served)

    def test_module(self) -> None:
        """
        As a module, it is the whole script, and has the same types.
        """
        for name, module in (
            ("sessionsock.js", "sessionsock.mjs"),
            ("sessionsock.d.ts", "sessionsock.d.mts"),
        ):
            text, whole = self.read(module).decode(), self.read(name).decode()
            self.assertIn(whole.partition("\nexport = ")[0], text)
            self.assertNotIn("export =", text)
            exported = "export { SessionSocket, SessionSocket as default };\n"
            self.assertTrue(text.endswith(exported))

    def test_otherTypes(self) -> None:
        """
        Types that end otherwise are refused, and not made a module that has none.
        """
        self.assertRaises(ValueError, SCRIPT["moduleTypes"], "export {};\n")

    def test_version(self) -> None:
        """
        It has the version of the Python package, which is written down once.
        """
        self.assertNotIn("version", json.loads((ROOT / "npm/package.json").read_text()))
        manifest = json.loads(self.read("package.json"))
        version = f'    version="{manifest["version"]}",\n'
        self.assertIn(version, (ROOT / "setup.py").read_text("utf-8"))

    def test_contents(self) -> None:
        """
        There is nothing else in it, also of what was there before.
        """
        (self.folder / "old.js").touch()
        SCRIPT["build"](self.folder)
        found = {path.name for path in self.folder.iterdir()}
        files = json.loads(self.read("package.json"))["files"]
        self.assertEqual(found, {*files, "package.json", "README.md", "LICENSE"})
