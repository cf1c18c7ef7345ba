"""
What is said to the servers of L{benchmarks.compare}, and what they have to answer:
bytes alone, without input or output.

Each message is the same, and each answer to it has as many bytes, of which ten are the
count.  So all right answers of a connection are known beforehand, and what came is
compared with them in one call, whatever it holds.  Only where a server answers wrongly,
or several connections count together, each answer is looked at by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median


__all__ = ["Answers", "Frames", "Template", "masked", "spread"]

_MASK = b"\x37\xfa\x21\x3d"
_DIGITS = re.compile(rb"[0-9]{10}")
_SHORT, _MIDDLE = 126, 127

_MOST = 30_000
"""
How many answers of a connection are known beforehand.
"""

PLAIN = b'{"n":"%010d","pad":"%s"}' % (0, b"x" * 37)
EVENT = b'421000["add","%s"]' % (b"x" * 48)
"""
What is said, in 64 bytes; an event is acknowledged under its number, always the same.
"""


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """
    @return: A frame as a browser sends it.
    """
    assert len(payload) < _SHORT
    body = bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + _MASK + body


class Frames:
    """
    The frames of a server, cut out of what came.
    """

    def __init__(self) -> None:
        self._data = b""

    def received(self, data: bytes) -> list[bytes]:
        """
        @return: The frames that are whole now, with their heads.
        """
        self._data += data
        found = []
        while size := self._size():
            found.append(self._data[:size])
            self._data = self._data[size:]
        return found

    def _size(self) -> int:
        """
        @return: How many bytes the first frame has, 0 as long as it is not whole.
        """
        data = self._data
        if len(data) < 2:  # noqa: PLR2004 - the shortest head
            return 0
        head, size = 2, data[1]
        if size in (_SHORT, _MIDDLE):
            head = 4 if size == _SHORT else 10
            if len(data) < head:
                return 0
            size = int.from_bytes(data[2:head], "big")
        return head + size if len(data) >= head + size else 0


class Template:
    """
    How a server answers.

    @param answer: The frame of its first answer.

    @raise ValueError: There is no number of ten digits in it.
    """

    def __init__(self, answer: bytes) -> None:
        # The payload alone is searched: a head may look like anything.
        payload = answer[2:]
        found = _DIGITS.search(payload)
        if not answer.startswith(b"\x81") or found is None:
            raise ValueError(f"no answer that counts: {answer[:100]!r}")
        self.first = int(found[0])
        self.head = answer[:2] + payload[: found.start()]
        self.tail = payload[found.end() :]
        self.size = len(answer)
        self._known = b""

    @property
    def known(self) -> bytes:
        """
        The answers from 1 on, one behind the other.
        """
        if not self._known:
            numbers = range(1, _MOST + 1)
            self._known = b"".join(map(self._answer, numbers))
        return self._known

    def _answer(self, number: int) -> bytes:
        return b"%s%010d%s" % (self.head, number, self.tail)

    def number(self, answer: bytes) -> int:
        """
        @raise ValueError: It is no such answer.
        """
        start, end = len(self.head), len(self.head) + 10
        if answer[:start] != self.head or answer[end:] != self.tail:
            raise ValueError(f"{answer!r}, not as {self._answer(1)!r}")
        return int(answer[start:end])


class Answers:
    """
    Those of one connection, which are counted.

    @param isAlone: Whether nobody else counts in its session, so that each answer is
        one more than the one before.  Otherwise it is at least that.

    @ivar count: How many there were.

    @ivar wrong: How many of them had another number than they must have.
    """

    def __init__(self, template: Template, last: int, *, isAlone: bool = True) -> None:
        self.count = self.wrong = 0
        self._template, self._size = template, template.size
        self._last, self._isAlone = last, isAlone
        self._place = self._start = last * template.size
        self._known = template.known if isAlone else b""
        self._rest = b""

    def received(self, data: bytes) -> int:
        """
        @return: How many more there are now.

        @raise ValueError: It is no answer at all.
        """
        place = self._place
        if self._known.startswith(data, place) and self._isAlone:
            self._place = place = place + len(data)
            before, self.count = self.count, (place - self._start) // self._size
            return self.count - before
        return self._each(data)

    def _each(self, data: bytes) -> int:
        """
        Look at each, from now on.
        """
        if self._known:
            self._known = b""
            self._last += self.count
            # What was cut is known from its place.
            begun = (self._place - self._start) % self._size
            end = self._place
            self._rest = self._template.known[end - begun : end]
        self._rest += data
        size, found = self._size, len(self._rest) // self._size
        for start in range(0, found * size, size):
            number = self._template.number(self._rest[start : start + size])
            if self._isAlone:
                self.wrong += number != self._last + 1
            else:
                self.wrong += number <= self._last
            self._last = number
        self._rest = self._rest[found * size :]
        self.count += found
        return found


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """
    @return: The median, the least and the most.
    """
    return median(values), min(values), max(values)
