"""
Tests for L{txsessionsock.websocket}: what is logged of clients, by Autobahn and by
us.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import txaio.tx
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from tests.support.wires import HOST, Browser, Recording, SocketCase, shake
from txsessionsock._seldom import Seldom
from txsessionsock.protocol import SessionSocketProtocol, enable
from txsessionsock.testing.browser import _BrowserClient
from txsessionsock.websocket.quiet import Quiet


_DROPPED = "dropping connection to peer tcp4:127.0.0.1:9"


@contextmanager
def debugging(clock: Any) -> Iterator[list[Any]]:
    """
    @return: All that the server logs in this block, also for debugging.
    """
    _BrowserClient.log = Quiet(Seldom(), clock)
    before = txaio.tx.get_global_log_level()
    txaio.tx.set_global_log_level("trace")
    try:
        with capturedLogs() as logs:
            yield logs  # type: ignore[misc]  # It is a list.
    finally:
        del _BrowserClient.log
        txaio.tx.set_global_log_level(before)


class Telling(Recording):
    """
    Sends what nobody else may see.
    """

    def onConnect(self, request: Any) -> Any:
        return None, {"Set-Cookie": "token=secret"}

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        WebSocketServerProtocol.onMessage(self, payload, isBinary)

    def onClose(self, *how: Any) -> None:
        WebSocketServerProtocol.onClose(self, *how)


class SecretTests(SocketCase):
    """
    What is not logged.
    """

    def talk(self, factory: Any) -> None:
        """
        Have secrets in all that is said, and leave in several ways.
        """
        secrets: dict[str, Any] = {
            "cookie": f"{self.cookie()}; token=secret",
            "headers": {"Authorization": "secret", "X-Token": "secret"},
            "query": "token=secret",
        }
        for leave in (
            lambda browser: browser.client.sendClose(1000, "secret"),
            lambda browser: browser.client.sendPing(b"secret"),
            lambda browser: browser.client.sendMessage(b"\xffsecret"),
            lambda browser: browser.client.sendFrame(opcode=7, payload=b"secret"),
            lambda browser: browser.cut(),
        ):
            browser = self.browse(factory, **secrets)
            browser.send("secret")
            leave(browser)
            self.wait(1)
            browser.cut()

    def test_noSecrets(self) -> None:
        """
        No cookie, no message and no other word of a client is in the log, at any
        level.  With Autobahn's own classes they are.
        """
        self.put()
        plain: Any = WebSocketServerFactory(reactor=self.clock)
        plain.protocol = WebSocketServerProtocol
        for isPlain in True, False:
            factory = plain if isPlain else self.serve(Telling)
            with debugging(self.clock) as logs:
                if isPlain:
                    headers = f"Host: {HOST}", "Cookie: token=secret"
                    self.assertEqual(shake(plain, *headers), 101)
                else:
                    self.talk(factory)
            shown = [str(formatEvent(each)) + repr(each) for each in logs]
            told = [each for each in shown if "secret" in each]
            self.assertEqual(bool(told), isPlain, told[:1])
        sid = self.cookie().partition("=")[2]
        self.assertFalse([each for each in shown if sid in each])


class OwnLogTests(SocketCase):
    """
    The attribute C{log} of an application's protocol.
    """

    def logged(self, protocol: Any, factory: Any = None) -> list[tuple[Any, ...]]:
        """
        @return: What the application logs, and of which namespace and source.
        """
        self.put()
        if factory is None:
            factory = self.serve(protocol)
        else:
            enable(factory, self.manager)
            factory.protocol = protocol
        with debugging(self.clock) as logs:
            browser = self.browse(factory)
            browser.send("x")
            browser.close()
            self.wait()
        debug = [each for each in logs if each["log_level"] is LogLevel.debug]
        mine = "mine, at last"
        own = [
            each
            for each in debug
            if formatEvent(each) == mine
            # Twisted calls one that is found in a class by that class.
            or each["log_namespace"].startswith(("its", __name__))
        ]
        self.assertEqual({formatEvent(each) for each in own}, {mine})
        servers = "WebSocketServerProtocol"
        self.assertFalse([e for e in debug if servers in str(formatEvent(e))])
        return [(each["log_namespace"], type(each.get("log_source"))) for each in own]

    def test_own(self) -> None:
        """
        It is the application's own, wherever that is set, and has nothing of
        Autobahn's in it.
        """

        def onMessage(self: Any, payload: bytes, isBinary: bool) -> None:
            self.log.debug("mine, {when}", when="at last")

        class InInstance(SessionSocketProtocol):
            def onConnect(self, request: Any) -> None:
                self.log = Logger("its")

        mixin = type("Mixin", (), {"log": Logger("its")})
        for bases, attributes in (
            ((SessionSocketProtocol,), {"log": Logger("its")}),
            ((mixin, SessionSocketProtocol), {}),
            ((InInstance,), {}),
            ((type("Base", (SessionSocketProtocol,), {"log": Logger("its")}),), {}),
        ):
            own: Any = type("Own", bases, {"onMessage": onMessage, **attributes})
            ((namespace, source),) = self.logged(own)
            self.assertIn(namespace, ("its", f"{__name__}.Own"))
            self.assertIn(source, (own, type(None)))
        for base in {"log": Logger("its")}, {}:
            given: Any = type(
                "Given", (WebSocketServerProtocol,), {"onMessage": onMessage, **base}
            )
            factory = WebSocketServerFactory(reactor=self.clock)
            ((namespace, _),) = self.logged(given, factory)
            expected = __name__ if base else "autobahn.twisted.websocket"
            self.assertIn(expected, namespace)


class CrowdTests(SocketCase):
    """
    Clients that do what they should not, and many of them.
    """

    def crowd(self, do: Any, **options: Any) -> list[str]:
        """
        Have 200 of them.

        @return: The lines in the log until they are summed up.
        """
        self.put()
        self.serve(**options)
        with capturedLogs() as logs:
            for n in range(200):
                browser = self.browse()
                do(browser, n)
                browser.flush()
                browser.cut()
                self.browsers.clear()
            self.clock.advance(60)
        # That they came is no trouble.
        troubles = [each for each in logs if each.get("event") != "connect"]
        return [str(formatEvent(each)) for each in troubles]

    def assertFew(self, lines: list[str], *texts: str) -> None:
        """
        Of each text there is one line, and one with a count; and nothing more.
        """
        for text in texts:
            found = [line for line in lines if text in line]
            self.assertEqual(len(found), 2, (text, lines))
            # Some of them break two rules at once.
            self.assertRegex(found[1], "^left out: (199|399) more of: ")
        self.assertEqual(len(lines), 2 * len(texts), lines)
        self.assertLess(max(map(len, lines)), 300)

    def test_badFrames(self) -> None:
        """
        Frames that break the rules.
        """

        def bad(browser: Browser, n: int) -> None:
            browser.server.dataReceived(bytes([0x83 + n % 4, 0x80, 0, 0, 0, 0]))

        lines = self.crowd(bad)
        self.assertFew(lines, 'failing WebSocket connection (code=1002): "')

    def test_noUTF8(self) -> None:
        """
        Text that is none.
        """
        lines = self.crowd(lambda browser, n: browser.client.sendMessage(b"\xff"))
        self.assertFew(lines, "failing WebSocket connection (code=1007)", _DROPPED)

    def test_large(self) -> None:
        """
        Messages that are too large.
        """

        def large(browser: Browser, n: int) -> None:
            browser.client.maxMessagePayloadSize = 0
            size = (1 << 20) + 1 + n
            head = b"\x81\xff" + size.to_bytes(8, "big") + bytes(4)
            browser.server.dataReceived(head)

        lines = self.crowd(large)
        self.assertFew(lines, "failing WebSocket connection (code=1009)", _DROPPED)

    def test_handshakes(self) -> None:
        """
        Handshakes that are none, with texts of any length in them, and line ends.
        """
        self.serve()
        lines: list[str] = []
        with capturedLogs() as logs:
            for n in range(200):
                shake(self.factory, "Host: a", f"Upgrade: {n}{'x' * 5000}\x85y")
                shake(self.factory, "Host: a:port", f"X: {n}")
                shake(self.factory, "Host: a", f"Origin: http://{n}{'x' * 5000}")
            self.clock.advance(60)
        lines = [str(formatEvent(each)) for each in logs]
        self.assertLess(len(lines), 20, lines)
        self.assertLess(max(map(len, lines)), 1000)
        self.assertFalse([line for line in lines if not line.isprintable()])

    def test_pongs(self) -> None:
        """
        Those who do not answer pings, in time.
        """

        def late(browser: Browser, n: int) -> None:
            browser.server.onAutoPingTimeout()

        self.assertFew(self.crowd(late), _DROPPED)

    def test_atTheEnd(self) -> None:
        """
        A server that ends says how many there were until then.
        """
        self.serve()
        for _ in range(3):
            self.assertEqual(shake(self.factory, "Host: a", "Origin: http://b"), 403)
        with capturedLogs() as logs:
            self.successResultOf(self.manager.end())
        lines = [str(formatEvent(each)) for each in logs]
        self.assertTrue(
            [line for line in lines if "left out: 2 more of" in line], lines
        )

    def test_lost(self) -> None:
        """
        Those who leave without a word are nothing to tell of.
        """
        self.assertEqual(self.crowd(lambda browser, n: None), [])

    def test_tls(self) -> None:
        """
        TLS that fails, also with braces in the text.
        """
        from OpenSSL.SSL import Error  # noqa: PLC0415 - only here

        def broken(browser: Browser, n: int) -> None:
            browser.wire.disconnected = browser.wire.isCut = True
            error = Error([("{ssl}", f"routines {n}", "unsafe {0}")])
            browser.server.connectionLost(Failure(error))

        self.assertFew(self.crowd(broken), "SSL error: unsafe {0} (in routines 0)")

    def test_listeners(self) -> None:
        """
        Autobahn's own event, of which a listener fails for each message.
        """
        text = "Firing signal 'message' failed"

        def fails(payload: bytes, is_binary: bool) -> None:
            raise ZeroDivisionError(payload)

        def hear(browser: Browser, n: int) -> None:
            browser.server.on("message", fails)
            browser.send(n)

        lines = self.crowd(hear)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFew(lines, text)

    def test_handlers(self) -> None:
        """
        A handler that fails for each message, and says what that was.
        """

        def fails(client: Any, message: Any, session: Any) -> None:
            raise ValueError(message)

        self.do["smessage"] = fails
        plain: Any = type("Plain", (Recording,), {})
        plain.sessionError = SessionSocketProtocol.sessionError
        lines = self.crowd(
            lambda browser, n: browser.send("x" * 10_000 + str(n)), protocol=plain
        )
        (failure,) = self.flushLoggedErrors()
        self.assertLess(len(failure.getTraceback()), 2000)
        self.assertFew(lines, "a session socket failed")


class ClosingTests(SocketCase):
    """
    An application's C{onClose} that fails.
    """

    def test_counted(self) -> None:
        """
        It costs no place of Autobahn's C{maxConnections}, and is logged.
        """

        class Failing(SessionSocketProtocol):
            def onClose(self, *how: Any) -> None:
                raise ZeroDivisionError

        self.put()
        self.serve(Failing)
        for _ in range(5):
            browser = self.browse()
            self.assertEqual(self.factory.countConnections, 1)
            browser.server.connectionLost(Failure(ConnectionLost()))
            browser.wire.isCut = True
            self.wait()
            self.assertEqual(self.factory.countConnections, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
