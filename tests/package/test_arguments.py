"""
Tests that each public constructor and function refuses arguments of a wrong
kind, at once, with a sentence that says what would be right.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import Enum
from importlib import import_module
from inspect import Parameter, isfunction, signature
from typing import Any, Literal

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

import txsessionsock
from txsessionsock._arguments import checked
from txsessionsock.bus import LocalBus
from txsessionsock.credentials import Cookie, InBand
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.hub import Hub
from txsessionsock.interfaces import ISessionStore
from txsessionsock.limits import Limits
from txsessionsock.manager import SessionManager
from txsessionsock.origins import Origins
from txsessionsock.protocol import SessionSocketFactory, enable
from txsessionsock.stores._sql.table import DJANGO
from txsessionsock.stores.cached import CachedStore
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import SQLStore
from txsessionsock.web import SessionedResource, sessionOf


NOT_FOR_USERS = {
    "clients.Broadcast",
    "clients.Client",
    "clients.SocketStatistics",
    "clients.Waiting",
    "clients.Once",
    "clients.SessionClient",
    "clients.doesNothing",
    "clients.listen",
    "clients.refuseUnknown",
    "clients.without",
    "socketio.Packet",
    "hub.Group",
    "hub.Many",
    "hub.Member",
    "hub.Room",
    "hub.namespaceLabel",
    "hub.roomLabel",
    "hub.sessionLabel",
    "hub.socketLabel",
    "clients.Listeners",
    *("messages.Event", "messages.Shared"),
    *("protocol.ApplicationMethods", "protocol.Equipment"),
    *("socketio.Event", "socketio.Namespace"),
    "manager.Ration",
    "manager.Rations",
    "manager.SessionStatistics",
    "manager.endAtOnceFromNow",
    "manager.Slices",
    "manager.endAtOnceWhenAskedAgain",
    "protocol.SessionedFactory",
    *("web.AnyResource", "web.Bounds", "web.handOver", "web.handshakeIn"),
    *("web.isEnding", "web.isHTTP2", "web.pageSessionOf", "web.wantsSocket"),
    "web.PageSession",
    "web.VisitedSite",
    *("health.Health", "metrics.Exposed", "metrics.Figures", "metrics.Snapshot"),
    *("metrics.Totals", "manager.Tally", "manager.Times"),
    *("forwarded.Told", "forwarded.peerOf", "forwarded.trusted"),
}
"""
What this library makes and calls itself.
"""

MODULES_NOT_FOR_USERS = {
    "closecodes",
    "handshake",
    "interfaces",
    "service",
    "session",
    "tap",
    "websocket",
}
"""
Values and errors without any logic, and what a carrier makes.
"""

MODULES_FOR_USERS = {"frameworks", "stores"}
"""
In which packages users import from modules; from others, from the package alone.
"""

OF_ITS_OWN = {"web.SessionSocketResource"}
"""
What has a check that knows more.
"""


class Wrong:
    """
    What is right in no place.
    """


class AnyClock:
    """
    A clock of somebody's own, which declares nothing.
    """

    def seconds(self) -> float:
        return 0.0

    def callLater(self, delay: float, callable: Callable[..., Any]) -> None:
        """
        Says what it has to have.
        """


class DuckStore:
    """
    Has the methods of a store, and does not say so.
    """

    load = create = replace = touch = destroy = lambda *args: None


def public() -> Iterator[tuple[str, Any]]:
    """
    All that users call, by its name in the package.
    """
    package = txsessionsock.__name__
    for found in pkgutil.walk_packages(txsessionsock.__path__, f"{package}."):
        module = found.name.removeprefix(f"{package}.")
        wing, _, rest = module.partition(".")
        isPrivate = any(part.startswith("_") for part in module.split("."))
        if rest and wing not in MODULES_FOR_USERS:
            continue
        if isPrivate or module in MODULES_NOT_FOR_USERS:
            continue
        imported = import_module(found.name)
        for name in getattr(imported, "__all__", ()):
            each = getattr(imported, name)
            # Identities get what was read, and Enum and exceptions are Python's.
            if f"{module}.{name}" in NOT_FOR_USERS or name == "whoIsLoggedIn":
                continue
            if isinstance(each, type) and issubclass(each, (Enum, Exception)):
                continue
            if isfunction(each) or isinstance(each, type):
                yield f"{module}.{name}", each


def parametersOf(each: Any) -> list[Parameter]:
    """
    What it takes, but for what may be anything.
    """
    constructor = getattr(each, "__init__") if isinstance(each, type) else each  # noqa: B009 - mypy takes it for that of an object
    if not isfunction(constructor) or getattr(each, "_is_protocol", False):
        return []
    return [
        parameter
        for parameter in signature(each).parameters.values()
        if parameter.annotation not in (Parameter.empty, "Any", "object")
    ]


class PublicTests(SynchronousTestCase):
    """
    Tests for all that users call.
    """

    def test_all(self) -> None:
        """
        Each names the argument that is wrong, whichever it is.
        """
        count = 0
        for name, each in public():
            for parameter in parametersOf(each):
                wrong = {parameter.name: Wrong()}
                positional = [Wrong()] * (parameter.kind is Parameter.VAR_POSITIONAL)
                try:
                    each(*positional, **({} if positional else wrong))
                except ValueError as error:
                    # Of secrets nothing is shown.
                    self.assertRegex(str(error), "^secrets is ", name)
                except TypeError as error:
                    said = rf"\b{parameter.name} is .+, not a Wrong$"
                    self.assertRegex(str(error), said, name)
                else:
                    self.fail(f"{name} takes anything for {parameter.name}")
                count += 1
        self.assertGreater(count, 120)

    def test_exceptions(self) -> None:
        """
        What is left out is there.
        """
        for name in NOT_FOR_USERS | OF_ITS_OWN:
            module, _, member = name.rpartition(".")
            self.assertTrue(hasattr(import_module(f"txsessionsock.{module}"), member))


class SentencesTests(SynchronousTestCase):
    """
    What is said about the mistakes that people make.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.express = Express("for tests")
        self.manager = self.newManager()

    def newManager(self, **options: Any) -> SessionManager:
        return SessionManager(
            MemoryStore(self.clock), self.express, self.clock, **options
        )

    def refused(self, call: Callable[..., object], *words: str, **named: Any) -> None:
        """
        Check that a call fails, and how.
        """
        error = self.assertRaises((TypeError, ValueError), call, **named)
        for word in words:
            self.assertIn(word, str(error))

    def test_kinds(self) -> None:
        """
        Something else than what is asked for; or the same in another place.
        """
        store, resource = MemoryStore(self.clock), Resource()
        wrong: Any
        for wrong, words in (
            (
                lambda: SessionedResource(self.manager, resource),  # type: ignore[arg-type]  # wrong on purpose
                (
                    "SessionedResource(resource, manager)",
                    "a resource of twisted.web, not a SessionManager",
                ),
            ),
            (
                lambda: SessionManager(self.express, store),  # type: ignore[arg-type]  # wrong on purpose
                (
                    "store is what provides ISessionStore, such as RedisStore",
                    "not an Express",
                ),
            ),
            (
                lambda: SessionManager(MemoryStore, self.express),  # type: ignore[arg-type]  # wrong on purpose
                ("provides ISessionStore", "not the class MemoryStore"),
            ),
            (
                lambda: SessionManager("redis://:pass@localhost", self.express),  # type: ignore[arg-type]  # wrong on purpose
                ("provides ISessionStore", "not a str"),
            ),
            (
                lambda: SessionManager(DuckStore(), self.express),  # type: ignore[arg-type]  # wrong on purpose
                ("what provides ISessionStore", "not a DuckStore"),
            ),
            (
                lambda: MemoryStore(Clock),  # type: ignore[arg-type]  # wrong on purpose
                ("reactor is a reactor, or a Clock", "not the class Clock"),
            ),
            (
                lambda: SessionSocketFactory(store),  # type: ignore[arg-type]  # wrong on purpose
                ("manager is a SessionManager, not a MemoryStore",),
            ),
            (
                lambda: enable(self.manager, WebSocketServerFactory()),  # type: ignore[arg-type]  # wrong on purpose
                ("factory is a WebSocketServerFactory, not a SessionManager",),
            ),
            (
                lambda: Hub(self.manager),  # type: ignore[arg-type]  # wrong on purpose
                ("sockets is a SessionSockets, not a SessionManager",),
            ),
            (
                lambda: CookieStore(self.express),  # type: ignore[arg-type]  # wrong on purpose
                ("ISignedCookies, a framework whose sessions are in cookies",),
            ),
            (
                lambda: SQLStore("sqlite:x", "django_session"),  # type: ignore[arg-type]  # wrong on purpose
                ("table is a Table, not a str",),
            ),
            (
                lambda: sessionOf(self.manager),  # type: ignore[arg-type]  # wrong on purpose
                ("IRequest, a request of twisted.web, not a SessionManager",),
            ),
        ):
            self.refused(wrong, *words)

    def test_values(self) -> None:
        """
        Numbers, flags, names and lists.
        """
        for call, named, words in (
            (Express, {"secrets": "s", "maxAge": "x"}, "maxAge is a number, from 0"),
            (Express, {"secrets": "s", "maxAge": -1}, "or None, not -1"),
            (Express, {"secrets": "s", "ttl": True}, "ttl is a whole number, from 0"),
            (Express, {"secrets": "s", "prefix": None}, "prefix is a str, not None"),
            (
                Express,
                {"secrets": "s", "cookie": {"path": 5}},
                "cookie: path",
            ),
            (Express, {"secrets": 5}, "secrets is"),
            (Express, {"secrets": "s", "identity": "user"}, "identity is a function"),
            (FlaskSession, {"format": "pickle"}, "'msgpack' or 'json', not 'pickle'"),
            (Aiohttp, {"maxAge": float("nan")}, "maxAge is a whole number"),
            (Limits, {"messageSize": 0}, "a whole number, above 0, not 0"),
            (Limits, {"messageSize": 1.5}, "a whole number, above 0, not 1.5"),
            (Limits, {"pingTimeout": 0}, "pingTimeout is a number, above 0, not 0"),
            (Limits, {"closeTimeout": float("inf")}, "not inf"),
            (self.newManager, {"storeTimeout": 0}, "storeTimeout is a number, above 0"),
            (self.newManager, {"repair": "no"}, "repair is True or False or None"),
            (self.newManager, {"unsavedLimit": -1}, "a whole number, from 0, not -1"),
            (Origins, {"allowed": "https://a.example"}, "a list, each in it a str"),
            (Origins, {"allowed": [5]}, "a list, each in it a str"),
            (RedisStore, {"url": b"redis://:pass@h"}, "url is a str, not a bytes"),
            (DjangoDatabase, {"secrets": "s", "version": "1"}, "version is a whole"),
        ):
            self.refused(call, words, **named)
        factory: Any = SessionSocketFactory
        for credentials in [Cookie], Cookie(), [InBand(), self.express]:
            wrong: Any = {"credentials": credentials}
            self.refused(lambda wrong=wrong: factory(self.manager, **wrong), "a list")
        for limits in {"messageSize": 5}, Limits:
            wrong = {"limits": limits}
            self.refused(lambda wrong=wrong: factory(self.manager, **wrong), "a Limits")

    def test_notShown(self) -> None:
        """
        A text that may be a secret is not shown.
        """
        for call in (
            lambda: SessionManager("s3cret", self.express),  # type: ignore[arg-type]  # wrong on purpose
            lambda: RedisStore("redis://h", "s3cret"),  # type: ignore[arg-type]  # wrong on purpose
            lambda: Express("s", maxAge="s3cret"),  # type: ignore[arg-type]  # wrong on purpose
        ):
            error = self.assertRaises(TypeError, call)
            self.assertNotIn("s3cret", str(error))

    def test_methods(self) -> None:
        """
        What is called on a hub: a session in the place of its id, and a reason
        in the place of a code.
        """
        hub = Hub(SessionSocketFactory(self.manager, reactor=self.clock).sockets)
        wrong: Any
        for wrong, words in (
            (lambda: hub.session(self.manager), "sessionID is a str, not a Session"),  # type: ignore[arg-type]  # wrong on purpose
            (lambda: hub.session("a").close("bye"), "code is a whole number"),  # type: ignore[arg-type]  # wrong on purpose
            (lambda: hub.session("a").close(4000, None), "reason is a str, not None"),  # type: ignore[arg-type]  # wrong on purpose
        ):
            self.refused(wrong, words)

    def test_oneStore(self) -> None:
        """
        A store serves one manager, until that has stopped, and so do buses and
        sockets one hub; two on the same place are fine.
        """
        store = MemoryStore(self.clock)
        first = SessionManager(store, self.express, self.clock)
        with self.assertRaisesRegex(ValueError, "serves a SessionManager already"):
            SessionManager(store, self.express, self.clock)
        SessionManager(MemoryStore(place=store), self.express, self.clock)
        self.successResultOf(first.stop())
        SessionManager(store, self.express, self.clock)
        with self.assertRaisesRegex(ValueError, "in two stores"):
            CachedStore(store, store, str, self.clock)

    def test_oneHub(self) -> None:
        """
        The same for a bus, and for the sockets of a hub.
        """
        sockets = SessionSocketFactory(self.manager, reactor=self.clock).sockets
        bus = LocalBus(self.clock)
        Hub(sockets, bus)
        with self.assertRaisesRegex(ValueError, "have a hub already"):
            Hub(sockets)
        others = SessionSocketFactory(self.newManager(), reactor=self.clock).sockets
        with self.assertRaisesRegex(ValueError, "serves one hub"):
            Hub(others, bus)
        self.assertEqual(others.followers, [])

    def test_right(self) -> None:
        """
        What is right is taken: C{None} where it may be, iterators, subclasses.
        """
        Origins(each for each in ["https://a.example"])
        FlaskSession(lifetime=timedelta(days=31).total_seconds())
        MemoryStore(AnyClock())
        Express(secrets=("a", "b"), cookie={"secure": True, "path": "/"}, maxAge=1.5)
        SQLStore("sqlite:x", DJANGO, self.clock, timeout=1, connections=1)
        limits = Limits(pingInterval=0)
        factory = SessionSocketFactory(
            self.manager, credentials=(Cookie(), InBand()), limits=limits, url=None
        )
        self.assertIs(factory.sockets.limits, limits)


