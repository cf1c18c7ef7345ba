# -*- test-case-name: tests.service.test_health -*-
"""
Two places in a site that tell whether this process lives, and whether it can serve::

    root.putChild(b"health", HealthResource(manager))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from txsessionsock._arguments import checked
from txsessionsock.manager import SessionManager
from txsessionsock.web import AnyResource


__all__ = ["Health", "HealthResource", "Readable"]

_SAYS: Final = {
    None: "ready",
    "ending": "this server is about to end",
    "store": "the session store is away",
    "workers": "no worker has told anything lately",
}

_Trouble = Callable[[], Deferred[Any]]


class Readable(Resource, AnyResource):  # type: ignore[misc]  # It is Any.
    """
    What is only there to be read, by programs: by C{GET}, C{HEAD} and C{OPTIONS}.
    """

    def read(self, request: Any) -> None:
        """
        Answer.
        """
        raise NotImplementedError

    def render(self, request: Request) -> Any:
        # They come every second, and say nothing.
        request.isUnlogged = True  # type: ignore[attr-defined]  # See BoundedSite.
        if request.method in (b"GET", b"HEAD"):
            self.read(request)
            return NOT_DONE_YET
        request.setHeader(b"Allow", b"GET, HEAD, OPTIONS")
        isAsked = request.method == b"OPTIONS"
        answer(request, b"", code=200 if isAsked else 405)
        return NOT_DONE_YET


def answer(
    request: Any,
    body: bytes,
    kind: bytes = b"text/plain; charset=utf-8",
    code: int = 200,
) -> None:
    """
    Answer a request.
    """
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Content-Length", b"%d" % (len(body),))
    request.setHeader(b"Cache-Control", b"no-store")
    # Of HEAD, it leaves the body out.
    request.write(body)
    request.finish()


class _Live(Readable):
    """
    Answers.
    """

    def read(self, request: Any) -> None:
        answer(request, b"alive\n")


class _Ready(Readable):
    """
    Tells whether clients may be sent here.
    """

    def __init__(self, trouble: _Trouble) -> None:
        super().__init__()
        self._trouble = trouble

    def read(self, request: Any) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)

        def tell(trouble: str | None) -> None:
            if not gone:
                code = 200 if trouble is None else 503
                answer(request, f"{_SAYS[trouble]}\n".encode(), code=code)

        self._trouble().addCallback(tell).addErrback(request.processingFailed)


class Health(Resource, AnyResource):  # type: ignore[misc]  # It is Any.
    """
    C{live} and C{ready}, of whoever says whether it is.
    """

    def __init__(self, trouble: _Trouble) -> None:
        """
        @param trouble: See L{SessionManager.trouble}.
        """
        super().__init__()
        self.putChild(b"live", _Live())
        self.putChild(b"ready", _Ready(trouble))

    def render(self, request: Request) -> Any:
        answer(request, b"There is nothing here.\n", code=404)
        return NOT_DONE_YET


@checked
class HealthResource(Health):
    """
    The places C{live}, which answers 200 as long as anything is answered, and
    C{ready}, which answers 200 when clients may be sent here, and 503 while the
    session store is away or the server ends.  The store is asked once a second at
    most.
    """

    def __init__(self, manager: SessionManager) -> None:
        super().__init__(manager.trouble)
