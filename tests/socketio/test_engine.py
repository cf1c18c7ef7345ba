"""
Tests for L{txsessionsock.socketio.engine}: the life of a connection, by either
transport, and its heartbeat.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from weakref import ref

from tests.support.engines import PATH, Asked, EngineCase, Recording
from txsessionsock.limits import Limits
from txsessionsock.socketio.engine import refuseLimits
from txsessionsock.socketio.engineconnection import Stage


PING = "ping timeout"


class LifeTests(EngineCase):
    """
    Tests for connections by polling and by WebSocket, from their beginning to
    their end.
    """

    def test_polling(self) -> None:
        """
        What is sent is the answer to a poll; what is posted is received.
        """
        sid = self.begin(Cookie="a=b")
        (recording,) = self.made
        connection = recording.connection
        self.assertEqual(connection.request.headers["cookie"], ["a=b"])
        self.assertEqual(connection.transport, "polling")
        poll = self.poll(sid)
        self.assertIsNone(poll.answer)
        self.assertTrue(connection.isWritable)
        connection.send([(b"4hello", False), (b"\0\1", True)])
        connection.send([(b"4again", False)])
        self.turn()
        self.assertEqual(poll.body, b"4hello\x1ebAAE=\x1e4again")
        self.assertFalse(connection.isWritable)
        post = self.post(sid, "4one\x1ebAAE=\x1e4")
        self.assertEqual((post.code, post.body), (200, b"ok"))
        self.assertEqual(
            recording.messages, [(b"one", False), (b"\0\1", True), (b"", False)]
        )
        connection.send([(b"4later", False)])
        self.assertEqual(self.poll(sid).body, b"4later")
        self.post(sid, "1")
        self.assertLost(1000, "transport close")
        self.assertNothingLeft()

    def test_webSocket(self) -> None:
        """
        The same by WebSocket.
        """
        socket = self.socket(Cookie="a=b")
        (recording,) = self.made
        connection = recording.connection
        self.assertEqual(connection.request.headers["cookie"], ["a=b"])
        self.assertEqual(connection.transport, "websocket")
        self.assertTrue(socket.got[0].startswith(b'0{"sid":"'))
        self.assertIn(b'"upgrades":[]', socket.got[0])
        connection.send([(b"4hello", False), (b"\0\1", True)])
        self.assertEqual(socket.got[1:], [b"4hello", b"\0\1"])
        socket.send("4one", b"\0\1")
        self.assertEqual(recording.messages, [(b"one", False), (b"\0\1", True)])
        socket.close(1001)
        socket.wire.leave()
        self.assertLost(1001, "transport close")
        self.assertNothingLeft()

    def test_closedByUs(self) -> None:
        """
        What was sent before arrives first.  A connection that closes sends and
        receives nothing more.
        """
        for isPolled in False, True:
            sid = self.begin()
            poll = self.poll(sid) if isPolled else None
            connection = self.last.connection
            connection.send([(b"4bye", False)])
            connection.close(4401, "over")
            connection.send([(b"4late", False)])
            self.post(sid, "4late")
            self.turn()
            if poll is None:
                self.assertEqual(self.last.losses, [])
                poll = self.poll(sid)
            self.assertEqual(poll.body, b"4bye\x1e1")
            self.assertLost(4401, "forced close")
            self.assertEqual(self.last.messages, [])
            self.assertEqual(self.poll(sid).trouble, (400, 1))
        socket = self.socket()
        connection = self.last.connection
        connection.send([(b"4bye", False)])
        connection.close(4401, "over")
        connection.send([(b"4late", False)])
        socket.send("4late")
        self.assertEqual((socket.got[1:], socket.closed), ([b"4bye"], 4401))
        socket.close(4401)
        socket.wire.leave()
        self.assertLost(4401, "forced close")
        self.assertEqual(self.last.messages, [])
        self.assertNothingLeft()

    def test_closedWhilePaused(self) -> None:
        """
        Nobody resumes a connection that closes: what waits is let go, and does not
        hide the client's end.
        """
        for isAnswered in False, True:
            socket = self.socket()
            connection = self.last.connection
            connection.pause()
            socket.send("4a")
            connection.close(4401, "over")
            connection.pause()
            if isAnswered:
                socket.close(4401)
                self.turn()
                self.assertTrue(socket.wire.isGone)
            else:
                socket.wire.leave()
            self.assertLost(4401, "forced close")
            self.assertEqual(self.last.messages, [])
        sid = self.begin()
        connection = self.last.connection
        connection.pause()
        post = self.post(sid, "4a")
        connection.close(4401, "over")
        self.turn()
        self.assertEqual(post.body, b"ok")
        self.assertEqual(self.poll(sid).body, b"1")
        self.assertLost(4401, "forced close")
        self.assertEqual(self.last.messages, [])
        self.assertNothingLeft()

    def test_nobodyPolls(self) -> None:
        """
        A client that is not there to hear of the end is not waited for.
        """
        self.begin()
        self.last.connection.close(1001, "")
        self.turn(2)
        self.assertEqual(len(self.engine), 1)
        self.turn(1.25)
        self.assertLost(1001, "forced close")
        self.assertNothingLeft()

    def test_cut(self) -> None:
        """
        Nothing of what waits goes out; the connection is over at once, and told so
        later.
        """
        sid = self.begin()
        recording, connection = self.last, self.last.connection
        connection.send([(b"4hello", False)])
        connection.cut("a reason")
        connection.cut("again")
        connection.close(1000, "")
        self.assertEqual(recording.losses, [])
        self.assertIs(connection.stage, Stage.CLOSED)
        self.assertLost(1006, "transport error")
        self.assertEqual(self.poll(sid).trouble, (400, 1))
        sid = self.begin()
        poll = self.poll(sid)
        self.last.connection.send([(b"4hello", False)])
        self.last.connection.cut("a reason")
        self.assertEqual(poll.body, b"1")
        self.assertLost(1006, "transport error")
        socket = self.socket()
        self.last.connection.cut("a reason")
        self.assertTrue(socket.wire.isAborted)
        self.assertLost(1006, "transport error")
        self.assertNothingLeft()

    def test_senseless(self) -> None:
        """
        A packet that no client sends ends the connection, on both transports.
        """
        bad = ["abc", "9", "", "0", "2", "2probe", "3probe", "5", "6", "1x", "\x1e"]
        worse: list[str | bytes] = [*bad, "bA", "b!!!!", "4a\x1e", b"4\xff"]
        for packet in worse:
            sid = self.begin()
            poll = self.poll(sid)
            self.assertEqual(self.post(sid, packet).trouble, (400, 3))
            self.assertEqual(poll.body, b"1", packet)
            self.assertLost(1007, "parse error")
            self.assertEqual(self.poll(sid).trouble, (400, 1))
        for text in bad:
            socket = self.socket()
            socket.send(text)
            self.assertEqual(socket.closed, 1007)
            self.assertLost(1007, "parse error")
        self.assertNothingLeft()

    def test_clientCloses(self) -> None:
        """
        A client says that it closes: a poll that waits is answered.  What comes
        behind is not looked at.
        """
        sid = self.begin()
        poll = self.poll(sid)
        self.assertEqual(self.post(sid, "4a\x1e1").code, 200)
        self.assertEqual(poll.body, b"6")
        self.assertLost(1000, "transport close")
        self.assertEqual(self.last.texts, [b"a"])
        sid = self.begin()
        self.post(sid, "1\x1e4a")
        self.assertLost(1000, "transport close")
        self.assertEqual(self.last.texts, [])
        socket = self.socket()
        socket.send("4a", "1", "4b")
        self.assertEqual(socket.closed, 1000)
        self.assertLost(1000, "transport close")
        self.assertEqual(self.last.texts, [b"a"])
        self.assertNothingLeft()

    def test_twoPolls(self) -> None:
        """
        With two polls at a time the first is told of the end, and the second
        refused.
        """
        sid = self.begin()
        first, second = self.poll(sid), self.poll(sid)
        self.assertEqual(first.body, b"1")
        self.assertEqual(second.trouble, (400, 3))
        self.assertLost(1006, "transport error")
        self.assertEqual(self.poll(sid).trouble, (400, 1))
        self.assertNothingLeft()

    def test_twoPosts(self) -> None:
        """
        The same with posts, of which one may wait for us.
        """
        sid = self.begin()
        self.last.connection.pause()
        first = self.post(sid, "4a")
        self.assertIsNone(first.answer)
        self.assertEqual(self.post(sid, "4b").trouble, (400, 3))
        self.assertEqual(first.code, 400)
        self.assertLost(1006, "transport error")
        self.assertEqual(self.last.messages, [])
        self.assertNothingLeft()

    def test_halfPost(self) -> None:
        """
        A post that comes slowly is one, too: another one would overtake it.
        """
        for isLost in True, False:
            sid = self.begin()
            target = f"{PATH}?EIO=4&transport=polling&sid={sid}"
            head = self.head(target, "POST", **{"Content-Length": "2"})
            slow = Asked(self.wire(), head)
            slow.wire.receive(b"4")
            if isLost:
                slow.wire.leave()
            else:
                self.assertEqual(self.post(sid, "4b").trouble, (400, 3))
            self.assertLost(1006, "transport error")
            slow.wire.receive(b"a")
            self.assertEqual(self.last.messages, [])
        self.assertEqual(slow.trouble, (400, 1))
        sid = self.begin()
        target = f"{PATH}?EIO=4&transport=polling&sid={sid}"
        slow = Asked(self.wire(), self.head(target, "POST", **{"Content-Length": "2"}))
        other = Asked(self.wire(), self.head(target, "POST", **{"Content-Length": "2"}))
        self.assertLost(1006, "transport error")
        for each in slow, other:
            each.wire.receive(b"4a")
            self.assertEqual(each.trouble, (400, 1))
        sid = self.begin()
        target = f"{PATH}?EIO=4&transport=polling&sid={sid}"
        slow = Asked(self.wire(), self.head(target, "POST", **{"Content-Length": "2"}))
        slow.wire.receive(b"4a")
        self.assertEqual(slow.body, b"ok")
        self.assertEqual(self.post(sid, "4b").code, 200)
        self.assertEqual(self.last.texts, [b"a", b"b"])
        self.post(sid, "1")
        self.assertNothingLeft()

    def test_otherBodies(self) -> None:
        """
        A body that comes slowly with a request which is no post, or is refused, is in
        the way of no post that comes then.
        """
        for method, origin, code in (
            ("GET", "http://example.com", None),
            ("PUT", "http://example.com", 400),
            ("POST", "http://evil.example", 403),
        ):
            sid = self.begin()
            target = f"{PATH}?EIO=4&transport=polling&sid={sid}"
            headers = {"Content-Length": "2", "Origin": origin}
            slow = Asked(self.wire(), self.head(target, method, **headers))
            slow.wire.receive(b"4b")
            self.assertEqual(slow.code, code)
            self.assertEqual(self.post(sid, "4a").body, b"ok")
            self.assertEqual(self.last.texts, [b"a"])
            self.post(sid, "1")
        self.assertNothingLeft()

    def test_lost(self) -> None:
        """
        The client closes the connection on which a request of its waits.
        """
        sid = self.begin()
        self.poll(sid).wire.leave()
        self.assertLost(1006, "transport error")
        sid = self.begin()
        self.last.connection.pause()
        self.post(sid, "4a").wire.leave()
        self.assertLost(1006, "transport error")
        socket = self.socket()
        socket.wire.leave()
        self.assertLost(1006, "transport close")
        self.assertNothingLeft()

    def test_lostAfter(self) -> None:
        """
        A connection on which all was answered may be closed.
        """
        sid = self.begin()
        poll = self.poll(sid)
        self.last.connection.send([(b"4a", False)])
        self.turn()
        poll.wire.leave()
        self.post(sid, "4a").wire.leave()
        self.turn()
        self.assertEqual(self.last.losses, [])
        self.post(sid, "1")
        self.assertNothingLeft()

    def test_closesWhileReceiving(self) -> None:
        """
        Whoever receives may close, or cut: nothing more comes.
        """

        def close(recording: Recording, payload: bytes) -> None:
            recording.connection.close(1000, "")

        def cut(recording: Recording, payload: bytes) -> None:
            recording.connection.cut("a reason")

        for end in close, cut:
            sid = self.begin()
            self.last.do = end
            self.post(sid, "4a\x1e4b")
            self.poll(sid)
            self.turn()
            self.assertEqual(len(self.last.losses), 1)
            self.assertEqual(self.last.texts, [b"a"])
            socket = self.socket()
            self.last.do = end
            socket.send("4a", "4b")
            socket.close(1000)
            socket.wire.leave()
            self.turn()
            self.assertEqual(len(self.last.losses), 1)
            self.assertEqual(self.last.texts, [b"a"])
        self.assertNothingLeft()

    def test_closedWhenItComes(self) -> None:
        """
        Whoever is told of a new connection may close it.
        """

        def connected(connection: object) -> object:
            recording = EngineCase.connected(self, connection)  # type: ignore[arg-type]  # It is one.
            recording.connection.send([(b"4hello", False)])
            recording.connection.close(1001, "")
            return recording

        self.engine._connect = connected  # type: ignore[assignment]  # So.
        sid = self.begin()
        self.assertEqual(self.poll(sid).body, b"4hello\x1e1")
        self.assertLost(1001, "forced close")
        socket = self.socket()
        self.assertEqual((socket.got[1:], socket.closed), ([b"4hello"], 1001))
        self.assertNothingLeft()

    def test_names(self) -> None:
        """
        A connection has a name that nobody can guess.
        """
        names = {self.begin() for _ in range(20)}
        self.assertEqual(len(names), 20)
        for name in names:
            self.assertRegex(name, r"\A[A-Za-z0-9_-]{27}\Z")


class FreedTests(EngineCase):
    """
    Tests for what is left of a connection that is over.
    """

    def assertFreed(self, end: Callable[[str], object], *, isSocket: bool) -> None:
        """
        A connection is freed when it is over, without the garbage collector.
        """
        gc.collect()
        gc.disable()
        try:
            if isSocket:
                self.socket()
                sid = self.last.connection.sid
            else:
                sid = self.begin()
            find = ref(self.last.connection)
            end(sid)
            for wire in self.wires:
                wire.leave()
            self.turn(50)
            self.wires.clear()
            (recording,) = self.made
            self.assertEqual(len(recording.losses), 1)
            del recording, wire
            self.made.clear()
            self.assertIsNone(find())
        finally:
            gc.enable()
        self.assertNothingLeft()

    def test_each(self) -> None:
        """
        However it ends.
        """

        def asks(*bodies: str) -> Callable[[str], None]:
            def ask(sid: str) -> None:
                for body in bodies:
                    self.post(sid, body)

            return ask

        def waits(sid: str) -> None:
            self.last.connection.send([(b"4" + b"x" * 200_000, False)])
            wire = self.wire()
            wire.isRead = False
            self.poll(sid, wire=wire)

        def pauses(sid: str) -> None:
            self.last.connection.pause()
            self.post(sid, "4a")

        def probes(sid: str) -> None:
            self.socket(sid).send("2probe")

        def closes(sid: str) -> None:
            self.last.connection.send([(b"4a", False)])
            self.last.connection.close(1001, "")

        def cuts(sid: str) -> None:
            self.last.connection.cut("a reason")

        for end in (
            *(self.poll, self.upgraded, self.socket, asks("1"), asks("4a", "abc")),
            *(waits, pauses, probes, closes, cuts),
        ):
            self.assertFreed(end, isSocket=False)
        for end in self.socket, closes, cuts:
            self.assertFreed(end, isSocket=True)


class HeartTests(EngineCase):
    """
    Tests for the heartbeat.
    """

    limits = Limits(pingInterval=0.3, pingTimeout=0.2)

    def test_announced(self) -> None:
        """
        The client is told of both times, in milliseconds.
        """
        body = self.ask("EIO=4&transport=polling").body
        assert body is not None
        self.assertIn(b'"upgrades":["websocket"]', body)
        self.assertIn(b'"pingInterval":300,"pingTimeout":200', body)
        self.assertIn(b'"maxPayload":1048576', body)

    def test_none(self) -> None:
        """
        It does not work without pings.
        """
        with self.assertRaisesRegex(ValueError, "right is a number of seconds"):
            refuseLimits(Limits(pingInterval=0))
        refuseLimits(Limits())

    def test_polling(self) -> None:
        """
        A client that answers stays; one that does not is gone after both times,
        to the tick.
        """
        sid = self.begin()
        for _ in range(3):
            poll = self.poll(sid)
            self.clock.advance(0.29)
            self.assertIsNone(poll.answer)
            self.clock.advance(0.01)
            self.clock.advance(0)
            self.assertEqual(poll.body, b"2")
            self.clock.advance(0.19)
            self.post(sid, "3")
        poll = self.poll(sid)
        self.clock.advance(0.3)
        self.clock.advance(0)
        silent = self.poll(sid)
        self.clock.advance(0.19)
        self.assertIsNone(silent.answer)
        self.clock.advance(0.011)
        self.assertEqual(silent.body, b"1")
        self.assertLost(1006, PING)
        self.assertEqual(self.poll(sid).trouble, (400, 1))
        self.assertNothingLeft()

    def test_webSocket(self) -> None:
        """
        The same by WebSocket.
        """
        socket = self.socket()
        for i in range(3):
            self.clock.advance(0.3)
            self.assertEqual(socket.got[1:], [b"2"] * (i + 1))
            self.clock.advance(0.19)
            socket.send("3")
        self.clock.advance(0.3)
        self.clock.advance(0.19)
        self.assertFalse(socket.wire.isAborted)
        self.clock.advance(0.011)
        self.assertTrue(socket.wire.isAborted)
        self.assertLost(1006, PING)
        self.assertNothingLeft()

    def test_closing(self) -> None:
        """
        A connection that closes is pinged no more.
        """
        sid = self.begin()
        self.clock.advance(0.3)
        self.assertEqual(self.poll(sid).body, b"2")
        self.last.connection.close(1001, "")
        self.post(sid, "3")
        self.turn(1)
        self.assertEqual(self.poll(sid).body, b"1")
        self.assertNothingLeft()

    def test_late(self) -> None:
        """
        A reactor that is late gives a client no more time.
        """
        self.begin()
        self.clock.advance(0.45)
        self.assertEqual(self.last.losses, [])
        self.clock.advance(0.051)
        self.assertLost(1006, PING)

    def test_unasked(self) -> None:
        """
        A pong that nobody asked for means nothing.
        """
        self.begin()
        sid = self.last.connection.sid
        self.clock.advance(0.2)
        self.post(sid, "3")
        self.clock.advance(0.101)
        self.assertEqual(self.poll(sid).body, b"2")

    def test_nobodyPolls(self) -> None:
        """
        A client that never polls is gone after both times.
        """
        self.begin()
        self.clock.advance(0.3)
        self.clock.advance(0.201)
        self.assertLost(1006, PING)
        self.assertNothingLeft()

    def test_paused(self) -> None:
        """
        While we do not read, a pong may wait for us.  The client is pinged all the
        same, for it has a time of its own.
        """
        sid = self.begin()
        self.last.connection.pause()
        poll = self.poll(sid)
        self.turn(0.5)
        self.assertEqual(poll.body, b"2")
        post = self.post(sid, "3")
        self.assertIsNone(post.answer)
        for _ in range(5):
            poll = self.poll(sid)
            self.turn(0.25)
            self.assertEqual(poll.body, b"2")
        self.last.connection.resume()
        self.clock.advance(0.0)
        self.assertEqual(post.body, b"ok")
        socket = self.socket()
        self.last.connection.pause()
        self.turn(2)
        self.assertGreater(socket.got[1:].count(b"2"), 5)
        self.last.connection.resume()
        self.turn(0.75)
        self.assertLost(1006, PING)

    def test_pausedAndGone(self) -> None:
        """
        A client that does not poll meanwhile is not there any more.
        """
        for isPolled in False, True:
            sid = self.begin()
            self.last.connection.pause()
            if isPolled:
                self.poll(sid)
            self.turn(0.5)
            self.assertEqual(self.last.losses, [] if isPolled else [(1006, PING)])
            self.turn(0.5)
            self.assertLost(1006, PING)
        self.assertNothingLeft()

    def test_upgraded(self) -> None:
        """
        The heartbeat goes on as it was when the client goes over, also with a ping
        that waited.
        """
        sid = self.begin()
        self.clock.advance(0.3)
        socket = self.upgraded(sid)
        self.assertEqual(socket.got, [b"3probe", b"2"])
        self.clock.advance(0.19)
        socket.send("3")
        self.clock.advance(0.29)
        self.assertEqual(socket.got[2:], [])
        self.clock.advance(0.011)
        self.assertEqual(socket.got[2:], [b"2"])
        self.clock.advance(0.201)
        self.assertLost(1006, PING)
        self.assertNothingLeft()
