# -*- test-case-name: tests.tap.test_tap -*-
"""
What C{twistd sessionsock} serves: the demo, or sockets and pages of the user.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.python.reflect import namedAny
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource

from txsessionsock.clients import SessionSockets
from txsessionsock.demo import demo
from txsessionsock.forwarded import Proxies
from txsessionsock.hub import Hub
from txsessionsock.interfaces import IBus, SessionError
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.web import ClientScript, SessionedResource, SessionSocketResource

from .options import Options, refuse


__all__ = ["attempt", "joined", "rootFor"]

_T = TypeVar("_T")


def joined(sockets: SessionSockets, protocol: type | None, bus: IBus | None) -> None:
    """
    Have the sockets found by others, by what their protocol says.

    @param bus: How others are reached; L{None} if there are none.
    """
    hub = Hub(sockets, bus)
    for name, f in getattr(protocol, "indexes", {}).items():
        attempt("protocol", hub.index, name, f)


def rootFor(
    options: Options, manager: SessionManager, reactor: Any
) -> tuple[IResource, SessionSockets, type | None]:
    """
    @return: The root of the site, the sockets in it, and their protocol.

    @raise SystemExit: It cannot be served; with one line that says why.
    """
    if options["protocol"] is None:
        return *_demo(options, manager), None
    factory = _sockets(options, manager)
    path = options["socket-path"].strip("/").encode("utf-8").split(b"/")
    if not all(path):
        refuse("--socket-path is a path, such as ws or shop/ws")
    sockets = SessionSocketResource(factory)
    root = _Root(_pages(options, manager, reactor), path, sockets)
    root.putChild(b"sessionsock.js", ClientScript())
    root.putChild(b"sessionsock.d.ts", ClientScript(types=True))
    return root, factory.sockets, factory.protocol


def attempt(option: str, make: Callable[..., _T], *args: Any, **more: Any) -> _T:
    """
    Make something of an option, whose value may be wrong.
    """
    try:
        return make(*args, **more)
    except (ValueError, TypeError, KeyError, SessionError) as error:
        refuse(f"--{option}: {error}")


def _demo(
    options: Options, manager: SessionManager
) -> tuple[IResource, SessionSockets]:
    root, factory = attempt(
        "origin",
        demo,
        manager,
        origins=options["origin"],
        trustProxy=_proxies(options),
        limits=_limits(options),
    )
    return root, factory.sockets


def _sockets(options: Options, manager: SessionManager) -> SessionSocketFactory:
    protocol = _named("protocol", options["protocol"])
    settings: dict[str, Any] = {
        "perMessage": bool(options["per-message"]),
        "origins": options["origin"],
        "trustProxy": _proxies(options),
        "limits": _limits(options),
    }
    if not isinstance(protocol, type) or not issubclass(
        protocol, WebSocketServerProtocol
    ):
        refuse(
            f"--protocol: {options['protocol']} is no SessionSocketProtocol, and"
            " no other WebSocketServerProtocol either"
        )
    factory = attempt("origin", SessionSocketFactory, manager, **settings)
    factory.protocol = protocol
    return factory


def _limits(options: Options) -> Limits:
    return Limits(
        maxConnections=options["max-connections"],
        perAddress=options["per-address"],
        perNetwork=options["per-network"],
        sessionRate=options["session-rate"],
        userRate=options["user-rate"],
    )


def _proxies(options: Options) -> Proxies | bool:
    isLocal, networks = bool(options["trust-proxy"]), options["trusted-network"]
    if not (isLocal or networks):
        return False
    return attempt(
        "trusted-network",
        Proxies,
        networks,
        local=isLocal,
        forwarded=bool(options["forwarded"]),
    )


def _pages(options: Options, manager: SessionManager, reactor: Any) -> IResource:
    if options["path"]:
        if not Path(options["path"]).is_dir():
            refuse(f"--path: there is no directory {options['path']}")
        return File(options["path"])
    if options["wsgi"]:
        application = _named("wsgi", options["wsgi"])
        if not callable(application):
            refuse(f"--wsgi: {options['wsgi']} is no WSGI application")
        return WSGIResource(reactor, reactor.getThreadPool(), application)
    if options["class"]:
        resource = _named("class", options["class"])
        if isinstance(resource, type):
            resource = attempt("class", resource)
        if not IResource.providedBy(resource):
            refuse(f"--class: {options['class']} is no twisted.web resource")
        return SessionedResource(resource, manager, trustProxy=_proxies(options))
    return Resource()


def _named(option: str, name: str) -> Any:
    """
    Find what a user means by a dotted name.
    """
    try:
        return namedAny(name)
    except (Exception, SystemExit) as error:  # Importing runs the user's code.
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, SyntaxError):
            why = f"{error.msg} in {error.filename}, line {error.lineno}"
        refuse(f"--{option} {name}: cannot be imported ({why})")


class _Root(Resource):
    """
    The sockets and the script, and behind them the pages.
    """

    def __init__(
        self, pages: Any, path: list[bytes], sockets: SessionSocketResource
    ) -> None:
        super().__init__()
        self._pages = pages
        self._path = path
        self._sockets = sockets
        if len(path) == 1:
            # Where a site looks, that refuses a body before it comes.
            self.putChild(path[0], sockets)

    def getChild(self, path: bytes, request: Request) -> Any:
        assert request.prepath is not None and request.postpath is not None
        rest = len(self._path) - 1
        if [path, *request.postpath[:rest]] == self._path:
            request.prepath += request.postpath[:rest]
            del request.postpath[:rest]
            return self._sockets
        if not self._pages.isLeaf:
            return self._pages.getChildWithDefault(path, request)
        request.postpath.insert(0, request.prepath.pop())
        return self._pages
