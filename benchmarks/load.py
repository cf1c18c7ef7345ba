"""
What loads the servers of L{benchmarks.compare}: sockets, epoll and bytes that were made
before, in one process that has a processor to itself, but for the Redis.

How does one know that it is not the bottleneck? L{Loaded.ownBusy} is the share of that
processor which it and the Redis took. As long as that is less than 80 %, while the
server took all of its own, the server is what there is to wait for; C{compare} marks
each figure where it was more, and each where the server had less than 80 % of its own:
there, something else was waited for, and the load's share proves nothing. What a
message costs the server, in time of its processor, does not depend on the load, in any
case.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from benchmarks.answers import EVENT, PLAIN, Answers, Frames, Template, masked


__all__ = [
    "SOCKETIO",
    "Connection",
    "Loaded",
    "Protocol",
    "Rated",
    "Talkers",
    "Times",
    "connect",
    "connects",
    "keep",
    "learn",
    "load",
    "pace",
    "rated",
]

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_CLOSING = masked(b"\x03\xe8", 8)
_PATIENCE = 60.0
_AT_ONCE = 16


@dataclass(frozen=True)
class Protocol:
    """
    What a client says.

    @ivar message: A frame that is to be answered with the count.

    @ivar greetings: How the frames begin that come before, and what the client has to
        say to each.
    """

    path: str = "/"
    message: bytes = masked(PLAIN)
    greetings: Sequence[tuple[bytes, bytes]] = ()


SOCKETIO = Protocol(
    "/socket.io/?EIO=4&transport=websocket",
    masked(EVENT),
    [(b"0{", masked(b"40")), (b"40{", b"")],
)


def _request(protocol: Protocol, port: int, cookie: str) -> bytes:
    lines = (
        f"GET {protocol.path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {_KEY}",
        f"Origin: http://127.0.0.1:{port}",
        *[f"Cookie: {cookie}"] * bool(cookie),
        "\r\n",
    )
    return "\r\n".join(lines).encode()


class Connection:
    """
    One that begins: its handshake and greetings, however they are cut.

    @param waits: Until there is a connection, to L{ask} for a socket at once.

    @ivar socket: It does not block.
    """

    def __init__(
        self, protocol: Protocol, port: int, cookie: str, *, waits: bool = True
    ) -> None:
        self._request = _request(protocol, port, cookie)
        self.socket = socket.socket()
        self.socket.settimeout(_PATIENCE if waits else 0.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if waits:
            self.socket.connect(("127.0.0.1", port))
            self.ask()
        else:
            self.socket.connect_ex(("127.0.0.1", port))
        self._head = b""
        self._frames: Frames | None = None
        self._greetings = deque(protocol.greetings)

    def ask(self) -> None:
        """
        Send the handshake.

        @raise OSError: There is no connection.
        """
        self.socket.sendall(self._request)
        self.socket.setblocking(False)

    def close(self) -> None:
        """
        Begin to close as browsers do.
        """
        self.socket.sendall(_CLOSING)

    def leave(self) -> None:
        """
        Close as browsers do, and wait for the server to close.
        """
        with suppress(OSError):
            self.socket.settimeout(_PATIENCE)
            self.close()
            self.gone()
        self.socket.close()

    def gone(self) -> None:
        """
        Wait for the server to close.
        """
        self.socket.settimeout(_PATIENCE)
        while self.socket.recv(65536):
            pass

    @property
    def isReady(self) -> bool:
        """
        Whether messages may be sent.
        """
        return self._frames is not None and not self._greetings

    def received(self, data: bytes) -> list[bytes]:
        """
        @return: Whole frames that came after the greetings.

        @raise ConnectionError: The server said no.
        """
        if not data:
            raise ConnectionError(f"closed after {self._head[:100]!r}")
        if self._frames is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return []
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"{head[:100]!r}")
            self._frames = Frames()
        frames = self._frames.received(data)
        while frames and self._greetings:
            wanted, answer = self._greetings.popleft()
            first = frames.pop(0)
            if wanted not in first[2:16]:
                raise ConnectionError(f"{first!r}, and not {wanted!r}")
            if answer:
                self.socket.sendall(answer)
        return frames


def _waited(what: socket.socket) -> bytes:
    # Not by select(), which knows no more than 1024 files.
    poll = select.poll()
    poll.register(what, select.POLLIN)
    if not poll.poll(1000 * _PATIENCE):
        raise TimeoutError("the server says nothing")
    return what.recv(65536)


def connect(protocol: Protocol, port: int, cookies: Sequence[str]) -> list[Connection]:
    """
    Make connections, one after the other, and wait until messages may be sent.
    """
    found = []
    for cookie in cookies:
        each = Connection(protocol, port, cookie)
        while not each.isReady:
            if unasked := each.received(_waited(each.socket)):
                raise ConnectionError(f"refused by {unasked[0]!r}")
        found.append(each)
    return found


def learn(protocol: Protocol, connection: Connection) -> Template:
    """
    Send a message, and see how it is answered.
    """
    connection.socket.sendall(protocol.message)
    frames: list[bytes] = []
    while not frames:
        frames = connection.received(_waited(connection.socket))
    return Template(frames[0])


@dataclass(frozen=True)
class Loaded:
    """
    What came of it.

    @ivar rate: Answers a second.

    @ivar work: Microseconds of its processor that the servers took for each.

    @ivar busy: The share of their processor that they took, and C{ownBusy}, that of
        the other one which the load and the Redis took.

    @ivar answered: All answers, also those of the time before and after, and C{wrong},
        those with a number that they must not have.
    """

    rate: float
    work: float
    busy: float
    ownBusy: float
    answered: int
    wrong: int


@dataclass
class Times:
    """
    What a load has to be told, to say what it took.

    @ivar servers: The time of the processor that the servers have taken.

    @ivar redis: That of the Redis.
    """

    servers: Callable[[], float]
    redis: Callable[[], float]

    def now(self) -> tuple[float, float, float]:
        own = time.process_time() + self.redis()
        return time.perf_counter(), self.servers(), own


@dataclass(frozen=True)
class Talkers:
    """
    Sockets on which messages may be sent, each of which has been answered before.

    @ivar answers: Those of each, which go on to count.
    """

    message: bytes
    sockets: Sequence[socket.socket]
    answers: Sequence[Answers]


class _Load:
    """
    Connections on which so many messages are always under way.
    """

    def __init__(self, talkers: Talkers) -> None:
        self._message = talkers.message
        pairs = zip(talkers.sockets, talkers.answers, strict=True)
        self._table = {each.fileno(): (each, one) for each, one in pairs}
        self._poll = select.epoll()
        for descriptor in self._table:
            self._poll.register(descriptor, select.EPOLLIN)
        self.answered = self.sent = 0

    def begin(self, depth: int) -> None:
        for each, _ in self._table.values():
            each.sendall(self._message * depth)
            self.sent += depth

    def turn(self, *, isOver: bool = False) -> None:
        table, message = self._table, self._message
        for descriptor, _ in self._poll.poll(1):
            each, answers = table[descriptor]
            data = each.recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            answered = answers.received(data)
            self.answered += answered
            if answered and not isOver:
                each.sendall(message * answered)
                self.sent += answered

    def run(self, seconds: float) -> int:
        """
        @return: How many answers there were.
        """
        before, end = self.answered, time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.turn()
        return self.answered - before

    def drain(self) -> None:
        """
        Wait for the last answers.
        """
        end = time.perf_counter() + _PATIENCE
        while self.answered < self.sent and time.perf_counter() < end:
            self.turn(isOver=True)
        self._poll.close()
        assert self.answered == self.sent, "some messages were never answered"


def load(
    protocol: Protocol,
    connections: Sequence[Connection],
    depth: int,
    seconds: float,
    times: Times,
    *,
    isAlone: bool = True,
) -> Loaded:
    """
    Have so many messages under way on each connection, for so long.

    @param isAlone: Whether each has a session to itself.
    """
    # One message has been answered on each: so the answers are known.
    templates = [learn(protocol, each) for each in connections]
    wrong = sum(each.first != 1 for each in templates) if isAlone else 0
    template = templates[0]
    answers = [Answers(template, each.first, isAlone=isAlone) for each in templates]
    assert {each.size for each in templates} == {template.size}
    sockets = [each.socket for each in connections]
    talkers = Talkers(protocol.message, sockets, answers)
    found = keep(talkers, depth, seconds, times)
    answered = found.answered + len(connections)
    return replace(found, answered=answered, wrong=found.wrong + wrong)


def keep(talkers: Talkers, depth: int, seconds: float, times: Times) -> Loaded:
    """
    Have so many messages under way on each of their sockets, for so long.
    """
    loading = _Load(talkers)
    loading.begin(depth)
    loading.run(min(seconds / 3, 1.0))
    began, servers, own = times.now()
    found = loading.run(seconds)
    ended, serversAfter, ownAfter = times.now()
    loading.drain()
    lasted, found = ended - began, max(found, 1)
    return Loaded(
        found / lasted,
        (serversAfter - servers) / found * 1e6,
        (serversAfter - servers) / lasted,
        (ownAfter - own) / lasted,
        loading.answered,
        sum(each.wrong for each in talkers.answers),
    )


# Those that come and go.


@dataclass
class _Guest:
    connection: Connection
    isServed: bool = False
    isLeaving: bool = False


def connects(
    protocol: Protocol,
    port: int,
    cookies: Sequence[str],
    seconds: float,
    times: Times,
) -> Loaded:
    """
    Connect, have one message answered, close, and come again: 16 at a time, each
    with the next session.
    """
    poll, guests, number = select.epoll(), dict[int, _Guest](), 0
    began, servers, own = times.now()
    done = 0
    while time.perf_counter() < began + seconds:
        while len(guests) < _AT_ONCE:
            cookie = cookies[number % len(cookies)]
            number += 1
            guest = _Guest(Connection(protocol, port, cookie))
            guests[guest.connection.socket.fileno()] = guest
            poll.register(guest.connection.socket.fileno(), select.EPOLLIN)
        for descriptor, _ in poll.poll(1):
            guest = guests[descriptor]
            if not _serve(protocol, guest):
                poll.unregister(descriptor)
                guest.connection.socket.close()
                del guests[descriptor]
                done += 1
    ended, serversAfter, ownAfter = times.now()
    for guest in guests.values():
        guest.connection.socket.close()
    poll.close()
    lasted, used = ended - began, serversAfter - servers
    done = max(done, 1)
    busy, ownBusy = used / lasted, (ownAfter - own) / lasted
    return Loaded(done / lasted, used / done * 1e6, busy, ownBusy, done, 0)


def _serve(protocol: Protocol, guest: _Guest) -> bool:
    """
    @return: Whether the connection goes on.
    """
    try:
        data = guest.connection.socket.recv(65536)
    except ConnectionResetError:
        data = b""
    if guest.isLeaving:
        # The server answers the close frame, and closes.
        return bool(data)
    answers = guest.connection.received(data)
    if answers:
        Template(answers[0])
        guest.connection.socket.sendall(_CLOSING)
        guest.isLeaving = True
    elif guest.connection.isReady and not guest.isServed:
        guest.connection.socket.sendall(protocol.message)
        guest.isServed = True
    return True


# A fixed rate.


@dataclass(frozen=True)
class Rated:
    """
    How long half of the answers took at most, in seconds, and 99 of a hundred; and
    what the servers took for each, in microseconds.
    """

    half: float
    most: float
    work: float
    answered: int


@dataclass
class _Steady:
    socket: socket.socket
    answers: Answers
    due: deque[float] = field(default_factory=deque)


def rated(
    protocol: Protocol,
    connections: Sequence[Connection],
    rate: float,
    seconds: float,
    times: Times,
) -> Rated:
    """
    Send so many messages a second, on all connections in turn, whether those before
    were answered or not.  Each answer's time runs from when the message was due.
    """
    templates = [learn(protocol, each) for each in connections]
    answers = [Answers(templates[0], each.first) for each in templates]
    sockets = [each.socket for each in connections]
    talkers = Talkers(protocol.message, sockets, answers)
    found = pace(talkers, rate, seconds, times)
    return replace(found, answered=found.answered + len(connections))


def pace(talkers: Talkers, rate: float, seconds: float, times: Times) -> Rated:
    """
    The same on sockets that have been answered before.
    """
    pairs = zip(talkers.sockets, talkers.answers, strict=True)
    steadies = [_Steady(each, counted) for each, counted in pairs]
    table = {each.socket.fileno(): each for each in steadies}
    poll = select.epoll()
    for descriptor in table:
        poll.register(descriptor, select.EPOLLIN)
    began, servers, _ = times.now()
    total, sent, took = round(rate * seconds), 0, list[float]()
    while len(took) < total and time.perf_counter() < began + seconds + _PATIENCE:
        due = began + sent / rate
        if sent < total and time.perf_counter() >= due:
            each = steadies[sent % len(steadies)]
            each.socket.sendall(talkers.message)
            each.due.append(due)
            sent += 1
            continue
        # An epoll would wait for whole milliseconds.
        left = max(due - time.perf_counter(), 0.0) if sent < total else 0.1
        select.select([poll], [], [], left)
        for descriptor, _ in poll.poll(0):
            each = table[descriptor]
            answered = each.answers.received(each.socket.recv(65536))
            now = time.perf_counter()
            took += [now - each.due.popleft() for _ in range(answered)]
    poll.close()
    assert len(took) == total, "some messages were never answered"
    took.sort()
    work = (times.now()[1] - servers) / total * 1e6
    return Rated(took[total // 2], took[total * 99 // 100], work, total)
