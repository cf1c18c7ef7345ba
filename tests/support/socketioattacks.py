"""
Clients of Socket.IO that attack: what they send, in bytes, and clients that send it,
by long-polling and by WebSocket.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from tests.support.doors import KEY, Visitor, frame
from tests.support.servers import PATIENCE, reactor


__all__ = [
    "BAD_BYTES",
    "BAD_FIRST",
    "BAD_TEXT",
    "ODD_ENGINE",
    "POLLING",
    "STRANGE",
    "TRANSPORTS",
    "WEBSOCKET",
    "Attacker",
    "Web",
    "event",
    "posted",
    "request",
]

POLLING, WEBSOCKET = "polling", "websocket"
TRANSPORTS = POLLING, WEBSOCKET

_BINARY = 0x2
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA

_HOLDS = b'{"_placeholder":true,"num":0}'

BAD_TEXT: dict[str, list[bytes | str]] = {
    "nothing": [""],
    "no type": ["x"],
    "a type that is none": ["9"],
    "7": ["7[]"],
    "a number below zero": ["-1"],
    "an event without data": ["2"],
    "an object as an event": ['2{"a":1}'],
    "a text as an event": ['2"x"'],
    "null as an event": ["2null"],
    "a number as an event": ["21"],
    "an empty event": ["2[]"],
    "an event named null": ["2[null]"],
    "an event named by a list": ['2[["x"]]'],
    "an event named by an object": ['2[{"x":1}]'],
    "half an event": ['2["add"'],
    "more than an event": ['2["add"]]'],
    "two events": ['2["add"]2["add"]'],
    "deep": ["2" + "[" * 100_000],
    "deep and closed": ['2["add",' + "[" * 50_000 + "]" * 50_000 + "]"],
    "deep objects": ['2["add",' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "]"],
    "NaN": ['2["add",NaN]'],
    "Infinity": ['2["add",Infinity]'],
    "minus Infinity": ['2["add",-Infinity]'],
    "1e999": ['2["add",1e999]'],
    "a number of 5000 digits": ['2["add",' + "1" * 5000 + "]"],
    "too many values": ['2["add"' + ",[]" * 150_000 + "]"],
    "named connect": ['2["connect"]'],
    "named disconnect": ['2["disconnect"]'],
    "named disconnecting": ['2["disconnecting"]'],
    "named newListener": ['2["newListener"]'],
    "named removeListener": ['2["removeListener"]'],
    "named connect_error": ['2["connect_error"]'],
    "no attachments": ['50-["add"]'],
    "eleven attachments": ['511-["add"]'],
    "9999999999 attachments": ['59999999999-["add",{"_placeholder":true,"num":0}]'],
    "a million digits of attachments": ["5" + "1" * 900_000 + '-["add"]'],
    "no dash": ['51["add"]'],
    "no placeholder": ['51-["add"]', b"x"],
    "a placeholder out of range": ['51-["add",{"_placeholder":true,"num":1}]', b"x"],
    "a placeholder below zero": ['51-["add",{"_placeholder":true,"num":-1}]', b"x"],
    "a placeholder of text": ['51-["add",{"_placeholder":true,"num":"0"}]', b"x"],
    "a placeholder of true": ['51-["add",{"_placeholder":true,"num":true}]', b"x"],
    "a placeholder without number": ['51-["add",{"_placeholder":true}]', b"x"],
    "one place for two": [
        '52-["add",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
        b"x",
        b"y",
    ],
    "a text for an attachment": [
        '51-["add",{"_placeholder":true,"num":0}]',
        '2["add"]',
    ],
    "attachments too large": [
        '52-["add",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        bytes(600_000),
        bytes(600_000),
    ],
    "bytes for nothing": [b"x"],
    "no bytes for nothing": [b""],
    "an ack without number": ['3["x"]'],
    "an object as an ack": ["31{}"],
    "an ack without data": ["31"],
    "an ack number of 5000 digits": ["2" + "1" * 5000 + '["add"]'],
    "an ack number that is too large": ['299999999999999999999["add"]'],
    "a namespace without comma": ['2/nope["add"]'],
    "a namespace that was not connected": ['2/nope,["add"]'],
    "an ack in one": ['3/nope,1["add"]'],
    "an endless namespace": ["2/" + "n" * 500_000 + ',["add"]'],
    "CONNECT with a list": ["0[]"],
    "CONNECT with a text": ['0"x"'],
    "CONNECT with a number": ["01"],
    "CONNECT with NaN": ['0{"a":NaN}'],
    "DISCONNECT with data": ["1{}"],
    "DISCONNECT with text": ["1x"],
}
"""
What ends a connection that is in the main namespace with C{parse error}: messages,
texts without the C{4} of Engine.IO, and attachments.
"""

BAD_BYTES: dict[str, list[bytes | str]] = {
    "no byte of MessagePack": [b"\xc1"],
    "nothing": [b""],
    "half": [b"\x82\xa4type"],
    "a map of 2^32": [b"\xdf\xff\xff\xff\xff"],
    "a list of 2^32": [b"\xdd\xff\xff\xff\xff" + b"\x01" * 100],
    "bytes of 2^32": [b"\xc6\xff\xff\xff\xff" + b"\x01" * 100],
    "a text of 2^32": [b"\xdb\xff\xff\xff\xff" + b"a" * 100],
    "deep": [b"\x91" * 500_000],
    "deep maps": [b"\x81\x01" * 300_000],
    "an empty map": [b"\x80"],
    "a number": [b"\x01"],
    "a list": [b"\x91\x01"],
    "a type of text": [b"\x82\xa4type\xa12\xa3nsp\xa1/"],
    "a type that is none": [b"\x82\xa4type\x09\xa3nsp\xa1/"],
    "a type of true": [b"\x82\xa4type\xc3\xa3nsp\xa1/"],
    "no namespace": [b"\x82\xa4type\x02\xa4data\x91\xa1x"],
    "a namespace of numbers": [b"\x83\xa4type\x02\xa3nsp\x01\xa4data\x91\xa1x"],
    "an event of a map": [b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x81\x01\x02"],
    "a key that is a list": [b"\x81\x91\x01\x02"],
    "a text that is none": [b"\x82\xa4type\x02\xa3nsp\xa2\xff\xfe"],
    "a NaN": [
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa3add\xcb\x7f\xf8" + bytes(6)
    ],
    "an id of text": [b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1x\xa2id\xa11"],
    "two values": [b"\x82\xa4type\x00\xa3nsp\xa1/\x01"],
    "too many values": [
        b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\x00\x06\x1a\x80"
        + b"\xa3add"
        + b"\x90" * 399_999
    ],
}
"""
The same where packets are in MessagePack.
"""

BAD_FIRST: dict[str, list[bytes | str]] = {
    "an event before CONNECT": ['2["add"]'],
    "an ack before CONNECT": ['31["x"]'],
    "no packet": ["x"],
    "no packet of MessagePack": [b"\xc1"],
    "an attachment": [b"\x01"],
    "CONNECT_ERROR before CONNECT": ['4{"message":"x"}'],
}
"""
The same where there was no CONNECT.
"""

STRANGE: dict[str, list[bytes | str]] = {
    "half a character": ['21["say","\\ud800"]'],
    "a half in a name": ['21["\\ud800","x"]'],
    "half a character in a key": ['21["say",{"\\ud800":1}]'],
    "acks with unknown ids": [f'3{number}["x"]' for number in range(1000)],
    "ack of text": ['31["x",{"a":[1,2,3]}]'],
    "a nul": ['21["say","\\u0000"]', '22["\\u0000"]'],
    "names of methods": [
        f'21["{name}"]'
        for name in ("__init__", "__class__", "_sessionsock", "sessionInvalid", "")
    ],
    "names of a prototype": ['21["say",{"__proto__":{"a":1},"constructor":1}]'],
    "same keys": ['21["say",{"a":1,"a":2}]'],
    "a placeholder without attachments": [
        '21["say",{"_placeholder":true,"num":0}]',
        '21["say",{"_placeholder":true,"num":"x"}]',
    ],
    "a long name": ['21["' + "n" * 500_000 + '"]'],
    "too many arguments": ['21["add"' + ",1" * 1000 + "]"],
    "too few arguments": ['21["add"]', '21["say"]'],
    "an argument of another kind": ['21["add",{"a":[]}]', '21["big","x"]'],
    "large numbers": ['21["say",1e308,-1e308,12345678901234567890]'],
    "DISCONNECT of others": ["1/nope,", "1/", "1/nope"],
    "CONNECT again": ["0", "0{}", "0/,"],
    "CONNECT to others": ["0/nope,", "0/nope", '0/nope?a=b,{"a":1}', "0/,"],
}
"""
What is odd, but ends nothing, or only the connection of who sends it: there is to be
no unhandled error.
"""

ODD_ENGINE: list[bytes | str] = [
    *("0", "0{}", "1", "2", "2probe", "3", "3probe", "5", "6", "7", "9", "x", "b"),
    *("bAAAA", "é", "\x1e", "\x1e\x1e", "4\x1e", " 4", "4\x00"),
    *(b"", b"\x00", b"4", b"\x1e"),
]
"""
Packets of Engine.IO that no client sends then, as messages of WebSocket.
"""


def request(
    method: str, path: str, body: bytes = b"", *headers: str, size: int | None = None
) -> bytes:
    """
    A request as browsers send it.

    @param headers: Further ones.

    @param size: What its C{Content-Length} says; that of the body unless given.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if size is not None or body or method == "POST":
        lines.append(f"Content-Length: {len(body) if size is None else size}")
        lines.append("Content-Type: text/plain;charset=UTF-8")
    return "\r\n".join([*lines, "", ""]).encode() + body


