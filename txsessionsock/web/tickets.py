# -*- test-case-name: tests.web.test_web_tickets -*-
"""
Where a page gets a ticket, with which it opens a socket that has no cookie::

    root.putChild(b"ticket", TicketResource(manager))
    factory = SessionSocketFactory(manager, credentials=[Ticket(), Cookie()])
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._kinds import Store
from txsessionsock.credentials import Cookie
from txsessionsock.forwarded import Proxies
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import InvalidCredential
from txsessionsock.limits import Rate
from txsessionsock.manager import SessionManager
from txsessionsock.origins import Origins
from txsessionsock.tickets import LIFETIME

from .page import PageSession
from .refusal import refuse
from .requests import AnyResource, handshakeIn, pageSessionOf
from .serving import openSession, pagesOf


__all__ = ["TicketResource"]

_METHODS = b"POST, OPTIONS"

_HEADER = "x-sessionsock"
_SAID = "ticket"

_ELSEWHERE = frozenset({"cross-site", "same-site"})
"""
Where the page is from that asks, as browsers say it (Fetch Metadata), if it is not
of this site.
"""

_RATE = Rate(perSecond=5, burst=100)
"""
How many tickets a session gets in this process: enough for as many sockets as it may
have to come again at once.
"""


@implementer(IResource)
@checked
class TicketResource(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    Gives out tickets: to a C{POST} with the session's cookie and with the header
    C{X-Sessionsock: ticket}, from a page of this very site.  The answer is
    C{{"ticket": VALUE, "expires": SECONDS}}.

    Instead of that, 401 says that there is no session, 403 that it was no page of
    this site or that the header is missing, 405 that it was no C{POST}, 429 that
    the session had too many, and 503 that the store failed.

    @cvar mostBody: How large the body of a request may be: there is none.
    """

    _log = Logger()

    isLeaf = True
    mostBody = 0

    def __init__(
        self,
        manager: SessionManager,
        store: Store | None = None,
        *,
        trustProxy: bool | Proxies = False,
    ) -> None:
        """
        @param store: Where tickets lie: that of the sessions, unless given.  It
            serves nobody else, but for the L{Ticket
            <txsessionsock.credentials.Ticket>}s of this manager.

        @param trustProxy: Which proxies are believed: L{True} for one on this
            machine, or L{Proxies<txsessionsock.forwarded.Proxies>}.

        @raise ValueError: Tickets cannot lie where the sessions are, or lie in
            another store already.
        """
        self._manager = manager
        self._tickets = manager.tickets(store)
        self._trustProxy = trustProxy
        # It has no list: another site has tickets of its own.
        self._origins = Origins()
        # As a SessionedResource does.
        pagesOf(manager)

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise ValueError("there is nothing below tickets")

    def render(self, request: Any) -> Any:
        request.setHeader(b"Cache-Control", b"no-store")
        if request.method == b"OPTIONS":
            # Without a word of CORS: the page of another site is not to go on.
            request.setHeader(b"Allow", _METHODS)
            request.setResponseCode(HTTPStatus.NO_CONTENT)
            return b""
        if request.method != b"POST":
            request.setHeader(b"Allow", _METHODS)
            return _refused(request, HTTPStatus.METHOD_NOT_ALLOWED, "method")
        handshake = handshakeIn(request, self._trustProxy)
        why = self._refusal(handshake)
        if why is not None:
            self._manager.warned(self._log, f"no ticket: {why}", "ticket")
            return _refused(request, HTTPStatus.FORBIDDEN, "forbidden")
        if pageSessionOf(request) is None and "cookie" not in handshake.headers:
            # The usual client without a session costs nothing.
            return _refused(request, HTTPStatus.UNAUTHORIZED, "missing")
        opening = openSession(request, self._manager, trustProxy=self._trustProxy)
        opening.addCallback(self._give, request, handshake)
        opening.addErrback(refuse, request)
        return NOT_DONE_YET

    def _refusal(self, handshake: Handshake) -> str | None:
        """
        @return: Why the page that asks is not to have a ticket; L{None} if it is.
        """
        if list(handshake.headers.get(_HEADER, ())) != [_SAID]:
            # Pages of other sites cannot send it, nor can forms.
            return "the request has no header X-Sessionsock: ticket"
        sites = handshake.headers.get("sec-fetch-site", ())
        if any(site.lower() in _ELSEWHERE for site in sites):
            return "the page is of another site"
        return self._origins.refusal(handshake)

    def _give(
        self, session: PageSession, request: Any, handshake: Handshake
    ) -> Deferred[None] | None:
        manager = self._manager
        if session.isNew:
            reason = _whyNone(manager, handshake)
            _answer(request, HTTPStatus.UNAUTHORIZED, {"reason": reason})
            return None
        if not manager.rations.of(("ticket", session.id)).take(_RATE):
            request.setHeader(b"Retry-After", b"1")
            _answer(request, HTTPStatus.TOO_MANY_REQUESTS, {"reason": "too many"})
            return None
        return self._tickets.issue(session.id).addCallback(_send, request)


def _send(ticket: str, request: Any) -> None:
    if not (request._disconnected or request.finished):
        _answer(request, HTTPStatus.OK, {"ticket": ticket, "expires": LIFETIME})


def _whyNone(manager: SessionManager, handshake: Handshake) -> str:
    """
    @return: Why there is no session, as a socket would be told.
    """
    try:
        now = manager.reactor.seconds()
        found = Cookie().inHandshake(handshake, manager.framework, now)
    except InvalidCredential as error:
        return error.reason
    return "missing" if found is None else "unknown"


def _body(request: Any, status: int, value: object) -> bytes:
    body = json.dumps(value).encode("ascii")
    request.setResponseCode(int(status))
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % (len(body),))
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    return body


def _refused(request: Any, status: int, reason: str) -> bytes:
    body = _body(request, status, {"reason": reason})
    return b"" if request.method == b"HEAD" else body


def _answer(request: Any, status: int, value: object) -> None:
    request.write(_body(request, status, value))
    request.finish()
