"""
Servers for end-to-end tests: C{twistd sessionsock} in processes of its own, and
the same site in this process, on real sockets.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.e2e.verbs import Pages, Verbs
from tests.support.secrets import SECRETS
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import ISessionStore, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.web import SessionedResource, SessionSocketResource


__all__ = [
    "MODULES",
    "PATIENCE",
    "SECRET",
    "STARTING",
    "VERBS",
    "Conditions",
    "Twistd",
    "inReactor",
    "mint",
    "program",
    "reactor",
    "site",
    "twistd",
]

_T = TypeVar("_T")

reactor: Any = _reactor

PATIENCE = 20.0
"""
For how many seconds a test waits for what has to happen.
"""

STARTING = 60.0
"""
The same for programs to start, of which several may be starting at once.
"""

SECRET = "for tests"
"""
What signs the cookies of all these servers.
"""

MODULES = str(Path(__file__).parents[1] / "e2e")
"""
Where these servers find what they serve.
"""

VERBS = ("--protocol", "verbs.Verbs", "--class", "verbs.Pages")

_TWISTD = str(Path(sysconfig.get_path("scripts")) / "twistd")


def inReactor(test: _T) -> _T:
    """
    Have a test that is a coroutine run in the global reactor.
    """
    marked: _T = pytest_twisted.ensureDeferred(test)
    return marked


class Conditions:
    """
    Waits until something is so, and looks whenever something happened.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    async def until(
        self, condition: Callable[[], Any], *, patience: float = PATIENCE
    ) -> Any:
        """
        @return: The first value that is true.
        """
        value = condition()
        if value:
            return value
        entry: tuple[Callable[[], Any], Deferred[Any]] = condition, Deferred()
        self._waiting.append(entry)
        try:
            return await entry[1].addTimeout(patience, reactor)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def happened(self) -> None:
        """
        Look.
        """
        for entry in list(self._waiting):
            condition, deferred = entry
            value = condition()
            if value and entry in self._waiting:
                self._waiting.remove(entry)
                deferred.callback(value)


class Twistd(ProcessProtocol, Conditions):
    """
    A C{twistd sessionsock} at work.

    @ivar log: What it wrote to its standard output.

    @ivar errors: And to standard error.

    @ivar status: Its exit code, or the negative number of the signal that it
        died of; L{None} while it runs.
    """

    transport: Any

    def __init__(self) -> None:
        super().__init__()
        self.log = self.errors = ""
        self.status: int | None = None

    @property
    def ports(self) -> list[int]:
        """
        Where it listens.
        """
        # Not what its workers say.
        said = re.findall(r"(?m)^\S+ \[(?!w\d+ ).*starting on (\d+)\n", self.log)
        return [int(port) for port in said]

    @property
    def port(self) -> int:
        """
        Where it listens first.
        """
        return self.ports[0]

    async def ends(self, patience: float = PATIENCE) -> int:
        """
        Wait until the process is gone.

        @return: Its status.
        """
        await self.until(lambda: self.status is not None, patience=patience)
        assert self.status is not None
        return self.status

    def signal(self, name: str) -> None:
        """
        Send a signal, C{"TERM"} or C{"KILL"}.
        """
        self.transport.signalProcess(name)

    def outReceived(self, data: bytes) -> None:
        # A terminal ends lines in its own way.
        text = data.decode().replace("\r\n", "\n")
        SECRETS.told(text)
        self.log += text
        self.happened()

    def errReceived(self, data: bytes) -> None:
        SECRETS.told(data.decode())
        self.errors += data.decode()
        self.happened()

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        self.status = -error.signal if error.signal else error.exitCode
        self.happened()


@asynccontextmanager
async def twistd(
    *options: str,
    before: Sequence[str] = (),
    listen: int = 1,
    cwd: str | Path = "/",
    environment: Mapping[str, str] | None = None,
    inFront: bool = True,
    pidfile: str | Path = "",
    terminal: bool = False,
) -> AsyncIterator[Twistd]:
    """
    Run a server until the end of the block.

    @param before: Options of C{twistd} itself.

    @param listen: On how many ports.  With 0, it need not come that far.

    @param inFront: Whether not to make a daemon of itself.

    @param terminal: Whether to start it from a terminal of its own.
    """
    ports = ["--listen=tcp:0:interface=127.0.0.1"] * listen
    front = ["-n"] if inFront else []
    command = [_TWISTD, *front, f"--pidfile={pidfile}", *before]
    command += ["sessionsock", *ports, *options]
    given = {"PYTHONPATH": MODULES, "SESSIONSOCK_SECRET": SECRET}
    more = given if environment is None else environment
    async with program(
        *command, listen=listen, cwd=cwd, environment=more, terminal=terminal
    ) as server:
        yield server


@asynccontextmanager
async def program(
    *command: str,
    listen: int = 1,
    cwd: str | Path = "/",
    environment: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> AsyncIterator[Twistd]:
    """
    Run any program that logs as C{twistd} does, until the end of the block.

    @param listen: On how many ports it listens.  With 0, it need not come that
        far.

    @param terminal: Whether to start it from a terminal of its own.
    """
    server = Twistd()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    reactor.spawnProcess(
        server,
        command[0],
        command,
        {**inherited, **(environment or {})},
        str(cwd),
        usePTY=terminal,
    )
    try:
        if listen:
            await server.until(
                lambda: len(server.ports) >= listen or server.status is not None,
                patience=STARTING,
            )
            assert server.status is None, server.log + server.errors
        yield server
    finally:
        with suppress(ProcessExitedAlready):
            server.signal("KILL")
        await server.ends()


@asynccontextmanager
async def site(
    manager: SessionManager,
    protocol: type[SessionSocketProtocol] = Verbs,
    **settings: Any,
) -> AsyncIterator[tuple[int, SessionSocketFactory]]:
    """
    Serve a site of L{Pages} and sockets in this process.

    @return: The port, and the factory of the sockets.
    """
    factory = SessionSocketFactory(manager, **settings)
    factory.protocol = protocol
    root = _Root(SessionedResource(Pages(), manager))
    root.putChild(b"ws", SessionSocketResource(factory))
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(Site(root, reactor=reactor, timeout=None))
    try:
        yield port.getHost().port, factory
    finally:
        await port.stopListening()
        # A test that failed may have left what does not end.  Nobody writes any
        # more, so nothing is guarded.
        for ending in factory.sockets.goAway(), manager.stop(0):
            await ending.addTimeout(PATIENCE, reactor)


async def mint(
    store: ISessionStore, data: dict[str, Any], framework: Express | None = None
) -> str:
    """
    Put a session into a store, as a web application would have.

    @return: The value of its cookie.
    """
    framework = framework or Express(SECRET)
    now = reactor.seconds()
    sessionID: SessionID = framework.newSessionID()
    document = framework.newDocument(now)
    document.data.update(data)
    raw = framework.dumps(document, now)
    key, ttl = framework.key(sessionID), framework.lifetime(document, now)
    assert await store.create(key, raw, ttl)
    return framework.cookieValue(sessionID)


class _Root(Resource):
    def __init__(self, pages: Any) -> None:
        super().__init__()
        self._pages = pages

    def getChild(self, path: bytes, request: Any) -> Any:
        request.postpath.insert(0, request.prepath.pop())
        return self._pages
