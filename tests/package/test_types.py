"""
What type checkers say that know nothing of C{zope.interface}: mypy without a
plugin, and pyright.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface
from zope.interface.interface import Method

from tests.support import documents
from tests.support.browser import NODE
from tests.support.documents import ROOT
from tests.support.npm import installedByNpm
from txsessionsock import _kinds
from txsessionsock.interfaces import (
    IBus,
    IFramework,
    ISessionStore,
    ISignedCookies,
    IWatchableStore,
)


TWISTEDS = (
    # IReactorCore.run and putChild, as Twisted itself has them.
    r'(Attribute function|Cannot access attribute) "run"',
    r'"putChild" of "Resource" has incompatible type "(Home|Form)"',
    r'type "(Home|Form)" cannot be assigned to parameter "child"',
    r'"?(list\[)?FileLogObserver\]?"',
    r'"TagLoader"; expected "ITemplateLoader \| None"',
    r'"TagLoader" cannot be assigned to parameter "loader"',
    # Klein's interfaces, which are of that, too.
    r'expected "IRequiredParameter"',
    r'cannot be assigned to parameter "\w+" of type "IRequiredParameter"',
    # Which has no types of its own: they come with mypy-zope.
    r'Skipping analyzing "zope\.interface"',
    r'Class cannot subclass "Interface" \(has type "Any"\)',
    "Argument to class must be a base class",
    r'cannot be assigned to parameter "observer" of type "ILogObserver"',
)
"""
What these checkers say of programs that do not use this library either.
"""

PRELUDE = """\
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from txsessionsock.frameworks.django import DjangoDatabase
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import Flask, FlaskSession
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol, enable
from txsessionsock.session import Session
from txsessionsock.clients import SessionClient
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.redis import RedisStore
from txsessionsock.stores.sql import DJANGO, SQLStore
from txsessionsock.testing import FlakyStore
from txsessionsock.web import sessionOf

SECRET_KEY, SECRET_KEY_FALLBACKS = "a", ["b"]
SECRET, OLD_SECRET = "a", "b"

async def snippet(
    manager: SessionManager,
    factory: {factory},
    session: Session,
    client: SessionClient,
    store: Any,
    f: Any,
) -> None:
"""
"""
What the shorter examples of the documentation take for granted.
"""

ANNOTATED = """
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import implementer

from autobahn.twisted.websocket import WebSocketServerFactory
from txsessionsock import (
    ClientScript,
    Express,
    MemoryStore,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
    SessionSocketResource,
    SQLiteStore,
    enable,
    sessionOf,
)
from txsessionsock.bus import LocalBus
from txsessionsock.clients import SessionClient
from txsessionsock.frameworks.flask import Flask
from txsessionsock.frameworks.php import PHP
from txsessionsock.hub import Hub, hubOf
from txsessionsock.interfaces import TTL, EndReason, ISessionStore, Stored
from txsessionsock.session import Session
from txsessionsock.stores.cookie import CookieStore
from txsessionsock.testing import BusContract, FlakyStore, StoreContract


@implementer(ISessionStore)
class MyStore:
    def load(self, key: str) -> Deferred[Stored | None]:
        return succeed(None)

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return succeed(True)

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return succeed(Stored(new, None))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return succeed(None)

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return succeed(True)


class MyStoreTests(StoreContract, SynchronousTestCase):
    def makeStore(self) -> MyStore:
        return MyStore()

    def makeOther(self, store: MyStore) -> MyStore:
        return MyStore()


class MyBusTests(BusContract, SynchronousTestCase):
    def makeBus(self) -> LocalBus:
        return LocalBus(Clock())

    def makeOther(self, bus: LocalBus) -> LocalBus:
        return LocalBus(place=bus)


class Chat(SessionSocketProtocol):
    def sessionConnected(self, session: Session) -> None:
        self.on("message", self.raw)
        self.once("disconnect", lambda session, code: None)
        greet(self, session)

    def raw(self, payload: bytes, is_binary: bool) -> None:
        self.close(4000, "no")

    async def sessionMessageReceived(self, message: object, session: Session) -> None:
        session["count"] = session.get("count", 0) + 1
        self.send(await self.receive())

    def sessionChanged(self, session: Session, keys: Sequence[str]) -> None:
        hubOf(self).by("user", 42).send(list(keys))

    def sessionDestroyed(self, session: Session, reason: EndReason) -> None: ...

    def sessionError(self, failure: Failure) -> None: ...


class Page(Resource):
    def render_GET(self, request: Request) -> bytes:
        return str(sessionOf(request).get("count")).encode()


clock = Clock()
manager = SessionManager(MyStore(), PHP(), clock)
SessionManager(FlakyStore(MemoryStore(clock)), PHP(), reactor)
SessionManager(CookieStore(Flask("s")), Flask("s"))
factory = SessionSocketFactory(manager, reactor=clock)
factory.protocol = Chat
hub = Hub(factory.sockets, LocalBus(clock))
pages = SessionedResource(Page(), manager)
pages.putChild(b"ws", SessionSocketResource(factory))
pages.putChild(b"sessionsock.js", ClientScript())
SessionManager(SQLiteStore("sessions.db", reactor=clock), Express(b"secret"), clock)
Resource().putChild(b"", pages)


