"""
Tests for C{.ci/site.py}: what C{make docs} does not let pass.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import ROOT


SCRIPT = runpy.run_path(str(ROOT / ".ci" / "site.py"))


class BuiltSiteTests(SynchronousTestCase):
    """
    Tests for looking at a site.
    """

    def wrong(self, **files: str) -> list[str]:
        """
        @param files: What there is beside C{index.html}, by name with an underscore
            for the dot.
        """
        site = Path(self.mktemp())
        (site / "sub").mkdir(parents=True)
        (site / "sub" / "page.html").write_text('<h1 id="top-of-it">A page</h1>')
        for name, text in files.items():
            (site / name.replace("_", ".")).write_text(text)
        return list(SCRIPT["wrong"](site))

    def test_fine(self) -> None:
        """
        Links within may have anchors; links may lead elsewhere.
        """
        page = """<a href="sub/page.html#top-of-it">a</a>
            <a href="#here" id="here">b</a>
            <a href="https://example.com/">c</a> <a href="mailto:a@example.com">d</a>
            <a href="sub/../index.html">e</a> <img src="data:image/png;base64,AA==">
            <link rel="stylesheet" href="a.css"><script src="a.js?v=1"></script>"""
        css = "p { background: url(data:image/png;base64,AA==), url(a.js) }"
        script = 'const where = "https://example.com/";  // fetch("x")'
        self.assertEqual(self.wrong(index_html=page, a_css=css, a_js=script), [])

    def test_nowhere(self) -> None:
        """
        A page, a file, a folder or an anchor that is not there is told of.
        """
        for address in (
            "none.html",
            "sub/page.html#other",
            "#other",
            "sub/",
            "../index.html",
        ):
            for tag in f'<a href="{address}">a</a>', f'<img src="{address}">':
                self.assertEqual(
                    self.wrong(index_html=tag), [f"index.html: {address} leads nowhere"]
                )

    def test_elsewhere(self) -> None:
        """
        So is what would be loaded from elsewhere, in any kind of file.
        """
        for page in (
            '<script src="https://example.com/x"></script>',
            '<link rel="stylesheet" href="//example.com/x">',
            '<img src="https://example.com/x" alt="">',
            '<style>@import "https://example.com/x";</style>',
            '<p style="background: url(https://example.com/x)">',
            '<script>fetch("https://example.com/x")</script>',
        ):
            (line,) = self.wrong(index_html=page)
            self.assertRegex(line, "^index.html: loads (https:)?//example.com/x$")
        for name, text in (
            ("a_css", "@font-face { src: url('https://example.com/x') }"),
            (
                "a_js",
                'const s = document.createElement("script"); s.src = "//b.com/x";',
            ),
            ("b_js", "import('https://example.com/x')"),
            ("a_svg", "<svg><style>@import url(//example.com/x);</style></svg>"),
        ):
            self.assertIn("loads", "".join(self.wrong(**{name: text})), name)
