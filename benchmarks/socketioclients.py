"""
Clients of Socket.IO in bytes, which take little time for themselves: those that have
events acknowledged as fast as a server can, and those that are only there.
"""

from __future__ import annotations

import http.client
import json
import resource
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


__all__ = ["Counted", "Idle", "Loaded", "load", "page", "percentiles"]

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_MASK = b"\x37\xfa\x21\x3d"

_SIZE = 64
"""
How many bytes an event has.
"""

_IDS = 1000
"""
How many ids of acknowledgements there are, which come again and again.
"""

_MOST = 400_000
"""
How far a session may count.
"""

_WARM_UP = 1.0
_DRAINING = 20.0


def page(port: int, method: str, path: str, cookie: str = "") -> tuple[str, str]:
    """
    Ask for a page.

    @return: Its text, and the cookie that came with it.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    text, given = answer.read().decode(), answer.getheader("set-cookie") or ""
    connection.close()
    assert answer.status == 200, (answer.status, text)  # noqa: PLR2004 - OK
    return text, given.partition(";")[0]


def _frame(payload: bytes) -> bytes:
    masked = bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + _MASK + masked


def _event(number: int) -> bytes:
    head = b'42%d["add","' % (_IDS + number % _IDS)
    payload = head + b"x" * (_SIZE - len(head) - 2) + b'"]'
    return _frame(payload)


def _answer(number: int) -> bytes:
    payload = b'43%d["%010d"]' % (_IDS + number % _IDS, number + 1)
    return bytes((0x81, len(payload))) + payload


class Counted:
    """
    All that a client of this load sends, and all that it may get, in order: to
    compare bytes takes no time.
    """

    def __init__(self, deepest: int) -> None:
        self.eventSize, self.answerSize = len(_event(0)), len(_answer(0))
        self._events = b"".join(map(_event, range(_IDS + deepest)))
        self._answers = b"".join(map(_answer, range(_MOST)))

    def events(self, done: int, count: int) -> bytes:
        """
        So many events, behind those that were sent before.
        """
        start = done % _IDS * self.eventSize
        return self._events[start : start + count * self.eventSize]

    def check(self, place: int, data: bytes) -> None:
        """
        See that this is what has to come after so many bytes.
        """
        if not self._answers.startswith(data, place):
            end = place + len(data)
            raise AssertionError(f"{data!r}, not {self._answers[place:end]!r}")


def _connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class _Frames:
    """
    A WebSocket that waits, until it is in the namespace.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self.socket = _connected(port)
        lines = (
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {_KEY}",
            *[f"Cookie: {cookie}"] * bool(cookie),
            "\r\n",
        )
        self.socket.sendall("\r\n".join(lines).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        assert head.startswith(b"HTTP/1.1 101 "), head[:100]
        assert self._next().startswith(b"0{"), "not the open packet"
        self.socket.sendall(_frame(b"40"))
        answer = self._next()
        assert answer.startswith(b"40{"), answer

    def _read(self, count: int) -> bytes:
        data = self.socket.recv(count)
        assert data, "it was closed"
        return data

    def _next(self) -> bytes:
        head = self._read(1) + self._read(1)
        size = head[1]
        if size == 126:  # noqa: PLR2004 - its size follows
            size = int.from_bytes(self._read(1) + self._read(1), "big")
        payload = b""
        while len(payload) < size:
            payload += self._read(size - len(payload))
        return payload


@dataclass(eq=False)
class _Sender:
    """
    @ivar done: How many answers there were.

    @ivar rest: How many bytes of the next one.

    @ivar sent: When which number of events was sent that are under way.
    """

    socket: socket.socket
    done: int
    rest: int = 0
    sent: deque[tuple[float, int]] = field(default_factory=deque)


@dataclass(frozen=True)
class Loaded:
    """
    What came of it.

    @ivar rate: How many events were acknowledged a second.

    @ivar work: How many microseconds of its processor the server took for each.

    @ivar busy: Which part of its processor it took, and C{ownBusy}, which part of
        another one this load took.

    @ivar half: How long half of the answers took at most, in seconds, and C{most},
        99 of a hundred.
    """

    rate: float
    work: float
    busy: float
    ownBusy: float
    half: float
    most: float


class _Load:
    def __init__(self, counted: Counted, depth: int, senders: list[_Sender]) -> None:
        self._counted = counted
        self._table = {each.socket.fileno(): each for each in senders}
        self._poll = select.epoll()
        for descriptor in self._table:
            self._poll.register(descriptor, select.EPOLLIN)
        now = time.perf_counter()
        for each in senders:
            each.socket.sendall(counted.events(each.done, depth))
            each.sent.append((now, depth))
        self.answered = 0
        self.times: list[tuple[float, int]] = []

    def turn(self, *, isOver: bool = False) -> None:
        """
        Read what came, and send as many events, unless it is over.
        """
        size, counted = self._counted.answerSize, self._counted
        for descriptor, _ in self._poll.poll(1):
            each = self._table[descriptor]
            data = each.socket.recv(65536)
            now = time.perf_counter()
            assert data, "the server closed a connection"
            counted.check(each.done * size + each.rest, data)
            answered, each.rest = divmod(each.rest + len(data), size)
            if not answered:
                continue
            each.done += answered
            self.answered += answered
            under = self._took(each, answered, now)
            if not isOver:
                each.socket.sendall(counted.events(each.done + under, answered))
                each.sent.append((now, answered))

    def _took(self, each: _Sender, answered: int, now: float) -> int:
        """
        @return: How many are still under way.
        """
        sent, rest = each.sent, answered
        while rest:
            when, count = sent.popleft()
            taken = min(count, rest)
            self.times.append((now - when, taken))
            rest -= taken
            if taken < count:
                sent.appendleft((when, count - taken))
        return sum(count for _, count in sent)

    @property
    def isDrained(self) -> bool:
        return not any(each.sent for each in self._table.values())


def load(
    server: Any, cookies: list[str], done: list[int], depth: int, seconds: float
) -> Loaded:
    """
    Have so many events on their way on each connection, for so long, and wait for
    the last of them.

    @param server: Has C{port}, C{counted} and C{seconds}, the time that it has
        taken of its processor.

    @param done: How many each session has counted before, which is brought up to
        date.
    """
    connections = [_Frames(server.port, cookie) for cookie in cookies]
    senders = [
        _Sender(frames.socket, count)
        for frames, count in zip(connections, done, strict=True)
    ]
    loading = _Load(server.counted, depth, senders)
    _while(loading, _WARM_UP)
    loading.answered, loading.times = 0, []
    used, own, began = server.seconds, time.process_time(), time.perf_counter()
    _while(loading, seconds)
    lasted = time.perf_counter() - began
    used, own = server.seconds - used, time.process_time() - own
    answered, half, most = loading.answered, *percentiles(loading.times)
    end = time.perf_counter() + _DRAINING
    while not loading.isDrained and time.perf_counter() < end:
        loading.turn(isOver=True)
    assert loading.isDrained, "some events were never acknowledged"
    for number, sender in enumerate(senders):
        done[number] = sender.done
        sender.socket.close()
    return Loaded(
        answered / lasted,
        used / answered * 1e6,
        used / lasted,
        own / lasted,
        half,
        most,
    )


def _while(loading: _Load, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        loading.turn()


def percentiles(times: list[tuple[float, int]]) -> tuple[float, float]:
    """
    @param times: How long it took, and how often.

    @return: What half of them took at most, and 99 of a hundred.
    """
    total = sum(count for _, count in times)
    found: list[float] = []
    wanted, seen = [0.5 * total, 0.99 * total], 0
    for took, count in sorted(times):
        seen += count
        while len(found) < len(wanted) and seen >= wanted[len(found)]:
            found.append(took)
    return found[0], found[1]


# Those that are only there.


class _Web:
    """
    One connection of HTTP/1.1 that is kept, and made anew when it was closed.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self._port = port
        self._head = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n" + (
            f"Cookie: {cookie}\r\n" if cookie else ""
        )
        self.socket = _connected(port)
        self._data = b""

    def ask(self, method: str, path: str, body: str = "") -> None:
        more = f"Content-Length: {len(body)}\r\n" if body else ""
        text = f"{method} {path}{self._head}{more}\r\n{body}"
        self.socket.sendall(text.encode())

    def again(self) -> None:
        self.socket.close()
        self._data = b""
        self.socket = _connected(self._port)

    def read(self) -> bytes | None:
        """
        Read once.

        @return: A whole body, if there is one then.

        @raise ConnectionError: It was closed.
        """
        more = self.socket.recv(65536)
        if not more:
            raise ConnectionError
        self._data += more
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return None
        assert head.startswith(b"HTTP/1.1 200 "), self._data[:300]
        head = head.lower()
        if b"\ntransfer-encoding: chunked" in head:
            return self._chunked(body)
        size = int(head.partition(b"\ncontent-length:")[2].split()[0])
        if len(body) < size:
            return None
        self._data = body[size:]
        return body[:size]

    def _chunked(self, body: bytes) -> bytes | None:
        whole, end, rest = body.partition(b"0\r\n\r\n")
        if not end:
            return None
        self._data = rest
        # The servers here have one chunk in each answer.
        return whole.partition(b"\r\n")[2].removesuffix(b"\r\n")

    def answer(self) -> bytes:
        """
        Wait for it.
        """
        while (body := self.read()) is None:
            pass
        return body


class _Polling:
    """
    A client as browsers are: a connection for polls, and another one for what it
    sends.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self._polls, self._posts = _Web(port, cookie), _Web(port, cookie)
        self._path = "/socket.io/?EIO=4&transport=polling"
        self._polls.ask("GET", self._path)
        self._path += f"&sid={json.loads(self._polls.answer()[1:])['sid']}"
        self._posts.ask("POST", self._path, "40")
        self._posts.answer()
        self._polls.ask("GET", self._path)
        answer = self._polls.answer()
        assert answer.startswith(b"40{"), answer
        self._polls.ask("GET", self._path)
        self.pings = 0

    def sockets(self) -> list[socket.socket]:
        return [self._polls.socket, self._posts.socket]

    def read(self, which: socket.socket) -> None:
        if which is self._posts.socket:
            self._posts.read()
            return
        body = self._polls.read()
        if body is None:
            return
        for packet in body.split(b"\x1e"):
            assert packet in (b"2", b"6"), packet
            if packet == b"2":
                self.pings += 1
                self._posts.ask("POST", self._path, "3")
        self._polls.ask("GET", self._path)

    def closed(self, which: socket.socket) -> socket.socket:
        """
        Make a connection anew, which need not be kept.
        """
        assert which is self._posts.socket, "a poll was closed"
        self._posts.again()
        return self._posts.socket

    def leave(self) -> None:
        for each in self.sockets():
            each.close()


class _WebSocket:
    """
    The same over WebSocket.
    """

    def __init__(self, port: int, cookie: str) -> None:
        self._socket = _Frames(port, cookie).socket
        self.pings = 0

    def sockets(self) -> list[socket.socket]:
        return [self._socket]

    def read(self, which: socket.socket) -> None:
        data = which.recv(65536)
        if not data:
            raise ConnectionError
        # A ping of Engine.IO, or one of WebSocket, which has to be answered too.
        if data == b"\x81\x012":
            self.pings += 1
            which.sendall(_frame(b"3"))
        else:
            assert data[0] == 0x89, data  # noqa: PLR2004 - the ping's first byte
            which.sendall(b"\x8a" + _frame(data[2:])[1:])

    def closed(self, which: socket.socket) -> socket.socket:
        raise AssertionError("a WebSocket was closed")

    def leave(self) -> None:
        self._socket.close()


class Idle:
    """
    Clients that are only there, and answer pings.
    """

    def __init__(self, port: int, transport: str, cookies: Iterable[str]) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        kind: Any = _Polling if transport == "polling" else _WebSocket
        self._clients: list[Any] = []
        self._table: dict[int, tuple[Any, socket.socket]] = {}
        self._poll = select.epoll()
        for cookie in cookies:
            client = kind(port, cookie)
            self._clients.append(client)
            for each in client.sockets():
                self._add(client, each)
            self.rest(0)

    def _add(self, client: Any, each: socket.socket) -> None:
        self._table[each.fileno()] = client, each
        self._poll.register(each.fileno(), select.EPOLLIN)

    @property
    def pings(self) -> int:
        """
        How many there were.
        """
        return sum(client.pings for client in self._clients)

    def rest(self, seconds: float) -> None:
        """
        Be there for so long.
        """
        end = time.monotonic() + seconds
        while True:
            left = max(end - time.monotonic(), 0)
            for descriptor, _ in self._poll.poll(left):
                client, each = self._table[descriptor]
                try:
                    client.read(each)
                except ConnectionError:
                    self._poll.unregister(descriptor)
                    del self._table[descriptor]
                    self._add(client, client.closed(each))
            if not left:
                return

    def leave(self) -> None:
        for client in self._clients:
            client.leave()
        self._poll.close()
