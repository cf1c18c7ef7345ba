"""
The README, C{CONTRIBUTING.md}, C{SECURITY.md} and the pages in C{docs}: what they
name is there, and they name all that there is.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import DOCUMENTS, ROOT, anchors, programs, whole
from txsessionsock._events import Event
from txsessionsock.closecodes import Code
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.metrics.figures import COUNTS, GAUGES, TIMES
from txsessionsock.tap import Options
from txsessionsock.tap.framework import frameworkFor


DOCS = ROOT / "docs"
FRAMEWORKS = ("aiohttp", "django", "express", "flask", "php", "starlette")
INSIDE = ("architecture", "promises")
"""
Pages about the library itself, which are looked up rather than read.
"""
PAGES = [DOCS / "frameworks" / f"{name}.md" for name in FRAMEWORKS]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(
    r"^ +twistd -n --pidfile= (sessionsock(?:.*\\\n)*.*)$", re.MULTILINE
)
_NAME = re.compile(r"`([a-z]+(?:[A-Z][A-Za-z]*)?|--[a-z-]+)`")
_AMOUNT = re.compile(r"(\d+)( KiB| MiB)?(?: s)?")
_UNITS = {"": 1, " KiB": 1024, " MiB": 1024**2}


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
        if cells[:2] == ["in the application", "for the sockets"]:
            isSetting = True
        elif not line.startswith("|"):
            isSetting = False
        elif isSetting and "---" not in line:
            yield cells[0] if cells[1] == "the same" else cells[1]


def rows(page: str, heading: str) -> list[list[str]]:
    """
    @return: The cells of the first table below a heading, by row.
    """
    text = f"\n{(DOCS / page).read_text('utf-8')}".split(f"\n{heading}\n", 1)[1]
    table = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()
    return [[c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table[2:]]


class DocsTests(SynchronousTestCase):
    """
    Tests for what is written for users.
    """

    def test_pages(self) -> None:
        """
        Each framework has a page.
        """
        found = sorted((DOCS / "frameworks").glob("[a-z]*.md"))
        self.assertEqual(found, PAGES)

    def test_questions(self) -> None:
        """
        Each page says in the beginning which question it answers, and is in the
        index.  The README is short.
        """
        index = (DOCS / "README.md").read_text("utf-8")
        for page in DOCUMENTS:
            if page.is_relative_to(DOCS) and page != DOCS / "README.md":
                lines = page.read_text("utf-8").splitlines()
                self.assertRegex(lines[0], "^# ")
                if page.stem not in INSIDE:
                    question = " ".join(lines[2:4])
                    self.assertRegex(question, r"^\*\*.*\?\*\*", page.name)
                if page not in PAGES:
                    name = page.relative_to(DOCS).as_posix()
                    self.assertIn(f"]({name})", index)
        self.assertLess(len((ROOT / "README.md").read_text().splitlines()), 160)

    def test_links(self) -> None:
        """
        What is linked to within the repository is there.
        """
        count = 0
        for page in DOCUMENTS:
            for link in _LINK.findall(page.read_text("utf-8")):
                if "://" in link:
                    continue
                path, _, anchor = link.partition("#")
                target = page.parent / path if path else page
                self.assertTrue(target.exists(), f"{page.name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target), f"{page.name}: {link}")
                count += 1
        self.assertGreater(count, 150)

    def test_commands(self) -> None:
        """
        The command lines can be given like that.
        """
        count = 0
        for page in DOCUMENTS:
            commands = _COMMAND.findall(page.read_text("utf-8"))
            self.assertTrue(commands or page not in PAGES, page.name)
            for command in commands:
                chosen = Options()
                chosen.parseOptions(shlex.split(command.replace("\\\n", " "))[1:])
                frameworkFor(
                    chosen["framework"],
                    chosen["framework-option"],
                    chosen["cookie"],
                    ["secret"],
                )
                count += 1
        self.assertGreater(count, 15)

    def test_make(self) -> None:
        """
        What C{make} is told to do is in the C{Makefile}, whose first lines tell of
        each.
        """
        makefile = (ROOT / "Makefile").read_text("utf-8")
        known = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        head = makefile.partition("\n\n")[0]
        self.assertEqual(set(re.findall(r"^# make (\w+)", head, re.MULTILINE)), known)
        phony = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()
        self.assertEqual(set(phony), known)
        for page in DOCUMENTS:
            text = page.read_text("utf-8")
            said = set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE))
            self.assertLessEqual(said, known, page.name)

    def test_changes(self) -> None:
        """
        Fragments of the changelog are of the kinds that it has, and name no issue.
        """
        for path in (ROOT / "changelog.d").glob("[!.]*"):
            self.assertRegex(path.name, r"^\+[\w-]+\.(feature|bugfix|removal)\.md$")
            self.assertTrue(path.read_text("utf-8").strip(), path.name)
        changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
        self.assertIn("\n<!-- towncrier release notes start -->\n", changelog)

    def test_noPIDFile(self) -> None:
        """
        No command line leaves a PID file, which keeps the next one in a container
        from starting.
        """
        texts = [page.read_text("utf-8") for page in DOCUMENTS]
        lines = "\n".join(texts).splitlines()
        commands = [line for line in lines if re.match(r" +twistd |ExecStart=", line)]
        self.assertGreater(len(commands), 15)
        for line in commands:
            self.assertIn("--pidfile= ", line)

    def test_image(self) -> None:
        """
        What the image runs can be run like that, and ends before it is killed.
        """
        text = (DOCS / "containers.md").read_text("utf-8")
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
            for program in (each for each in programs() if each.page == page):
                for node in ast.walk(ast.parse(program.text)):
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

    def test_modules(self) -> None:
        """
        The modules that are named can be imported, and none is private.
        """
        for page in DOCUMENTS:
            names = re.findall(r"\btxsessionsock(?:\.\w+)+", page.read_text("utf-8"))
            for name in names:
                self.assertNotIn("._", name, page.name)
                self.assertIsNotNone(find_spec(name), f"{page.name}: {name}")

    def test_twistd(self) -> None:
        """
        The table of the options of twistd is complete.
        """
        cells = " ".join(row[0] for row in rows("twistd.md", "# twistd"))
        known = {f"--{name.rstrip('=')}" for name in Options().synonyms}
        self.assertEqual(
            set(re.findall(r"--[a-z-]+", cells)), known - {"--help", "--version"}
        )

    def test_limits(self) -> None:
        """
        So is that of the limits, with what they are.
        """
        said: dict[str, int | None] = {}
        for names, defaults, _ in rows("security.md", "## Limits"):
            amounts: list[int | None] = [
                int(number) * _UNITS[unit] for number, unit in _AMOUNT.findall(defaults)
            ]
            found = _NAME.findall(names)
            # Of some there is none, unless it is set.
            said.update(zip(found, amounts or [None] * len(found), strict=True))
        limits = Limits()
        real = {each.name: getattr(limits, each.name) for each in fields(limits)}
        self.assertEqual(said, real)

    def test_codes(self) -> None:
        """
        So is that of the close codes.
        """
        cells = " ".join(row[0] for row in rows("events.md", "## Close codes"))
        codes = {int(code) for code in re.findall(r"\d{4}", cells)}
        self.assertEqual(codes, set(Code) - {Code.NORMAL})

    def test_manager(self) -> None:
        """
        So is that of the settings of a manager.
        """
        found = rows("modes.md", "## Settings of the manager")
        said = {name for row in found for name in _NAME.findall(row[0])}
        known = set(signature(SessionManager).parameters)
        self.assertEqual(said, known - {"store", "framework", "reactor"})

    def test_figures(self) -> None:
        """
        So are those of the figures and of the events in the log.
        """
        page = (DOCS / "operating.md").read_text("utf-8")
        _, _, figures = page.partition("\n## Figures\n")
        said = re.findall(r"(?m)^\| `(\w+?)(?:_total(?:{\w+})?)?` \|", figures)
        known = {*GAUGES, *COUNTS, *TIMES}
        self.assertLessEqual(known, set(said))
        told = {
            row[0].strip("`") for row in rows("operating.md", "## Events in the log")
        }
        self.assertEqual(told, {*get_args(Event), "left-out"})

    @pytest.mark.e2e
    def test_tests(self) -> None:
        """
        The tests that are shown pass.
        """
        shown = whole()
        names = [name.removesuffix(".py") for name in shown if name.startswith("test_")]
        self.assertGreater(len(names), 2)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in shown.items():
                Path(folder, name).write_text(text, "utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "twisted.trial", *names],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
