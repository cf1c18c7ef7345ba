"""
Tests for L{txsessionsock.socketio.engineconnection}: the way from polling to a
WebSocket.
"""

from __future__ import annotations

from math import inf
from typing import Any

from tests.support.engines import EngineCase
from txsessionsock.limits import Limits
from txsessionsock.socketio.engineconnection import Stage


class UpgradeTests(EngineCase):
    """
    Tests for connections whose client goes over, or tries to.
    """

    limits = Limits(handshakeTimeout=10, pingInterval=100)

    def test_upgraded(self) -> None:
        """
        What was sent before by polling, meanwhile, and after arrives once and in
        order; so does what is received.
        """
        sid = self.begin()
        connection = self.last.connection
        connection.send([(b"4a", False)])
        poll = self.poll(sid)
        self.assertEqual(poll.body, b"4a")
        poll = self.poll(sid)
        self.post(sid, "4one")
        socket = self.socket(sid)
        self.assertIs(connection.stage, Stage.PROBED)
        self.assertIsNone(poll.answer)
        socket.send("2probe")
        self.assertEqual(socket.got, [b"3probe"])
        self.assertEqual(poll.body, b"6")
        connection.send([(b"4b", False)])
        self.assertEqual(self.poll(sid).body, b"4b")
        self.post(sid, "4two")
        connection.send([(b"4c", False), (b"\0", True)])
        self.assertEqual(connection.transport, "polling")
        socket.send("5", "4three")
        self.assertEqual(connection.transport, "websocket")
        connection.send([(b"4d", False)])
        self.assertEqual(socket.got, [b"3probe", b"4c", b"\0", b"4d"])
        self.assertEqual(self.last.texts, [b"one", b"two", b"three"])
        self.assertEqual(self.poll(sid).trouble, (400, 3))
        self.assertEqual(self.post(sid, "4x").trouble, (400, 3))
        self.assertEqual(len(self.engine), 1)
        socket.close(1001)
        socket.wire.leave()
        self.assertLost(1001, "transport close")
        self.assertNothingLeft()

    def test_pollsMeanwhile(self) -> None:
        """
        Each poll that comes while the probe is open is answered at once.
        """
        sid = self.begin()
        socket = self.socket(sid)
        socket.send("2probe")
        for _ in range(3):
            self.assertEqual(self.poll(sid).body, b"6")
        socket.send("5")
        self.assertEqual(self.last.connection.transport, "websocket")

    def test_brokenOff(self) -> None:
        """
        Whatever becomes of a probe, the polling is as it was; the client may try
        again.
        """

        def leaves(socket: Any) -> Any:
            socket.wire.leave()

        def says(*words: str | bytes) -> Any:
            return lambda socket: socket.send(*words)

        for bad in (
            *(leaves, says("4x"), says("5"), says("2"), says("1"), says(b"x")),
            *(says("2probe", "2probe"), says("2probe", "4x"), says("3probe")),
            lambda socket: (says("2probe")(socket), leaves(socket)),
            lambda socket: (says("2probe")(socket), socket.close(1000)),
        ):
            sid = self.begin()
            connection = self.last.connection
            poll = self.poll(sid)
            socket = self.socket(sid)
            bad(socket)
            self.turn()
            self.assertIs(connection.stage, Stage.POLLING)
            self.assertEqual(connection._late.due, inf)
            if poll.answer is not None:
                self.assertEqual(poll.body, b"6")
                poll = self.poll(sid)
            self.assertIsNone(poll.answer)
            connection.send([(b"4a", False)])
            self.turn()
            self.assertEqual(poll.body, b"4a")
            self.assertEqual(self.last.messages, [])
            if not socket.wire.isGone:
                self.assertIsNotNone(socket.closed)
            socket = self.upgraded(sid)
            self.assertIs(connection.stage, Stage.WEBSOCKET)
            socket.wire.leave()
        self.assertNothingLeft()

    def test_refused(self) -> None:
        """
        A handshake that is refused by the rules of WebSockets is no probe any more.
        """
        sid = self.begin()
        socket = self.socket(sid, **{"Sec-WebSocket-Key": "abc"})
        self.assertEqual(socket.status, 400)
        self.turn()
        self.assertIs(self.last.connection.stage, Stage.POLLING)
        self.assertEqual(self.upgraded(sid).status, 101)
        self.assertNothingLeft()

    def test_late(self) -> None:
        """
        A probe may not take for ever.  But a client whose posts we do not answer
        cannot go over.
        """
        for words in [], ["2probe"]:
            sid = self.begin()
            connection = self.last.connection
            socket = self.socket(sid)
            socket.send(*words)
            self.turn(9.75)
            self.assertIsNone(socket.closed)
            self.turn(0.5)
            self.assertEqual(socket.closed, 1000)
            self.assertIs(connection.stage, Stage.POLLING)
            socket.wire.leave()
            self.assertIsNone(self.poll(sid).answer)
        sid = self.begin()
        connection = self.last.connection
        connection.pause()
        post = self.post(sid, "4x")
        socket = self.socket(sid)
        socket.send("2probe")
        self.turn(35)
        self.assertIsNone(socket.closed)
        connection.resume()
        self.turn()
        self.assertEqual(post.body, b"ok")
        socket.send("5", "4y")
        self.assertEqual(self.last.texts, [b"x", b"y"])

    def test_twoProbes(self) -> None:
        """
        A second WebSocket is accepted, and closed; the first goes on.  So is one of
        a client that has gone over already.
        """
        sid = self.begin()
        first, second = self.socket(sid), self.socket(sid)
        self.assertEqual((second.status, second.closed), (101, 1000))
        second.send("2probe")
        self.assertEqual(second.got, [])
        first.send("2probe", "5")
        self.assertEqual(self.last.connection.transport, "websocket")
        third = self.socket(sid)
        self.assertEqual((third.status, third.closed), (101, 1000))
        self.last.connection.send([(b"4a", False)])
        self.assertEqual(first.got, [b"3probe", b"4a"])
        direct = self.socket()
        again = self.socket(self.last.connection.sid)
        self.assertEqual((again.status, again.closed), (101, 1000))
        self.assertIsNone(direct.closed)
        self.assertNothingLeft()

    def test_tooEarly(self) -> None:
        """
        A client that goes over while a request of its is under way stays: it does
        not know the answer.
        """
        sid = self.begin()
        connection = self.last.connection
        connection.pause()
        socket = self.socket(sid)
        socket.send("2probe")
        post = self.post(sid, "4x")
        socket.send("5", "4y")
        self.assertEqual(socket.closed, 1000)
        self.assertIs(connection.stage, Stage.POLLING)
        connection.resume()
        self.turn()
        self.assertEqual(post.body, b"ok")
        self.assertEqual(self.last.texts, [b"x"])

    def test_paused(self) -> None:
        """
        A connection that is paused when its client goes over stays so.
        """
        sid = self.begin()
        connection = self.last.connection
        connection.pause()
        socket = self.upgraded(sid)
        socket.send("4a")
        self.turn()
        self.assertEqual(self.last.messages, [])
        connection.resume()
        self.turn()
        # The wire gives what it has although it is paused.
        self.assertEqual(self.last.texts, [b"a"])

    def test_closes(self) -> None:
        """
        We close while a client is going over: what was sent before arrives by
        whichever it uses next.
        """
        for isPolled in True, False:
            sid = self.begin()
            connection = self.last.connection
            socket = self.socket(sid)
            socket.send("2probe")
            connection.send([(b"4bye", False)])
            connection.close(4401, "over")
            connection.send([(b"4late", False)])
            self.turn()
            self.assertEqual(self.last.losses, [])
            if isPolled:
                self.assertEqual(self.poll(sid).body, b"4bye\x1e1")
                self.assertIsNotNone(socket.closed)
            else:
                socket.send("5")
                self.assertEqual(socket.got, [b"3probe", b"4bye"])
                self.assertEqual(socket.closed, 4401)
                socket.close(4401)
                socket.wire.leave()
            self.assertLost(4401, "forced close")
        for isPolled in True, False:
            sid = self.begin()
            socket = self.socket(sid)
            self.last.connection.close(4401, "over")
            if isPolled:
                self.assertEqual(self.poll(sid).body, b"1")
            # It was never told that it may go over.
            socket.send("2probe", "5")
            self.assertEqual((socket.got, socket.closed), ([], 1000))
            self.assertEqual(self.poll(sid).code, 400 if isPolled else 200)
            self.assertLost(4401, "forced close")
        sid = self.begin()
        poll, socket = self.poll(sid), self.socket(sid)
        self.last.connection.close(1001, "")
        self.assertEqual(poll.body, b"1")
        self.assertEqual(socket.closed, 1000)
        self.assertLost(1001, "forced close")
        sid = self.begin()
        socket = self.socket(sid)
        socket.send("2probe")
        self.last.connection.close(1001, "")
        self.turn(3.25)
        self.assertIsNotNone(socket.closed)
        self.assertLost(1001, "forced close")
        self.assertNothingLeft()

    def test_ends(self) -> None:
        """
        A connection that ends while its client is going over takes the WebSocket
        along, also one that is not open yet.
        """
        for end in (
            lambda sid: self.post(sid, "1"),
            lambda sid: self.post(sid, "abc"),
            lambda sid: self.last.connection.cut("a reason"),
        ):
            for words in [], ["2probe"]:
                sid = self.begin()
                socket = self.socket(sid)
                socket.send(*words)
                end(sid)
                self.assertIsNotNone(socket.closed)
                socket.send("5", "4a")
                self.turn()
                self.assertEqual(len(self.last.losses), 1)
                self.assertEqual(self.last.messages, [])
        sid = self.begin()
        wire = self.wire()
        head = self.upgrade(f"/socket.io/?EIO=4&transport=websocket&sid={sid}")
        # The handshake has to wait for its turn.
        self.engine.equipment.turns._spent = 1.0
        wire.receive(head)
        self.assertIs(self.last.connection.stage, Stage.PROBED)
        self.post(sid, "1")
        self.engine.equipment.turns._spent = 0.0
        wire.receive(b"")
        self.assertNothingLeft()

    def test_place(self) -> None:
        """
        One client takes one place, also while it goes over and after.
        """
        admission = self.engine.equipment.admission
        sid = self.begin()
        self.assertEqual(len(admission), 1)
        socket = self.upgraded(sid)
        self.assertEqual(len(admission), 1)
        self.socket(sid)
        self.assertEqual(len(admission), 2)
        socket.wire.leave()
        self.turn()
        self.assertEqual(len(admission), 1)
        self.assertNothingLeft()
