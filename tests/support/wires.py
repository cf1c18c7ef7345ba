"""
Sockets over wires that are not there, for the tests of clients and protocols.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.support.managing import SID, ManagerCase, timers
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.testing import ADDRESS, HOST, Browser, MemoryWire


__all__ = [
    "ADDRESS",
    "HOST",
    "Browser",
    "Recording",
    "SocketCase",
    "count",
    "shake",
]


class Recording(SessionSocketProtocol):
    """
    A protocol that writes down what it is told, in its factory's C{seen}.
    """

    def sessionConnected(self, session: Session) -> object:
        return self.seen("sconnection", session)

    def sessionMessageReceived(self, message: Any, session: Session) -> object:
        return self.seen("smessage", message, session)

    def sessionInvalid(self, reason: Any) -> object:
        return self.seen("sinvalid", reason)

    def sessionChanged(self, session: Session, keys: Any) -> object:
        return self.seen("schanged", session, keys)

    def sessionDestroyed(self, session: Session, reason: Any) -> object:
        return self.seen("sdestroyed", session, reason)

    def sessionError(self, failure: Failure) -> object:
        return self.seen("serror", failure.value)

    def sessionDisconnected(self, session: Session, code: int) -> object:
        return self.seen("disconnect", session, code)

    def seen(self, event: str, *args: Any) -> object:
        plain = [arg for arg in args if not isinstance(arg, Session)]
        self.factory.seen.append((event, *plain))
        do = self.factory.do.get(event)
        return None if do is None else do(self, *args)


def count(client: Recording, message: Any, session: Session) -> None:
    """
    A handler that counts and answers with the count.
    """
    session["n"] = session.get("n", 0) + 1
    client.send(session["n"])


class SocketCase(ManagerCase):
    """
    Tests that connect sockets.

    @ivar seen: The events of all L{Recording}s.
    """

    perMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[Any, ...]] = []
        self.do: dict[str, Callable[..., object]] = {}
        self.browsers: list[Browser] = []

    def serve(
        self, protocol: type[SessionSocketProtocol] = Recording, **options: Any
    ) -> Any:
        """
        Make a server.
        """
        options.setdefault("perMessage", self.perMessage)
        factory: Any = SessionSocketFactory(self.manager, **options)
        factory.protocol = protocol
        self.equip(factory)
        self.factory: Any = factory
        return factory

    def equip(self, factory: Any) -> None:
        """
        Give a factory what L{Recording} wants.
        """
        factory.seen, factory.do = self.seen, self.do

    def cookie(self, sid: str = SID) -> str:
        """
        What a browser sends along.
        """
        return f"connect.sid={self.manager.framework.cookieValue(sid)}"  # type: ignore[arg-type]  # any text

    def browse(
        self,
        factory: Any = None,
        cookie: str | None = "",
        origin: str | None = None,
        query: str = "",
        **options: Any,
    ) -> Browser:
        """
        Connect.

        @param cookie: The cookie header; that of L{SID} unless given.

        @param query: What stands after a C{?} in the address.
        """
        browser = Browser(
            self.factory if factory is None else factory,
            cookie=None if cookie is None else cookie or self.cookie(),
            origin=origin,
            path=f"/?{query}" if query else "/",
            **options,
        )
        self.browsers.append(browser)
        return browser

    def wait(self, seconds: float = 0.0) -> None:
        """
        Let time pass, and everything arrive.
        """
        for step in [0.25] * round(seconds * 4) or [0.0, 0.0]:
            self.clock.advance(step)
            for browser in self.browsers:
                browser.flush()

    def events(self, event: str) -> list[Any]:
        """
        The arguments of all events of one name.
        """
        return [args[0] if args else None for name, *args in self.seen if name == event]

    def assertClosed(self, browser: Browser, code: int, reason: str | None) -> None:
        """
        It was closed, and for this reason.
        """
        self.wait()
        self.assertEqual(browser.closed, (code, reason))

    def assertNothingLeft(self, factory: WebSocketServerFactory | None = None) -> None:
        """
        All clients are gone, and nothing of them stays behind.
        """
        server: Any = self.factory if factory is None else factory
        for browser in self.browsers:
            browser.cut()
        self.run_(1)
        self.assertEqual(len(server._sessionsock.sockets), 0)
        self.assertEqual(server.countConnections, 0)
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertEqual(timers(self.clock), [])
        gc.collect()


def shake(factory: Any, *headers: str, isSecure: bool = False) -> int:
    """
    Send a handshake of one's own making.

    @return: The status of the answer.
    """
    protocol = factory.buildProtocol(ADDRESS)
    transport = MemoryWire(protocol, isServer=True, peerAddress=ADDRESS)
    protocol.makeConnection(transport)
    if isSecure:
        protocol._transport_details.is_secure = True
        # There is no certificate to look at.
        protocol._onOpen = lambda: None
    lines = [
        "GET / HTTP/1.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1"))
    status = int(transport.getOutBuffer().split(b" ")[1])
    protocol.connectionLost(Failure(ConnectionLost()))
    return status
