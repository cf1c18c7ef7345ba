# -*- test-case-name: tests.web.test_web_serving -*-
"""
From a request to its session.  L{SessionedResource
<txsessionsock.web.SessionedResource>} stands on it, and so can a resource of
one's own, or another framework on Twisted Web::

    def render_GET(self, request):
        opening = openSession(request, manager)
        opening.addCallback(self.show, request)
        opening.addErrback(refuse, request)
        return NOT_DONE_YET

    def show(self, session, request):
        session["visits"] = session.get("visits", 0) + 1
        request.write(b"visit %d" % (session["visits"],))
        request.finish()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import Interface

from txsessionsock._arguments import checked
from txsessionsock.cookies import whichCookie
from txsessionsock.credentials import Cookie
from txsessionsock.forwarded import Proxies
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
    InvalidCredential,
    NoSuchSession,
    SessionError,
    SessionID,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session

from .answer import HeldChannel
from .page import Page, PageHolder, PageSession
from .refusal import ServerEnding
from .requests import (
    AnyRequest,
    IPageSession,
    handshakeIn,
    pageSessionOf,
)
from .visits import UnderWay


__all__ = ["openSession", "opening", "pagesOf"]

_ASKING = (b"HEAD", b"OPTIONS")
"""
Methods that ask about a page (RFC 9110, sections 9.3.2 and 9.3.7), as health checks
do every second.
"""

_log = Logger()


@dataclass(frozen=True)
class _Pages:
    """
    What all pages with sessions of one manager have in common.

    @ivar underWay: Those that are being made, for which the manager waits when it
        ends.

    @ivar newCookie: The attributes that tell the cookie of a session that begins
        here from others of its name.
    """

    underWay: UnderWay
    newCookie: dict[str, str | bool | None]


_pages: WeakKeyDictionary[SessionManager, _Pages] = WeakKeyDictionary()


class _IOpening(Interface):
    """
    The interface under which a request has the mark that its session is being
    opened.
    """


@checked
def openSession(
    request: AnyRequest, manager: SessionManager, *, trustProxy: bool | Proxies = False
) -> Deferred[PageSession]:
    """
    Open the session of a request: that of its cookie, fresh, or a new one.

    From then on L{sessionOf} finds it, and the answer is held.  Each byte that
    is written to the request, by any means that Twisted has, leaves when
    everything is stored that had been done to the session when that byte was
    written.  The session's cookie is set.  L{sessionOf} says what the client
    gets when the session cannot be stored.

    @param request: Its answer has not begun.

    @param trustProxy: Which proxies are believed: L{True} for one on this
        machine, or L{Proxies<txsessionsock.forwarded.Proxies>}.

    @return: A L{Deferred} that fires with the session; at once, if the request
        has it already.  It fails with L{StoreFailure} or L{UndecodableSession},
        with L{ServerEnding} when sessions are stored for the last time, and
        with another L{SessionError} if its answer has begun.  The request is
        not answered then; L{refuse} does it.  It fails with L{CancelledError}
        if the client left.
    """
    given = pageSessionOf(request)
    if given is not None and given.page.manager is manager:
        return succeed(given)
    return opening(request, manager, trustProxy)


def opening(
    request: Any, manager: SessionManager, trustProxy: bool | Proxies
) -> Deferred[PageSession]:
    """
    Open the session of a request that has none of this manager; see
    L{openSession}.
    """
    problem = _problemWith(request, manager)
    if problem is not None:
        return fail(problem)
    over = pagesOf(manager).underWay.add(request)

    def done(result: PageSession | Failure) -> PageSession | Failure:
        request.unsetComponent(_IOpening)
        if isinstance(result, Failure):
            over()
        return result

    request.setComponent(_IOpening, manager)
    handshake = handshakeIn(request, trustProxy)
    if handshake.doubt is not None:
        manager.warned(_log, handshake.doubt, "proxy")
    opened = Deferred.fromCoroutine(_opened(request, manager, handshake, over))
    request.notifyFinish().addErrback(lambda _: opened.cancel())
    # The caller gets a Deferred of its own.  If the client leaves when the session
    # is there, the caller's work goes on; cancelling `opened` would cancel it.
    session: Deferred[PageSession] = Deferred(lambda _: opened.cancel())
    opened.addBoth(done).chainDeferred(session)
    return session


def pagesOf(manager: SessionManager) -> _Pages:
    """
    @return: What all pages with sessions of a manager have in common.  From now
        on the manager waits for them when it ends.
    """
    pages = _pages.get(manager)
    if pages is None:
        newCookie = whichCookie(manager.cookieAttributes())
        pages = _pages[manager] = _Pages(UnderWay(manager.reactor), newCookie)
        manager.join(pages.underWay)
    return pages


def _problemWith(request: Request, manager: SessionManager) -> Exception | None:
    """
    @return: Why a request cannot have a session of a manager now; L{None} if it
        can.
    """
    if request._disconnected:
        return CancelledError()
    if request.startedWriting or request.producer is not None:
        return SessionError("its answer has begun: open the session before that")
    if request.getComponent(_IOpening) is not None:
        return SessionError("a session of it is being opened already: wait for that")
    if manager.isStopping:
        return ServerEnding("this server is about to end")
    return None


async def _opened(
    request: Request,
    manager: SessionManager,
    handshake: Handshake,
    over: Callable[[], None],
) -> PageSession:
    holder = PageHolder()
    session, sentID = await _found(manager, handshake, holder)
    if sentID is not None:
        _lookAtCookie(manager, session)
    page = Page(
        manager,
        session,
        holder,
        sentID=sentID,
        handshake=handshake,
        isFleeting=sentID is None and request.method in _ASKING,
        gone=over,
    )
    given = page.start()
    request.setComponent(IPageSession, given)
    held = HeldChannel(request, page, manager.reactor)
    request.channel = held  # type: ignore[assignment]  # Passes for one.
    request.notifyFinish().addErrback(lambda _: page.clientLeft())
    return given


async def _found(
    manager: SessionManager, handshake: Handshake, holder: PageHolder
) -> tuple[Session, SessionID | None]:
    """
    @return: The session, and its id if that is the one of the cookie.
    """
    now = manager.reactor.seconds()
    try:
        sentID = Cookie().inHandshake(handshake, manager.framework, now)
        if sentID is not None:
            return await manager.open(sentID, holder), sentID
    except (InvalidCredential, NoSuchSession):
        pass
    return manager.create(holder), None


def _lookAtCookie(manager: SessionManager, session: Session) -> None:
    """
    Say in the log if a session that begins here would have a second cookie,
    beside that of the web application.
    """
    ours = pagesOf(manager).newCookie
    theirs = whichCookie(manager.cookieAttributes(session))
    if theirs != ours and manager.isNews("cookie twice"):
        _log.error(
            "the web application sets the session cookie {name} with {theirs}, and"
            " sessions that begin here have one with {ours}: a browser then has"
            " two, and nobody can log in. Give the framework cookie={theirs}"
            " (twistd: --framework-option cookie.NAME=VALUE).",
            name=manager.framework.cookieName,
            theirs=theirs,
            ours=ours,
        )
