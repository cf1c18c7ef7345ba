"""
How Sphinx makes a site of the pages of the repository: C{make docs}.  They stay
plain Markdown, as a code host shows it.

The site has the layout of the repository, since links between pages are relative.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any


ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))

_given = metadata("txsessionsock")

project = _given["Name"]
author = _given["Author"]
copyright = author
version = release = _given["Version"]

extensions = ["myst_parser", "files"]
root_doc = "README"
_outside = ["*.md", "benchmarks/*.md", "simulation/*.md", "examples/*/*.md", "npm/*.md"]
include_patterns = ["docs/**.md", *_outside]
exclude_patterns = [".*", "build", "dist", "**/node_modules", "tests*"]
myst_heading_anchors = 6
# Indented text is commands, and programs in prose have gaps: an ellipsis is no
# Python.
highlight_language = "text"
# Pages say what they mean: -- is no dash.
smartquotes = False
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_favicon = "../txsessionsock/demo/mark.svg"
templates_path = ["site/templates"]
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "api.html",
        "sidebar/scroll-end.html",
    ]
}

_ROW = re.compile(r"^\| (?:\*\*(.+?)\*\* \| \||.*\]\(([^)#]+\.md)[^)]*\) \|$)")
_LINK = re.compile(r"\]\(([\w./-]+\.md)")


def contents() -> str:
    """
    @return: The tables of contents of the whole site, as the index of the
        documentation has it.
    """
    lines = ["", "```{toctree}", ":hidden:", "", "docs/README"]
    known = {"docs/README", "README"}
    for line in (ROOT / "docs" / "README.md").read_text("utf-8").splitlines():
        row = _ROW.match(line)
        if row is None:
            continue
        caption, link = row.groups()
        if caption:
            lines += ["```", "", "```{toctree}", ":hidden:", f":caption: {caption}", ""]
            continue
        name = (ROOT / "docs" / link).resolve().relative_to(ROOT).with_suffix("")
        if str(name) not in known:
            known.add(str(name))
            lines.append(str(name))
    more = sorted(
        str(page.relative_to(ROOT).with_suffix(""))
        for pattern in _outside
        for page in ROOT.glob(pattern)
    )
    return "\n".join([*lines, *(name for name in more if name not in known), "```", ""])


def addContents(app: Any, name: str, source: list[str]) -> None:
    """
    The first page has the contents of the site, and the page of the frameworks has
    those of each.
    """
    if name == "README":
        source[0] += contents()
    if name == "docs/frameworks/README":
        pages = [link for link in _LINK.findall(source[0]) if "/" not in link]
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def copyFirst(app: Any, error: Exception | None) -> None:
    """
    A web server looks for C{index.html}.
    """
    if error is None:
        folder = Path(app.outdir)
        shutil.copyfile(folder / "README.html", folder / "index.html")


def setup(app: Any) -> None:
    app.connect("source-read", addContents)
    app.connect("build-finished", copyFirst)
