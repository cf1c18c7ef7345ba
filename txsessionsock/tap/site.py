# -*- test-case-name: tests.tap.test_tap -*-
"""
What C{twistd sessionsock} serves: the demo, or sockets and pages of the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.python.reflect import namedAny
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource

from txsessionsock.clients import SessionSockets
from txsessionsock.credentials import Bearer, Cookie, Credential, Ticket
from txsessionsock.demo import demo
from txsessionsock.forwarded import Proxies
from txsessionsock.hub import Hub
from txsessionsock.interfaces import IBus
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory
from txsessionsock.socketio import SocketIOSocket
from txsessionsock.web import (
    ClientScript,
    SessionedResource,
    SessionSocketResource,
    TicketResource,
)

from .options import Options, attempt, refuse
from .socketio import NEEDS_CLASS, PLACE, socketIO
from .store import storeAt


__all__ = ["Served", "joined", "rootFor"]


_OURS = b"sessionsock"
"""
Below which of the site's paths tickets are.
"""


@dataclass(frozen=True)
class Served:
    """
    What is served.

    @ivar root: The root of the site.

    @ivar sockets: The clients in it, of each kind.

    @ivar protocols: The user's classes for them.
    """

    root: IResource
    sockets: Sequence[SessionSockets]
    protocols: Sequence[type] = ()


def joined(served: Served, bus: IBus | None) -> None:
    """
    Have the sockets found by others, by what their protocols say.

    @param bus: How others are reached; L{None} if there are none.
    """
    first, *others = served.sockets
    hub = Hub(first, bus)
    for sockets in others:
        hub.include(sockets)
    indexes: dict[str, Any] = {}
    for protocol in served.protocols:
        for name, f in getattr(protocol, "indexes", {}).items():
            # Two classes may have one index, by one function.
            if indexes.setdefault(name, f) is not f:
                refuse(f"--protocol: two classes have an index {name!r}; right is one")
    for name, f in indexes.items():
        attempt("protocol", hub.index, name, f)


def rootFor(options: Options, manager: SessionManager, reactor: Any) -> Served:
    """
    @raise SystemExit: It cannot be served; with one line that says why.
    """
    if not options["protocol"]:
        if options["socketio"]:
            refuse(f"--socketio {NEEDS_CLASS}")
        return _demo(options, manager)
    plain, events = _protocols(options)
    path = options["socket-path"].strip("/").encode("utf-8").split(b"/")
    if not all(path):
        refuse("--socket-path is a path, such as ws or shop/ws")
    if events is not None and path[0] == PLACE:
        refuse("--socket-path: socket.io is the place of --socketio; right is another")
    settings = _settings(options, manager)
    tickets = _tickets(options, manager, reactor)
    if tickets is not None and path[0] == _OURS:
        refuse("--socket-path: sessionsock is the place of --tickets; right is another")
    sockets: list[SessionSockets] = []
    factory: Any = None
    resource = None
    if plain is not None:
        factory = attempt("origin", SessionSocketFactory, manager, **settings)
        attempt("protocol", setattr, factory, "protocol", plain)
        sockets.append(factory.sockets)
        resource = SessionSocketResource(factory)
    root = _Root(_pages(options, manager, reactor), path, resource)
    if events is not None:
        place = socketIO(options, events, manager, settings)
        if factory is not None:
            place.io.equipment.countWith(factory._sessionsock)
        sockets.append(place.io.sockets)
        root.putChild(PLACE, place)
    _putOurs(root, tickets)
    kinds = [kind for kind in (plain, events) if kind is not None]
    return Served(root, sockets, kinds)


def _demo(options: Options, manager: SessionManager) -> Served:
    root, factory = attempt(
        "origin",
        demo,
        manager,
        origins=options["origin"],
        trustProxy=_proxies(options),
        limits=_limits(options),
    )
    return Served(root, [factory.sockets])


def _protocols(options: Options) -> tuple[type | None, type | None]:
    """
    @return: The class of WebSockets, and that of Socket.IO.
    """
    found: dict[bool, type] = {}
    for name in options["protocol"]:
        kind = _named("protocol", name)
        isEvents = isinstance(kind, type) and issubclass(kind, SocketIOSocket)
        isPlain = isinstance(kind, type) and issubclass(kind, WebSocketServerProtocol)
        if not (isEvents or isPlain):
            refuse(
                f"--protocol: {name} is no SessionSocketProtocol, and no other"
                " WebSocketServerProtocol either, and no SocketIOSocket"
            )
        if isEvents in found:
            one = "SocketIOSocket" if isEvents else "WebSocket"
            refuse(f"--protocol {name}: there is a class of a {one}; right is one")
        if isEvents and not options["socketio"]:
            refuse(f"--protocol {name} is a SocketIOSocket; right is --socketio, too")
        if getattr(kind, "repeatable", False) and not options["per-message"]:
            refuse(f"--protocol {name} is repeatable; right is --per-message, too")
        found[isEvents] = kind
    if options["socketio"] and True not in found:
        refuse(f"--socketio {NEEDS_CLASS}")
    return found.get(False), found.get(True)


def _putOurs(root: Resource, tickets: TicketResource | None) -> None:
    root.putChild(b"sessionsock.js", ClientScript())
    root.putChild(b"sessionsock.d.ts", ClientScript(types=True))
    if tickets is not None:
        ours = Resource()
        ours.putChild(b"ticket", tickets)
        root.putChild(_OURS, ours)


def _tickets(
    options: Options, manager: SessionManager, reactor: Any
) -> TicketResource | None:
    if not options["tickets"]:
        return None
    place = options["ticket-store"]
    store = None
    if place and place != options["store"]:
        store = storeAt(place, reactor, option="--ticket-store")
    return attempt(
        "tickets", TicketResource, manager, store, trustProxy=_proxies(options)
    )


def _credentials(options: Options) -> list[Credential]:
    found: list[Credential] = [Cookie()]
    if options["bearer"]:
        found.append(Bearer())
    if options["tickets"]:
        found.append(Ticket())
    return found


def _settings(options: Options, manager: SessionManager) -> dict[str, Any]:
    credentials = _credentials(options)
    for each in credentials:
        if isinstance(each, Bearer):
            attempt("bearer", each.serves, manager)
    return {
        "credentials": credentials,
        "perMessage": bool(options["per-message"]),
        "origins": options["origin"],
        "trustProxy": _proxies(options),
        "limits": _limits(options),
    }


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
    The sockets, if there are any, and the scripts, and behind them the pages.
    """

    def __init__(
        self, pages: Any, path: list[bytes], sockets: SessionSocketResource | None
    ) -> None:
        super().__init__()
        self._pages = pages
        self._path = path
        self._sockets = sockets
        if sockets is not None and len(path) == 1:
            # Where a site looks, that refuses a body before it comes.
            self.putChild(path[0], sockets)

    def getChild(self, path: bytes, request: Request) -> Any:
        assert request.prepath is not None and request.postpath is not None
        rest = len(self._path) - 1
        isHere = [path, *request.postpath[:rest]] == self._path
        if isHere and self._sockets is not None:
            request.prepath += request.postpath[:rest]
            del request.postpath[:rest]
            return self._sockets
        if not self._pages.isLeaf:
            return self._pages.getChildWithDefault(path, request)
        request.postpath.insert(0, request.prepath.pop())
        return self._pages
