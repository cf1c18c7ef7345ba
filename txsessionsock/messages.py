# -*- test-case-name: tests.protocol.test_protocol -*-
"""
What messages are, on the way between a socket and its handlers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from . import _json
from ._foreign import Foreign


__all__ = ["JSON", "Event", "Messages", "Raw", "Shared"]


@dataclass(frozen=True, slots=True)
class Event:
    """
    A message of Socket.IO.

    @ivar name: The name of the event.

    @ivar args: What came with it: JSON, and L{bytes} anywhere in it.
    """

    name: str
    args: tuple[Any, ...] = ()


class Shared(tuple[bytes, bool]):
    """
    A message that many clients get: its payload, and whether it is binary.

    @ivar frames: Frames that were made for some of them and are right for others, by
        what they depend on, each with the size of what is in it; L{None} when all
        have been sent it.
    """

    frames: dict[object, tuple[bytes, int]] | None

    def __init__(self, message: Iterable[bytes | bool]) -> None:
        self.frames = {}


class Messages(Protocol):
    """
    One kind of messages.
    """

    def decode(self, payload: bytes, isBinary: bool) -> Any:
        """
        @return: What handlers get.

        @raise ValueError: It is no such message.
        """

    def encode(self, value: Any) -> tuple[bytes, bool]:
        """
        @return: The payload, and whether it is binary.

        @raise ValueError: It cannot be such a message; the message says
            what is in the way, and where in the value it is.
        """


class JSON:
    """
    Values as JSON, in text messages; in binary ones it is understood too.  What
    JSON has not (NaN, bytes, sets, datetimes, keys that are no text) is refused.
    """

    @staticmethod
    def hasMoreValues(payload: bytes, most: int) -> bool:
        """
        Whether there are more values in a message than that.
        """
        return _json.hasMoreValues(payload, most)

    @staticmethod
    def sizeOf(payload: bytes) -> int:
        """
        About how many bytes it takes when it is decoded.
        """
        return _json.sizeOf(payload)

    def decode(self, payload: bytes, isBinary: bool) -> Any:
        return _json.loads(payload)

    def encode(self, value: Any) -> tuple[bytes, bool]:
        try:
            # Most messages are seen to be plain at a glance.
            if _json.isFlat(value) or (found := _json.MESSAGES.find(value)) is None:
                return _json.dumps(value), False
        except RecursionError:
            found = Foreign("nested too deeply, or contains itself")
        except ValueError as error:
            found = _json.MESSAGES.find(value, isThorough=True)
            found = found or Foreign(str(error))
        raise ValueError(f"no JSON: {found.told('message', 'send')}")


class Raw:
    """
    L{str} for text messages, L{bytes} for binary ones.
    """

    def decode(self, payload: bytes, isBinary: bool) -> str | bytes:
        return payload if isBinary else payload.decode("utf-8")

    def encode(self, value: Any) -> tuple[bytes, bool]:
        if isinstance(value, str):
            return value.encode("utf-8"), False
        if isinstance(value, bytes):
            return value, True
        raise ValueError(f"a message is str or bytes, not {type(value).__name__}")
