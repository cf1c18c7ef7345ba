"""
Tests for L{txsessionsock.websocket.answers}: what goes out, and in how many writes.
"""

from __future__ import annotations

from typing import Any

import txaio
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import (
    PING,
    TEXT,
    Eavesdropping,
    Server,
    closeFrame,
    frame,
    parsed,
)


class JoinedTests(SynchronousTestCase):
    """
    Writes.
    """

    def test_joined(self) -> None:
        """
        The answers to one read leave in one write, whatever they are.
        """
        server = Server()
        server.receive(frame(TEXT, b"a") + frame(PING, b"b") + frame(TEXT, b"c" * 300))
        (written,) = server.wire.writes
        found = [(0x81, b"a"), (0x8A, b"b"), (0x81, b"c" * 300)]
        self.assertEqual(parsed(written), found)

    def test_large(self) -> None:
        """
        Not more than 64 KiB is held back, so that what counts what a client does
        not read sees it at once.
        """
        server = Server(
            do=lambda protocol, payload, isBinary: [
                protocol.sendMessage(b"x" * 5000) for _ in range(20)
            ]
        )
        server.receive(frame(TEXT) * 2)
        sizes = [len(each) for each in server.wire.writes]
        self.assertEqual(sum(sizes), 40 * 5004)
        self.assertEqual(sizes, [13 * 5004] * 3 + [5004])

    def test_later(self) -> None:
        """
        What is sent at another time is written at once.
        """
        server = Server()
        server.receive(frame(TEXT, b"a"))
        server.protocol.sendMessage(b"b")
        server.protocol._sessionsock.write((b"c", True))
        self.assertEqual(len(server.wire.writes), 3)

    def test_raised(self) -> None:
        """
        It is written when the application raises, too.
        """

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            protocol.sendMessage(payload)
            raise ZeroDivisionError

        server = Server(do=do)
        server.read(frame(TEXT, b"a") * 2)
        self.assertEqual(server.seen[-1], "raised")
        self.assertEqual(parsed(server.sent), [(0x81, b"a")])

    def test_dropped(self) -> None:
        """
        It is written before the connection is dropped, by us or for the client's
        close frame.
        """

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            protocol.sendMessage(payload)
            if payload == b"b":
                protocol.transport.loseConnection = lambda: closed.append(server.sent)
                protocol.dropConnection()

        closed: list[bytes] = []
        server = Server(do=do)
        server.receive(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
        self.assertEqual(parsed(*closed), [(0x81, b"a"), (0x81, b"b")])
        server = Server()
        server.wire.loseConnection = lambda: closed.append(server.sent)
        server.receive(frame(TEXT, b"a") + closeFrame())
        self.assertEqual(parsed(closed[1]), [(0x81, b"a"), (0x88, b"\x03\xe8")])

    def test_chopped(self) -> None:
        """
        Behind what is sent in pieces, or at once, nothing gets ahead.
        """

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            protocol.sendMessage(b"1")
            protocol.sendFrame(1, b"2", chopsize=1)
            protocol.sendMessage(b"3")

        server = Server(do=do)
        calls: list[Any] = []
        self.patch(txaio, "call_later", lambda _, f: calls.append(f))
        server.receive(frame(TEXT))
        while calls:
            calls.pop(0)()
        self.assertEqual(
            [payload for _, payload in parsed(server.sent)], [b"1", b"2", b"3"]
        )

    def test_others(self) -> None:
        """
        Autobahn sends all that is not ordinary, and everything where something is
        asked for that only it does.
        """
        frames: list[tuple[Any, ...]] = [
            (b"x" * 65536, True),
            (b"x", False, 1),
            (b"x", False, None, True),
            (type("Bytes", (bytes,), {})(b"x"), False),
        ]
        options = {
            "maxMessagePayloadSize": 2,
            "autoFragmentSize": 2,
            "trackedTimings": {},
            "maskServerFrames": True,
            "logFrames": True,
            "_perMessageCompress": object(),
        }
        server = Server(shortFrames=False)
        self.assertEqual(self.autobahns(server, (b"x", False)), [(b"x", False)])
        self.assertEqual(self.autobahns(Server(), (b"x" * 65535, False)), [])
        for given in frames:
            self.assertEqual(self.autobahns(Server(), given), [given])
        for name, value in options.items():
            server = Server()
            setattr(server.protocol, name, value)
            self.assertEqual(self.autobahns(server, (b"abc",)), [(b"abc",)], name)

    def autobahns(self, server: Server, given: tuple[Any, ...]) -> list[Any]:
        """
        @return: What Autobahn is asked to send when we are asked to send that.
        """
        found: list[Any] = []
        line = server.protocol._sessionsock
        line._send = lambda *args: found.append(args)
        line.write(given)
        return found

    def test_hooks(self) -> None:
        """
        An application that has Autobahn's methods for what is sent, as a subclass or
        behind it, sees all of it.
        """
        for name in "sendFrame", "sendData":
            for isBefore in True, False:
                seen: list[Any] = []

                def hook(self: Any, *args: Any, **more: Any) -> None:
                    seen.append(args)  # noqa: B023 - called in this round
                    getattr(super(kind, self), name)(*args, **more)  # noqa: B023 - too

                kind = type("Hooked", (Eavesdropping,), {name: hook})
                server = Server(kind, isBefore=isBefore)
                server.seen.clear()
                seen.clear()
                server.factory.do = lambda protocol, payload, isBinary: (
                    protocol._sessionsock.write((payload, isBinary))
                )
                server.receive(frame(TEXT, b"a") + frame(PING, b"b"))
                self.assertEqual(len(seen), 2, (name, isBefore))
                self.assertEqual(len(parsed(server.sent)), 2)
