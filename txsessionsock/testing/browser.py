# -*- test-case-name: tests.testing.test_testing_browser -*-
"""
A browser for the tests of one's own protocol, without a network::

    class CounterTests(SynchronousTestCase):
        def test_counts(self):
            clock = Clock()
            store, framework = MemoryStore(clock), Express(secrets=["a secret"])
            factory = SessionSocketFactory(SessionManager(store, framework, clock))
            factory.protocol = Counter
            cookie = putSession(store, framework, clock, {"count": 41})
            browser = Browser(factory, cookie=cookie)
            browser.send("hello")
            self.assertEqual(browser.next(), {"count": 42})

Both ends are Autobahn's, and every byte of the handshake and of the frames is
exchanged between them, in memory and at once.  Time passes when the test says
so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, cast
from weakref import WeakValueDictionary

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
)
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from txsessionsock._arguments import checked
from txsessionsock._kinds import Clock, Framework, Store
from txsessionsock.interfaces import TTL, Document

from .contract import resultOf


__all__ = ["ADDRESS", "HOST", "Browser", "MemoryWire", "putSession"]


ADDRESS = IPv4Address("TCP", "127.0.0.1", 9)
HOST = "127.0.0.1:9"
"""
Where the server seems to be, for the browser: the host of an own page.
"""

_STEP = 0.25

_browsers: WeakValueDictionary[int, Browser] = WeakValueDictionary()
"""
All, in the order in which they came.
"""

_numbers = count()


@checked
def putSession(
    store: Store,
    framework: Framework,
    clock: Clock,
    data: Mapping[str, Any],
) -> str:
    """
    Store a new session, as the web application does.

    @param store: A store that answers at once, such as L{MemoryStore
        <txsessionsock.stores.memory.MemoryStore>}.

    @return: The cookie of its browser, as the value of a C{Cookie} header.

    @raise AssertionError: The store did not answer at once.
    """
    now = clock.seconds()
    sessionID = framework.newSessionID()
    new = framework.newDocument(now)
    document = Document({**new.data, **data}, new.envelope)
    ttl: TTL = framework.lifetime(document, now)
    raw = framework.dumps(document, now)
    answer: Deferred[bool] = store.create(framework.key(sessionID), raw, ttl)
    resultOf(answer, AssertionError("the store does not answer at once"))
    return f"{framework.cookieName}={framework.cookieValue(sessionID)}"


class MemoryWire(FakeTransport):
    """
    A transport in memory that can be paused.

    @ivar isPaused: Whether it was told to read no more for now.

    @ivar isAborted: Whether it was told to drop the connection.

    @ivar isCut: Whether its protocol knows already that the connection is lost.
    """

    isPaused = False
    isAborted = False
    isCut = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.unread: list[Any] = []
        self._isDelivering = False

    def pauseProducing(self) -> None:
        self.isPaused = True

    def resumeProducing(self) -> None:
        self.isPaused = False
        self._deliver()

    def bufferReceived(self, buf: Any) -> None:
        self.unread.append(buf)
        self._deliver()

    def _deliver(self) -> None:
        # No transport calls its protocol in the middle of such a call, and Autobahn
        # could not read what comes then.
        if self._isDelivering:
            return
        self._isDelivering = True
        try:
            while self.unread and not self.isPaused:
                super().bufferReceived(self.unread.pop(0))
        finally:
            self._isDelivering = False

    def reportDisconnect(self) -> None:
        # The other end may close what was cut, later.
        if not self.isCut:
            super().reportDisconnect()

    def abortConnection(self) -> None:
        self.isAborted = True
        super().abortConnection()


class _BrowserClient(WebSocketClientProtocol):
    browser: Browser

    def dataReceived(self, data: bytes) -> None:
        if self.browser.status is None:
            self.browser.status = int(data.split(b" ", 2)[1])
        super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.browser.take(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.browser.closed = (code, reason)


def _read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


@checked
class Browser:
    """
    The other end of a socket.

    @ivar status: That of the answer to the handshake: 101, or why there is no
        socket, such as 403.

    @ivar got: All messages that came.  One that is JSON is the value, other
        text is L{str}, a binary one is L{bytes}.

    @ivar closed: The close code and the reason, once it is closed.

    @ivar server: The server's end: the protocol that the factory built.

    @ivar client: Our end: Autobahn's own client.

    @ivar wire: The server's transport.
    """

    def __init__(
        self,
        factory: WebSocketServerFactory,
        *,
        cookie: str | None = None,
        origin: str | None = None,
        path: str = "/",
        protocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """
        Connect.

        @param factory: One with sessions.  Its reactor is a L{Clock
            <twisted.internet.task.Clock>}: that of its manager, unless it was
            given another.

        @param cookie: The C{Cookie} header, as by L{putSession}.

        @param origin: That of the page, such as C{"https://example.com"}; unless
            given, it is no page that connects.

        @param path: And the query, as in C{"/ws?room=7"}.

        @param protocols: Subprotocols that it offers.

        @param headers: Further headers.
        """
        self.status: int | None = None
        self.got: list[Any] = []
        self.closed: tuple[int | None, str | None] | None = None
        self._read = 0
        self._clock: Any = factory.reactor
        given = {} if cookie is None else {"cookie": cookie}
        ours = WebSocketClientFactory(
            f"ws://{HOST}{path}",
            origin=origin,
            protocols=list(protocols),
            headers={**given, **(headers or {})},
            reactor=factory.reactor,
        )
        ours.protocol = _BrowserClient
        # Autobahn's own goes by the global reactor.
        ours._batched_timer = factory._batched_timer
        self.server: Any = factory.buildProtocol(ADDRESS)
        self.client = cast(Any, ours.buildProtocol(ADDRESS))
        self.client.browser = self
        self.wire = MemoryWire(self.server, isServer=True, peerAddress=ADDRESS)
        other = MemoryWire(self.client, isServer=False, peerAddress=ADDRESS)
        self.pump: IOPump = connect(self.server, self.wire, self.client, other)
        _browsers[next(_numbers)] = self
        self.flush()

    @property
    def producer(self) -> Any:
        """
        What the server's transport tells when its buffer is full.
        """
        return self.wire.producer

    def take(self, payload: bytes, isBinary: bool) -> None:
        """
        A message came.
        """
        self.got.append(payload if isBinary else _read(payload))

    def flush(self) -> None:
        """
        Let everything arrive that was sent.
        """
        self.pump.flush()

    def wait(self, seconds: float = 0.0) -> None:
        """
        Let time pass, a quarter of a second at once, and everything arrive, also at
        other browsers with that clock: they answer pings.
        """
        whole, rest = divmod(seconds, _STEP)
        # What is done at once may have something else done at once.
        for step in *[_STEP] * int(whole), rest, 0.0:
            self._clock.advance(step)
            for each in list(_browsers.values()):
                if each._clock is self._clock:
                    each.flush()

    def send(self, *values: Any, isBinary: bool = False) -> None:
        """
        Send messages, in one go.  If there are more than 64, they are handled in
        slices: L{wait} until all are.

        @param values: L{bytes} are sent as they are, other values as JSON.

        @param isBinary: Whether they are binary messages.
        """
        for value in values:
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.client.sendMessage(payload, isBinary)
        self.flush()

    def next(self) -> Any:
        """
        @return: The first message that was not yet asked for.

        @raise AssertionError: No more came; L{wait}, if it takes its time.
        """
        if self._read == len(self.got):
            self.wait()
        if self._read == len(self.got):
            how = "" if self.closed is None else f"; it was closed with {self.closed}"
            raise AssertionError(f"no message came after {self.got}{how}")
        self._read += 1
        return self.got[self._read - 1]

    def close(self) -> None:
        """
        Go, politely.
        """
        self.client.sendClose(1000)
        self.flush()

    def cut(self) -> None:
        """
        Be gone, as when a cable is pulled.
        """
        if not self.wire.disconnected:
            self.wire.disconnected = self.wire.isCut = True
            self.server.connectionLost(Failure(ConnectionLost()))
