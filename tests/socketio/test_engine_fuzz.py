"""
Tests for L{txsessionsock.socketio.engine} with clients that do what clients may, in any
order: nothing is lost, doubled, or left behind, whatever comes between.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.support.engines import PATH, Asked, EngineCase, Recording, Socket
from tests.support.frames import factor
from txsessionsock.limits import Limits
from txsessionsock.socketio.enginepackets import nextIn


_ROUNDS = 20
_MESSES = 100


class Client:
    """
    A client by the book, which polls and goes over when it likes.

    @ivar got: The messages that came.

    @ivar isOver: Whether it knows of the end.
    """

    def __init__(self, case: EngineCase, random: Random) -> None:
        self.case = case
        self.random = random
        self.sid = case.begin()
        self.recording: Recording = case.last
        self.got: list[bytes] = []
        self.sent = 0
        self.isOver = False
        self._seen = 0
        self._pollWire: Any = None
        self._poll: Asked | None = None
        self._post: Asked | None = None
        self._socket: Socket | None = None
        self._isProbed = self._isUpgraded = False
        # What it still has to post: it goes over only when nothing is.
        self._waiting: list[str] = []

    def step(self) -> None:
        """
        Do something.
        """
        self.look()
        if self.isOver:
            return
        self.random.choice((self.poll, self.post, self.post, self.probe))()
        self.look()

    def poll(self) -> None:
        """
        Poll, on a new connection or an old one, unless it polls or goes over.
        """
        if self._isUpgraded or self._poll is not None or self._isProbed:
            return
        isNew = self._pollWire is None or self.random.random() < 0.3
        wire = self.case.wire() if isNew else self._pollWire
        self._pollWire = wire
        wire.isRead = self.random.random() < 0.7
        self._poll = self.case.poll(self.sid, wire=wire)

    def post(self) -> None:
        """
        Send some messages.
        """
        texts = []
        for _ in range(self.random.randrange(1, 6)):
            self.sent += 1
            texts.append(f"4{self.sent}")
        if self._isUpgraded and self._socket is not None:
            self._socket.send(*texts)
        else:
            self._waiting += texts
            self._postOn()

    def _postOn(self) -> None:
        if self._waiting and self._post is None and not self._isUpgraded:
            body, self._waiting = "\x1e".join(self._waiting), []
            self._post = self.case.post(self.sid, body)

    def probe(self) -> None:
        """
        Try to go over, or break that off.
        """
        if self._socket is None:
            self._socket = self.case.socket(self.sid)
            self._seen = 0
            if self.random.random() < 0.8:
                self._socket.send("2probe")
        elif not self._isUpgraded and not self._isProbed and self.random.random() < 0.4:
            # It may do that until it stops to poll.
            self._socket.wire.leave()
            self._socket = None

    def look(self) -> None:
        """
        See what came.
        """
        poll = self._poll
        if poll is not None and self.random.random() < 0.6:
            poll.wire.readOn()
        answer = None if poll is None else poll.answer
        if answer is not None and answer.isWhole:
            self._poll = None
            if answer.code == 200:
                self._read(answer.body)
            else:
                self.isOver = True
        if self._post is not None and self._post.answer is not None:
            self.isOver = self.isOver or self._post.code != 200
            self._post = None
            self._postOn()
        if self._socket is not None:
            self._lookAtSocket(self._socket)

    def _lookAtSocket(self, socket: Socket) -> None:
        # Frames that have not come whole are not there yet.
        socket.wire.readOn()
        for message in socket.got[self._seen :]:
            self._seen += 1
            if message == b"3probe":
                self._isProbed = True
            elif message != b"2":
                self.got.append(message)
            else:
                socket.send("3")
        if socket.closed is not None:
            self.isOver = self.isOver or self._isUpgraded
            if not self._isUpgraded:
                self._socket, self._isProbed = None, False
            return
        isIdle = self._poll is None and self._post is None and not self._waiting
        if self._isProbed and not self._isUpgraded and isIdle and not self.isOver:
            self._isUpgraded = True
            socket.send("5")

    def _read(self, body: bytes) -> None:
        at = 0
        while at <= len(body):
            (packet, _), at = nextIn(body, at)
            if packet == b"1":
                self.isOver = True
            elif packet == b"2":
                self._waiting.append("3")
                self._postOn()
            elif packet != b"6":
                self.got.append(packet)

    def leave(self) -> None:
        """
        Close all connections.
        """
        for each in self._poll, self._post, self._socket:
            if each is not None:
                each.wire.leave()


class FuzzTests(EngineCase):
    """
    Tests with clients and a server that do anything at any time.
    """

    limits = Limits(
        unsentBytes=200_000,
        messageSize=150_000,
        unsentTimeout=1000,
        handshakeTimeout=5,
        pingInterval=3,
        pingTimeout=30,
    )

    def round(self, seed: int, end: Callable[[Client], object] | None) -> None:
        """
        Let one client do things, and then end.
        """
        random = Random(seed)
        client = Client(self, random)
        recording, connection = client.recording, client.recording.connection

        def emit() -> None:
            if connection.unsent < 100_000:
                size = random.choice((1, 10, 1000, 30_000, 90_000))
                self.numbers.append(b"4%d " % (len(self.numbers),) + b"x" * size)
                connection.send([(self.numbers[-1], False)])

        self.numbers: list[bytes] = []
        steps = (
            *(client.step, client.step, client.step, emit, emit),
            *(connection.pause, connection.resume, connection.resume),
            lambda: self.clock.advance(random.choice((0, 0, 0, 0.01, 0.5))),
        )
        for _ in range(random.randrange(5, 150)):
            random.choice(steps)()
        if end is not None:
            end(client)
        self.settle(client)
        where = f"seed {seed}, {connection.stage.name}"
        if end is None:
            self.assertFalse(client.isOver, where)
            self.assertEqual(recording.losses, [], where)
            self.assertEqual(client.got, self.numbers, where)
            self.upgrades += connection.transport == "websocket"
            self.exchanged += len(client.got) + client.sent
            self.assertEqual(
                recording.texts, [b"%d" % (i + 1,) for i in range(client.sent)], where
            )
        else:
            # What came is the beginning of what was sent.
            self.assertEqual(client.got, self.numbers[: len(client.got)], where)
            texts = [b"%d" % (i + 1,) for i in range(client.sent)]
            self.assertEqual(recording.texts, texts[: len(recording.texts)], where)
        for wire in self.wires:
            wire.leave()
        self.turn(60)
        self.assertNothingLeft()
        self.wires.clear()
        self.made.clear()

    def settle(self, client: Client) -> None:
        """
        Let everything arrive.
        """
        connection = client.recording.connection
        connection.resume()
        for _ in range(40):
            client.poll()
            client.look()
            self.clock.advance(0.01)
            client.look()

    def test_nothingLost(self) -> None:
        """
        What both send arrives once and in order.
        """
        self.upgrades = self.exchanged = 0
        rounds = round(_ROUNDS * factor())
        for seed in range(rounds):
            self.round(seed, None)
        self.assertGreater(self.upgrades, rounds / 5)
        self.assertLess(self.upgrades, rounds)
        self.assertGreater(self.exchanged, rounds * 20)

    def test_ends(self) -> None:
        """
        However it ends, and whenever.
        """

        def close(client: Client) -> None:
            client.recording.connection.close(1001, "")

        def cut(client: Client) -> None:
            client.recording.connection.cut("a reason")

        def left(client: Client) -> None:
            client.leave()

        def closed(client: Client) -> None:
            self.post(client.sid, "1")

        for seed in range(round(_ROUNDS * factor())):
            end = (close, cut, left, closed)[seed % 4]
            self.round(seed, end)


class MessFuzzTests(EngineCase):
    """
    Tests with clients that heed nothing.
    """

    limits = Limits(
        unsentBytes=200_000,
        messageSize=150_000,
        unsentTimeout=20,
        handshakeTimeout=5,
        pingInterval=3,
        pingTimeout=30,
    )

    def test_anything(self) -> None:
        """
        On few connections: each ends once, nothing fails, and nothing is left.
        """
        for seed in range(round(_MESSES * factor())):
            self.mess(Random(seed))
            ends = (self.resumeAll, self.leaveAll)
            for end in ends if seed % 2 else reversed(ends):
                end()
                self.turn()
            self.turn(60)
            self.assertNothingLeft()
            self.wires.clear()
            self.made.clear()

    def resumeAll(self) -> None:
        """
        Receive from all: whoever pauses a connection does that at last.
        """
        for recording in self.made:
            recording.connection.resume()

    def leaveAll(self) -> None:
        """
        Have all clients leave.
        """
        for wire in self.wires:
            wire.leave()

    def mess(self, random: Random) -> None:
        """
        Do things at random.
        """
        sids = [self.begin() for _ in range(2)]
        wires = [self.wire() for _ in range(4)]
        sockets: list[Socket] = []
        words = ("4a", "1", "2", "3", "5", "6", "2probe", "", "x", b"\0")
        kinds = ("polling", "polling", "websocket")

        def ask() -> None:
            sid, kind = random.choice(sids), random.choice(kinds)
            target = f"{PATH}?EIO=4&transport={kind}&sid={sid}"
            if random.random() < 0.5:
                data = self.head(target)
            else:
                body = random.choice(("4a", "4a\x1e4b", "3", "1", "abc", "4\x1e" * 99))
                length = {"Content-Length": str(len(body))}
                data = self.head(target, "POST", **length) + body.encode()
            wire = random.choice(wires)
            wire.receive(data[: random.choice((9999, 9999, 9999, -1, 40))])

        def connect() -> None:
            sockets.append(self.socket(random.choice((*sids, None))))
            if random.random() < 0.5:
                sockets[-1].send(*random.choice((["2probe"], ["2probe", "5"])))

        def say() -> None:
            if sockets:
                random.choice(sockets).send(*random.choices(words, k=2))

        def ours() -> None:
            connection = random.choice(self.made).connection
            random.choice(
                (
                    lambda: connection.send([(b"4" + b"x" * 90_000, False)]),
                    lambda: connection.send([(b"4x", False), (b"y", True)]),
                    connection.pause,
                    connection.resume,
                    connection.resume,
                    lambda: connection.close(1001, ""),
                    lambda: connection.cut("a reason"),
                )
            )()

        def leave() -> None:
            i = random.randrange(len(wires))
            wires[i].leave()
            wires[i] = self.wire()

        def read() -> None:
            wire = random.choice(wires)
            if random.random() < 0.5:
                wire.isRead = False
            else:
                wire.readOn()

        def wait() -> None:
            self.clock.advance(random.choice((0, 0, 0.01, 1, 4)))

        steps = (*(ask,) * 5, connect, say, say, *(ours,) * 3, leave, read, wait, wait)
        for _ in range(random.randrange(5, 60)):
            random.choice(steps)()
            if random.random() < 0.05:
                sids.append(self.begin())
