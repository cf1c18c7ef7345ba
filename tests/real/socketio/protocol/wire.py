"""
A client of Engine.IO that shares nothing with the server: HTTP written by hand, and
WebSockets of another library.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake


__all__ = [
    "PATIENCE",
    "POLLING",
    "WEBSOCKET",
    "Answer",
    "Exchange",
    "Polls",
    "Refused",
    "Server",
    "Socket",
    "isOpening",
]

SEPARATOR = "\x1e"
PING, PONG = "2", "3"
WEBSOCKET, POLLING = "transport=websocket", "transport=polling"

PATIENCE = 10.0
"""
How long anything may take, in seconds, beside what it waits for.
"""


class Refused(Exception):
    """
    There was no WebSocket.
    """


@dataclass
class Answer:
    """
    What HTTP answered.

    @ivar headers: By their names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """
        The body.
        """
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        """
        The packets in the body.
        """
        assert self.status == 200, self
        return self.text.split(SEPARATOR)


@dataclass
class Server:
    """
    What is looked at.

    @ivar host: Where it is, and C{port}.

    @ivar path: Of its Engine.IO.

    @ivar cookie: Comes with each request, if there is one.

    @ivar connectTimeout: How long it waits for CONNECT, in seconds.

    @ivar pingInterval: What it announces, in seconds, and C{pingTimeout}.

    @ivar maxPayload: What it announces, in bytes.
    """

    host: str
    port: int
    path: str = "/socket.io/"
    cookie: str | None = field(default=None, repr=False)
    connectTimeout: float = 1.0
    pingInterval: float = 0.0
    pingTimeout: float = 0.0
    maxPayload: int = 0

    @classmethod
    def at(cls, url: str, cookie: str | None, connectTimeout: float) -> Server:
        """
        The server at a URL; without a path there, at C{/socket.io/}.
        """
        parts = urlsplit(url if "//" in url else f"//{url}")
        path = parts.path if parts.path.strip("/") else "/socket.io/"
        port = parts.port or 80
        return cls(parts.hostname or "127.0.0.1", port, path, cookie, connectTimeout)

    async def look(self) -> None:
        """
        See what it announces.
        """
        opened = isOpening((await self.get(POLLING)).text)
        self.pingInterval = opened["pingInterval"] / 1000
        self.pingTimeout = opened["pingTimeout"] / 1000
        self.maxPayload = opened["maxPayload"]

    @property
    def silence(self) -> float:
        """
        After how many seconds it gives a silent client up.
        """
        return self.pingInterval + self.pingTimeout

    # HTTP.

    def head(self, method: str, query: str, *headers: str, path: str = "") -> bytes:
        """
        A request up to its body.
        """
        lines = [
            f"{method} {path or self.path}?{query} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            *([f"Cookie: {self.cookie}"] if self.cookie else []),
            *headers,
        ]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """
        Open a TCP connection.
        """
        return await asyncio.open_connection(self.host, self.port)

    async def begin(self, raw: bytes) -> Exchange:
        """
        Send something on a connection of its own, and leave that open.
        """
        reader, writer = await self.connect()
        writer.write(raw)
        return Exchange(reader, writer)

    async def request(
        self, method: str, query: str, body: bytes | None = None, *headers: str
    ) -> Answer:
        """
        Send a request.
        """
        length = [] if body is None else [f"Content-Length: {len(body)}"]
        head = self.head(method, query, "Connection: close", *length, *headers)
        exchange = await self.begin(head + (body or b""))
        return await exchange.answer()

    async def get(self, query: str, *headers: str) -> Answer:
        """
        GET.
        """
        return await self.request("GET", f"EIO=4&{query}", None, *headers)

    async def post(self, query: str, body: bytes | str) -> Answer:
        """
        POST.
        """
        raw = body.encode() if isinstance(body, str) else body
        kind = "Content-Type: text/plain;charset=UTF-8"
        return await self.request("POST", f"EIO=4&{query}", raw, kind)

    async def polls(self) -> Polls:
        """
        Open a session by polling.
        """
        return Polls(self, isOpening((await self.get(POLLING)).text)["sid"])

    # WebSocket.

    @asynccontextmanager
    async def socket(
        self, query: str = f"EIO=4&{WEBSOCKET}", *, isAnswering: bool = True
    ) -> AsyncIterator[Socket]:
        """
        Open a WebSocket, for a while.

        @param isAnswering: Whether pings are answered, and not seen.

        @raise Refused: The server did not open it.
        """
        headers = {"Cookie": self.cookie} if self.cookie else {}
        uri = f"ws://{self.host}:{self.port}{self.path}?{query}"
        try:
            connection = await connect(
                uri,
                additional_headers=headers,
                ping_interval=None,
                compression=None,
                max_size=None,
                open_timeout=PATIENCE,
                proxy=None,
            )
        except (InvalidHandshake, OSError, EOFError) as error:
            raise Refused(error) from None
        socket = Socket(connection, isAnswering)
        try:
            yield socket
        finally:
            await socket.end()

    @asynccontextmanager
    async def opened(self, *, isAnswering: bool = True) -> AsyncIterator[Socket]:
        """
        Open a session by WebSocket, for a while.
        """
        async with self.socket(isAnswering=isAnswering) as socket:
            socket.sid = isOpening(await socket.next())["sid"]
            yield socket

    @asynccontextmanager
    async def upgrading(self, sid: str) -> AsyncIterator[Socket]:
        """
        Open a WebSocket for a session that goes by polling, for a while.
        """
        async with self.socket(f"EIO=4&{WEBSOCKET}&sid={sid}") as socket:
            yield socket


