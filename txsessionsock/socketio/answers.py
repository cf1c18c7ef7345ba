# -*- test-case-name: tests.socketio.test_engine_requests -*-
"""
The answers to requests of Engine.IO.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from gzip import compress
from http import HTTPStatus
from typing import Any, Final


__all__ = [
    "BAD_METHOD",
    "BAD_REQUEST",
    "FORBIDDEN",
    "UNKNOWN_SID",
    "UNKNOWN_TRANSPORT",
    "UNSUPPORTED",
    "WEBSOCKET_ONLY",
    "Trouble",
    "answer",
    "finish",
    "prepare",
    "refuse",
]

_WORTH_IT: Final = 1024
"""
From how many bytes on an answer is compressed.
"""

_FAST: Final = 1
"""
The level of compression: a higher one holds up everybody for longer, and gains
little.
"""


@dataclass(frozen=True)
class Trouble:
    """
    Why a request is refused.

    @ivar code: The number that Engine.IO has for it.

    @ivar message: What Engine.IO calls it.
    """

    code: int
    message: str
    status: int = HTTPStatus.BAD_REQUEST


UNKNOWN_TRANSPORT: Final = Trouble(0, "Transport unknown")
UNKNOWN_SID: Final = Trouble(1, "Session ID unknown")
BAD_METHOD: Final = Trouble(2, "Bad handshake method")
BAD_REQUEST: Final = Trouble(3, "Bad request")
FORBIDDEN: Final = Trouble(4, "Forbidden", HTTPStatus.FORBIDDEN)
WEBSOCKET_ONLY: Final = Trouble(0, "Transport unknown: only websocket is served")
UNSUPPORTED: Final = Trouble(5, "Unsupported protocol version")


def prepare(request: Any, body: bytes, *, mayShrink: bool = False) -> bytes:
    """
    Set the headers of an answer.

    @param mayShrink: Whether it is compressed, if it is large and the client takes
        that.

    @return: Its body.
    """
    if mayShrink and len(body) > _WORTH_IT and _takesGzip(request):
        body = compress(body, _FAST, mtime=0)
        request.setHeader(b"Content-Encoding", b"gzip")
    request.setHeader(b"Content-Type", b"text/plain; charset=UTF-8")
    request.setHeader(b"Content-Length", b"%d" % (len(body),))
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return body


def _takesGzip(request: Any) -> bool:
    for value in request.requestHeaders.getRawHeaders(b"accept-encoding", []):
        for each in value.lower().split(b","):
            name, _, weight = each.partition(b";")
            if name.strip() == b"gzip":
                number = weight.replace(b" ", b"").removeprefix(b"q=")
                return number.strip(b"0.") != b"" or not weight
    return False


def finish(request: Any) -> None:
    """
    End the answer to a request, if its client is still there.  The next one on its
    connection may come to be served in this call.
    """
    if not request._disconnected:
        request.finish()


def answer(request: Any, body: bytes, end: Callable[[Any], object] = finish) -> None:
    """
    Answer a request, if its client is still there.

    @param end: What is called to end the answer.
    """
    if request._disconnected:
        return
    request.write(prepare(request, body))
    end(request)


def refuse(
    request: Any, trouble: Trouble, end: Callable[[Any], object] = finish
) -> None:
    """
    Say what is wrong with a request; see L{answer}.
    """
    if request._disconnected:
        return
    found = {"code": trouble.code, "message": trouble.message}
    body = prepare(request, json.dumps(found, separators=(",", ":")).encode("ascii"))
    request.setHeader(b"Content-Type", b"application/json")
    request.setResponseCode(int(trouble.status))
    request.write(body)
    end(request)
