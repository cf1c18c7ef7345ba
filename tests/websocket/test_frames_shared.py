"""
Tests for frames that many clients are sent: they are made once, and right for each.
"""

from __future__ import annotations

from random import Random
from typing import Any
from zlib import decompressobj

from autobahn.websocket.compress import PerMessageDeflate, PerMessageDeflateOfferAccept
from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import Eavesdropping, Server, parsed
from txsessionsock.messages import Shared


def _alone(offers: Any) -> Any:
    return PerMessageDeflateOfferAccept(offers[0], no_context_takeover=True)


def _small(offers: Any) -> Any:
    return PerMessageDeflateOfferAccept(
        offers[0], no_context_takeover=True, window_bits=9, mem_level=4
    )


def _dependent(offers: Any) -> Any:
    return PerMessageDeflateOfferAccept(offers[0])


class SharedTests(SynchronousTestCase):
    """
    Tests for L{Shared} messages.
    """

    def setUp(self) -> None:
        self.deflated = 0
        start = PerMessageDeflate.start_compress_message

        def counted(compress: Any) -> None:
            self.deflated += 1
            start(compress)

        self.patch(PerMessageDeflate, "start_compress_message", counted)

    def sent(self, message: tuple[bytes, bool], *servers: Server) -> list[bytes]:
        """
        Send a message by each of some servers.

        @return: What each wrote.
        """
        found = []
        for server in servers:
            server.wire.writes.clear()
            server.protocol._sessionsock.write(message)
            # What is large is written in slices.
            writes = server.wire.writes
            found.append(writes[0] if len(writes) == 1 else b"".join(writes))
        return found

    def test_same(self) -> None:
        """
        All clients get the same bytes, of whatever size: those that Autobahn makes.
        """
        servers = [Server() for _ in range(3)]
        oracle = Server(shortFrames=False)
        for size in 0, 1, 125, 126, 0xFFFF, 0x10000:
            for isBinary in False, True:
                message = b"x" * size, isBinary
                (right,) = self.sent(message, oracle)
                found = self.sent(Shared(message), *servers)
                self.assertEqual(found[0], right)
                if size < 0xFFFF:
                    self.assertEqual(len(set(map(id, found))), 1)
        stats = [each.protocol.trafficStats.__json__() for each in (oracle, *servers)]
        self.assertEqual(stats, [stats[0]] * 4)

    def test_compressed(self) -> None:
        """
        They are compressed once for all clients with the same window and memory
        whose messages do not depend on those before.
        """
        accepts = _alone, _small
        first, *_, other = servers = [
            Server(perMessageCompressionAccept=accept)
            for accept in (*[accepts[0]] * 3, accepts[1])
        ]
        oracle = Server(perMessageCompressionAccept=_alone, shortFrames=False)
        del first
        payload = Random(1).randbytes(1000) * 3
        (right,) = self.sent((payload, False), oracle)
        for _ in range(2):
            self.deflated = 0
            found = self.sent(Shared((payload, False)), *servers)
            self.assertEqual(self.deflated, 2)
            self.assertEqual(found[:3], [right] * 3)
            self.assertEqual(len(set(map(id, found[:3]))), 1)
            for written in found:
                ((head, body),) = parsed(written)
                self.assertEqual(head, 0xC1)
                read = decompressobj(-15).decompress(body + b"\0\0\xff\xff")
                self.assertEqual(read, payload)
        self.assertNotEqual(found[3], found[0])
        self.assertEqual(other.protocol.trafficStats.outgoingWebSocketFrames, 2)
        theirs, ours = (
            each.protocol.trafficStats.outgoingOctetsWebSocketLevel
            for each in (oracle, servers[0])
        )
        self.assertEqual(ours, 2 * theirs)

    def test_dependent(self) -> None:
        """
        Where messages depend on those before, each client has its own.
        """
        servers = [Server(perMessageCompressionAccept=_dependent) for _ in range(2)]
        inflate = [decompressobj(-15) for _ in servers]
        self.sent((b"only one of them has this", False), servers[0])
        inflate[0].decompress(parsed(servers[0].wire.writes[0])[0][1] + b"\0\0\xff\xff")
        self.deflated = 0
        for payload in b"only one of them has this", b"and both have that":
            found = self.sent(Shared((payload, True)), *servers)
            for written, each in zip(found, inflate, strict=True):
                ((head, body),) = parsed(written)
                self.assertEqual(head, 0xC2)
                self.assertEqual(each.decompress(body + b"\0\0\xff\xff"), payload)
        self.assertEqual(self.deflated, 4)

    def test_limit(self) -> None:
        """
        What may become too large by compression is not compressed for anybody.
        """
        server = Server(
            perMessageCompressionAccept=_alone,
            maxMessagePayloadSize=100,
        )
        payload = bytes(range(100))
        (written,) = self.sent(Shared((payload, True)), server)
        self.assertEqual(parsed(written), [(0x82, payload)])

    def test_others(self) -> None:
        """
        Where somebody looks at frames, or wants others, Autobahn makes them.
        """

        class Looking(Eavesdropping):
            def sendFrame(self, *args: Any, **more: Any) -> None:
                self.factory.seen.append(("frame", more["payload"]))
                super().sendFrame(*args, **more)

        looking = Server(Looking)
        self.sent(Shared((b"x", False)), looking)
        self.assertEqual(looking.seen, [("frame", b"x")])
        pieces = Server(autoFragmentSize=2)
        pieces.protocol._sessionsock.write(Shared((b"abc", False)))
        self.assertEqual(parsed(pieces.sent), [(1, b"ab"), (0x80, b"c")])

    def test_ended(self) -> None:
        """
        When it was sent to all, who has it still sends the same, and it keeps no
        frame.
        """
        message = Shared((b"x", False))
        servers = [Server(), Server(perMessageCompressionAccept=_alone)]
        before = self.sent(message, *servers)
        message.frames = None
        self.assertEqual(self.sent(message, *servers), before)
        self.assertIsNone(message.frames)

    def test_closed(self) -> None:
        """
        Who is closing gets none, and the others do.
        """
        closing, other = Server(), Server()
        closing.protocol._sessionsock.close(1000, "")
        found = self.sent(Shared((b"x", False)), closing, other)
        self.assertEqual(found, [b"", b"\x81\x01x"])

    def test_filled(self) -> None:
        """
        For whom something waits, it waits behind that; and who has too much is cut
        off, and nobody else.
        """
        filled, other = Server(), Server()
        line = filled.protocol._sessionsock
        line._outflow.pauseProducing()
        payload = b"x" * (line.mostUnsent // 2 - 20)
        for _ in range(2):
            found = self.sent(Shared((payload, False)), filled, other)
            self.assertEqual(found[0], b"")
            self.assertEqual(parsed(found[1]), [(0x81, payload)])
        self.assertFalse(filled.wire.isAborted)
        self.assertGreater(line.unsent, line.mostUnsent - 100)
        found = self.sent(Shared((b"x" * 100, False)), filled, other)
        self.assertTrue(filled.wire.isAborted)
        self.assertFalse(other.wire.isAborted)
        self.assertEqual(parsed(found[1]), [(0x81, b"x" * 100)])

    def test_amid(self) -> None:
        """
        It comes behind a message that the application sends piece by piece.
        """
        server = Server()
        server.protocol.beginMessage()
        server.protocol.sendMessageFrame(b"a")
        server.protocol._sessionsock.write(Shared((b"b", True)))
        server.protocol.endMessage()
        found = parsed(server.sent)
        self.assertEqual(found, [(1, b"a"), (0x80, b""), (0x82, b"b")])
