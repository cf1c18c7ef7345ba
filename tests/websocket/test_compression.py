"""
Tests for L{txsessionsock.websocket.compression}: what the application accepts is
bounded in both directions.
"""

from __future__ import annotations

import os
import tracemalloc
import zlib
from typing import Any

from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
)

from tests.support.doors import frame, handshake
from tests.support.wires import ADDRESS, SocketCase
from txsessionsock.limits import Limits
from txsessionsock.testing import MemoryWire


_OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def _accept(**options: Any) -> Any:
    """
    An application's choice: any offer of deflate.
    """

    def accept(offers: list[Any]) -> Any:
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer):
                return PerMessageDeflateOfferAccept(offer, **options)
        return None

    return accept


def _deflated(data: bytes) -> bytes:
    """
    A frame with a whole message that is compressed.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)
    whole = frame(packed[:-4])
    return bytes([whole[0] | 0x40]) + whole[1:]


class CompressionTests(SocketCase):
    """
    Tests for compression on a socket with a session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(limits=Limits(messageSize=1 << 20))

    def connect(self, *offers: str, **options: Any) -> Any:
        """
        Shake hands, with an application that accepts compression.

        @return: The server's protocol.
        """
        self.factory.setProtocolOptions(perMessageCompressionAccept=_accept(**options))
        return self.shaken(*offers or (_OFFER,))

    def shaken(self, *headers: str) -> Any:
        protocol: Any = self.factory.buildProtocol(ADDRESS)
        self.wire = MemoryWire(protocol, isServer=True, peerAddress=ADDRESS)
        protocol.makeConnection(self.wire)
        protocol.dataReceived(handshake(f"Cookie: {self.cookie()}", *headers))
        self.head = self.wire.getOutBuffer()
        self.assertTrue(self.head.startswith(b"HTTP/1.1 101 "), self.head)
        return protocol

    def test_asInstalled(self) -> None:
        """
        Offers are declined, unless the application accepts them.
        """
        protocol = self.shaken(_OFFER)
        self.assertNotIn(b"deflate", self.head)
        self.assertIsNone(protocol._perMessageCompress)

    def test_bomb(self) -> None:
        """
        A message that would become too large is refused before it has.
        """
        bomb = _deflated(bytes(64 << 20))
        self.assertLess(len(bomb), 70_000)
        for size in None, 10 << 20:
            protocol = self.connect(max_message_size=size)
            # Also where the size of messages has no other limit.
            protocol.maxMessagePayloadSize = 0 if size is None else 1 << 20
            tracemalloc.start()
            try:
                protocol.dataReceived(bomb)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertLess(most, 4 << 20)
            code = self.wire.getOutBuffer()[2:4]
            self.assertEqual(int.from_bytes(code, "big"), 1009)

    def test_memory(self) -> None:
        """
        Each connection takes little, unless the application says how much.
        """
        used = self.connect()._perMessageCompress
        self.assertEqual((used.server_max_window_bits, used.mem_level), (12, 5))
        used = self.connect(f"{_OFFER}; server_max_window_bits=10")._perMessageCompress
        self.assertEqual((used.server_max_window_bits, used.mem_level), (10, 5))
        used = self.connect(window_bits=15, mem_level=9)._perMessageCompress
        self.assertEqual((used.server_max_window_bits, used.mem_level), (15, 9))

    def test_counted(self) -> None:
        """
        What waits is counted as it leaves: compressed.
        """
        protocol = self.connect()
        producer: Any = self.wire.producer
        producer.pauseProducing()
        protocol.send("x" * 100_000)
        self.assertLess(protocol._sessionsock.unsent, 1000)

    def test_incompressible(self) -> None:
        """
        A message that would be too large when it is compressed is not; the
        next one can be read all the same.
        """
        protocol = self.connect()
        whole = os.urandom(1 << 20)
        protocol.sendMessage(b"abc", True)
        protocol.sendMessage(whole, True)
        protocol.sendMessage(b"abc", True)
        sent = self.wire.getOutBuffer()
        self.assertEqual(sent[0], 0x80 | 0x40 | 2)
        _, found, last = sent.partition(whole)
        self.assertTrue(found)
        self.assertEqual(last[0], 0x80 | 0x40 | 2)

    def test_together(self) -> None:
        """
        Browsers and applications talk compressed as they do otherwise.
        """
        self.do["smessage"] = lambda client, message, session: client.send(message)
        protocol = self.connect()
        protocol.dataReceived(_deflated(b'"hello"'))
        answer = self.wire.getOutBuffer()
        inflate = zlib.decompressobj(-15)
        self.assertEqual(inflate.decompress(answer[2:] + b"\0\0\xff\xff"), b'"hello"')
