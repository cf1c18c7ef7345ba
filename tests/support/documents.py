"""
The README and the pages in C{docs}, and what is to be found in them: links,
programs and commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


__all__ = ["DOCUMENTS", "ROOT", "Program", "anchors", "commands", "programs", "whole"]

ROOT = Path(__file__).parents[2]

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
"""
All that is written for users, and for those who change the library.
"""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FILE = re.compile(r"`(\w+\.py)`")
_LINKED = re.compile(r"\[([^]]*)\]\([^)]*\)")

_THEIRS = "In the application"
"""
Under this heading are programs of a web application.
"""


@dataclass(frozen=True)
class Program:
    """
    Python that a page shows.

    @ivar page: The page.

    @ivar name: The file that it is to be put into, if the paragraph just before
        it names one first: then it is whole.
    """

    page: Path
    name: str | None
    text: str


def anchors(page: Path) -> set[str]:
    """
    What can be linked to within a page: its headings, as code hosts spell them.
    """
    text = _FENCE.sub("", page.read_text("utf-8"))
    heads = [_LINKED.sub(r"\1", head) for head in _HEADING.findall(text)]
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def commands(name: str) -> list[str]:
    """
    @param name: Of a page in C{docs}.

    @return: What is indented there.
    """
    text = (ROOT / "docs" / name).read_text("utf-8")
    return _INDENTED.findall(_FENCE.sub("", text))


def programs() -> Iterator[Program]:
    """
    What all pages show of Python, but for the programs of web applications.
    """
    for page in DOCUMENTS:
        text = page.read_text("utf-8")
        for found in _FENCE.finditer(text):
            before = _FENCE.sub("", text[: found.start()])
            if found[1] != "python" or _HEADING.findall(before)[-1] == _THEIRS:
                continue
            named = _FILE.findall(before.rstrip().rpartition("\n\n")[2])
            yield Program(page, named[0] if named else None, found[2])


def whole() -> dict[str, str]:
    """
    @return: The programs that are whole, by the names of their files.
    """
    named = [program for program in programs() if program.name is not None]
    found = {str(program.name): program.text for program in named}
    assert len(found) == len(named), "two programs have one name"
    return found
