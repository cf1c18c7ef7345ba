"""
The benchmarks that need no server work.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.answers import EVENT, PLAIN, Answers, Frames, Template, masked, spread
from benchmarks.compare import Found, ratios, table
from benchmarks.journal import WAYS, measure
from benchmarks.routes import routes
from benchmarks.socketioclients import Counted, percentiles


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
