"""
Tests for L{txsessionsock.socketio.polling}: bounds on what waits, in both
directions.
"""

from __future__ import annotations

from typing import Any

from tests.support.engines import PATH, EngineCase
from tests.support.pages import parse
from txsessionsock.limits import Limits
from txsessionsock.socketio.engineconnection import Stage


GOOD = "EIO=4&transport=polling"


def message(size: int) -> tuple[bytes, bool]:
    """
    One of so many bytes.
    """
    return b"4" + b"x" * (size - 1), False


class OutTests(EngineCase):
    """
    Tests for clients that do not poll, or do not read.
    """

    limits = Limits(
        unsentBytes=100_000, messageSize=50_000, unsentTimeout=10, pingInterval=100
    )

    def test_full(self) -> None:
        """
        More than there may wait is told as soon as there is room again.  Meanwhile
        nothing is read.
        """
        sid = self.begin()
        recording, connection = self.last, self.last.connection
        connection.send([message(50_000)])
        self.assertEqual(connection.unsent, 50_064)
        self.post(sid, "4a")
        self.assertEqual(recording.texts, [b"a"])
        connection.send([message(50_000)])
        self.assertGreater(connection.unsent, 100_000)
        self.assertLess(connection.unsent, connection.mostUnsent)
        post = self.post(sid, "4b")
        self.turn(9)
        self.assertIsNone(post.answer)
        self.assertEqual(recording.reliefs, 0)
        poll = self.poll(sid)
        self.turn()
        self.assertEqual(len(poll.body or b""), 100_001)
        self.assertEqual((recording.reliefs, connection.unsent), (1, 0))
        self.assertEqual(post.body, b"ok")
        self.assertEqual(recording.texts, [b"a", b"b"])
        self.turn(20)
        self.assertEqual(recording.losses, [])
        self.post(sid, "1")
        self.assertNothingLeft()

    def test_late(self) -> None:
        """
        A client that does not poll for too long is cut off.
        """
        sid = self.begin()
        self.last.connection.send([message(50_000)] * 2)
        self.turn(9.75)
        self.assertEqual(self.last.losses, [])
        self.turn(0.25)
        self.assertLost(1006, "transport error")
        self.assertEqual(self.poll(sid).trouble, (400, 1))
        self.assertNothingLeft()

    def test_most(self) -> None:
        """
        One that is sent more than may wait is cut off at once; a message of the
        largest size may wait beside all others.
        """
        self.begin()
        connection = self.last.connection
        connection.send([message(25_000)] * 3 + [message(24_800)])
        connection.send([message(5_000)] * 10)
        self.assertIsNot(connection.stage, Stage.CLOSED)
        connection.send([message(1_000)])
        self.assertIs(connection.stage, Stage.CLOSED)
        self.assertLost(1006, "transport error")
        self.assertEqual(connection.unsent, 0)

    def test_small(self) -> None:
        """
        Each packet counts more than its payload: thousands of empty ones are no
        way around the bound.
        """
        self.begin()
        connection = self.last.connection
        for _ in range(2500):
            connection.send([(b"4", False)])
        self.assertIs(connection.stage, Stage.CLOSED)

    def test_polled(self) -> None:
        """
        While a client polls, what is sent in one go does not wait as a whole.
        """
        sid = self.begin()
        poll = self.poll(sid)
        connection = self.last.connection
        for _ in range(4):
            connection.send([message(30_000)])
        self.turn()
        self.assertEqual(len(poll.body or b""), 90_002)
        self.assertEqual(len(self.poll(sid).body or b""), 30_000)

    def test_inTheMidst(self) -> None:
        """
        Whoever sends, closes or cuts is not interrupted by the request that comes
        next on the connection of an answer.
        """
        for end in (
            lambda connection: connection.send([message(40_000)] * 2),
            lambda connection: connection.close(1001, ""),
            lambda connection: connection.cut("a reason"),
        ):
            first, second = self.begin(), self.begin()
            its, other = self.made[-2], self.made[-1]
            wire = self.wire()
            poll = self.poll(first, wire=wire)
            self.post(second, "4a", wire=wire)
            end(its.connection)
            self.assertEqual(other.messages, [])
            self.assertEqual(poll.code, 200)
            self.turn()
            self.assertEqual(other.texts, [b"a"])
            self.post(first, "1")
            self.post(second, "1")
        self.assertNothingLeft()

    def test_slow(self) -> None:
        """
        An answer goes out as fast as the client reads; what is left counts.
        """
        sid = self.begin()
        recording, connection = self.last, self.last.connection
        connection.send([message(50_000)] * 2 + [message(49_000)])
        wire = self.wire()
        wire.isRead = False
        poll = self.poll(sid, wire=wire)
        self.assertEqual(recording.reliefs, 1)
        rest = connection.unsent
        self.assertEqual(rest, 149_002 - 65_536)
        connection.send([message(30_000)])
        self.assertEqual(connection.unsent, rest + 30_064)
        self.assertFalse(connection.isWritable)
        self.turn(1)
        wire.readOn()
        self.turn()
        self.assertEqual(len(poll.body or b""), 149_002)
        self.assertEqual(recording.reliefs, 2)
        self.assertEqual(connection.unsent, 30_064)
        self.assertEqual(len(self.poll(sid).body or b""), 30_000)
        self.turn(20)
        self.assertEqual(recording.losses, [])
        self.post(sid, "1")
        self.assertNothingLeft()

    def test_notRead(self) -> None:
        """
        A client that reads nothing of its answer is cut off, and what is left is
        freed.  It cannot poll again meanwhile.
        """
        for isAgain in False, True:
            sid = self.begin()
            connection = self.last.connection
            connection.send([message(50_000)] * 2)
            connection.send([message(49_000)])
            wire = self.wire()
            wire.isRead = False
            self.poll(sid, wire=wire)
            connection.send([message(50_000)])
            if isAgain:
                self.assertEqual(self.poll(sid).trouble, (400, 3))
            else:
                self.turn(10)
            self.assertTrue(wire.isAborted)
            self.assertLost(1006, "transport error")
            self.assertEqual(connection.unsent, 0)
        self.assertNothingLeft()

    def test_pipelined(self) -> None:
        """
        Polls that a client sends ahead are answered only as it reads.
        """
        sid = self.begin()
        connection = self.last.connection
        wire = self.wire()
        target = f"{PATH}?{GOOD}&sid={sid}"
        wire.isRead = False
        wire.receive(self.head(target) * 5)
        for _ in range(5):
            connection.send([message(30_000)])
            self.turn()
        self.assertLess(len(wire.value()), 100_000)
        self.assertGreater(connection.unsent, 100_000)
        wire.readOn()
        self.turn()
        for _ in range(9):
            wire.readOn()
        self.assertEqual(connection.unsent, 0)
        bodies = b"".join(each.body for each in parse(wire.value()))
        self.assertEqual(bodies.count(b"4x"), 5)

    def test_lostWhileSent(self) -> None:
        """
        A client that leaves in the middle of its answer is gone.
        """
        sid = self.begin()
        self.last.connection.send([message(50_000)] * 2)
        wire = self.wire()
        wire.isRead = False
        self.poll(sid, wire=wire)
        wire.leave()
        self.assertLost(1006, "transport error")
        self.assertNothingLeft()

    def test_closesWhileSent(self) -> None:
        """
        An end that comes meanwhile is for the next poll.
        """
        sid = self.begin()
        connection = self.last.connection
        connection.send([message(50_000)] * 2)
        wire = self.wire()
        wire.isRead = False
        poll = self.poll(sid, wire=wire)
        connection.close(1001, "")
        self.turn(1)
        wire.readOn()
        self.assertEqual(len(poll.body or b""), 100_001)
        self.assertEqual(self.poll(sid).body, b"1")
        self.assertLost(1001, "forced close")
        self.assertNothingLeft()

    def test_upgraded(self) -> None:
        """
        What waits by polling goes out by WebSocket, and there is room again.
        """
        sid = self.begin()
        recording, connection = self.last, self.last.connection
        connection.send([message(50_000)] * 2)
        socket = self.upgraded(sid)
        self.assertEqual([len(x) for x in socket.got], [6, 50_000, 50_000])
        self.assertEqual((recording.reliefs, connection.unsent), (1, 0))
        self.turn(20)
        self.assertEqual(recording.losses, [])
        socket.wire.leave()
        self.assertNothingLeft()

    def test_webSocket(self) -> None:
        """
        By WebSocket as well.
        """
        socket = self.socket()
        recording, connection = self.last, self.last.connection
        socket.wire.isRead = False
        self.assertTrue(connection.isWritable)
        connection.send([message(50_000)])
        # The transport has it, and is full.
        self.assertEqual(connection.unsent, 0)
        self.assertFalse(connection.isWritable)
        connection.send([message(50_000)] * 2)
        self.assertGreater(connection.unsent, 90_000)
        self.assertFalse(connection.isWritable)
        connection.send([message(50_000)])
        socket.send("4a")
        self.assertEqual(recording.reliefs, 0)
        socket.wire.readOn()
        self.turn()
        self.assertEqual((recording.reliefs, connection.unsent), (1, 0))
        self.assertTrue(connection.isWritable)
        self.assertEqual(len(socket.got), 5)
        socket.wire.isRead = False
        connection.send([message(50_000)] * 4)
        self.turn(10)
        self.assertTrue(socket.wire.isAborted)
        self.assertLost(1006, "transport error")
        socket = self.socket()
        socket.wire.isRead = False
        connection = self.last.connection
        for _ in range(6):
            connection.send([message(50_000)])
        self.assertTrue(socket.wire.isAborted)
        self.assertLost(1006, "transport error")
        self.assertNothingLeft()


