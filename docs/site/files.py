"""
Links to files and folders of the repository that are no pages.  There is no code
host whose address would last, so the site has a page for each that is linked to,
and for what is in such a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


_LEFT_OUT = {"__pycache__", "node_modules", "package-lock.json"}


def inside(folder: Path) -> list[Path]:
    """
    @return: What a folder has that readers want to see.
    """
    return sorted(
        each
        for each in folder.iterdir()
        if each.name not in _LEFT_OUT and not each.name.startswith(".")
    )


def address(path: Path) -> str:
    """
    @return: Where its page is, relative to the top, as the path is.
    """
    return f"{path}/index.html" if path.is_dir() else f"{path}.html"


class FileLinks(SphinxTransform):
    """
    Has links to files and folders lead to their pages.
    """

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        kinds = (addnodes.download_reference, addnodes.pending_xref)
        for node in list(self.document.findall(lambda node: isinstance(node, kinds))):
            if node.get("reftype") == "myst" and node.get("refdomain") is None:
                self._link(node)

    def _link(self, node: nodes.Element) -> None:
        """
        What is not there is left to others, who warn of it.
        """
        root, page = Path(self.env.srcdir), Path(self.env.docname)
        target = (root / page.parent / node["reftarget"]).resolve()
        if not target.exists():
            return
        path = target.relative_to(root)
        if (target / "README.md").exists():
            uri = str(path / "README.html")
        else:
            wanted(self.env).add(path)
            uri = str(path / "index.html") if target.is_dir() else f"{path}.html"
        link = nodes.reference(
            "", "", internal=True, refuri=os.path.relpath(uri, page.parent)
        )
        link += node.children
        node.replace_self(link)


def wanted(env: Any) -> set[Path]:
    """
    @return: What pages link to.
    """
    if not hasattr(env, "linkedFiles"):
        env.linkedFiles = set()
    found: set[Path] = env.linkedFiles
    return found


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """
    The pages of files and folders, as Sphinx wants them: name, context, template.
    """
    root = Path(app.srcdir)
    waiting = sorted(wanted(app.env))
    done = set()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        if (root / path).is_dir():
            found = inside(root / path)
            waiting += [each.relative_to(root) for each in found if isShown(each)]
            name, body = f"{path}/index", listed(found)
        else:
            name, body = str(path), shown(app, root / path)
        title = escape(str(path))
        context = {"title": title, "body": f"<h1>{title}</h1>\n{body}"}
        yield name, context, "page.html"


def isShown(path: Path) -> bool:
    """
    Whether it has a page that is made here.
    """
    if path.is_dir():
        return not (path / "README.md").exists()
    return path.suffix != ".md"


def listed(found: list[Path]) -> str:
    """
    @return: The list of a folder, as HTML.
    """
    rows = []
    for path in found:
        name = escape(path.name)
        if path.is_dir():
            page = "README" if (path / "README.md").exists() else "index"
            rows.append(f'<li><a href="{name}/{page}.html">{name}/</a></li>')
        elif path.suffix == ".md":
            rows.append(f'<li><a href="{escape(path.stem)}.html">{name}</a></li>')
        else:
            rows.append(f'<li><a href="{name}.html">{name}</a></li>')
    return f"<ul>{''.join(rows)}</ul>"


def shown(app: Any, path: Path) -> str:
    """
    @return: The text of a file, as HTML.
    """
    text = path.read_text("utf-8")
    try:
        language = get_lexer_for_filename(path.name).aliases[0]
    except (ClassNotFound, IndexError):
        language = "text"
    block: str = app.builder.highlighter.highlight_block(
        text, language, opts={}, force=True
    )
    return block


def setup(app: Any) -> dict[str, bool]:
    app.add_transform(FileLinks)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
