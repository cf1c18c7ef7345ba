# -*- test-case-name: tests.socketio.test_engine_requests -*-
"""
A server of Socket.IO as a resource of a site of Twisted Web.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._events import EVENTS
from txsessionsock.handshake import Handshake
from txsessionsock.interfaces import SessionError
from txsessionsock.web import (
    AnyResource,
    Bounds,
    handOver,
    handshakeIn,
    isEnding,
    isHTTP2,
    pageSessionOf,
    wantsSocket,
)
from txsessionsock.websocket import Overfull, Place

from .answers import (
    BAD_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED,
    WEBSOCKET_ONLY,
    Trouble,
    answer,
    refuse,
)
from .bundle import Bundle
from .engine import Engine
from .engineconnection import EngineConnection
from .enginepackets import joined, opening
from .requests import Comer
from .server import SocketIO


__all__ = ["SocketIOResource"]

_log = Logger()

_VERSION: Final = "4"
_TRANSPORTS: Final = ("polling", "websocket")

_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
"""
Where the page is from that asks, as browsers say it (Fetch Metadata), if it is not
of this site.
"""

_NAMES: Final = re.compile(rb"[A-Za-z0-9_\-, ]{1,1000}")
"""
The names of headers.
"""

_PREFLIGHT_AGE: Final = b"600"

_TOO_LARGE: Final = Trouble(3, "Payload too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_GOING_AWAY: Final = Trouble(3, "Server shutting down", HTTPStatus.SERVICE_UNAVAILABLE)


@implementer(IResource)
@checked
class SocketIOResource(AnyResource):  # type: ignore[misc]  # It is Any.
    """
    A server of Socket.IO at a place in a site, which is C{socket.io} unless clients
    are told otherwise.

    Serve it in a L{BoundedSite<txsessionsock.web.BoundedSite>}: another site does
    not bound what comes before, and writes the names of connections to its log, which
    are secrets.  Put it beside a L{SessionedResource
    <txsessionsock.web.SessionedResource>}, not into it.

    @ivar io: The server.

    @ivar transports: By what clients may come.

    @ivar mostBody: How large the body of a request may be.
    """

    isLeaf = True

    def __init__(
        self,
        io: SocketIO,
        *,
        bundle: str | os.PathLike[str] | None = None,
        transports: Sequence[str] = _TRANSPORTS,
    ) -> None:
        """
        @param io: What was given to L{enable<txsessionsock.socketio.enable>}.

        @param bundle: Your copy of the client for browsers: a file, served as
            C{socket.io.js}, or a directory; unless given,
            C{node_modules/socket.io-client/dist} below the current directory.

        @param transports: C{("websocket",)} where requests of one client may come to
            several processes.

        @raise SessionError: It gives no sessions.

        @raise ValueError: At C{bundle} is no client, or one that is too old, or
            there are no such transports.
        """
        unknown = set(transports) - set(_TRANSPORTS)
        if unknown or "websocket" not in transports:
            raise ValueError(
                f"transports are {_TRANSPORTS}, or ('websocket',), not {transports!r}"
            )
        self.transports = frozenset(transports)
        self.io = io
        self._engine: Engine = io.engine
        self._equipment = self._engine.equipment
        self.mostBody = self._equipment.limits.messageSize
        self._bounds = Bounds()
        equipment, reactor = self._equipment, self._engine.reactor
        self._bundle = Bundle(bundle, equipment.refusals, reactor)

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        raise ValueError("a server of Socket.IO has no children")

    def bodyBegins(self, request: Request, address: bytes) -> None:
        """
        A body has begun to come.  Another one at the same time might overtake it.

        @param address: That of the request.
        """
        query = _queryOf(address)
        connection = self._engine.find(_only(query, "sid") or "")
        if connection is not None and _only(query, "transport") == "polling":
            connection.posts(request)

    def render(self, request: Any) -> Any:
        # It says which version of Twisted this is.
        request.responseHeaders.removeHeader(b"server")
        name = b"/".join(request.postpath or ())
        if name:
            return self._file(request, name)
        if pageSessionOf(request) is not None:
            raise SessionError(
                "a page opened the session of this request, and handed it to Socket.IO:"
                " right is a SocketIOResource beside a SessionedResource, not in it"
            )
        handshake = handshakeIn(request, self._equipment.trustProxy)
        if self._mayAsk(request, handshake):
            self._serve(request, handshake)
        else:
            refuse(request, FORBIDDEN)
        return NOT_DONE_YET

    def _file(self, request: Any, name: bytes) -> Any:
        if self._bundle.has(name):
            return self._bundle.render(request)
        request.setResponseCode(404)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        return b"There is nothing here.\n"

    def _warn(self, line: str, kind: object = None) -> None:
        refusals, now = self._equipment.refusals, self._engine.reactor.seconds()
        refusals.warn(_log, line, now, kind)

    def _refused(self, reason: str, line: str, kind: object = None) -> None:
        """
        A client was not let in.

        @param reason: Why, in one of few words.
        """
        equipment, now = self._equipment, self._engine.reactor.seconds()
        equipment.refused(reason)
        fields = {"event": "refused", "reason": reason}
        equipment.refusals.warn(EVENTS, line, now, kind, **fields)

    # Which pages may ask.

    def _mayAsk(self, request: Any, handshake: Handshake) -> bool:
        """
        Look from where the page comes, and tell the browser if it may read the
        answer.
        """
        origins = self._equipment.origins
        origin = origins.listed(handshake)
        if origin is not None:
            headers = request.responseHeaders
            headers.setRawHeaders(b"access-control-allow-origin", [origin])
            headers.setRawHeaders(b"access-control-allow-credentials", [b"true"])
            headers.setRawHeaders(b"vary", [b"Origin"])
        why = origins.refusal(handshake)
        # Browsers send no Origin with the GET of an image or a link.
        sites = handshake.headers.get("sec-fetch-site", ())
        isElsewhere = any(site.lower() in _ELSEWHERE for site in sites)
        if why is None and isElsewhere and "origin" not in handshake.headers:
            why = "refused a request of a page of another site, without Origin"
        if why is not None:
            self._refused("origin", why)
        return why is None

    def _preflight(self, request: Any) -> None:
        headers = request.requestHeaders
        if request.responseHeaders.hasHeader(b"access-control-allow-origin"):
            request.setHeader(b"Access-Control-Allow-Methods", b"GET, POST")
            request.setHeader(b"Access-Control-Max-Age", _PREFLIGHT_AGE)
            asked = headers.getRawHeaders(b"access-control-request-headers", [b""])
            if _NAMES.fullmatch(asked[0]):
                request.setHeader(b"Access-Control-Allow-Headers", asked[0])
        request.setResponseCode(204)
        request.setHeader(b"Cache-Control", b"no-store")
        request.write(b"")
        request.finish()

    # What they ask for.

    def _serve(self, request: Any, handshake: Handshake) -> None:
        if request.method == b"OPTIONS":
            self._preflight(request)
            return
        query = _queryOf(request.uri)
        transport, version = _only(query, "transport"), _only(query, "EIO")
        isKnown = transport in self.transports
        if not isKnown or version != _VERSION:
            self._hint(request, transport, version)
            isOff = transport == "polling"
            other = WEBSOCKET_ONLY if isOff else UNKNOWN_TRANSPORT
            refuse(request, UNSUPPORTED if isKnown else other)
            return
        connection, trouble = self._find(request, query)
        if trouble is None and transport == "websocket":
            trouble = self._open(request, connection)
        elif trouble is None and connection is None:
            self._bounds.want(request)
            comer = Comer(request, partial(self._begin, request, handshake))
            self._equipment.turns.offer(comer, self._engine.reactor)
        elif trouble is None and connection is not None:
            trouble = self._polled(request, connection)
        if trouble is not None:
            refuse(request, trouble)

    def _hint(self, request: Any, transport: str | None, version: str | None) -> None:
        """
        Say in the log what a client of another kind wants.
        """
        if version == _VERSION and transport == "polling":
            self._warn(
                "a client of Socket.IO asked for long-polling, which is off here, since"
                " its requests may come to several processes; right is the option"
                ' transports: ["websocket"] of the client',
                "polling",
            )
        elif transport in _TRANSPORTS:
            self._warn(
                "a client of Socket.IO speaks an old version of its protocol (EIO=3);"
                " right is socket.io-client 3 or later, such as 4.x",
                "EIO",
            )
        elif version is None and wantsSocket(request):
            self._warn(
                "a plain WebSocket came to the place of Socket.IO; right is the client"
                " of Socket.IO, or new SessionSocket(url) to the path of the plain"
                " sockets",
                "plain",
            )

    def _find(
        self, request: Any, query: dict[str, list[str]]
    ) -> tuple[EngineConnection | None, Trouble | None]:
        """
        @return: The connection that a request is for; L{None} if it wants a new
            one.  And what is wrong with it.
        """
        if "sid" not in query:
            trouble = BAD_METHOD if request.method != b"GET" else None
            if trouble is None and self._engine.isGoingAway:
                trouble = _GOING_AWAY
            return None, trouble
        connection = self._engine.find(_only(query, "sid") or "")
        return connection, UNKNOWN_SID if connection is None else None

    # Polling.

    def _begin(self, request: Any, handshake: Handshake) -> None:
        """
        A client comes by polling, and it is its turn.
        """
        trouble = _GOING_AWAY if self._engine.isGoingAway else None
        if trouble is None:
            trouble = self._enter(request, handshake)
        if trouble is not None:
            refuse(request, trouble)

    def _enter(self, request: Any, handshake: Handshake) -> Trouble | None:
        if handshake.doubt is not None:
            self._warn(handshake.doubt, "proxy")
        engine = self._engine
        place = self._equipment.admission.arrive(handshake.client)
        problem = place.hopeless or place.settle(handshake)
        if problem is not None:
            return self._refusePlace(request, place, problem)
        try:
            connection = engine.opened(handshake, engine.reactor.seconds(), place)
        except BaseException:
            place.leave()
            raise
        limits = self._equipment.limits
        answer(request, joined([opening(connection.sid, ["websocket"], limits)]))
        return None

    def _refusePlace(self, request: Any, place: Place, problem: Overfull) -> Trouble:
        place.leave()
        self._refused("limit", problem.why, problem.status)
        for name, value in problem.headers:
            request.setHeader(name.encode(), value.encode())
        return Trouble(3, problem.reason, problem.status)

    def _polled(self, request: Any, connection: EngineConnection) -> Trouble | None:
        # There are as many as messages, of which there is no line either.
        isTaken = request.isUnlogged = True
        if request.method == b"GET":
            isTaken = connection.poll(request)
        elif request.method == b"POST":
            body = request.content.read(self.mostBody + 1)
            if len(body) > self.mostBody:
                request.isUnlogged = False
                return _TOO_LARGE
            isTaken = connection.post(request, body)
        else:
            isTaken = False
        request.isUnlogged = isTaken
        return None if isTaken else BAD_REQUEST

    # WebSockets.

    def _open(
        self, request: Any, connection: EngineConnection | None
    ) -> Trouble | None:
        """
        A client comes, or goes over, by WebSocket.
        """
        isUpgrade = request.method == b"GET" and wantsSocket(request)
        if not isUpgrade or isHTTP2(request):
            return BAD_REQUEST
        if isEnding(request):
            return None
        self._bounds.want(request)
        protocol = self._engine.factory.buildProtocol(request.getClientAddress())
        protocol.known = connection
        handOver(request, protocol)
        return None


def _queryOf(address: bytes) -> dict[str, list[str]]:
    """
    @return: The parameters in the address of a request: not those of its body,
        which C{request.args} has too.
    """
    query = address.partition(b"?")[2].decode("iso-8859-1")
    return parse_qs(query, keep_blank_values=True, encoding="iso-8859-1")


def _only(query: dict[str, list[str]], name: str) -> str | None:
    """
    @return: The value of a parameter, if it is there once.
    """
    values = query.get(name, ())
    return values[0] if len(values) == 1 else None
