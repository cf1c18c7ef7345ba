"""
The README and the pages in C{docs}: what they name is there.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path

from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.limits import Limits
from txsessionsock.tap import Options
from txsessionsock.tap.framework import frameworkFor


ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
FRAMEWORKS = ("aiohttp", "django", "express", "flask", "php", "starlette")
PAGES = [page for page in DOCS if page.stem in FRAMEWORKS]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(
    r"^ +twistd -n --pidfile= (sessionsock(?:.*\\\n)*.*)$", re.MULTILINE
)
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([a-z]+(?:[A-Z][A-Za-z]*)?|--[a-z-]+)`")


def anchors(page: Path) -> set[str]:
    """
    What can be linked to within a page.
    """
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def options(framework: str) -> set[str]:
    """
    The names that the classes for a framework, or twistd, have for settings.
    """
    module = import_module(f"txsessionsock.frameworks.{framework}")
    classes = [getattr(module, name) for name in module.__all__ if name[0].isupper()]
    made = [each for each in classes if isinstance(each, type)]
    return {name for each in made for name in signature(each).parameters}


def ours(page: Path) -> Iterator[str]:
    """
    The cells of a page's tables which say what a setting is called here.
    """
    isSetting = False
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:2] == ["there", "here"]:
            isSetting = True
        elif not line.startswith("|"):
            isSetting = False
        elif isSetting and "---" not in line:
            yield cells[0] if cells[1] == "the same" else cells[1]


class DocsTests(SynchronousTestCase):
    """
    Tests for what is written for users.
    """

    def test_pages(self) -> None:
        """
        Each framework has a page.
        """
        self.assertEqual([page.stem for page in PAGES], list(FRAMEWORKS))

    def test_links(self) -> None:
        """
        What is linked to within the repository is there.
        """
        count = 0
        for page in README, *DOCS:
            for link in _LINK.findall(page.read_text("utf-8")):
                if "://" in link:
                    continue
                path, _, anchor = link.partition("#")
                target = page.parent / path if path else page
                self.assertTrue(target.exists(), f"{page.name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target), f"{page.name}: {link}")
                count += 1
        self.assertGreater(count, 20)

    def test_commands(self) -> None:
        """
        The command lines can be given like that.
        """
        for page in PAGES:
            commands = _COMMAND.findall(page.read_text("utf-8"))
            self.assertTrue(commands, page.name)
            for command in commands:
                chosen = Options()
                chosen.parseOptions(shlex.split(command.replace("\\\n", " "))[1:])
                frameworkFor(
                    chosen["framework"],
                    chosen["framework-option"],
                    chosen["cookie"],
                    ["secret"],
                )

    def test_noPIDFile(self) -> None:
        """
        No command line leaves a PID file, which keeps the next one in a container
        from starting.
        """
        texts = [page.read_text("utf-8") for page in (README, *DOCS)]
        lines = "\n".join(texts).splitlines()
        commands = [line for line in lines if line.lstrip().startswith("twistd ")]
        self.assertGreater(len(commands), 10)
        for line in commands:
            self.assertIn("--pidfile= ", line)

    def test_image(self) -> None:
        """
        What the image runs can be run like that, and ends before it is killed.
        """
        text = (ROOT / "docs" / "containers.md").read_text("utf-8")
        (line,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
        twistd = ServerOptions()
        twistd.parseOptions(json.loads(line)[1:])
        self.assertEqual((twistd["nodaemon"], twistd["pidfile"]), (1, ""))
        (killed,) = re.findall(r"--stop-timeout (\d+)", text)
        self.assertLess(twistd.subOptions["drain"], int(killed))
        (interval,) = re.findall(r"(\d+) s \(`Limits.pingInterval`\)", text)
        self.assertEqual(Limits().pingInterval, int(interval))

    def test_programs(self) -> None:
        """
        Frameworks are made with arguments that they have.
        """
        for page in PAGES:
            module = import_module(f"txsessionsock.frameworks.{page.stem}")
            made = 0
            for program in _PROGRAM.findall(page.read_text("utf-8")):
                for node in ast.walk(ast.parse(program)):
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                        found = getattr(module, node.func.id, None)
                        if found is not None:
                            names = {str(each.arg) for each in node.keywords}
                            known = set(signature(found).parameters)
                            self.assertLessEqual(names, known, page.name)
                            made += 1
            self.assertTrue(made or page.stem == "django", page.name)

    def test_settings(self) -> None:
        """
        What the tables name is what our settings are called, and no setting is
        left out.
        """
        twistd = {f"--{name.rstrip('=')}" for name in Options().synonyms}
        for page in PAGES:
            known = options(page.stem)
            said = {name for cell in ours(page) for name in _NAME.findall(cell)}
            self.assertLessEqual(said, known | twistd, page.name)
            self.assertLessEqual(known - said - {"identity"}, {"salt"}, page.name)
