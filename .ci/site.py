"""
Looks at the site that C{make docs} built: each link within it leads somewhere, and
nothing is loaded from elsewhere, so that it works without a network.

    python .ci/site.py build/docs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


_CSS = re.compile(r"""(?:@import\s+(?:url\(\s*)?|url\(\s*)["']?([^"')\s]+)""")
_LOADED = re.compile(
    r"""(?:fetch|import|importScripts|open|src|href)\s*[(=][^;\n]{0,40}?"""
    r"""["'`]((?:https?:)?//[^"'`]+)"""
)


@dataclass
class Page:
    """
    What a page has, and what it leads to.

    @ivar names: What can be linked to within it.

    @ivar links: Where its visitor can go.

    @ivar loaded: What the browser gets for it.
    """

    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._kind = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._kind = tag
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.page.names.add(value)
            elif name == "href" and tag == "a":
                self.page.links.append(value)
            elif name in ("src", "href", "poster", "data", "action"):
                self.page.loaded.append(value)
            elif name == "srcset":
                self.page.loaded += [each.split()[0] for each in value.split(",")]
            elif name == "style":
                self.page.loaded += _CSS.findall(value)

    def handle_data(self, data: str) -> None:
        if self._kind == "style":
            self.page.loaded += _CSS.findall(data)
        elif self._kind == "script":
            self.page.loaded += _LOADED.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._kind = ""


def read(text: str) -> Page:
    """
    @param text: HTML.
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.page


def isElsewhere(address: str) -> bool:
    """
    Whether it is of another host.
    """
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def wrong(site: Path) -> Iterator[str]:
    """
    @return: What is wrong with a site, a line for each.
    """
    pages = {
        path: read(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))
    }
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loaded:
            if isElsewhere(address):
                yield f"{name}: loads {address}"
        within = [each for each in (*page.links, *page.loaded) if _isWithin(each)]
        for address in dict.fromkeys(within):
            if not _leads(address, path, pages):
                yield f"{name}: {address} leads nowhere"
    yield from _wrongFiles(site)


def _wrongFiles(site: Path) -> Iterator[str]:
    for path in sorted(site.rglob("*")):
        pattern = {".css": _CSS, ".svg": _CSS, ".js": _LOADED}.get(path.suffix)
        if pattern is not None:
            for address in pattern.findall(path.read_text("utf-8")):
                if isElsewhere(address):
                    yield f"{path.relative_to(site)}: loads {address}"


def _isWithin(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def _leads(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(address)
    target = path
    if parts.path:
        target = Path(*_resolved(path.parent / unquote(parts.path)))
    if not target.is_file():
        return False
    page = pages.get(target)
    # The browser has the top of each page.
    return page is None or parts.fragment in ("", "top") or _has(page, parts.fragment)


def _has(page: Page, fragment: str) -> bool:
    return bool({fragment, unquote(fragment)} & page.names)


def _resolved(path: Path) -> Iterable[str]:
    """
    @return: The parts of a path without C{..}, whatever is a link on the way.
    """
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return parts


if __name__ == "__main__":
    found = list(wrong(Path(sys.argv[1])))
    print("\n".join(found) or "All links within lead somewhere; nothing is elsewhere.")
    sys.exit(bool(found))
