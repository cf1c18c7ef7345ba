# -*- test-case-name: tests.real.twistd.test_demo -*-
"""
The demo, which shows what this library is for.  C{twistd -n sessionsock} without
options serves it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from random import choice, randrange
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import File

from txsessionsock._arguments import checked
from txsessionsock.forwarded import Proxies
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.origins import Origins
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.web import (
    ClientScript,
    SessionedResource,
    SessionSocketResource,
    sessionOf,
)


__all__ = ["Demo", "demo"]


_FILES: Final = Path(__file__).parent

_POLICY: Final = (
    b"default-src 'self'; connect-src 'self' ws: wss:; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_NATURES: Final = ("Calm", "Bold", "Merry", "Quiet", "Sunny", "Swift", "Wise", "Witty")
_ANIMALS: Final = ("Badger", "Crane", "Fox", "Hare", "Heron", "Lynx", "Otter", "Wren")
_GOODS: Final = ("apples", "bread", "figs", "honey", "olives", "tea")

_LAST: Final = "_last"
"""
The key of the session under which it says who changed it last.  Keys that begin
with an underscore are not shown.
"""

_OWN: Final = Origins()
"""
The demo's own pages, which alone may press its buttons.  Sites that C{--origin}
lists may only have sockets.
"""

_log = Logger()


class Demo(SessionSocketProtocol):
    """
    Tells a page what is in its session, whenever that changes.
    """

    def sessionConnected(self, session: Session) -> None:
        self._tell(session, (), "you")

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        match message:
            case {"type": "ping", "tab": str(tab)}:
                session["pings"] = session.get("pings", 0) + 1
                session[_LAST] = _by("socket", tab)
                self._tell(session, ("pings",), "you")

    def sessionChanged(self, session: Session, keys: Collection[str]) -> None:
        changed = sorted(filter(_isShown, keys))
        if changed:
            self._tell(session, changed, "other")

    def _tell(self, session: Session, changed: Collection[str], by: str) -> None:
        self.send(
            {
                "type": "session",
                "session": {key: session[key] for key in session if _isShown(key)},
                "changed": list(changed),
                "by": by,
                "last": session.get(_LAST, {}),
                # With --workers, the tabs of one session may have several.
                "process": os.getpid(),
            }
        )


class _FrontPage(Resource):
    """
    The page.  It puts a name into the session of a new visitor, so that the
    session is stored and has a cookie.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self._html = (_FILES / "demo.html").read_bytes()

    def render_GET(self, request: Request) -> bytes:
        session = sessionOf(request)
        session.setdefault("nickname", f"{choice(_NATURES)} {choice(_ANIMALS)}")
        session.setdefault("hue", randrange(360))
        session["visits"] = session.get("visits", 0) + 1
        session[_LAST] = _by("http", "")
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"content-security-policy", _POLICY)
        request.setHeader(b"referrer-policy", b"same-origin")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"cache-control", b"no-store")
        return self._html


class _Action(Resource):
    """
    A button of the page.  Only scripts of the demo's own pages may press it.
    """

    isLeaf = True

    def __init__(self, act: Callable[[Request, str], Awaitable[None]]) -> None:
        super().__init__()
        self._act = act

    def render_POST(self, request: Request) -> bytes | int:
        tab = request.getHeader("x-demo-tab")
        if tab is None or not _isSameOrigin(request):
            request.setResponseCode(403)
            return b""
        if sessionOf(request).isNew:
            request.setResponseCode(409)
            return b""
        left = request.notifyFinish()
        left.addErrback(lambda _: None)
        acting = Deferred.fromCoroutine(self._answer(request, tab, left))
        acting.addErrback(_unanswered, request, left)
        return NOT_DONE_YET

    async def _answer(self, request: Request, tab: str, left: Deferred[None]) -> None:
        await self._act(request, tab)
        if not left.called:
            request.setResponseCode(204)
            request.finish()


async def _add(request: Request, tab: str) -> None:
    session = sessionOf(request)
    basket = session.setdefault("basket", {})
    good = choice(_GOODS)
    basket[good] = basket.get(good, 0) + 1
    session[_LAST] = _by("http", tab)


async def _login(request: Request, tab: str) -> None:
    """
    Believe any name.  What is shown here is that a session gets a new id at
    login, which nobody can have seen before.
    """
    name = _nameIn(request)
    if not name:
        return
    await sessionOf(request).regenerate()
    session = sessionOf(request)
    session["user"] = name
    session[_LAST] = _by("http", tab)


async def _logout(request: Request, tab: str) -> None:
    await sessionOf(request).destroy()


@checked
def demo(
    manager: SessionManager,
    *,
    origins: Iterable[str] = (),
    trustProxy: bool | Proxies = False,
    limits: Limits | None = None,
) -> tuple[Resource, SessionSocketFactory]:
    """
    Make the demo.

    @param origins: See L{SessionSocketFactory}, and for C{trustProxy} and
        C{limits}.

    @return: The resource of its site, and the factory of the sockets in it.
    """
    factory = SessionSocketFactory(
        manager,
        perMessage=True,
        origins=origins,
        trustProxy=trustProxy,
        limits=limits,
    )
    factory.protocol = Demo
    root = Resource()
    root.putChild(b"ws", SessionSocketResource(factory))
    root.putChild(b"sessionsock.js", ClientScript())
    root.putChild(b"static", _static("demo.css", "demo.js", "mark.svg"))
    pages: Mapping[bytes, Resource] = {
        b"": _FrontPage(),
        b"add": _Action(_add),
        b"login": _Action(_login),
        b"logout": _Action(_logout),
    }
    for path, page in pages.items():
        root.putChild(path, SessionedResource(page, manager, trustProxy=trustProxy))
    return root, factory


def _static(*names: str) -> Resource:
    resource = Resource()
    for name in names:
        resource.putChild(name.encode(), File(str(_FILES / name)))
    return resource


def _by(via: str, tab: str) -> dict[str, str]:
    return {"via": via, "tab": tab[:8]}


def _isShown(key: str) -> bool:
    return not key.startswith("_")


def _nameIn(request: Request) -> str:
    assert request.content is not None
    try:
        name = json.loads(request.content.read(1024))["name"]
    except (ValueError, LookupError, TypeError):
        return ""
    return name.strip()[:24] if isinstance(name, str) else ""


def _isSameOrigin(request: Request) -> bool:
    if request.getHeader("sec-fetch-site") not in {None, "same-origin"}:
        return False
    return _OWN.permits(sessionOf(request).handshake)


def _unanswered(failure: Failure, request: Request, left: Deferred[None]) -> None:
    _log.failure("the demo failed to answer", failure)
    if not left.called:
        request.setResponseCode(500)
        request.finish()
