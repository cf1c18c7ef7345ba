# -*- test-case-name: tests.test_tap -*-
"""
The options of C{twistd sessionsock}, and what is made of them.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, ClassVar, NoReturn, TypeVar

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.reflect import namedAny
from twisted.python.usage import Options as BaseOptions
from twisted.python.usage import UsageError
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource

from .demo import demo
from .frameworks.express import Express
from .interfaces import IFramework, ISessionStore, SessionError, StoreError
from .manager import SessionManager
from .protocol import SessionSocketFactory, SessionSocketProtocol, enable
from .service import SessionSockService
from .sockets import SessionSockets
from .stores._sqliteopen import openFile
from .stores.memory import MemoryStore
from .stores.sqlite import SQLiteStore
from .web import ClientScript, SessionedResource, SessionSocketResource


__all__ = ["Options", "makeService"]

_T = TypeVar("_T")

_SECRET = "SESSIONSOCK_SECRET"

_log = Logger()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < inf:
        raise UsageError(f"--drain is a number of seconds, not {text}")
    return seconds


class Options(BaseOptions):
    """
    What can be said on the command line.
    """

    synopsis = "[options]"
    longdesc = (
        "Serves WebSockets that have the sessions of web pages. Without"
        " --protocol, a demo: http://localhost:8080/"
    )

    optParameters: ClassVar = [
        ["store", None, "memory:", "Where sessions are: memory: or sqlite:PATH."],
        ["framework", None, "express", "Whose sessions they are: express."],
        [
            "secret-file",
            None,
            None,
            "File with the secret that signs session cookies; with several lines,"
            f" the first signs and all verify. Else the variable {_SECRET}.",
        ],
        ["cookie", None, None, "The name of the session cookie."],
        [
            "freshness",
            None,
            "strict",
            "With --per-message: strict, or tracked (no question to the store).",
        ],
        [
            "protocol",
            None,
            None,
            "The class of the sockets, package.Class: a SessionSocketProtocol, or"
            " any WebSocketServerProtocol of Autobahn.",
        ],
        ["socket-path", None, "ws", "Where in the site the sockets are."],
        ["path", None, None, "Serve also the files in this directory."],
        ["wsgi", None, None, "Serve also this WSGI application, package.app."],
        [
            "class",
            None,
            None,
            "Serve also this resource, package.Class; its pages have the sessions"
            " of the sockets.",
        ],
        [
            "drain",
            None,
            10.0,
            "How many seconds closing and storing may take at the end.",
            _seconds,
        ],
    ]

    optFlags: ClassVar = [
        [
            "per-message",
            None,
            "Make the session fresh for each message and store it after, instead"
            " of loading it once and storing it at the end.",
        ],
        [
            "trust-proxy",
            None,
            "There is a proxy in front that sets X-Forwarded-Proto and"
            " X-Forwarded-Host.",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["origin"] = []

    def opt_listen(self, endpoint: str) -> None:
        """
        Where to listen, such as tcp:8080 (the default) or
        ssl:443:privateKey=key.pem:certKey=cert.pem. May be repeated.
        """
        self["listen"].append(endpoint)

    def opt_origin(self, origin: str) -> None:
        """
        A further web site whose pages may connect, such as
        https://example.com. May be repeated.
        """
        self["origin"].append(origin)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        @raise SystemExit: They are wrong; with one line that says what.
        """
        try:
            super().parseOptions(options)
        except UsageError as error:
            _refuse(f"{error}; see twistd sessionsock --help")

    def postOptions(self) -> None:
        if self["freshness"] not in ("strict", "tracked"):
            raise UsageError(
                f"--freshness is strict or tracked, not {self['freshness']}"
            )
        if self["framework"] != "express":
            raise UsageError(f"--framework is express, not {self['framework']}")
        pages = [name for name in ("path", "wsgi", "class") if self[name]]
        if len(pages) > 1:
            raise UsageError(f"--{pages[0]} and --{pages[1]} exclude each other")
        if pages and not self["protocol"]:
            raise UsageError(f"--{pages[0]} needs --protocol: the class of the sockets")


def makeService(options: Options) -> SessionSockService:
    """
    Make the server that the options ask for.

    @raise SystemExit: It cannot be made; with one line that says why.
    """
    from twisted.internet import reactor  # noqa: PLC0415  # Importing installs it.

    sys.path.insert(0, str(Path.cwd()))
    store, closeStore = _store(options["store"], reactor)
    manager = SessionManager(
        store, _framework(options), reactor, freshness=options["freshness"]
    )
    if options["protocol"] is None:
        root, sockets = _demo(options, manager)
    else:
        root, sockets = _site(options, manager, reactor)
    return SessionSockService(
        Site(root, reactor=reactor),
        [
            (description, _endpoint(description, reactor))
            for description in options["listen"] or ["tcp:8080"]
        ],
        sockets,
        drain=options["drain"],
        closeStore=closeStore,
    )


def _refuse(problem: object) -> NoReturn:
    line = " ".join(str(problem).split())
    raise SystemExit(f"twistd sessionsock: {line}")


def _try(option: str, make: Callable[..., _T], *args: Any, **more: Any) -> _T:
    """
    Make something of an option, whose value may be wrong.
    """
    try:
        return make(*args, **more)
    except (ValueError, TypeError, KeyError, SessionError) as error:
        _refuse(f"--{option}: {error}")


