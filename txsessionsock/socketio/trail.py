# -*- test-case-name: tests.socketio.test_trail -*-
"""
What a client was sent lately, which it may have missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from secrets import token_urlsafe
from typing import Any

from txsessionsock.messages import Event, Shared

from .packets import TEXT, Kind, Message, Packet, Parser


__all__ = ["Budget", "Codec", "Numbered", "Trail"]

_OFFSET_BYTES = 9
_FRAME_SIZE = 256
_PLACE_SIZE = 16
"""
How many bytes a frame takes beside what is sent, and a place in a trail.
"""


class Numbered(tuple[Message, ...]):
    """
    An event as it is sent to clients that may come back for it.  All that are sent
    it have the same one.

    @ivar offset: What a client says that it was the last that it got.

    @ivar size: About how many bytes it takes.

    @ivar at: When it was kept first.

    @ivar kept: In how many trails it is.
    """

    offset: str
    size: int
    at: float
    kept: int

    @classmethod
    def of(cls, messages: Iterable[Message], offset: str) -> Numbered:
        self = cls(messages)
        self.offset = offset
        self.size = sum(len(payload) for payload, _ in self) + _FRAME_SIZE
        self.at = 0.0
        self.kept = 0
        return self


class Codec:
    """
    Makes packets of the events of a namespace.  It is itself what tells one way to
    encode them from all others.

    @ivar name: What tells that on other nodes.
    """

    def __init__(self, namespace: str, parser: Parser, *, isNumbered: bool) -> None:
        """
        @param isNumbered: Whether clients are to know which was the last event that
            they got.
        """
        self.name = f"{'text' if parser is TEXT else 'msgpack'} {namespace}"
        self._namespace = namespace
        self._parser = parser
        self._isNumbered = isNumbered

    def encode(self, value: Any, messageID: str = "") -> tuple[Message, ...]:
        """
        See L{Carrier.encode<txsessionsock.clients.carrier.Carrier>}.

        An official client takes the last argument of any event for its offset, if
        it is a text and nothing asks for an answer.  So all of those events have
        one, volatile ones as well.
        """
        event = value if isinstance(value, Event) else Event("message", (value,))
        data = [event.name, *event.args]
        offset = ""
        if self._isNumbered:
            offset = messageID or token_urlsafe(_OFFSET_BYTES)
            data.append(offset)
        messages = self._parser.encode(Packet(Kind.EVENT, self._namespace, data))
        if messageID:
            messages = tuple(map(Shared, messages))
        return Numbered.of(messages, offset) if self._isNumbered else messages


class Budget:
    """
    How much all trails take together.

    @ivar used: In bytes.  What is in several trails counts once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.used = 0

    @property
    def isOver(self) -> bool:
        """
        Whether that is too much.
        """
        return self.used > self._most

    def keep(self, frame: Numbered, now: float) -> None:
        """
        A frame is in one more trail.
        """
        if not frame.kept:
            frame.at = now
            self.used += frame.size
        frame.kept += 1
        self.used += _PLACE_SIZE

    def release(self, frame: Numbered) -> None:
        """
        It is in one less.
        """
        frame.kept -= 1
        self.used -= _PLACE_SIZE
        if not frame.kept:
            self.used -= frame.size


class Trail:
    """
    The last events that a client was sent.
    """

    def __init__(self, budget: Budget, most: int, before: str | None = None) -> None:
        """
        @param most: How many bytes they may take.

        @param before: The offset of the last event before them; L{None} if there
            is none.
        """
        self._budget = budget
        self._most = most
        self._before = before
        self._frames: deque[Numbered] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Numbered, now: float) -> None:
        """
        The client is sent an event.
        """
        self._budget.keep(frame, now)
        self._frames.append(frame)
        self._size += frame.size
        while self._size > self._most:
            self._forget()

    def _forget(self) -> None:
        frame = self._frames.popleft()
        self._before = frame.offset
        self._size -= frame.size
        self._budget.release(frame)

    def forget(self, until: float) -> None:
        """
        Forget what was sent before a time.
        """
        while self._frames and self._frames[0].at < until:
            self._forget()

    def shorten(self, most: float) -> None:
        """
        Forget the oldest until it is no more than that, and all together not too
        much.
        """
        while self._frames and self._size > most and self._budget.isOver:
            self._forget()

    def clear(self) -> None:
        """
        Forget all of it.
        """
        while self._frames:
            self._forget()

    def restart(self, before: str | None) -> None:
        """
        Forget all of it, and begin after an event.
        """
        self.clear()
        self._before = before

    def after(self, offset: str | None) -> list[Numbered] | None:
        """
        What was sent after an event.

        @param offset: Of the event; L{None} for what was sent from the beginning.

        @return: L{None} if that is not known, or not any more.
        """
        frames = list(self._frames)
        if offset == self._before:
            return frames
        for number, frame in enumerate(frames):
            if frame.offset == offset:
                return frames[number + 1 :]
        return None