class CheckedTests(SynchronousTestCase):
    """
    Tests for L{checked} itself.
    """

    def test_transparent(self) -> None:
        """
        What is checked looks as it did, and fails as Python has it where
        arguments are missing.
        """

        @checked
        def f(a: int, *rest: str, b: Literal["x", "y"] = "x") -> str:
            """
            Says so.
            """
            return f"{a}{rest}{b}"

        self.assertEqual((f.__name__, str(signature(f))[:10]), ("f", "(a: 'int',"))
        self.assertEqual(f(1, "2", b="y"), "1('2',)y")

        @checked
        def g(a: str, /, b: int) -> str:
            """
            Says so, too.
            """
            return f"{a}{b}"

        self.assertEqual((g("a", 1), g("a", b=1)), ("a1", "a1"))
        wrong: Any = g
        self.assertRaises(TypeError, wrong, 1, 1)
        self.assertRaises(TypeError, wrong, "a", "b")
        wrong = f
        for args, named in ((), {}), ((1,), {"c": 2}), ((1, 2), {}), (("1",), {}):
            self.assertRaises(TypeError, wrong, *args, **named)
        self.assertRaises(ValueError, wrong, 1, b="z")

    def test_interface(self) -> None:
        """
        An interface asks for what provides it, beside what a type says.
        """

        @checked
        def f(store: ISessionStore, clock: IReactorTime | None = None) -> None:
            """
            Takes these.
            """

        f(MemoryStore(Clock()), Clock())
        wrong: Any = f
        self.assertRaises(TypeError, wrong, Clock())
        self.assertRaises(TypeError, wrong, MemoryStore(Clock()), 5)