class InTests(EngineCase):
    """
    Tests for clients that send more than is handled.
    """

    limits = Limits(pingInterval=100)

    def test_paused(self) -> None:
        """
        A post is handled as far as there is room, and answered when all of it is.
        """
        sid = self.begin()
        recording, connection = self.last, self.last.connection

        def pause(recording: Any, payload: bytes) -> None:
            if payload in (b"b", b"d"):
                connection.pause()

        recording.do = pause
        post = self.post(sid, "4a\x1e4b\x1e4c\x1e4d")
        self.turn(1)
        self.assertEqual(recording.texts, [b"a", b"b"])
        self.assertIsNone(post.answer)
        connection.resume()
        self.assertEqual(recording.texts, [b"a", b"b"])
        self.turn()
        self.assertEqual(recording.texts, [b"a", b"b", b"c", b"d"])
        self.assertIsNone(post.answer)
        connection.resume()
        self.turn()
        self.assertEqual(post.body, b"ok")
        self.post(sid, "1")
        self.assertNothingLeft()

    def test_turns(self) -> None:
        """
        A post of thousands of packets lets others have their turns.
        """
        first, second = self.begin(), self.begin()
        post = self.post(first, "\x1e".join(["4"] * 10_000))
        self.assertEqual(len(self.made[0].messages), 64)
        self.assertEqual(self.post(second, "4a").code, 200)
        for _ in range(200):
            if post.answer is not None:
                break
            self.clock.advance(0)
        self.assertEqual(post.body, b"ok")
        self.assertEqual(len(self.made[0].messages), 10_000)

    def test_answersTogether(self) -> None:
        """
        What answers one post goes out in one poll.
        """
        sid = self.begin()
        poll = self.poll(sid)
        self.last.do = lambda r, payload: r.connection.send([(b"4" + payload, False)])
        self.post(sid, "4a\x1e4b\x1e4c")
        self.turn()
        self.assertEqual(poll.body, b"4a\x1e4b\x1e4c")

    def test_closedByWhatItPosts(self) -> None:
        """
        A post for which the connection is closed is right for all that: the client
        learns of the end by its poll, whichever answer comes first.
        """
        sid = self.begin()
        poll = self.poll(sid)
        self.last.do = lambda r, _: r.connection.close(1007, "parse error")
        post = self.post(sid, "4a\x1e4b")
        self.assertEqual((post.code, post.body), (200, b"ok"))
        self.assertEqual(poll.body, b"1")
        self.assertLost(1007, "forced close")
        self.assertNothingLeft()

    def test_failed(self) -> None:
        """
        Something of ours that fails takes nobody else along, and leaves no post
        behind that is never answered.
        """
        sid = self.begin()
        self.last.do = lambda *_: 1 / 0
        self.last.connection.pause()
        post = self.post(sid, "4a")
        self.last.connection.resume()
        self.turn()
        self.assertEqual(post.code, 400)
        self.assertLost(1006, "transport error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNothingLeft()

    def test_waitsInSocket(self) -> None:
        """
        What came behind the upgrade is handled when there is room.
        """
        sid = self.begin()
        socket = self.socket(sid)
        socket.send("2probe")
        self.last.do = lambda r, _: r.connection.pause()
        socket.send("5", "4a", "4b", "4c")
        for i in range(3):
            self.turn()
            self.assertEqual(len(self.last.messages), i + 1)
            self.last.connection.resume()
        socket.wire.leave()
        self.turn()
        self.assertNothingLeft()
