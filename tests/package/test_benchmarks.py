"""
The benchmarks that need no server work.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic
from xml.etree.ElementTree import Element, fromstring

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.answers import EVENT, PLAIN, Answers, Frames, Template, masked, spread
from benchmarks.collected import Log
from benchmarks.compare import Found, ratios, table
from benchmarks.growth import PAGE, PARTS, Point, cart, written
from benchmarks.growth import rows as growthRows
from benchmarks.journal import WAYS, measure
from benchmarks.plots import Axis, plot
from benchmarks.quiet import Waits, waits
from benchmarks.routes import routes
from benchmarks.socketioclients import Counted, percentiles
from benchmarks.storms import Phase, Storm, rows, timeline
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import Document


SVG = "{http://www.w3.org/2000/svg}"
"""
How names of elements of a picture begin.
"""


class JournalTests(SynchronousTestCase):
    """
    L{benchmarks.journal}.
    """

    def test_measure(self) -> None:
        """
        A write takes some time, with and without the journal.
        """
        for way in WAYS.values():
            for repair in True, False:
                self.assertGreater(measure(way, 3, repair=repair), 0.0)


class RoutesTests(SynchronousTestCase):
    """
    L{benchmarks.routes}.
    """

    def test_routes(self) -> None:
        """
        Each way leads from one wing to others, and a message that only reads has
        the shortest of those to a session.
        """
        found = routes()
        for what, route in found.items():
            self.assertGreater(route.wings, 0, what)
        reads = found["a message that reads"]
        self.assertEqual(sum(reads.files.values()), reads.calls)
        changes = found["a message that changes the session, to its answer"]
        self.assertLess(reads.crossings, changes.crossings)


class CountedTests(SynchronousTestCase):
    """
    L{benchmarks.socketioclients}.
    """

    def test_check(self) -> None:
        """
        Only the right answers pass, in order, and in pieces.
        """
        counted = Counted(16)
        size = counted.answerSize
        right = b'\x81\x14431000["0000000001"]\x81\x14431001["0000000002"]'
        counted.check(0, right)
        counted.check(size - 3, right[size - 3 : size + 5])
        for place, wrong in (
            (0, right[size:]),
            (0, right[:size] * 2),
            (0, right[: size - 3] + b'2"]'),
            (0, b"\x81\x012"),
            (size, right),
        ):
            with self.assertRaises(AssertionError):
                counted.check(place, wrong)

    def test_events(self) -> None:
        """
        As many events as are asked for, with the numbers that come next.
        """
        counted = Counted(16)
        for done in 0, 999, 1000, 12_345:
            self.assertEqual(len(counted.events(done, 16)), 16 * counted.eventSize)
        self.assertEqual(counted.events(999, 2), counted.events(1999, 2))
        self.assertNotEqual(counted.events(0, 1), counted.events(1, 1))

    def test_percentiles(self) -> None:
        """
        Each time counts as often as it was.
        """
        self.assertEqual(percentiles([(3.0, 1), (1.0, 98), (2.0, 1)]), (1.0, 2.0))
        self.assertEqual(percentiles([(5.0, 1)]), (5.0, 5.0))


def _frame(payload: bytes) -> bytes:
    """
    As a server sends it.
    """
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def _answer(number: int) -> bytes:
    return _frame(b'{"n": "%010d", "pad": ""}' % number)


class AnswersTests(SynchronousTestCase):
    """
    L{benchmarks.answers}.
    """

    def setUp(self) -> None:
        self.template = Template(_answer(1))

    def test_masked(self) -> None:
        """
        A message has 64 bytes, and a frame of it is one that may be unmasked.
        """
        for payload in PLAIN, EVENT:
            self.assertEqual(len(payload), 64)
            frame = masked(payload)
            self.assertEqual(frame[:2], b"\x81\xc0")
            mask = frame[2:6] * 16
            plain = bytes(a ^ b for a, b in zip(frame[6:], mask, strict=True))
            self.assertEqual(plain, payload)

    def test_frames(self) -> None:
        """
        Frames of all sizes are found, wherever they are cut.
        """
        frames = [_frame(b""), _frame(b"x" * 125), _frame(b"x" * 300)]
        data = b"".join(frames)
        for size in 1, 2, 3, 7, 200, len(data):
            cutter = Frames()
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            found = [each for piece in pieces for each in cutter.received(piece)]
            self.assertEqual(found, frames)

    def test_template(self) -> None:
        """
        Any answer will do that has a number of ten digits.
        """
        for payload in b'{"n":"0000000007"}', b'431000["0000000007"]':
            template = Template(_frame(payload))
            self.assertEqual(template.first, 7)
            self.assertEqual(template.number(_frame(payload)), 7)
        for frame in _frame(b"no"), b"\x88\x0a0000000001":
            self.assertRaises(ValueError, Template, frame)

    def test_right(self) -> None:
        """
        Right answers are counted, wherever they are cut, also behind those that were
        known beforehand.
        """
        last = 29_980
        data = b"".join(map(_answer, range(last + 1, last + 101)))
        for size in 1, 10, self.template.size, 1000:
            answers = Answers(self.template, last)
            for at in range(0, len(data), size):
                answers.received(data[at : at + size])
            self.assertEqual((answers.count, answers.wrong), (100, 0), size)

    def test_wrong(self) -> None:
        """
        Each answer is wrong that is not one more than the one before.
        """
        numbers = 2, 3, 3, 4, 7, 8
        data = b"".join(map(_answer, numbers))
        for size in 1, 10, self.template.size, 1000:
            answers = Answers(self.template, 1)
            for at in range(0, len(data), size):
                answers.received(data[at : at + size])
            self.assertEqual((answers.count, answers.wrong), (6, 2), size)

    def test_notAlone(self) -> None:
        """
        Where others count too, a number has to be more than the one before.
        """
        answers = Answers(self.template, 1, isAlone=False)
        found = answers.received(b"".join(map(_answer, (4, 9, 9, 8, 20))))
        self.assertEqual((found, answers.count, answers.wrong), (5, 5, 2))

    def test_noAnswer(self) -> None:
        """
        What is no answer is not counted.
        """
        answers = Answers(self.template, 1)
        wrong = _answer(2).replace(b"pad", b"bad")
        self.assertRaises(ValueError, answers.received, wrong)


class CompareTests(SynchronousTestCase):
    """
    L{benchmarks.compare}.
    """

    def test_spread(self) -> None:
        """
        The median, the least and the most.
        """
        self.assertEqual(spread([3.0, 1.0, 9.0]), (3.0, 1.0, 9.0))
        self.assertEqual(spread([2.0, 1.0]), (1.5, 1.0, 2.0))

    def test_ratios(self) -> None:
        """
        Each round is compared with itself; by work, less of it is more.
        """
        found = [Found(10.0, 4.0), Found(30.0, 5.0)]
        base = [Found(20.0, 2.0), Found(10.0, 10.0)]
        self.assertEqual(ratios(found, base), [0.5, 3.0])
        self.assertEqual(ratios(found, base, ofWork=True), [0.5, 2.0])

    def test_table(self) -> None:
        """
        As Markdown, and with columns of one width.
        """
        lines = [["", "a"], ["name", "1.00"]]
        self.assertEqual(
            table(lines, isMarkdown=True), "|  | a |\n| --- | --- |\n| name | 1.00 |"
        )
        self.assertEqual(table(lines, isMarkdown=False), "         a\nname  1.00")


class GrowthTests(SynchronousTestCase):
    """
    L{benchmarks.growth}.
    """

    def test_cart(self) -> None:
        """
        A session with it has about as many bytes as it is to have.
        """
        framework = Express("a secret")
        for size in 1024, 4096, 65_536, 262_144:
            new = framework.newDocument(0.0)
            document = Document({**new.data, **cart(size), "pings": 0}, new.envelope)
            raw = framework.dumps(document, 0.0)
            self.assertTrue(0.9 * size < len(raw) <= size, (size, len(raw)))
        self.assertEqual(cart(100), {})

    def test_rows(self) -> None:
        """
        A line for each value has all ways, and says what was lost.
        """
        found = {
            "one": [Point(1, 1000.0, 20.0), Point(10_000, 900.0, 22.2, 13.0)],
            "two": [Point(1, 50.0, 9.0, ownBusy=0.9), Point(10_000, 5.0, 9.0)],
        }
        found["two"][1] = replace(found["two"][1], busy=0.1, amiss=0.5)
        head, first, last = growthRows("sockets", found)
        self.assertEqual(head[0], "sockets")
        self.assertEqual(first[:3], ["1", "1,000 / 50 (!)", "20 / 9"])
        self.assertEqual(last[:4], ["10,000", "900 / 5 (?)", "22 / 9", "13.0 / -"])
        self.assertEqual((first[-1], last[-1]), ("- / -", "- / 50 %"))

    def test_written(self) -> None:
        """
        What is between the marks is replaced, again and again, and nothing else.
        """
        begin, end = (
            "before\n<!-- growth: a -->\n",
            "<!-- end of growth: a -->\nafter\n",
        )
        page = f"{begin}old\n{end}"
        once = written(page, {"a": r"new \1"})
        self.assertEqual(once, f"{begin}\nnew \\1\n\n{end}")
        self.assertEqual(written(once, {"a": r"new \1"}), once)
        self.assertRaises(ValueError, written, page, {"b": "new"})

    def test_places(self) -> None:
        """
        The page has a place for each part.
        """
        page = PAGE.read_text("utf-8")
        for name in "conditions", *PARTS:
            self.assertIn("new text", written(page, {name: "new text"}))


class StormTests(SynchronousTestCase):
    """
    L{benchmarks.storms} and L{benchmarks.quiet}.
    """

    def test_waits(self) -> None:
        """
        Only what was said between the two moments counts.
        """
        noted = [(0.5, 9.0), *((1 + number / 100, number) for number in range(100))]
        self.assertEqual(waits(noted, 1.0, 1.995), Waits(50, 99, 99))
        self.assertEqual(waits(noted, 1.0, 1.5), Waits(25, 49, 49))
        self.assertEqual(waits(noted, 5.0, 6.0), Waits(0.0, 0.0, 0.0))

    def test_rows(self) -> None:
        """
        Each phase has what was waited for and collected in it.
        """
        phases = [Phase("come", 10.0, 12.0, 500, 800.0, 1.5), Phase("idle", 12.0, 13.0)]
        noted = [(11.0, 0.2), (12.5, 0.001)]
        come, idle = rows("a way", Storm(phases, noted, 0, [(11.5, 0.15), (11, 0.1)]))
        self.assertEqual(
            "/".join(come), "a way: come/2.0/250/800/1.5/200.0/200.0/200/250/150"
        )
        self.assertEqual("/".join(idle), "a way: idle/1.0/-/-/-/1.0/1.0/1/-/-")

    def test_timeline(self) -> None:
        """
        The most of each tenth of a second, from the beginning of the first phase.
        """
        phases = [Phase("alone", 10.0, 11.0), Phase("come", 11.0, 12.0)]
        noted = [(10.01, 0.001), (10.02, 0.003), (11.51, 0.25), (13.0, 1.0)]
        points, marks = timeline(Storm(phases, noted))
        self.assertEqual(points, [(0.0, 3.0), (1.5, 250.0)])
        self.assertEqual(marks, [(0.0, "alone"), (1.0, "come")])

    def test_collected(self) -> None:
        """
        A full collection is written down, with the time that it took.
        """
        path = self.mktemp()
        log = Log(path)
        for generation in 0, 2:
            log("start", {"generation": generation})
            log("stop", {"generation": generation})
        [line] = Path(path).read_text("ascii").splitlines()
        began, took = map(float, line.split())
        self.assertTrue(0.0 < began <= monotonic())
        self.assertTrue(0.0 <= took < 10.0)


class PlotTests(SynchronousTestCase):
    """
    L{benchmarks.plots}.
    """

    def drawn(self, x: Axis, y: Axis, *ys: float) -> Element:
        points = [(10.0**number, value) for number, value in enumerate(ys)]
        return fromstring(plot("a < b", x, y, {"one": points, "two & three": points}))

    def test_texts(self) -> None:
        """
        There are a title, the titles of axes, names and figures, for those who see
        no colours, too.
        """
        drawing = self.drawn(Axis("sockets", isLog=True), Axis("µs"), 0.0, 45.0, 90.0)
        texts = [each.text for each in drawing.iter(f"{SVG}text")]
        for text in "sockets", "µs", "one", "two & three", "1", "10", "100", "0", "80":
            self.assertIn(text, texts)
        self.assertEqual(drawing.findtext(f"{SVG}title"), "a < b")
        one, two = drawing.iter(f"{SVG}polyline")
        self.assertNotEqual(one.get("style"), two.get("style"))

    def test_places(self) -> None:
        """
        With an even axis as much more is as much higher, with one of powers as many
        times more.
        """
        for isLog, ys in (False, (10.0, 20.0, 30.0)), (True, (1.0, 10.0, 100.0)):
            drawing = self.drawn(Axis("x", isLog=True), Axis("y", isLog=isLog), *ys)
            route = next(drawing.iter(f"{SVG}polyline")).attrib["points"]
            places = [tuple(map(float, each.split(","))) for each in route.split()]
            (left, low), (middle, half), (right, high) = places
            self.assertApproximates(low - half, half - high, 0.2)
            self.assertApproximates(middle - left, right - middle, 0.2)
            self.assertTrue(0 < high < half < low < 320 and 0 < left < right < 440)

    def test_steps(self) -> None:
        """
        Where a range is short or all is the same, there are figures, too.
        """
        for ys in (0.0,), (5.0, 5.0), (0.2, 0.3), (3.0, 30.0), (1e6, 2e6):
            for isLog in False, True:
                drawing = self.drawn(Axis("x", isLog=True), Axis("y", isLog=isLog), *ys)
                self.assertGreater(len(list(drawing.iter(f"{SVG}text"))), 8)
