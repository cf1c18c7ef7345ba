# -*- test-case-name: tests.web.test_web_page -*-
"""
A page of a web site, from when its session is there until its answer is out;
and the session that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypeVar
from weakref import ref

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.cookies import cookieNamed, setCookie, whyDropped
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import (
    CookieAttributes,
    EndReason,
    IncrementError,
    NoSuchSession,
    SessionError,
    SessionID,
    SessionReplaced,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session, explained, shortHash


__all__ = ["Page", "PageHolder", "PageSession"]


_T = TypeVar("_T")

_LOOK_AGAIN = 1.0
"""
Every how many seconds to look after a page whose client left.
"""


class PageState(Enum):
    """
    How far a page is.
    """

    WORKING = "nothing is answered, so a cookie can still be set"
    ANSWERING = "the answer has begun"
    DONE = "the page has written all, and some of that may have to wait"
    LEFT = "the client left, and the page may go on without it"
    OVER = "the session is given back"


_NEXT: dict[PageState, set[PageState]] = {
    PageState.WORKING: {PageState.ANSWERING, PageState.DONE, PageState.LEFT},
    PageState.ANSWERING: {PageState.DONE, PageState.LEFT},
    # Twisted no longer tells a page that has finished whether its client left.
    PageState.DONE: {PageState.OVER},
    PageState.LEFT: {PageState.OVER},
    PageState.OVER: set(),
}


class PageHolder:
    """
    The holder of a page.  Remembers only why one of its values could not be
    stored, and whether the session ended.

    @ivar problem: The error; L{None} if there was none, or the page knows it.

    @ivar isOver: Whether the session ended.
    """

    problem: SessionError | None = None
    isOver = False

    def changed(self, keys: Sequence[str]) -> None:
        """
        Nothing to do: a page looks at its session when it wants to.
        """

    def stored(self, number: int) -> None:
        """
        Nothing to do: a page waits for its own L{Session.save}.
        """

    def failed(self, failure: Failure) -> None:
        if isinstance(failure.value, UnencodableSession | IncrementError):
            self.problem = failure.value

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        self.failed(failure)
        if isMine and isinstance(failure.value, SessionError):
            self.problem = failure.value

    def ended(self, reason: EndReason) -> None:
        self.isOver = True


class PageSession(Session):
    """
    The session of one request.  It shares its data with all others in this
    process that have the session open.  At login and at logout, it becomes
    another session.
    """

    def __init__(self, page: Page, session: Session) -> None:
        super().__init__(session.id, session._copy, session.keeper)
        self.page = page

    def become(self, session: Session) -> None:
        """
        Be another session from now on.
        """
        self.id, self._copy, self.keeper = session.id, session._copy, session.keeper

    @property
    def handshake(self) -> Handshake:
        """
        The request: its headers, and what they say about TLS and about the
        host.  C{Origins().permits(session.handshake)} is whether it comes from
        a page of this site.
        """
        return self.page.handshake

    def save(self) -> Deferred[None]:
        return super().save().addErrback(self.page.isKnown)

    def _change(self, f: Callable[[dict[str, Any]], _T]) -> Deferred[_T]:
        return super()._change(f).addCallback(self.page.updated)

    def regenerate(self) -> Deferred[Session]:
        def done(_: None) -> Session:
            return self

        return Deferred.fromCoroutine(self.page.regenerate()).addCallback(done)

    def destroy(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.page.destroy())


class Page:
    """
    A page that is being made.

    @ivar handshake: Its request.

    @ivar state: How far it is.
    """

    _log = Logger()
    state = PageState.WORKING

    def __init__(
        self,
        manager: SessionManager,
        session: Session,
        holder: PageHolder,
        *,
        sentID: SessionID | None,
        handshake: Handshake,
        isFleeting: bool,
        gone: Callable[[], None],
    ) -> None:
        """
        @param sentID: The id of the session, if the browser's cookie names it.

        @param handshake: Its request.

        @param isFleeting: Whether the session is new and ends with the page.

        @param gone: Called when the answer is out or the client left, and
            perhaps once more after that.
        """
        self.manager = manager
        self._session = session
        self._holder = holder
        self._sentID = sentID
        self.handshake = handshake
        self._isFleeting = isFleeting
        self._gone = gone
        self._turn = DeferredLock()
        self._tellMoved: list[Callable[[], None]] = []
        # Whether it had changed something when it was asked last.
        self._isModified = False
        # Whether C{update} has stored something for it.
        self._isUpdated = False
        # The attributes of the cookie that the browser has to forget.
        self._loggedOut: CookieAttributes | None = None

    def start(self) -> PageSession:
        """
        Let the page have its session.

        @return: The session.  It refers to this object, which refers to it only
            weakly: a session that the page has forgotten is let go.
        """
        session = PageSession(self, self._session)
        self._given = ref(session)
        self._session.keeper.clientActed(isFresh=True)
        self._enter()
        return session

    def _goTo(self, state: PageState) -> bool:
        """
        The one place where the state changes.

        @return: Whether it did: a page goes forward only.
        """
        if state not in _NEXT[self.state]:
            return False
        wasAtWork = self._isAtWork
        self.state = state
        if wasAtWork and not self._isAtWork:
            self._leave()
        return True

    @property
    def _isAtWork(self) -> bool:
        return self.state is PageState.WORKING or self.state is PageState.ANSWERING

    @property
    def canSetCookie(self) -> bool:
        """
        Whether the answer has not begun.
        """
        return self.state is PageState.WORKING

    def _enter(self) -> None:
        self._session.keeper.handlerBegins(self._holder)
        # A page may go on after its render method returned, for any time.
        self._session.keeper.handlerWaits(looks=False)

    def _leave(self) -> None:
        # A page may wait for something, and other handlers run meanwhile.
        hasChanged = self._session.keeper.handlerEnds(
            self._holder, wasSync=False, saveNow=False
        )
        self._isModified = bool(hasChanged)

    def _hasChanged(self) -> bool:
        """
        Whether something was changed since this was asked last.
        """
        if self._isAtWork:
            self._leave()
            self._enter()
        return self._isModified

    # What a page asks of its session.

    async def regenerate(self) -> None:
        """
        Give the page a session with the same data and another id.
        """
        async with self._turn:
            if not self.canSetCookie:
                raise SessionError(
                    "no new session id: the answer has begun, so its cookie cannot be"
                    " set"
                )
            holder = PageHolder()
            session, tell = await self.manager.regenerate(self._session, holder)
            self._become(session, holder)
            if self.state is PageState.LEFT:
                tell()
            else:
                self._tellMoved.append(tell)

    async def destroy(self) -> None:
        """
        End the session, and give the page a new one if it is not too late.
        """
        async with self._turn:
            ended = self._session
            await ended.destroy()
            if self.canSetCookie:
                holder = PageHolder()
                self._become(self.manager.create(holder, ended), holder)
                self._loggedOut = self.manager.cookieAttributes(ended)

    def _become(self, session: Session, holder: PageHolder) -> None:
        self._session, self._holder = session, holder
        given = self._given()
        if given is not None:
            given.become(session)
        if self._isAtWork:
            self._enter()

    def isKnown(self, failure: Failure) -> Failure:
        """
        Note that the page itself was told why something could not be stored.
        """
        if failure.value is self._holder.problem:
            self._holder.problem = None
        return failure

    def updated(self, result: _T) -> _T:
        """
        Note that what C{update} did is stored.
        """
        self._isUpdated = True
        return result

    # What an answer asks of its page.

    async def settled(self) -> None:
        """
        Wait until everything is stored that the page did until now.

        @raise SessionError: It cannot be stored.
        """
        async with self._turn:
            if self._isFleeting:
                return
            try:
                await self._session.save()
            except (NoSuchSession, SessionReplaced, UnencodableSession):
                # A page that changed nothing is not refused for what another one
                # did: its answer is right as it is.
                if self._hasChanged():
                    raise
            problem, self._holder.problem = self._holder.problem, None
            if problem is not None and self._hasChanged():
                raise problem

    def cookie(self) -> bytes | None:
        """
        @return: The C{Set-Cookie} header of the answer, L{None} for none.
        """
        session = self._session
        if self._isFleeting:
            return None
        isStored = not session.isNew and session.keeper.reason is None
        if isStored:
            maxAge = self.manager.cookieLifetime(session)
            framework = self.manager.framework
            # As in Express: a cookie that has a lifetime is renewed with each
            # change, one that has none lives as long as the browser.
            if session.id != self._sentID or (
                maxAge is not None
                and (framework.rolling or self._isUpdated or self._hasChanged())
            ):
                value = framework.cookieValue(session.id)
                attributes = self.manager.cookieAttributes(session)
                return self._setCookie(value, attributes, maxAge)
        elif self._loggedOut is not None and self._hasCookie():
            return self._setCookie("", self._loggedOut, 0)
        return None

    def _hasCookie(self) -> bool:
        """
        Whether the browser sent a session cookie, be it valid or not.
        """
        cookies = self.handshake.headers.get("cookie", ())
        return cookieNamed(cookies, self.manager.framework.cookieName) is not None

    def _setCookie(
        self, value: str, attributes: CookieAttributes, maxAge: float | None
    ) -> bytes:
        name, isHTTPS = self.manager.framework.cookieName, self.handshake.isSecure
        host = self.handshake.hostname
        problem = whyDropped(name, attributes, isHTTPS=isHTTPS, host=host)
        if problem is not None and self.manager.isNews(f"cookie {problem[0]}"):
            self._log.error(
                "browsers drop the session cookie {name} that a page sets, so nobody"
                " stays logged in: {why}.",
                name=name,
                why=problem[1],
            )
        return setCookie(name, value, attributes, maxAge=maxAge, isHTTPS=isHTTPS)

    # What becomes of it.

    def answers(self) -> None:
        """
        The page writes its headers.
        """
        self._goTo(PageState.ANSWERING)

    def done(self) -> None:
        """
        The page has written everything.
        """
        self._goTo(PageState.DONE)

    def over(self) -> None:
        """
        The answer is out, or nobody waits for it any more.
        """
        if self._goTo(PageState.OVER):
            self._gone()
            self._tell()
            self._release()

    def clientLeft(self) -> None:
        """
        The client left before the page was done.  The page may go on, and may
        never say when it is done.  So what it changes is stored for as long as
        anything has its session.
        """
        if self._goTo(PageState.LEFT):
            self._gone()
            self._tell()
            self._lookAfter()

    def _tell(self) -> None:
        tellings, self._tellMoved = self._tellMoved, []
        for tell in tellings:
            tell()

    def _lookAfter(self) -> None:
        isNeeded = not (self._isFleeting or self._holder.isOver)
        if not isNeeded or self._given() is None:
            self.over()
        else:
            # The manager tries again what cannot be stored now.
            self._session.save().addErrback(lambda failure: failure.trap(SessionError))
            self.manager.reactor.callLater(_LOOK_AGAIN, self._lookAfter)

    def _release(self) -> None:
        if self._isFleeting:
            # The store hears nothing of it, unless the page itself has saved it.
            self._session.destroy().addErrback(self._notSaved)
        released = self.manager.release(self._session, self._holder)
        released.addErrback(self._notSaved)

    def _notSaved(self, failure: Failure) -> None:
        if not failure.check(NoSuchSession, SessionReplaced):
            session, why = shortHash(self._session.id), explained(failure.value)
            line = f"what a page did to session {session} is not stored: {why}"
            self.manager.warned(self._log, line, "not stored by a page")
