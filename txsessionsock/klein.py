# -*- test-case-name: tests.web.test_klein -*-
"""
The sessions of the sockets, for the pages of U{Klein
<https://klein.readthedocs.io/>}::

    requirer, sessions = Requirer(), KleinSessions(manager)

    @requirer.prerequisite([ISession])
    def procure(request):
        return sessions.procureSession(request)

    @requirer.require(app.route("/"), session=Authorization(ISessionData))
    def home(session):
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

    @app.route("/ws")
    def sockets(request):
        return SessionSocketResource(socketFactory)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from klein.interfaces import (
    EarlyExit,
    ISession,
    ISessionProcurer,
    ISessionStore,
    NoSuchSession,
    SessionMechanism,
)
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import Interface, implementer

# By the other name, pydoctor would look for the class, and not find it.
from zope.interface.declarations import classImplements

from ._arguments import checked
from ._waiting import waitable
from .forwarded import Proxies
from .interfaces import SessionError, StoreFailure, UndecodableSession
from .manager import SessionManager
from .web import (
    AnyRequest,
    AnyResource,
    PageSession,
    ServerEnding,
    openSession,
    refuse,
)


__all__ = ["ISessionData", "KleinSessions"]

_Authorizers = Mapping[Any, Callable[[PageSession], object]]

_BEGUN = "_klein"
"""
The key that a session gets to have it begin: one with nothing in it is not stored.
"""


class ISessionData(Interface):
    """
    What C{Authorization(ISessionData)} gives a route: the session of the browser, as
    its sockets have it, which is a L{PageSession}.
    """


classImplements(PageSession, ISessionData)


@checked
@implementer(ISessionProcurer)
class KleinSessions:
    """
    Gives Klein's requests their sessions.
    """

    def __init__(
        self,
        manager: SessionManager,
        authorizers: _Authorizers | None = None,
        *,
        trustProxy: bool | Proxies = False,
        setCookieOnGET: bool = True,
    ) -> None:
        """
        @param authorizers: What else a route may ask for by C{Authorization}: for
            each interface a function that gets the session, and returns what
            provides the interface, or L{None} if whoever has the session has no right
            to it.  It may be C{async}.

        @param trustProxy: Which proxies are believed: L{True} for one on this
            machine, or L{Proxies<txsessionsock.forwarded.Proxies>}.

        @param setCookieOnGET: Whether a GET begins a session for who has none, as
            with Klein's own C{SessionProcurer}.  Klein's forms need that.  Without, a
            session begins when something is put into it.

        @raise ValueError: L{ISessionData} is among C{authorizers}.
        """
        self._authorizers = dict(authorizers or {})
        if ISessionData in self._authorizers:
            raise ValueError(
                "KleinSessions(manager, authorizers): ISessionData is the session"
                " itself; use an interface of your own"
            )
        self._manager = manager
        self._trustProxy = trustProxy
        self._setCookieOnGET = setCookieOnGET

    def procureSession(
        self, request: AnyRequest, forceInsecure: bool = False
    ) -> Deferred[Any]:
        """
        Find the session of a request, or begin one; for C{requirer.prerequisite}.

        From then on the answer is held, and the cookie is set, as by L{openSession}.

        @return: A L{Deferred} that fires with Klein's C{ISession}.  It fails with
            Klein's C{EarlyExit}, which answers the request, if the store fails, the
            session cannot be read, or the server is about to end; with Klein's
            C{NoSuchSession} for C{forceInsecure} by HTTPS; and otherwise as that of
            L{openSession}.
        """
        return Deferred.fromCoroutine(self._procured(request, forceInsecure))

    def store(self, request: AnyRequest) -> ISessionStore:
        """
        A store for Klein's own C{SessionProcurer}, for one request.  That begins no
        session for anything but GET, and sets a cookie of its own, which opens
        nothing: the session is that of our cookie, here too.

        @return: What its C{loadSession} and C{newSession} return fails as that of
            L{procureSession}.
        """
        store: ISessionStore = _RequestStore(self, request)
        return store

    async def _procured(self, request: Any, forceInsecure: bool) -> _KleinSession:
        session = await self.sessionOf(request)
        if forceInsecure and session.isConfidential:
            raise NoSuchSession(
                "there is no other session for HTTP than that for HTTPS"
            )
        if self._setCookieOnGET:
            session.begin()
        request.setComponent(ISession, session)
        return session

    async def sessionOf(self, request: Any) -> _KleinSession:
        """
        Open the session of a request.
        """
        opening = openSession(request, self._manager, trustProxy=self._trustProxy)
        try:
            session = await opening
        except (StoreFailure, ServerEnding, UndecodableSession):
            raise EarlyExit(_Refused(Failure())) from None
        known = request.getComponent(ISession)
        if isinstance(known, _KleinSession) and known.data is session:
            return known
        return _KleinSession(session, self._authorizers, request.method == b"GET")


@implementer(ISession)
class _KleinSession:
    """
    What Klein calls the session of a request.

    @ivar data: What we call so.
    """

    authenticatedBy = SessionMechanism.Cookie

    def __init__(
        self, data: PageSession, authorizers: _Authorizers, canBegin: bool
    ) -> None:
        """
        @param canBegin: Whether the request may begin a session because somebody
            looks at it.  A form on another site can send a POST without the cookie;
            if that began a session, the new cookie would log the user out.
        """
        self.data = data
        self._authorizers = authorizers
        self._canBegin = canBegin

    def __repr__(self) -> str:
        return f"<KleinSession of {self.data!r}>"

    @property
    def identifier(self) -> str:
        """
        What tells the session from others, and opens nothing.  Klein puts it into the
        forms of pages, and compares: so whoever reads it has the session begin.

        @raise SessionError: It cannot begin any more, since the answer has begun.
        """
        self.begin()
        secret = f"txsessionsock.klein {self.data.id}"
        return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def isConfidential(self) -> bool:
        """
        Whether the browser speaks HTTPS, to us or to a proxy that we trust.
        """
        return self.data.handshake.isSecure

    def begin(self) -> None:
        """
        Have a session be stored into which nothing was put.

        @raise SessionError: That is too late.
        """
        if self._canBegin and self.data.isNew and not self.data:
            if not self.data.page.canSetCookie:
                raise SessionError(
                    "this page has a form of Klein for somebody without a session, and"
                    " its answer has begun: have KleinSessions(setCookieOnGET=True)"
                    " begin one before that"
                )
            self.data[_BEGUN] = True

    def authorize(
        self, interfaces: Iterable[type[Interface]]
    ) -> Deferred[dict[type[Interface], Any]]:
        return Deferred.fromCoroutine(self._authorized(interfaces))

    async def _authorized(
        self, interfaces: Iterable[Any]
    ) -> dict[type[Interface], Any]:
        found: dict[Any, Any] = {}
        for interface in interfaces:
            provider: object = None
            if interface is ISessionData:
                provider = self.data
            elif interface in self._authorizers:
                provider = waitable(self._authorizers[interface](self.data))
                if isinstance(provider, Deferred):
                    provider = await provider
            if provider is not None:
                found[interface] = provider
        return found


@implementer(ISessionStore)
class _RequestStore:
    """
    What Klein's own C{SessionProcurer} asks about one request.
    """

    def __init__(self, sessions: KleinSessions, request: Any) -> None:
        self._sessions = sessions
        self._request = request

    def newSession(
        self, isConfidential: bool, authenticatedBy: SessionMechanism
    ) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._sessions.sessionOf(self._request))

    def loadSession(
        self, identifier: str, isConfidential: bool, authenticatedBy: SessionMechanism
    ) -> Deferred[Any]:
        """
        The identifier opens nothing.  If it is of another session than the request
        has, Klein sets its cookie anew.
        """
        return Deferred.fromCoroutine(self._loaded(authenticatedBy))

    async def _loaded(self, authenticatedBy: SessionMechanism) -> _KleinSession:
        if authenticatedBy is not SessionMechanism.Cookie:
            raise NoSuchSession("sessions are found by their cookies only")
        return await self._sessions.sessionOf(self._request)

    def sentInsecurely(self, identifiers: Sequence[str]) -> None:
        """
        Nothing to do: they open nothing.
        """


@implementer(IResource)
class _Refused(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    The answer to a request whose session cannot be had.
    """

    isLeaf = True

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    def render(self, request: Request) -> int:
        refuse(self._failure, request)
        return NOT_DONE_YET