@hub.index("user")
def user(session: Session) -> str | int | None:
    return session.get("user")


@factory.on("sconnection")
def greet(client: SessionClient, session: Session) -> None:
    client.send(session["user"])

    @client.on("smessage")
    def received(message: object, session: Session) -> None:
        client.off("smessage", received)
        if client.session is not None:
            client.session.save()


sockets = enable(WebSocketServerFactory(), manager)
sockets.once("sconnection", greet)
"""


MISSPELT = """
from txsessionsock import MemoryStore, SesionManager, SessionManager

store: MemoryStore = SessionManager
"""
"""
Two lines with a problem each.
"""

FOUND = (
    r'"?SesionManager"? (is unknown|in module "txsessionsock")',
    r'"?txsessionsock"? has no attribute "SesionManager"',
    r'[Tt]ype "type\[SessionManager\]"',
)
"""
How type checkers call them.
"""


def programs(folder: Path) -> list[str]:
    """
    Write down what is to be checked.

    @return: The names of the files.
    """
    texts = {"annotated.py": ANNOTATED, **documents.whole()}
    texts["misspelt.py"] = MISSPELT
    for number, shown in enumerate(documents.programs()):
        if shown.name is not None:
            continue
        text = shown.text
        name = "WebSocketServerFactory" if "enable(" in text else "SessionSocketFactory"
        prelude = PRELUDE.format(factory=name)
        file = f"{shown.page.stem}{number}.py"
        texts[file] = prelude + indent(text, "    ")
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    folders = [
        "examples",
        *(f"examples/{n}" for n in ("deploy", "migrating", "webapps")),
    ]
    for path in [path for each in folders for path in ROOT.glob(f"{each}/*.py")]:
        # Python itself has a module of the name site.
        name = f"{path.parent.name}_{path.name}"
        shutil.copy(path, folder / name)
        texts[name] = ""
    assert len(texts) > 30
    return sorted(texts)


def others(problems: list[str]) -> list[str]:
    """
    @return: Those that are not Twisted's own.  The two of L{MISSPELT} have to be
        among them, and are not in the list.
    """
    ours = [each for each in problems if not any(re.search(t, each) for t in TWISTEDS)]
    found = [each for each in ours if each.startswith("misspelt.py")]
    assert len(found) == 2, found
    assert all(any(re.search(name, each) for name in FOUND) for each in found), found
    return [each for each in ours if each not in found]


@pytest.mark.e2e
def test_mypy(tmp_path: Path) -> None:
    """
    The programs of the documentation, the examples and one with annotations are
    fine in strict mode, as far as they are annotated.  Twisted's functions are not.
    """
    strict = "--strict --allow-untyped-calls --allow-untyped-defs"
    more = "--allow-incomplete-defs --no-color-output --no-error-summary"
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'plain'}"
    command = [sys.executable, "-m", "mypy", "--config-file=", cache]
    names = programs(tmp_path)
    done = subprocess.run(
        [*command, *strict.split(), *more.split(), *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    problems = [line for line in done.stdout.splitlines() if ": error: " in line]
    # Or it looked at nothing.
    assert any('"run"' in problem for problem in problems)
    assert "\n".join(others(problems)) == ""


@pytest.mark.e2e
@installedByNpm(NODE)  # type: ignore[untyped-decorator]  # Of pytest.
def test_pyright(tmp_path: Path) -> None:
    """
    The same for pyright.
    """
    pyright = str(NODE / "node_modules" / "pyright" / "index.js")
    command = ["node", pyright, "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, *programs(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    problems = [
        f"{Path(found['file']).name}: {found['message']}"
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    ]
    assert any('"run"' in problem for problem in problems)
    assert "\n".join(others(problems)) == ""


class KindsTests(SynchronousTestCase):
    """
    Tests for L{txsessionsock._kinds}.
    """

    def test_same(self) -> None:
        """
        What is said to type checkers is what the interfaces say.
        """
        for interface, protocol in (
            (ISessionStore, _kinds.StoreMethods),
            (IWatchableStore, _kinds.WatchableMethods),
            (IFramework, _kinds.FrameworkMethods),
            (ISignedCookies, _kinds.SignedCookieMethods),
            (IBus, _kinds.BusMethods),
        ):
            self.assertEqual(self.asked(interface), self.said(protocol))

    def asked(self, interface: type[Interface]) -> dict[str, str | None]:
        """
        The members of an interface, methods with what they take.
        """
        members: Any = interface
        return {
            name: each.getSignatureString() if isinstance(each, Method) else None
            for name, each in members.namesAndDescriptions(all=True)
        }

    def said(self, protocol: type) -> dict[str, str | None]:
        """
        The same of a protocol.
        """
        found: dict[str, str | None] = {}
        for name, each in inspect.getmembers(protocol):
            if isinstance(each, property):
                found[name] = None
            elif inspect.isfunction(each) and not name.startswith("_"):
                parameters = list(inspect.signature(each).parameters.values())[1:]
                taken = [
                    p.name if p.default is p.empty else f"{p.name}={p.default}"
                    for p in parameters
                ]
                found[name] = f"({', '.join(taken)})"
        return found