def _endpoint(description: str, reactor: Any) -> IStreamServerEndpoint:
    try:
        return IStreamServerEndpoint(serverFromString(reactor, description))
    except Exception as error:  # Each kind of endpoint has errors of its own.
        _refuse(
            f"--listen {description}: {error}; right is tcp:8080 or"
            " tcp:8080:interface=127.0.0.1"
        )


def _store(
    description: str, reactor: Any
) -> tuple[ISessionStore, Callable[[], Deferred[None]] | None]:
    kind, colon, place = description.partition(":")
    if kind == "memory" and colon and not place:
        return MemoryStore(reactor), None
    if kind == "sqlite" and place:
        directory = Path(place).absolute().parent
        if not directory.is_dir():
            _refuse(f"--store {description}: there is no directory {directory}")
        store = _try("store", SQLiteStore, place, reactor)
        if Path(place).exists():
            # Only then: what is created now would not belong to --uid.
            _try("store", _checkFile, place)
        return store, store.close
    _refuse(f"--store is memory: or sqlite:PATH, not {description}")


def _checkFile(place: str) -> None:
    try:
        openFile(str(Path(place).absolute()), "NORMAL", patience=2.0).close()
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{place}: {error}") from error


def _framework(options: Options) -> IFramework:
    more = {"cookieName": options["cookie"]} if options["cookie"] else {}
    return _try("cookie", Express, _secrets(options["secret-file"]), **more)


def _secrets(path: str | None) -> list[str]:
    if path is not None:
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            _refuse(f"--secret-file {path}: {why}")
        source = f"--secret-file {path}"
    elif _SECRET in os.environ:
        text, source = os.environ[_SECRET], _SECRET
    else:
        _log.warn(
            "no secret given: one is made for this run, so sessions will not"
            " survive it; give one by --secret-file or {variable}",
            variable=_SECRET,
        )
        return [token_urlsafe(32)]
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if not secrets:
        _refuse(f"{source} holds no secret; right is one secret a line")
    return secrets


def _demo(
    options: Options, manager: SessionManager
) -> tuple[IResource, SessionSockets]:
    root, factory = _try(
        "origin",
        demo,
        manager,
        origins=options["origin"],
        trustProxy=bool(options["trust-proxy"]),
    )
    if not options["listen"]:
        _log.info("the demo is at http://localhost:8080/")
    return root, factory.sockets


def _site(
    options: Options, manager: SessionManager, reactor: Any
) -> tuple[IResource, SessionSockets]:
    factory, sockets = _sockets(options, manager, reactor)
    root = _Root(_pages(options, manager, reactor))
    path = options["socket-path"].strip("/")
    if not path or "/" in path:
        _refuse("--socket-path is one name, such as ws")
    root.putChild(path.encode("utf-8"), SessionSocketResource(factory))
    root.putChild(b"sessionsock.js", ClientScript())
    return root, sockets


def _sockets(
    options: Options, manager: SessionManager, reactor: Any
) -> tuple[WebSocketServerFactory, SessionSockets]:
    protocol = _named("protocol", options["protocol"])
    settings: dict[str, Any] = {
        "perMessage": bool(options["per-message"]),
        "origins": options["origin"],
        "trustProxy": bool(options["trust-proxy"]),
    }
    if not isinstance(protocol, type) or not issubclass(
        protocol, WebSocketServerProtocol
    ):
        _refuse(
            f"--protocol: {options['protocol']} is no SessionSocketProtocol, and"
            " no other WebSocketServerProtocol either"
        )
    if issubclass(protocol, SessionSocketProtocol):
        factory = _try("origin", SessionSocketFactory, manager, **settings)
        factory.protocol = protocol
        return factory, factory.sockets
    plain = WebSocketServerFactory(reactor=reactor)
    plain.protocol = protocol
    return plain, _try("origin", enable, plain, manager, **settings)


def _pages(options: Options, manager: SessionManager, reactor: Any) -> IResource:
    if options["path"]:
        if not Path(options["path"]).is_dir():
            _refuse(f"--path: there is no directory {options['path']}")
        return File(options["path"])
    if options["wsgi"]:
        application = _named("wsgi", options["wsgi"])
        if not callable(application):
            _refuse(f"--wsgi: {options['wsgi']} is no WSGI application")
        return WSGIResource(reactor, reactor.getThreadPool(), application)
    if options["class"]:
        resource = _named("class", options["class"])
        if isinstance(resource, type):
            resource = _try("class", resource)
        if not IResource.providedBy(resource):
            _refuse(f"--class: {options['class']} is no twisted.web resource")
        trustProxy = bool(options["trust-proxy"])
        return SessionedResource(resource, manager, trustProxy=trustProxy)
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
        _refuse(f"--{option} {name}: cannot be imported ({why})")


class _Root(Resource):
    """
    The sockets and the script, and behind them the pages.
    """

    def __init__(self, pages: Any) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Request) -> Any:
        if not self._pages.isLeaf:
            return self._pages.getChildWithDefault(path, request)
        assert request.prepath is not None and request.postpath is not None
        request.postpath.insert(0, request.prepath.pop())
        return self._pages
