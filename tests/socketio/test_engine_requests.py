"""
Tests for L{txsessionsock.socketio.resource} and
L{txsessionsock.socketio.answers}: what is refused, and how it is answered.
"""

from __future__ import annotations

from gzip import decompress
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.support.engines import PATH, Asked, EngineCase, Socket
from txsessionsock.forwarded import Proxies
from txsessionsock.interfaces import SessionError
from txsessionsock.limits import Limits
from txsessionsock.socketio import SocketIO, SocketIOResource
from txsessionsock.web import SessionedResource


GOOD = "EIO=4&transport=polling"

OWN = "http://example.com"

LISTED = "https://app.example.org"


class RefusedTests(EngineCase):
    """
    Tests for requests that are none of Engine.IO 4.
    """

    def lines(self, query: str, **headers: str) -> tuple[Asked, list[str]]:
        """
        Make a request.

        @return: It, and what was logged.
        """
        with capturedLogs() as logs:
            asked = self.ask(query, **headers)
        return asked, [formatEvent(each) for each in logs]

    def test_troubles(self) -> None:
        """
        Each is told what is wrong, as JSON.
        """
        sid = self.begin()
        socket = self.socket()
        its = self.last.connection.sid
        for method, query, trouble in (
            ("GET", "", (400, 0)),
            ("GET", "EIO=4", (400, 0)),
            ("GET", "EIO=4&transport=abc", (400, 0)),
            ("GET", f"{GOOD}&transport=polling", (400, 0)),
            ("GET", "transport=polling", (400, 5)),
            ("GET", "EIO=abc&transport=polling", (400, 5)),
            ("GET", "EIO=3&transport=websocket", (400, 5)),
            ("GET", f"{GOOD}&sid=abc", (400, 1)),
            ("GET", f"{GOOD}&sid=", (400, 1)),
            ("GET", f"{GOOD}&sid={sid}&sid={sid}", (400, 1)),
            ("GET", f"{GOOD}&sid=%FF%00", (400, 1)),
            ("POST", f"{GOOD}&sid=abc", (400, 1)),
            ("POST", GOOD, (400, 2)),
            ("PUT", GOOD, (400, 2)),
            ("DELETE", GOOD, (400, 2)),
            ("PUT", f"{GOOD}&sid={sid}", (400, 3)),
            ("GET", f"{GOOD}&sid={its}", (400, 3)),
            ("POST", f"{GOOD}&sid={its}", (400, 3)),
            ("GET", "EIO=4&transport=websocket", (400, 3)),
            ("GET", f"EIO=4&transport=websocket&sid={sid}", (400, 3)),
            ("POST", "EIO=4&transport=websocket", (400, 2)),
        ):
            asked = self.ask(query, method)
            self.assertEqual(asked.trouble, trouble, (method, query))
            assert asked.answer is not None
            self.assertEqual(asked.answer.headers["content-type"], ["application/json"])
            self.assertEqual(asked.answer.headers["cache-control"], ["no-store"])
        self.assertEqual(self.ask(GOOD, "HEAD").code, 400)
        self.turn()
        self.assertEqual([each.losses for each in self.made], [[], []])
        self.last.connection.send([(b"4a", False)])
        self.assertEqual(socket.got[1:], [b"4a"])

    def test_queueKept(self) -> None:
        """
        A request for a WebSocket that asks for no upgrade takes nothing of what
        waits.
        """
        sid = self.begin()
        self.last.connection.send([(b"4a", False)])
        self.ask(f"EIO=4&transport=websocket&sid={sid}")
        self.assertEqual(self.poll(sid).body, b"4a")

    def test_sockets(self) -> None:
        """
        The same for WebSockets: a plain answer, and no WebSocket.
        """
        for query, status in (
            ("", 400),
            ("EIO=3&transport=websocket", 400),
            ("transport=websocket", 400),
            ("EIO=4&transport=websocket&sid=abc", 400),
        ):
            socket = Socket(self.wire(), self.upgrade(f"{PATH}?{query}"))
            self.assertEqual(socket.status, status)
        self.assertEqual(self.made, [])
        self.assertEqual(self.engine.factory.countConnections, 0)

    def test_old(self) -> None:
        """
        An old client is told of in the log, with what is right.
        """
        for query in "EIO=3&transport=polling", "transport=polling":
            self.serve()
            asked, lines = self.lines(query)
            self.assertEqual(asked.trouble, (400, 5))
            (line,) = lines
            self.assertIn("right is socket.io-client 3 or later, such as 4.x", line)
            self.assertEqual(self.lines(query)[1], [])

    def test_plain(self) -> None:
        """
        So is a plain WebSocket.
        """
        with capturedLogs() as logs:
            Socket(self.wire(), self.upgrade(PATH))
        (line,) = [formatEvent(each) for each in logs]
        self.assertIn("right is the client of Socket.IO, or new SessionSocket", line)

    def test_place(self) -> None:
        """
        The place has no slash at its end, or one; nothing else is below it, which no
        cache keeps.
        """
        for path, code in (
            ("/socket.io", 200),
            ("/socket.io/", 200),
            ("/socket.io//", 404),
            ("/socket.io/abc", 404),
            ("/other", 404),
        ):
            answer = self.ask(GOOD, path=path).answer
            assert answer is not None
            self.assertEqual(answer.code, code, path)
            if path != "/other":
                self.assertEqual(answer.headers["cache-control"], ["no-store"])
        with self.assertRaises(ValueError):
            self.resource.putChild(b"a", Resource())

    def test_withoutSessions(self) -> None:
        """
        A server without sessions is not served; neither is one among pages with
        sessions, which open their own for each request.
        """
        with self.assertRaisesRegex(SessionError, "right is enable"):
            SocketIOResource(SocketIO())
        self.site.resource = SessionedResource(self.root, self.manager)
        self.assertEqual(self.ask(GOOD).code, 500)
        (error,) = self.flushLoggedErrors(SessionError)
        self.assertIn("right is a SocketIOResource beside", str(error.value))

    def test_turns(self) -> None:
        """
        Of very many clients that come at once, each waits for its turn; those that are
        there do not wait for them.
        """
        sid = self.begin()
        poll = self.poll(sid)
        self.post(sid, "4a")
        self.engine.equipment.turns._spent = 0.01
        asked = [self.ask(GOOD) for _ in range(10)]
        self.assertEqual([each.answer for each in asked], [None] * 10)
        self.assertEqual(self.post(sid, "4b").body, b"ok")
        self.assertEqual(self.made[0].messages, [(b"a", False), (b"b", False)])
        self.turn()
        self.assertEqual([each.code for each in asked], [200] * 10)
        self.assertIsNone(poll.answer)

    def test_leavesBefore(self) -> None:
        """
        One that leaves while it waits is forgotten; one that still waits when the
        server is about to end is told so; and what goes wrong is answered.
        """
        turns = self.engine.equipment.turns
        turns._spent = 0.01
        self.ask(GOOD).wire.leave()
        self.turn()
        self.assertEqual(self.made, [])
        turns._spent = 0.01
        late = self.ask(GOOD)
        self.engine.isGoingAway = True
        self.turn()
        self.assertEqual(late.code, 503)
        self.engine.isGoingAway = False
        turns._spent = 0.01
        broken = self.ask(GOOD)
        self.patch(self.engine, "opened", lambda *_: 1 // 0)
        self.turn()
        self.assertEqual(broken.code, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNothingLeft()

    def test_firstPost(self) -> None:
        """
        What a client says first waits, too: it opens a session.
        """
        sid = self.begin()
        self.engine.equipment.turns._spent = 0.01
        first = self.post(sid, "4a")
        self.assertIsNone(first.answer)
        self.turn()
        self.assertEqual(first.body, b"ok")

    def test_goingAway(self) -> None:
        """
        A server that ends takes no new clients.  Those that are there are answered.
        """
        sid = self.begin()
        self.engine.isGoingAway = True
        self.assertEqual(self.ask(GOOD).code, 503)
        socket = Socket(self.wire(), self.upgrade(f"{PATH}?EIO=4&transport=websocket"))
        self.assertEqual(socket.status, 503)
        poll = self.poll(sid)
        self.assertIsNone(poll.answer)
        self.last.connection.close(1001, "")
        self.assertEqual(poll.body, b"1")


class OriginTests(EngineCase):
    """
    Tests for which pages may ask, and may read the answers.
    """

    origins = (LISTED,)

    def cors(self, asked: Asked) -> tuple[Any, ...]:
        """
        What an answer says of who may read it.
        """
        assert asked.answer is not None
        headers = asked.answer.headers
        names = "access-control-allow-origin", "access-control-allow-credentials"
        return tuple(headers.get(name) for name in (*names, "vary"))

    def test_listed(self) -> None:
        """
        A page of a listed origin reads each answer, with the user's cookies, also
        those that say what is wrong.
        """
        wants = [LISTED], ["true"], ["Origin"]
        sid = self.begin(Origin=LISTED)
        self.assertEqual(self.cors(self.ask(GOOD, Origin=LISTED)), wants)
        self.assertEqual(self.cors(self.ask("", Origin=LISTED)), wants)
        self.assertEqual(self.cors(self.post(sid, "4a", Origin=LISTED)), wants)
        self.assertEqual(self.cors(self.post(sid, "abc", Origin=LISTED)), wants)

    def test_own(self) -> None:
        """
        The own pages need nothing of that, nor do clients that are no pages.
        """
        for headers in {"Origin": OWN}, {}, {"Sec-Fetch-Site": "same-origin"}:
            asked = self.ask(GOOD, **headers)
            self.assertEqual(asked.code, 200)
            self.assertEqual(self.cors(asked), (None, None, None))

    def test_others(self) -> None:
        """
        All others are refused, whatever they ask, and may read nothing.
        """
        sid = self.begin()
        poll = self.poll(sid)
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://example.com:81"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "Same-Site"},
        ):
            for query, method in (
                (GOOD, "GET"),
                (f"{GOOD}&sid={sid}", "GET"),
                (f"{GOOD}&sid={sid}", "POST"),
                ("", "GET"),
                (GOOD, "OPTIONS"),
            ):
                body = "4a" if method == "POST" else None
                asked = self.ask(query, method, body, **headers)
                self.assertEqual(asked.trouble, (403, 4))
                self.assertEqual(self.cors(asked), (None, None, None))
            for target in "", f"&sid={sid}":
                query = f"EIO=4&transport=websocket{target}"
                socket = Socket(self.wire(), self.upgrade(f"{PATH}?{query}", **headers))
                self.assertEqual(socket.status, 403)
        self.assertIsNone(poll.answer)
        self.assertEqual(len(self.made), 1)
        self.assertEqual(self.last.messages, [])

    def test_log(self) -> None:
        """
        The log says which page, and what is right.
        """
        with capturedLogs() as logs:
            self.ask(GOOD, Origin="https://evil.example")
            self.ask(GOOD, **{"Sec-Fetch-Site": "cross-site"})
        first, second = [formatEvent(each) for each in logs]
        self.assertIn("'https://evil.example', which is not listed in origins", first)
        self.assertIn("without Origin", second)

    def test_preflight(self) -> None:
        """
        A listed page may ask first, and send headers.
        """
        headers = {
            "Origin": LISTED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-own",
        }
        answer = self.ask(GOOD, "OPTIONS", **headers).answer
        assert answer is not None
        self.assertEqual((answer.code, answer.body), (204, b""))
        found = answer.headers
        self.assertEqual(found["access-control-allow-methods"], ["GET, POST"])
        self.assertEqual(found["access-control-allow-headers"], ["content-type, x-own"])
        self.assertEqual(found["access-control-allow-origin"], [LISTED])
        answer = self.ask(GOOD, "OPTIONS", Origin=OWN).answer
        assert answer is not None
        self.assertEqual(answer.code, 204)
        self.assertNotIn("access-control-allow-methods", answer.headers)
        self.assertEqual(self.made, [])

    def test_webSocket(self) -> None:
        """
        WebSockets of both are accepted.
        """
        for origin in OWN, LISTED:
            self.assertEqual(self.socket(Origin=origin).status, 101)


class AnswerTests(EngineCase):
    """
    Tests for the answers themselves.
    """

    def test_headers(self) -> None:
        """
        Nobody keeps them, takes them for something else, or gets a cookie.
        """
        sid = self.begin()
        self.last.connection.send([(b"4<script>", False)])
        for asked in self.ask(GOOD), self.poll(sid), self.post(sid, "4a"):
            assert asked.answer is not None
            headers = asked.answer.headers
            self.assertEqual(headers["content-type"], ["text/plain; charset=UTF-8"])
            self.assertEqual(headers["cache-control"], ["no-store"])
            self.assertEqual(headers["x-content-type-options"], ["nosniff"])
            self.assertEqual(headers["content-length"], [str(len(asked.body or b""))])
            for name in "set-cookie", "server", "transfer-encoding", "vary":
                self.assertNotIn(name, headers)

    def test_gzip(self) -> None:
        """
        Large answers are compressed for clients that take that.
        """
        sid = self.begin()
        large, small = b"4" + b"x" * 5000, b"4" + b"x" * 500
        for message, accepts, isSmaller in (
            (large, "gzip, deflate", True),
            (large, "br;q=1.0, GZIP;q=0.5", True),
            (large, "gzip; q=0", False),
            (large, "gzip;q=0.000", False),
            (large, "br", False),
            (small, "gzip", False),
        ):
            self.last.connection.send([(message, False)])
            answer = self.poll(sid, Accept_Encoding=accepts).answer
            assert answer is not None
            body = answer.body
            if isSmaller:
                self.assertEqual(answer.headers["content-encoding"], ["gzip"])
                self.assertLess(len(body), 500)
                body = decompress(body)
            else:
                self.assertNotIn("content-encoding", answer.headers)
            self.assertEqual(body, message)
        self.last.connection.send([(large, False)])
        self.assertEqual(self.poll(sid).body, large)

    def test_keptAlive(self) -> None:
        """
        Requests of one client may come on one connection, in one go.
        """
        sid = self.begin()
        wire = self.wire()
        target = f"{PATH}?{GOOD}&sid={sid}"
        post = self.head(target, "POST", **{"Content-Length": "2"}) + b"4a"
        self.last.connection.send([(b"4x", False)])
        get = self.head(target)
        asked = Asked(wire, get + post + get)
        self.assertEqual(asked.body, b"4x")
        self.turn()
        self.turn()
        self.assertEqual(self.last.texts, [b"a"])
        self.last.connection.send([(b"4y", False)])
        self.turn()
        self.assertTrue(wire.value().endswith(b"\r\n\r\n4y"))
        wire.leave()
        self.turn()
        self.assertEqual(self.last.losses, [])


class SizeTests(EngineCase):
    """
    Tests for posts and messages of many bytes.
    """

    limits = Limits(messageSize=1000, bodySize=100)

    def chunked(self, sid: str) -> bytes:
        """
        The head of a post whose length is not said.
        """
        headers = {"Transfer-Encoding": "chunked"}
        return self.head(f"{PATH}?{GOOD}&sid={sid}", "POST", **headers)

    def test_largest(self) -> None:
        """
        The largest message arrives, also in chunks.
        """
        sid = self.begin()
        self.assertEqual(self.post(sid, "4" + "x" * 999).code, 200)
        body = b"2e8;a=b\r\n" + b"4" + b"x" * 743 + b"\r\n100\r\n" + b"y" * 256
        asked = Asked(self.wire(), self.chunked(sid) + body + b"\r\n0\r\n\r\n")
        self.assertEqual(asked.code, 200)
        self.assertEqual([len(each) for each in self.last.texts], [999, 999])

    def test_tooLarge(self) -> None:
        """
        One more byte is refused: before it comes where the length is said, and as
        it comes in chunks.
        """
        sid = self.begin()
        for path in "/socket.io/", "/socket.io", "/socket.io/?a":
            headers = {"Content-Length": "1001"}
            asked = Asked(self.wire(), self.head(path, "POST", **headers))
            self.assertEqual(asked.code, 413)
        wire = self.wire()
        asked = Asked(wire, self.chunked(sid) + b"3e8\r\n4" + b"x" * 999 + b"\r\n")
        self.assertIsNone(asked.answer)
        wire.receive(b"1\r\nx")
        self.assertEqual(asked.code, 413)
        self.assertEqual(self.last.losses, [])
        wire.leave()
        self.assertLost(1006, "transport error")
        self.assertEqual(self.last.messages, [])

    def test_plainSite(self) -> None:
        """
        A plain site is warned of, once; there, the whole body comes first.
        """
        self.site = Site(self.root, reactor=self.clock, timeout=None)
        with capturedLogs() as logs:
            sid = self.begin()
            self.begin()
            self.socket()
        lines = [formatEvent(each) for each in logs]
        self.assertEqual(
            sum("right is txsessionsock.BoundedSite" in x for x in lines), 1
        )
        self.assertEqual(self.post(sid, "4" + "x" * 1000).trouble, (413, 3))
        self.assertEqual(self.post(sid, "4" + "x" * 999).code, 200)

    def test_webSocket(self) -> None:
        """
        A message that is too large closes with the code for that.
        """
        socket = self.socket()
        socket.send("4" + "x" * 999)
        self.assertEqual([len(each) for each in self.last.texts], [999])
        socket.send("4" + "x" * 1000)
        self.assertEqual(socket.closed, 1009)
        socket.close(1009)
        socket.wire.leave()
        self.turn()
        ((code, _),) = self.last.losses
        self.assertEqual(code, 1009)
        self.assertNothingLeft()


class AdmissionTests(EngineCase):
    """
    Tests for how many clients there may be.
    """

    limits = Limits(maxConnections=2, pingInterval=1, pingTimeout=1)

    def test_most(self) -> None:
        """
        Clients by polling count as those by WebSocket do.  When one leaves, another
        may come.
        """
        sid = self.begin()
        socket = self.socket()
        with capturedLogs() as logs:
            asked = self.ask(GOOD)
        self.assertIn("--max-connections", formatEvent(logs[0]))
        assert asked.answer is not None
        self.assertEqual(asked.code, 503)
        self.assertEqual(asked.answer.headers["retry-after"], ["5"])
        self.assertEqual(self.socket().status, 503)
        self.post(sid, "1")
        self.assertEqual(self.ask(GOOD).code, 200)
        socket.wire.leave()
        self.turn()
        self.assertEqual(self.ask(GOOD).code, 200)
        self.assertEqual(self.ask(GOOD).code, 503)
        self.turn(2.25)
        self.assertEqual(self.ask(GOOD).code, 200)
        self.turn(2.25)
        self.assertNothingLeft()

    def test_upgrades(self) -> None:
        """
        A client goes over also where nobody else may come.
        """
        first, second = self.begin(), self.begin()
        for sid in first, second:
            socket = self.upgraded(sid)
            self.assertEqual((socket.status, socket.closed), (101, None))
        self.assertEqual(self.socket(first).status, 503)
        self.assertEqual(self.ask(GOOD).code, 503)

    def test_failed(self) -> None:
        """
        A client that cannot be connected takes no place.
        """

        def connect(connection: object) -> object:
            raise ZeroDivisionError

        self.engine._connect = connect  # type: ignore[assignment]  # So.
        for _ in range(3):
            self.assertEqual(self.ask(GOOD).code, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.socket().closed, 1011)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNothingLeft()


class AddressTests(EngineCase):
    """
    Tests for how many clients one address may have.
    """

    limits = Limits(perAddress=1)
    trustProxy = Proxies()

    def test_each(self) -> None:
        """
        It is the client's, as the proxy says.
        """
        for address in "192.0.2.1", "192.0.2.2":
            self.begin(X_Forwarded_For=address)
            asked = self.ask(GOOD, X_Forwarded_For=address)
            self.assertEqual(asked.code, 429)
        self.assertEqual(self.last.connection.request.client, "192.0.2.2")