class Exchange:
    """
    A request that may be half, and its answer.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, raw: bytes) -> None:
        """
        Send more.
        """
        with suppress(ConnectionError):
            self._writer.write(raw)
            await self._writer.drain()

    async def abort(self) -> None:
        """
        Break it off.
        """
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def answer(self, *, isLast: bool = True) -> Answer:
        """
        Wait for the answer, and close the connection if there is to be no other.

        @raise EOFError: The server closed it before.
        """
        try:
            return await asyncio.wait_for(self._answer(), PATIENCE)
        finally:
            if isLast:
                self._writer.close()

    async def _answer(self) -> Answer:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except OSError as error:
            raise EOFError(str(error)) from None
        status, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Answer(int(status.split()[1]), headers, await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.read()
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        return body


class Socket:
    """
    A WebSocket.

    @ivar sid: The session that it opened.
    """

    sid = ""

    def __init__(self, connection: ClientConnection, isAnswering: bool) -> None:
        self._connection = connection
        self._isAnswering = isAnswering
        self._received: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                if message == PING and self._isAnswering:
                    await self._connection.send(PONG)
                else:
                    self._received.put_nowait(message)
        except ConnectionClosed:
            pass
        self._received.put_nowait(None)

    async def send(self, *messages: str | bytes) -> None:
        """
        Send messages.
        """
        # Whoever sends nonsense may find it closed meanwhile.
        with suppress(ConnectionClosed):
            for message in messages:
                await self._connection.send(message)

    async def next(self, patience: float = PATIENCE) -> Any:
        """
        Wait for the next message.
        """
        message = await asyncio.wait_for(self._received.get(), patience)
        assert message is not None, f"closed: {self.code}"
        return message

    async def many(self, number: int) -> list[Any]:
        """
        Wait for some messages.
        """
        return [await self.next() for _ in range(number)]

    async def closed(self, patience: float = PATIENCE) -> list[Any]:
        """
        Wait for its end.

        @return: What came before.
        """
        found = []
        async with asyncio.timeout(patience):
            while (message := await self._received.get()) is not None:
                found.append(message)
        return found

    async def connected(self, namespace: str = "") -> None:
        """
        Connect to a namespace of Socket.IO.
        """
        await self.send(f"40{namespace}")
        prefix = f"40{namespace}{',' if namespace else ''}{{"
        answer = await self.next()
        assert answer.startswith(prefix), answer
        assert '["auth",' in await self.next()

    async def works(self) -> None:
        """
        See that it is connected to the main namespace.
        """
        await self.send('4277["message-with-ack","works"]')
        answer = await self.next()
        assert answer == '4377["works"]', answer

    @property
    def code(self) -> int | None:
        """
        With which code it was closed.
        """
        return self._connection.close_code

    def abort(self) -> None:
        """
        Drop its TCP connection.
        """
        self._connection.transport.abort()

    async def end(self) -> None:
        """
        Close it.
        """
        self._reading.cancel()
        with suppress(Exception):
            await asyncio.wait_for(self._connection.close(), 1)
        self.abort()


class Polls:
    """
    A session that goes by polling.
    """

    def __init__(self, server: Server, sid: str) -> None:
        self._server = server
        self.sid = sid
        self.query = f"{POLLING}&sid={sid}"
        self._received: list[str] = []

    async def get(self) -> Answer:
        """
        Poll.
        """
        return await self._server.get(self.query)

    async def begin(self) -> Exchange:
        """
        Poll, and do not wait for the answer.
        """
        head = self._server.head("GET", f"EIO=4&{self.query}", "Connection: close")
        return await self._server.begin(head)

    async def post(self, *packets: str) -> Answer:
        """
        Send packets.
        """
        return await self._server.post(self.query, SEPARATOR.join(packets))

    async def sent(self, *packets: str) -> None:
        """
        Send packets that are right.
        """
        answer = await self.post(*packets)
        assert (answer.status, answer.text) == (200, "ok"), answer

    async def next(self) -> str | bytes:
        """
        Wait for the next packet; answer pings.
        """
        while not self._received:
            packets = (await self.get()).packets
            if PING in packets:
                await self.sent(PONG)
            self._received = [packet for packet in packets if packet != PING]
        packet = self._received.pop(0)
        return b64decode(packet[1:]) if packet.startswith("b") else packet

    async def many(self, number: int) -> list[Any]:
        """
        Wait for some packets.
        """
        return [await self.next() for _ in range(number)]

    async def connected(self) -> None:
        """
        Connect to the main namespace of Socket.IO.
        """
        await self.sent("40")
        answer, auth = await self.many(2)
        assert answer.startswith('40{"sid":'), answer
        assert auth == '42["auth",{}]', auth

    async def works(self) -> None:
        """
        See that it is connected to the main namespace.
        """
        await self.sent('4277["message-with-ack","works"]')
        answer = await self.next()
        assert answer == '4377["works"]', answer

    async def ended(self) -> None:
        """
        See that there is no such session any more; it may be a moment.
        """
        for _ in range(100):
            answer = await self.get()
            if answer.status != 200:
                break
            # What was on its way when it ended.
            assert answer.packets[-1] in ("1", "6"), answer
        await self.isUnknown()

    async def isUnknown(self) -> None:
        """
        See that there is no such session.
        """
        answer = await self.get()
        assert answer.status == 400, answer


def isOpening(packet: Any, upgrades: tuple[str, ...] | None = None) -> dict[str, Any]:
    """
    See that a packet opens a session.

    @return: What it announces.
    """
    assert isinstance(packet, str), packet
    assert packet.startswith("0{"), packet
    opened: dict[str, Any] = json.loads(packet[1:])
    names = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert opened.keys() == names, opened
    assert isinstance(opened["sid"], str), opened
    assert upgrades is None or opened["upgrades"] == list(upgrades), opened
    for name in "pingInterval", "pingTimeout", "maxPayload":
        assert type(opened[name]) is int, opened
    return opened
