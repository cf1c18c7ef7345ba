"""
Tests for L{txsessionsock.websocket.frames}: what goes which way, and what there is
a limit to.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.frames import (
    BINARY,
    MORE,
    PING,
    PONG,
    TEXT,
    Eavesdropping,
    Server,
    closeFrame,
    frame,
    parsed,
    unmasked,
)
from txsessionsock.limits import Limits


def onAutobahnsWay(server: Server) -> list[int]:
    """
    @return: The opcodes of the frames that Autobahn gets from now on.
    """
    found: list[int] = []
    kind: Any = type(server.protocol)

    def processData(protocol: Any) -> Any:
        before = protocol.current_frame
        result = kind.processData(protocol)
        if before is None and protocol.current_frame is not None:
            found.append(protocol.current_frame.opcode)
        return result

    # A method of the object itself would be one that the application has set.
    spied = type(kind.__name__, (kind,), {"processData": processData})
    server.protocol.__class__ = spied
    return found


class WayTests(SynchronousTestCase):
    """
    Which way frames go.
    """

    ordinary = (
        frame(TEXT, b"abc")
        + frame(BINARY, b"\xff" * 126)
        + frame(TEXT)
        + frame(TEXT, b"x" * 4096)
        + frame(PING, b"p" * 125)
        + frame(PONG)
    )

    def test_short(self) -> None:
        """
        Autobahn sees nothing of ordinary frames.
        """
        server = Server()
        seen = onAutobahnsWay(server)
        server.receive(self.ordinary)
        self.assertEqual(seen, [])
        self.assertEqual(len(parsed(server.sent)), 5)

    def test_others(self) -> None:
        """
        It gets all that is not ordinary, and the next ordinary one is none of its
        business again.
        """
        frames = {
            "not whole": frame(TEXT, b"abc")[:8],
            "a fragment": frame(TEXT, b"abc", fin=False),
            "compressed": frame(TEXT, b"abc", rsv=4),
            "large": frame(BINARY, b"x" * 4097),
            "larger": frame(BINARY, b"x" * 70000),
            "too large": frame(BINARY, b"x" * 301),
            "too many bytes of length": frame(TEXT, b"abc", width=2),
            "not UTF-8": frame(TEXT, b"\xff"),
            "not masked": frame(TEXT, b"abc", mask=None),
            "reserved": frame(3, b"abc"),
            "the end": closeFrame(),
        }
        for what, data in frames.items():
            small = 300 if what == "too large" else 2**20
            server = Server(limits=Limits(messageSize=small))
            seen = onAutobahnsWay(server)
            server.receive(frame(TEXT, b"before") + data)
            self.assertEqual(server.seen[0][:2], ("message", b"before"), what)
            if what == "not whole":
                server.receive(frame(TEXT, b"abc")[8:])
            self.assertEqual(len(seen), 1, what)
            if what.startswith(("not whole", "large")):
                server.receive(frame(TEXT, b"after"))
                self.assertEqual(server.seen[-1][:2], ("message", b"after"), what)
                self.assertEqual(len(seen), 1, what)

    def test_off(self) -> None:
        """
        Everything goes there where that is wanted, and where the application has
        a method or a listener that sees frames, or wants what Autobahn alone does.
        """

        class Hooked(Eavesdropping):
            def onMessageFrame(self, payload: Any) -> None:
                super().onMessageFrame(payload)

        class HookedItself(Eavesdropping):
            def onConnect(self, request: Any) -> None:
                vars(self)["onMessageEnd"] = self.onMessageEnd

        every = [TEXT, BINARY, TEXT, TEXT, PING, PONG]
        servers = [
            Server(shortFrames=False),
            Server(Hooked),
            Server(Hooked, isBefore=False),
            Server(HookedItself),
            Server(applyMask=False, utf8validateIncoming=False),
            Server(logFrames=True),
            Server(isTimed=True),
        ]
        servers.append(Server())
        servers[-1].protocol.on("message", lambda *args, **more: None)
        # It may set one at any time.
        servers.append(Server())
        vars(servers[-1].protocol)["onPing"] = servers[-1].protocol.onPing
        for number, server in enumerate(servers):
            seen = onAutobahnsWay(server)
            server.receive(self.ordinary)
            self.assertEqual(seen, every, number)

    def test_listener(self) -> None:
        """
        A listener that comes in the middle of a read hears of what is behind.
        """
        heard: list[bytes] = []

        def do(protocol: Any, payload: bytes, isBinary: bool) -> None:
            if payload == b"on":
                protocol.on("message", lambda found, is_binary: heard.append(found))

        server = Server(do=do)
        server.receive(b"".join(frame(TEXT, each) for each in (b"a", b"on", b"c")))
        self.assertEqual(heard, [b"c"])

    def test_compressed(self) -> None:
        """
        Where compression was agreed upon, Autobahn reads and writes all.
        """
        server = Server()
        server.protocol._perMessageCompress = object()
        seen = onAutobahnsWay(server)
        server.factory.do = lambda protocol, payload, isBinary: None
        server.receive(frame(TEXT, b"abc") + frame(PING, b"x"))
        self.assertEqual(seen, [TEXT, PING])
        with self.assertRaises(AttributeError):
            server.protocol._sessionsock.write((b"x", False))


class PongTests(SynchronousTestCase):
    """
    Pongs that nobody asked for.
    """

    def test_unasked(self) -> None:
        """
        They cost nothing, and no line of the log each.
        """
        server = Server()
        server.protocol.autoPingPending = b"waited for"
        own = vars(server.factory._sessionsock)
        # Whatever Autobahn logged would raise.
        own["quiet"] = None
        server.receive(frame(PONG, b"x") * 1000)
        self.assertEqual(server.protocol.autoPingPending, b"waited for")
        del own["quiet"]
        server.receive(frame(PONG, b"waited for", mask=b"abcd"))

    def test_waits(self) -> None:
        """
        A connection is not dropped for want of a pong that may be in what waits.
        """
        server = Server()
        server.clock.advance(25)
        ((_, asked),) = parsed(server.sent)
        server.protocol._sessionsock.pause()
        server.read(frame(PONG, asked))
        server.protocol._sessionsock.isPaused = False
        server.protocol.onAutoPingTimeout()
        self.assertFalse(server.wire.isClosed)
        server.protocol._sessionsock.resume()
        server.clock.advance(0)
        self.assertIsNone(server.protocol.autoPingPending)


class PieceTests(SynchronousTestCase):
    """
    Frames that come byte by byte.
    """

    def test_pieces(self) -> None:
        """
        A large one is not kept as so many objects.
        """
        server = Server()
        payload = bytes(range(256)) * 20
        for byte in frame(BINARY, payload):
            server.receive(bytes([byte]))
            pieces = vars(server.protocol).get("frame_data")
            self.assertLessEqual(len(pieces or ()), 1024)
        self.assertEqual([seen[1] for seen in server.seen], [payload])


class FragmentTests(SynchronousTestCase):
    """
    Messages in many frames.
    """

    def fragments(self, count: int, payload: bytes = b"") -> bytes:
        """
        Make a message of so many.
        """
        middle = frame(MORE, payload, fin=False) * (count - 2)
        return frame(TEXT, payload, fin=False) + middle + frame(MORE, payload)

    def test_most(self) -> None:
        """
        A message may come in as many as there is a limit to, empty ones or not,
        and other frames between them do not count.
        """
        for payload in b"", b"x":
            server = Server()
            for _ in range(2):
                data = self.fragments(1024, payload)
                last = len(frame(MORE, payload))
                server.receive(data[:-last] + frame(PING) * 2000 + data[-last:])
            self.assertEqual([seen[1] for seen in server.seen], [payload * 1024] * 2)

    def test_between(self) -> None:
        """
        Control frames between them do not make the count begin anew.
        """
        server = Server(limits=Limits(fragments=10))
        server.receive(frame(TEXT, fin=False))
        server.receive((frame(MORE, fin=False) + frame(PING)) * 10)
        self.assertEqual(server.sent[-len(b"10 frames") :], b"10 frames")

    def test_tooMany(self) -> None:
        """
        One more, and the connection ends with 1009; it takes no more memory.
        """
        for shortFrames in True, False:
            server = Server(limits=Limits(fragments=10), shortFrames=shortFrames)
            server.receive(self.fragments(10))
            server.receive(self.fragments(5000)[:-7])
            reason = b"received a WebSocket message of more than 10 frames"
            self.assertEqual(
                server.sent[2:], unmasked(8, (1009).to_bytes(2, "big") + reason)
            )
            self.assertEqual(server.protocol.message_data, [b""] * 9 + [b""])
            self.assertEqual(len(server.seen), 1)
            self.assertFalse(server.wire.isClosed)
            server.receive(closeFrame(1009))
            self.assertTrue(server.wire.isClosed)
