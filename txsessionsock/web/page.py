# -*- test-case-name: tests.test_web -*-
"""
A page of a web site, while it is made, and the session that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import ref

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock.cookies import setCookie, whyDropped
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


class PageHolder:
    """
    A page as one who holds a session.  It wants to know nothing but why
    something that it put in was dropped behind its back.

    @ivar problem: Why.

    @ivar isOver: Whether the session ended.
    """

    problem: SessionError | None = None
    isOver = False

    def changed(self, keys: Sequence[str]) -> None:
        """
        A page looks for itself.
        """

    def stored(self, number: int) -> None:
        """
        A page waits for its own L{Session.save}.
        """

    def failed(self, failure: Failure) -> None:
        if isinstance(failure.value, UnencodableSession | IncrementError):
            self.problem = failure.value

    def ended(self, reason: EndReason) -> None:
        self.isOver = True


class PageSession(Session):
    """
    The session of one request.  It shares its data with whoever else has the
    session open, and can be exchanged for another: at login and at logout.
    """

    def __init__(self, page: Page, session: Session) -> None:
        super().__init__(session.id, session._copy, session.keeper)
        self.page = page

    def become(self, session: Session) -> None:
        """
        Be another session from now on.
        """
        self.id, self._copy, self.keeper = session.id, session._copy, session.keeper

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
    A request, from when its session is there until its answer is out.

    @ivar hasBegun: Whether the page has begun to answer, so that no cookie
        can be set any more.
    """

    _log = Logger()
    hasBegun = False

    def __init__(
        self,
        manager: SessionManager,
        session: Session,
        holder: PageHolder,
        *,
        sentID: SessionID | None,
        hasCookie: bool,
        isSecure: bool,
        isFleeting: bool,
        host: str,
        gone: Callable[[], None],
    ) -> None:
        """
        @param sentID: The id of the session that the browser has.

        @param hasCookie: Whether the browser sent a session cookie, be it
            valid or not.

        @param isSecure: Whether the browser talks https.

        @param isFleeting: Whether the session, which is new, ends with the page.

        @param host: The host that it talks to, without port.

        @param gone: Called when the answer is out, or the client left.
        """
        self.manager = manager
        self._session = session
        self._holder = holder
        self._sentID = sentID
        self._hasCookie = hasCookie
        self._isSecure = isSecure
        self._isFleeting = isFleeting
        self._host = host
        self._gone = gone
        self._turn = DeferredLock()
        self._tellMoved: list[Callable[[], None]] = []
        self._isInside = False
        self._isModified = False
        self._isUpdated = False
        # What the browser was told of the cookie that is to go.
        self._loggedOut: CookieAttributes | None = None
        self._isGone = False

    def begin(self) -> PageSession:
        """
        The page begins.

        @return: What it has as its session.  The page lives on it; this
            object does not keep it alive.
        """
        session = PageSession(self, self._session)
        self._given = ref(session)
        self._session.keeper.visited(isFresh=True)
        self._enter()
        return session

    def _enter(self) -> None:
        self._session.keeper.enter(self._holder)
        # It may go on after it was rendered, for as long as it likes.
        self._session.keeper.goesOn(looks=False)
        self._isInside = True

    def leave(self) -> None:
        """
        The page is done.
        """
        if self._isInside:
            self._isInside = False
            # Who did what matters only to those who are told, as pages are not.
            hasChanged = self._session.keeper.leave(
                self._holder, wasSync=False, saveNow=False
            )
            self._isModified = bool(hasChanged)

    def _hasChanged(self) -> bool:
        """
        Whether something was changed since this was asked last.
        """
        if self._isInside:
            self.leave()
            self._enter()
        return self._isModified

    # What the session offers to a page.

    async def regenerate(self) -> None:
        """
        Give the page a session with the same data and another id.
        """
        async with self._turn:
            if self.hasBegun or self._isGone:
                raise SessionError(
                    "no new session id: the answer has begun, so its cookie cannot be"
                    " set"
                )
            holder = PageHolder()
            session, tell = await self.manager.regenerate(self._session, holder)
            self._become(session, holder)
            if self._isGone:
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
            if not (self.hasBegun or self._isGone):
                holder = PageHolder()
                self._become(self.manager.create(holder, ended), holder)
                self._loggedOut = self.manager.cookieAttributes(ended)

    def _become(self, session: Session, holder: PageHolder) -> None:
        self._session, self._holder = session, holder
        given = self._given()
        if given is not None:
            given.become(session)
        if not self._isGone:
            self._enter()

    def isKnown(self, failure: Failure) -> Failure:
        """
        The page itself heard why something could not be stored.
        """
        if failure.value is self._holder.problem:
            self._holder.problem = None
        return failure

    def updated(self, result: _T) -> _T:
        """
        What C{update} did is stored.
        """
        self._isUpdated = True
        return result

    # What the answer needs.

    async def settled(self) -> None:
        """
        Wait until everything is stored that the page did until now.

        @raise SessionError: It cannot be.
        """
        async with self._turn:
            if self._isFleeting:
                return
            try:
                await self._session.save()
            except (NoSuchSession, SessionReplaced, UnencodableSession):
                # Or it is somebody else's doing.
                if self._hasChanged():
                    raise
            problem, self._holder.problem = self._holder.problem, None
            if problem is not None and self._hasChanged():
                raise problem

    def cookie(self) -> bytes | None:
        """
        The C{Set-Cookie} header that the answer must have.
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
        elif self._loggedOut is not None and self._hasCookie:
            return self._setCookie("", self._loggedOut, 0)
        return None

    def _setCookie(
        self, value: str, attributes: CookieAttributes, maxAge: float | None
    ) -> bytes:
        name, isHTTPS = self.manager.framework.cookieName, self._isSecure
        problem = whyDropped(name, attributes, isHTTPS=isHTTPS, host=self._host)
        if problem is not None and self.manager.isNews(f"cookie {problem[0]}"):
            self._log.error(
                "browsers drop the session cookie {name} that a page sets, so nobody"
                " stays logged in: {why}.",
                name=name,
                why=problem[1],
            )
        return setCookie(name, value, attributes, maxAge=maxAge, isHTTPS=isHTTPS)

    # How it ends.

    def over(self) -> None:
        """
        The answer is out.
        """
        self._isGone = True
        self._gone()
        self._tell()
        self._release()

    def clientLeft(self) -> None:
        """
        The client left before the page was done.  The page may go on, and may
        never say when it is done: as long as it has the session, what it
        changes is stored.
        """
        self._isGone = True
        self._gone()
        self.leave()
        self._tell()
        self._lookAfter()

    def _tell(self) -> None:
        tellings, self._tellMoved = self._tellMoved, []
        for tell in tellings:
            tell()

    def _lookAfter(self) -> None:
        isNeeded = not (self._isFleeting or self._holder.isOver)
        if not isNeeded or self._given() is None:
            self._release()
        else:
            # What cannot be stored now is tried again by the manager.
            self._session.save().addErrback(lambda failure: failure.trap(SessionError))
            self.manager.reactor.callLater(_LOOK_AGAIN, self._lookAfter)

    def _release(self) -> None:
        if self._isFleeting:
            # Without a word to the store, unless the page itself has saved it.
            self._session.destroy().addErrback(self._notSaved)
        released = self.manager.release(self._session, self._holder)
        released.addErrback(self._notSaved)

    def _notSaved(self, failure: Failure) -> None:
        if not failure.check(NoSuchSession, SessionReplaced):
            self._log.error(
                "what a page did to session {session} is not stored: {why}",
                session=shortHash(self._session.id),
                why=explained(failure.value),
            )
