# -*- test-case-name: tests.websocket.test_compression -*-
"""
Bounds on compression, which is off unless the application accepts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autobahn.websocket.compress import PerMessageDeflate

from txsessionsock.limits import Limits


__all__ = ["bounded", "compressed", "likeness", "mayGrowTo"]

_Accept = Callable[[Sequence[Any]], Any]

_WINDOW_BITS = 12
_MEMORY_LEVEL = 5
"""
These two take 32 KiB for each connection, where zlib's own take 256 KiB (its
C{zconf.h} has the formula).
"""


def bounded(accept: _Accept, limits: Limits) -> _Accept:
    """
    @param accept: The application's C{perMessageCompressionAccept}.

    @return: The same, with bounds on all that it leaves open.
    """

    def decide(offers: Sequence[Any]) -> Any:
        accepted = accept(offers)
        if accepted is not None:
            _bound(accepted, limits)
        return accepted

    return decide


def _bound(accepted: Any, limits: Limits) -> None:
    # What each kind of compression has of these; None says that it is open.
    if getattr(accepted, "max_message_size", 0) is None:
        # A few bytes may become a thousand times as many: that is to be noticed
        # before they are there.
        accepted.max_message_size = limits.messageSize
    if getattr(accepted, "window_bits", 0) is None:
        asked = accepted.offer.request_max_window_bits
        accepted.window_bits = min(asked or _WINDOW_BITS, _WINDOW_BITS)
    if getattr(accepted, "mem_level", 0) is None:
        accepted.mem_level = _MEMORY_LEVEL


def likeness(compress: Any) -> tuple[int, int] | None:
    """
    @param compress: What compresses the messages of a connection.

    @return: What is equal for connections on which a message becomes the same bytes;
        L{None} if these depend on the messages before.
    """
    if type(compress) is PerMessageDeflate and compress.server_no_context_takeover:
        return compress.server_max_window_bits, compress.mem_level
    return None


def compressed(compress: Any, payload: bytes) -> bytes:
    """
    @return: A message as Autobahn compresses it.
    """
    compress.start_compress_message()
    data: bytes = compress.compress_message_data(payload)
    data += compress.end_compress_message()
    return data


def mayGrowTo(size: int) -> int:
    """
    @return: How many bytes so many may become when they are compressed: zlib's
        own bound, with whatever window and memory.
    """
    return size + (size + 7 >> 3) + (size + 63 >> 6) + 16
