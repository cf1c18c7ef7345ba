"""
Tests for L{txsessionsock.protocol.aside}: what the server and the client script say to
each other beside messages, and to nobody else.
"""

from __future__ import annotations

import json
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.support.managing import SID
from tests.support.wires import HOST, Browser, Recording, SocketCase, count
from txsessionsock.credentials import Cookie, InBand
from txsessionsock.interfaces import SessionID
from txsessionsock.limits import Limits
from txsessionsock.messages import Raw
from txsessionsock.protocol import enable
from txsessionsock.protocol.aside import Aside


TOKEN = "0123456789abcdef"
OTHER = "fedcba9876543210"


class AsideTests(SocketCase):
    """
    A server, and clients that ask for it or do not.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()

    def connect(self, token: str = TOKEN, **options: Any) -> Browser:
        """
        Connect as the script does, with what comes as it is.
        """
        return self.browse(query=f"sessionsock={token}", **options)

    def said(self, browser: Browser, token: str = TOKEN) -> list[str]:
        """
        Take what was said beside messages.
        """
        said = [each for each in browser.got if str(each).startswith(token)]
        browser.got = [each for each in browser.got if each not in said]
        return [each.removeprefix(f"{token} ") for each in said]

    def whose(self, browser: Browser, token: str = TOKEN) -> dict[str, Any]:
        """
        Take what was said of the session, which has to be all.
        """
        (said,) = self.said(browser, token)
        word, _, detail = said.partition(" ")
        self.assertEqual(word, "session")
        found: dict[str, Any] = json.loads(detail)
        return found

    def ping(self, browser: Browser, number: int = 1) -> None:
        browser.send(f"{TOKEN} ping {number}".encode())

    def test_notAsked(self) -> None:
        """
        Who does not ask is told nothing, and what it sends is a message,
        whatever is in it.
        """
        self.serve(Texts)
        for query in (
            "",
            "sessionsock=short",
            f"sessionsock={TOKEN}&sessionsock={OTHER}",
        ):
            browser = self.browse(query=query)
            self.ping(browser)
            self.assertEqual(browser.got, [])
            self.assertEqual(self.seen.pop(), ("smessage", f"{TOKEN} ping 1"))

    def test_ping(self) -> None:
        """
        A ping is answered, in JSON and in raw protocols, and nobody else hears
        of it.
        """
        for protocol in Recording, Texts:
            self.serve(protocol)
            browser = self.connect()
            self.assertEqual(self.said(browser)[0], "ready")
            self.seen.clear()
            self.ping(browser, 7)
            self.assertEqual(self.said(browser), ["pong 7"])
            for nonsense in b" ping x", b" ping", b"", b" ping 1 ", b"?":
                browser.send(TOKEN.encode() + nonsense)
            self.assertEqual((browser.got, self.seen), ([], []))
            self.assertIsNone(browser.closed)

    def test_binary(self) -> None:
        """
        Binary messages are the application's.
        """
        self.serve(Texts)
        browser = self.connect()
        browser.send(f"{TOKEN} ping 1".encode(), isBinary=True)
        self.assertEqual(self.seen.pop(), ("smessage", f"{TOKEN} ping 1".encode()))

    def test_others(self) -> None:
        """
        What begins with the word of another client is a message: each has a
        word of its own.
        """
        self.serve(Texts)
        one, other = self.connect(), self.connect(OTHER)
        self.said(one), self.said(other, OTHER)
        one.send(f"{OTHER} ping 1".encode())
        self.assertEqual(self.seen.pop(), ("smessage", f"{OTHER} ping 1"))
        self.assertEqual((one.got, other.got), ([], []))

    def test_echo(self) -> None:
        """
        An enabled echo server does not echo it.
        """
        factory = WebSocketServerFactory(f"ws://{HOST}", reactor=self.clock)
        factory.protocol = Echo
        enable(factory, self.manager)
        browser = self.connect(factory=factory)
        self.said(browser)
        self.ping(browser)
        browser.send(b'"hello"', b"\x00\xff", isBinary=True)
        self.assertEqual(self.said(browser), ["pong 1"])
        self.assertEqual(browser.got, [b'"hello"', b"\x00\xff"])

    def test_betweenFrames(self) -> None:
        """
        What is said, and what an application sends, waits while it sends another
        message frame by frame; of pongs the last is enough.
        """
        factory = WebSocketServerFactory(f"ws://{HOST}", reactor=self.clock)
        factory.protocol = Echo
        enable(factory, self.manager)
        browser = self.connect(factory=factory)
        self.said(browser)
        browser.server.beginMessage()
        browser.server.sendMessageFrame(b'"one')
        for number in range(1, 4):
            self.ping(browser, number)
        browser.send("echo")
        self.ping(browser, 4)
        self.assertEqual(browser.got, [])
        browser.server.sendMessageFrame(b' message"')
        browser.server.endMessage()
        browser.flush()
        pongs = [f"{TOKEN} pong 3", f"{TOKEN} pong 4"]
        self.assertEqual(browser.got, ["one message", pongs[0], "echo", pongs[1]])
        self.assertIsNone(browser.closed)

    def test_noActivity(self) -> None:
        """
        A ping puts off neither the session's end nor anything else.
        """
        self.serve()
        browser = self.connect()
        before = browser.server.session.expires
        self.wait(10)
        for number in range(100):
            self.ping(browser, number)
        self.wait(10)
        self.assertEqual(browser.server.session.expires, before)
        self.assertEqual(self.calls("touch"), 0)

    def test_busyHandler(self) -> None:
        """
        A ping is answered while a handler is at work, and its answer is not held
        until a session is stored.
        """
        self.serve(perMessage=True)
        running: Deferred[None] = Deferred()

        def work(client: Recording, message: Any, session: Any) -> Deferred[None]:
            count(client, message, session)
            return running

        self.do["smessage"] = work
        browser = self.connect()
        self.said(browser)
        browser.send("work")
        self.ping(browser)
        self.assertEqual((self.said(browser), browser.got), (["pong 1"], []))
        running.callback(None)
        self.wait()
        self.assertEqual(browser.got, [1])

    def test_beforeSession(self) -> None:
        """
        It is answered before the session is there, and is no credential.
        """
        self.serve(credentials=[Cookie(), InBand()])
        browser = self.connect(cookie=None)
        self.ping(browser)
        self.assertEqual(self.said(browser), ["ready", "pong 1"])
        self.wait(9)
        self.ping(browser, 2)
        self.wait(2)
        self.assertClosed(browser, 4408, "session-timeout")

    def test_notRead(self) -> None:
        """
        A client that is not read for a while is told so again and again, since
        its pings wait; then they are answered.
        """
        self.serve(limits=Limits(waitingMessages=2))
        running: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *args: running
        browser = self.connect()
        self.said(browser)
        browser.send(1, 2, 3, 4)
        self.ping(browser)
        self.assertEqual(self.said(browser), ["busy 5"])
        self.wait(11)
        self.assertEqual(self.said(browser), ["busy 5"] * 2)
        running.callback(None)
        self.wait()
        self.assertEqual(self.said(browser), ["pong 1"])
        self.wait(11)
        self.assertEqual(self.said(browser), [])

    def test_notReadAndGone(self) -> None:
        """
        Nothing is left of a client that goes meanwhile.
        """
        self.serve(limits=Limits(waitingMessages=2))
        running: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *args: running
        browser = self.connect()
        browser.send(1, 2, 3, 4)
        browser.cut()
        running.callback(None)
        self.wait(1)
        self.assertNothingLeft()

    def test_whose(self) -> None:
        """
        The first word is that it is ready, the next whose session it is, before
        any message; none of it tells who that is, or the id.
        """
        self.put(user="Zoe")
        self.serve()
        self.do["sconnection"] = lambda client, session: client.send("hello")
        browser = self.connect()
        self.assertEqual(browser.got[2], "hello")
        ready, said = self.said(browser)
        self.assertEqual(ready, "ready")
        self.assertNotIn("Zoe", said)
        self.assertNotIn(SID, said)

    def test_sameAndOther(self) -> None:
        """
        The digests of one client are equal for equal sessions and people, in
        every process; those of two clients cannot be compared.
        """

        def told(sid: str, who: object, token: str = TOKEN) -> dict[str, Any]:
            said = Aside(token).whose(SessionID(sid), who)
            assert said is not None
            found: dict[str, Any] = json.loads(said.split(b" ", 2)[2])
            return found

        nobody = told("a", None)
        self.assertEqual(nobody, told("a", None))
        self.assertIsNone(nobody["identity"])
        zoe = told("a", "Zoe")
        self.assertEqual(zoe["id"], nobody["id"])
        self.assertEqual(zoe["identity"], told("b", "Zoe")["identity"])
        self.assertNotEqual(zoe["id"], told("b", "Zoe")["id"])
        differ: list[tuple[object, object]] = [("1", 1), (1, 2), ([1], [2])]
        for one, other in [*differ, (b"a", "a"), ("a", "\ud800")]:
            self.assertNotEqual(told("a", one), told("a", other))
        same: list[tuple[object, object]]
        same = [(1, 1.0), ((1,), [1]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
        # Two sets are equal, and their texts are not.
        same += [({0, 8}, {8, 0}), (["a", frozenset([0, 8])], ["a", frozenset([8, 0])])]
        for one, other in [*same, ({1: 0, "a": 0}, {1: 0, "a": 0})]:
            self.assertEqual(told("a", one), told("a", other))
        for name in "id", "identity":
            self.assertNotEqual(zoe[name], told("a", "Zoe", OTHER)[name])

    def test_anotherNow(self) -> None:
        """
        Who logs in or out within a session is told to all its sockets, whoever
        changed it and whenever; what changes nothing of that is not.
        """
        for perMessage in False, True:
            self.put()
            self.serve(perMessage=perMessage)
            browser, tab = self.connect(), self.connect()
            nobody, told = json.loads(self.said(tab)[1].split(" ", 1)[1]), self.said
            told(browser)
            self.do["smessage"] = lambda client, message, session: session.update(
                {"user": message, "n": 1}
            )
            browser.send("Zoe")
            self.wait(1.5)
            zoe = self.whose(browser)
            self.assertEqual(self.whose(tab), zoe)
            self.assertEqual(zoe["id"], nobody["id"])
            self.do["smessage"] = count
            browser.send("again")
            self.wait(1.5)
            self.assertEqual((told(browser), told(tab)), ([], []))
            browser.server.session.pop("user")
            self.wait(1.5)
            self.assertEqual(self.whose(browser), nobody)
            self.assertEqual(self.whose(tab), nobody)
            for each in browser, tab:
                each.close()
            self.wait(2)

    def test_inCookie(self) -> None:
        """
        A session that lives in the cookie has a new id with each change, which
        says nothing.
        """
        self.put(user="Zoe")
        self.patch(self.manager.framework, "readOnly", True)
        self.serve()
        said = self.said(self.connect())[1]
        found = json.loads(said.partition(" ")[2])
        self.assertIsNone(found["id"])
        self.assertIsNotNone(found["identity"])

    def test_byApplication(self) -> None:
        """
        So is what the web application does, before anything that a handler says
        of it.
        """
        self.serve()
        self.do["schanged"] = lambda client, session, keys: client.send(keys)
        browser = self.connect()
        self.said(browser)
        self.put(user="Zoe")
        self.wait(1.5)
        self.assertEqual(browser.got[1], ["user"])
        self.assertIsNotNone(self.whose(browser)["identity"])

    def test_held(self) -> None:
        """
        Nobody hears of a login that is not stored.
        """
        self.put()
        self.serve(perMessage=True)
        browser = self.connect()
        self.said(browser)
        self.do["smessage"] = lambda client, message, session: session.update(user="Z")
        self.store.hold("replace")
        browser.send("log in")
        self.assertEqual(self.said(browser), [])
        self.store.release()
        self.wait()
        self.assertIsNotNone(self.whose(browser)["identity"])

    def test_identityFails(self) -> None:
        """
        Where nobody can say who it is, the client is not left in the dark.
        """
        self.serve()
        self.manager.framework._identity = lambda data: 1 // 0  # type: ignore[attr-defined]  # As a user's may.
        browser = self.connect()
        self.assertClosed(browser, 1011, "session failed")
        self.assertIsInstance(self.seen[0][1], ZeroDivisionError)

    def test_noSubprotocol(self) -> None:
        """
        A client that offers subprotocols of which none is chosen leaves a line
        in the log, since browsers leave without a word; not one each time, since
        anybody can do that.
        """
        self.serve()
        with capturedLogs() as logs:
            for _ in range(2):
                self.browse(protocols=["chat"])
        lines = (formatEvent(log) for log in logs if "log_format" in log)
        (said,) = (line for line in lines if line and "subprotocols" in line)
        self.assertIn("offered subprotocols and none was chosen", said)


class Texts(Recording):
    """
    What comes, as it is.
    """

    messages = Raw()


class Echo(WebSocketServerProtocol):
    """
    Knows nothing of sessions.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)