def posted(messages: list[bytes | str]) -> bytes:
    """
    Messages as the body of a POST; texts without the C{4} of Engine.IO.
    """
    return b"\x1e".join(
        f"4{each}".encode(errors="surrogatepass")
        if isinstance(each, str)
        else b"b" + b64encode(each)
        for each in messages
    )


def event(name: str, *args: Any, id: int | None = None) -> str:
    """
    An event of the main namespace.
    """
    number = "" if id is None else str(id)
    return f"2{number}{json.dumps([name, *args])}"


class Web:
    """
    One connection of HTTP.
    """

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor

    @classmethod
    async def to(cls, port: int) -> Web:
        """
        Connect.
        """
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        factory: Any = Factory.forProtocol(Visitor)
        factory.noisy = False
        return cls(await endpoint.connect(factory))

    def send(self, data: bytes) -> None:
        """
        Send bytes.
        """
        self.visitor.send(data)

    async def answer(self, patience: float = PATIENCE) -> tuple[int, bytes]:
        """
        Wait for the answer to a request.

        @return: Its status and its body; 0, if the connection ended before.
        """
        found: Any = await self.visitor.until(self._answer, patience=patience)
        return found  # type: ignore[no-any-return]  # They are of any kind.

    def _answer(self) -> tuple[int, bytes] | None:
        visitor = self.visitor
        head, end, body = visitor.received.partition(b"\r\n\r\n")
        if end:
            size = int(head.lower().partition(b"content-length:")[2].split()[0])
            if len(body) >= size:
                visitor.received = body[size:]
                return int(head.split(b" ")[1]), body[:size]
        return (0, b"") if visitor.isLost else None

    async def ask(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """
        Send a request and wait for its answer.
        """
        self.send(request(*args, **kwargs))
        return await self.answer()

    def leave(self) -> None:
        """
        Cut the connection.
        """
        self.visitor.leave()


class Attacker:
    """
    A client that has opened a connection of Engine.IO, and reads what comes.

    @ivar web: Its connection: that of the polls, or the WebSocket.

    @ivar posts: The connection of what it sends by polling.

    @ivar messages: What came, apart from pings.

    @ivar code: That of the close frame; 0 if there was none.

    @ivar answersPings: Whether it does.
    """

    web: Web
    posts: Web
    answersPings = True

    def __init__(self, port: int, transport: str, cookie: str = "") -> None:
        self.port = port
        self.transport = transport
        self.headers = [f"Cookie: {cookie}"] if cookie else []
        self.path = f"/socket.io/?EIO=4&transport={transport}"
        self.sid = ""
        self.messages: list[bytes] = []
        self.code = 0
        self._texts: list[bytes] = []

    async def open(self) -> Attacker:
        """
        Shake hands.
        """
        self.web = await Web.to(self.port)
        if self.transport == POLLING:
            self.posts = await Web.to(self.port)
            status, body = await self.poll()
            assert status == 200, body
            opening = self.messages.pop(0)
        else:
            self.web.send(self.handshake())
            head = await self.web.visitor.head()
            assert head.startswith(b"HTTP/1.1 101 "), head
            opening = await self.next()
        assert opening.startswith(b"0{"), opening
        self.sid = json.loads(opening[1:])["sid"]
        if self.transport == POLLING:
            self.path += f"&sid={self.sid}"
        return self

    def handshake(self, path: str = "") -> bytes:
        """
        That of a WebSocket.
        """
        return request(
            *("GET", path or self.path, b"", "Upgrade: websocket"),
            *("Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            *(f"Sec-WebSocket-Key: {KEY}", *self.headers),
        )

    async def connect(self, namespace: str = "", data: str = "") -> Attacker:
        """
        CONNECT, and wait for the answer.
        """
        await self.say(f"0{namespace}{data}")
        answer = await self.next()
        assert answer.startswith(b"40"), answer
        return self

    async def poll(self) -> tuple[int, bytes]:
        """
        Poll once.
        """
        status, body = await self.web.ask("GET", self.path, b"", *self.headers)
        if status == 200:
            for packet in body.split(b"\x1e"):
                if packet == b"2" and self.answersPings:
                    self.post(b"3")
                elif packet != b"2":
                    self.messages.append(packet)
        return status, body

    def post(self, body: bytes) -> None:
        """
        Send packets, and do not wait for the answer.
        """
        self.posts.send(request("POST", self.path, body, *self.headers))

    async def say(self, *messages: bytes | str) -> int:
        """
        Send messages: texts without the C{4} of Engine.IO, or bytes.

        @return: The status of the answer; 200 where there is none.
        """
        if self.transport == POLLING:
            self.post(posted(list(messages)))
            status, _ = await self.posts.answer()
            return status
        self.send(*messages)
        return 200

    def send(self, *messages: bytes | str) -> None:
        """
        Send messages over WebSocket.
        """
        self.web.send(
            b"".join(
                frame(f"4{each}".encode(errors="surrogatepass"))
                if isinstance(each, str)
                else frame(each, _BINARY)
                for each in messages
            )
        )

    async def next(self) -> bytes:
        """
        Wait for a message.

        @return: It, with the C{4}; C{b"1"} if the connection ended.
        """
        while not self.messages:
            if self.transport == POLLING:
                status, _ = await self.poll()
                if status != 200:
                    return b"1"
            elif await self.web.visitor.until(self._read) == "lost":
                return b"1"
        return self.messages.pop(0)

    def _read(self) -> str:
        """
        Take whole frames out of what came over WebSocket.
        """
        visitor = self.web.visitor
        while (found := _frameIn(visitor.received)) is not None:
            opcode, payload, visitor.received = found
            if opcode == _CLOSE:
                self.code = int.from_bytes(payload[:2], "big")
                visitor.send(frame(payload, _CLOSE))
            elif opcode == _PING:
                visitor.send(frame(payload, _PONG))
            elif payload == b"2":
                if self.answersPings:
                    visitor.send(frame(b"3"))
            elif opcode != _PONG:
                self.messages.append(payload)
        if self.messages:
            return "read"
        return "lost" if visitor.isLost else ""

    async def ended(self) -> None:
        """
        Wait until the server has ended the connection.
        """
        ending = Deferred.fromCoroutine(self._ended())
        await ending.addTimeout(PATIENCE, reactor)

    async def _ended(self) -> None:
        while await self.next() != b"1":
            pass

    def leave(self) -> None:
        """
        Leave; by polling with a word, without which a server waits for the next poll.
        """
        self.web.leave()
        if self.transport == POLLING:
            self.post(b"1")
            self.posts.visitor.transport.loseConnection()


def _frameIn(data: bytes) -> tuple[int, bytes, bytes] | None:
    """
    @return: The opcode and the payload of the first frame, and what is behind it.
    """
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    end = start + size
    if len(data) < end:
        return None
    return data[0] & 0x0F, data[start:end], data[end:]
