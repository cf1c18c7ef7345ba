"""
The pictures of the documentation.
"""

from __future__ import annotations

import re
from itertools import chain
from xml.etree.ElementTree import Element, parse

from twisted.trial.unittest import SynchronousTestCase

from tests.support.documents import DOCUMENTS, ROOT
from tests.support.layers import FLOORS


SVG = "{http://www.w3.org/2000/svg}"
IMAGES = ROOT / "docs" / "images"

_IMAGE = re.compile(r"!\[(.*?)\]\(([^)]*)\)")
_ROUTE = re.compile(r"^\*\*(.+?)\.\*\* (.*)$", re.MULTILINE)


def named(text: str) -> set[str]:
    """
    @return: The wings, and the modules of the ground floor, that a text names.
    """
    return set(re.findall(r"\w+", text)) & set(chain(*FLOORS))


class PictureTests(SynchronousTestCase):
    """
    Tests for pictures.
    """

    def test_used(self) -> None:
        """
        Each is shown somewhere, and says in words what is to be seen.
        """
        shown = set()
        for page in DOCUMENTS:
            for words, link in _IMAGE.findall(page.read_text("utf-8")):
                self.assertGreater(len(words), 30, link)
                shown.add((page.parent / link).resolve())
        self.assertEqual(shown, set(IMAGES.iterdir()))


class RoutesTests(SynchronousTestCase):
    """
    Tests for C{routes.svg}.
    """

    def setUp(self) -> None:
        self.text = (IMAGES / "routes.svg").read_text("utf-8")
        self.picture: Element = parse(IMAGES / "routes.svg").getroot()

    def test_agrees(self) -> None:
        """
        Picture and text name the same routes, with the same wings on their ways.
        """
        page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
        part = page.partition("\n## Five routes\n")[2].partition("\n## ")[0]
        told = {
            name: named(" ".join(re.findall(r"`(.*?)`", way)))
            for name, way in _ROUTE.findall(part)
        }
        says = self.picture.findtext(f"{SVG}desc") or ""
        drawn = [line.split(":") for line in says.strip().splitlines()]
        self.assertEqual(len(told), 5)
        self.assertEqual({name: named(way) for name, way in drawn}, told)

    def test_stops(self) -> None:
        """
        Each route stops where its words say.
        """
        rows = {
            float(text.attrib["y"]) - 4.5: re.findall(r"\w+", text.text or "")
            for text in self.picture.findall(f"{SVG}text[@x='14']")
        }
        says = self.picture.findtext(f"{SVG}desc") or ""
        for number, line in enumerate(says.strip().splitlines(), 1):
            group = self.picture.find(f"{SVG}g[@class='r{number}']")
            assert group is not None
            stops = [
                float(stop.attrib["cy"])
                for stop in group.findall(f"{SVG}circle[@class='stop']")
            ]
            paths = [path.attrib["d"] for path in group.findall(f"{SVG}path")]
            # Where a line turns, and where the arrow is.
            stops += [float(y) + 4 for y in re.findall(r"V(\d+)q", paths[0])]
            stops += [float(y) + 7 for y in re.findall(r"^M\S+ (\d+)l", paths[1])]
            found = {rows[stop][-1] for stop in stops}
            way = line.partition(":")[2].replace("browsers", "browser")
            said = {row[-1] for row in rows.values() if row[-1] in way}
            self.assertEqual(found, said, line)

    def test_legible(self) -> None:
        """
        On a telephone that is 320 pixels wide, texts are 11 pixels high at least.
        There are colours for dark mode, and a background, for where those around
        it are others.
        """
        width = float(self.picture.attrib["viewBox"].split()[2])
        sizes = [float(size) for size in re.findall(r"(\d+)px", self.text)]
        self.assertGreaterEqual(min(sizes) * min(1, 312 / width), 11)
        self.assertIn("prefers-color-scheme: dark", self.text)
        ground = self.picture.findall(f"{SVG}rect[@class='ground']")
        self.assertEqual(len(ground), 1)
