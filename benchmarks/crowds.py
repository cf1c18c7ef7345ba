"""
Many connections of one program: they come, all at once if need be, each is answered,
and they go.
"""

from __future__ import annotations

import heapq
import resource
import select
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from benchmarks.answers import Answers, Template
from benchmarks.load import (
    Connection,
    Loaded,
    Protocol,
    Rated,
    Talkers,
    Times,
    keep,
    pace,
)


__all__ = ["Crowd", "descriptors"]

_PATIENCE = 60.0
_TRIES = 20
_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""
How many seconds one waits who was refused, by how often, and half as much again for
some.
"""

_CLOSE = b"\x88"
"""
How a frame begins that says goodbye.
"""

_SPARE = 100
"""
How many files a process has open beside its sockets, at most.
"""


def descriptors() -> int:
    """
    Have this process, and those that it starts, open as many files as they may.

    @return: How many sockets there can be in each.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - _SPARE


@dataclass
class _Comer:
    """
    @ivar number: Which one of the crowd it is.

    @ivar began: When it came for the first time.
    """

    number: int
    began: float
    connection: Connection
    tries: int = 1
    isAsking: bool = False
    isServed: bool = False


class _Arrival:
    """
    Those who come, until each was answered once.

    @ivar took: How long each waited for that, from when it came.

    @ivar again: How often one had to come again, by how it was refused.
    """

    def __init__(self, protocol: Protocol, ports: Sequence[int], cookies: list[str]):
        self._protocol, self._ports, self._cookies = protocol, ports, cookies
        self._poll = select.epoll()
        self._comers: dict[int, _Comer] = {}
        self._refused: list[tuple[float, int, _Comer]] = []
        self.connections: dict[int, Connection] = {}
        self.templates: dict[int, Template] = {}
        self.took: list[float] = []
        self.again = Counter[str]()

    def run(self, atOnce: int) -> None:
        count, came, last = len(self._cookies), 0, monotonic()
        while len(self.took) < count:
            while self._refused and self._refused[0][0] <= monotonic():
                self._comeAgain(heapq.heappop(self._refused)[2])
            while came < count and len(self._comers) < atOnce:
                self._come(_Comer(came, monotonic(), self._connect(came)))
                came += 1
                if not came % 100:
                    # Those who are connected say so, while others are on their way.
                    break
            timeout = 0 if came < count and len(self._comers) < atOnce else 0.1
            events = self._poll.poll(timeout)
            for descriptor, _ in events:
                self._happened(self._comers[descriptor])
            last = monotonic() if events or not timeout else last
            if monotonic() > last + _PATIENCE:
                raise TimeoutError(f"{count - len(self.took)} were never served")
        self._poll.close()

    def _connect(self, number: int) -> Connection:
        port = self._ports[number % len(self._ports)]
        return Connection(self._protocol, port, self._cookies[number], waits=False)

    def _come(self, comer: _Comer) -> None:
        self._comers[comer.connection.socket.fileno()] = comer
        self._poll.register(comer.connection.socket.fileno(), select.EPOLLOUT)

    def _happened(self, comer: _Comer) -> None:
        descriptor = comer.connection.socket.fileno()
        try:
            if not comer.isAsking:
                comer.connection.ask()
                comer.isAsking = True
                self._poll.modify(descriptor, select.EPOLLIN)
                return
            template = self._answer(comer)
        except OSError as error:
            self._wasRefused(comer, error)
            return
        if template is not None:
            self._poll.unregister(descriptor)
            del self._comers[descriptor]
            self.took.append(monotonic() - comer.began)
            self.connections[comer.number] = comer.connection
            self.templates[comer.number] = template

    def _answer(self, comer: _Comer) -> Template | None:
        connection = comer.connection
        answers = connection.received(connection.socket.recv(65536))
        if answers and answers[0].startswith(_CLOSE):
            raise ConnectionError(f"closed: {answers[0][4:].decode()}")
        if answers:
            return Template(answers[0])
        if connection.isReady and not comer.isServed:
            connection.socket.sendall(self._protocol.message)
            comer.isServed = True
        return None

    def _wasRefused(self, comer: _Comer, error: OSError) -> None:
        descriptor = comer.connection.socket.fileno()
        self._poll.unregister(descriptor)
        del self._comers[descriptor]
        comer.connection.socket.close()
        if comer.tries == _TRIES:
            raise ConnectionError("a server does not serve") from error
        self.again[str(error)] += 1
        pause = _PAUSES[min(comer.tries, len(_PAUSES)) - 1]
        pause *= 1 + comer.number % 10 / 20
        heapq.heappush(self._refused, (monotonic() + pause, comer.number, comer))

    def _comeAgain(self, comer: _Comer) -> None:
        comer.tries += 1
        comer.isAsking = comer.isServed = False
        comer.connection = self._connect(comer.number)
        self._come(comer)


class Crowd:
    """
    Connections that have come, and were answered once each.

    @param isAlone: Whether each has a session to itself.

    @param counted: What each session has counted before, if so.

    @ivar took: How long each waited to be answered, in order.

    @ivar again: How often one of them was refused before, by how.

    @ivar answered: How many messages, until now.
    """

    def __init__(
        self,
        ports: Sequence[int],
        cookies: list[str],
        atOnce: int = 64,
        *,
        isAlone: bool = True,
        counted: int = 0,
    ) -> None:
        protocol = Protocol()
        arrival = _Arrival(protocol, ports, cookies)
        arrival.run(atOnce)
        numbers = range(len(cookies))
        self._connections = [arrival.connections[number] for number in numbers]
        templates = [arrival.templates[number] for number in numbers]
        first = templates[0]
        answers = [Answers(first, each.first, isAlone=isAlone) for each in templates]
        self._talkers = Talkers(protocol.message, self._sockets, answers)
        unexpected = [each for each in templates if each.first != counted + 1]
        self._wrong = len(unexpected) if isAlone else 0
        self.took, self.again = sorted(arrival.took), arrival.again
        self.answered = len(cookies)

    @property
    def _sockets(self) -> list[socket.socket]:
        return [each.socket for each in self._connections]

    @property
    def wrong(self) -> int:
        """
        How many answers had another number than they must have.
        """
        return self._wrong + sum(each.wrong for each in self._talkers.answers)

    def load(self, seconds: float, times: Times) -> Loaded:
        """
        Have one message under way on each.
        """
        found = keep(self._talkers, 1, seconds, times)
        self.answered += found.answered
        return found

    def pace(self, rate: float, seconds: float, times: Times) -> Rated:
        """
        Have so many a second, on all in turn.
        """
        found = pace(self._talkers, rate, seconds, times)
        self.answered += found.answered
        return found

    def leave(self) -> None:
        """
        All of them close as browsers do, and wait for the servers to close.
        """
        for each in self._connections:
            each.close()
        for each in self._connections:
            with suppress(ConnectionResetError):
                each.gone()
            each.socket.close()

    def cut(self) -> None:
        """
        All of them are gone at once, without a word.
        """
        for each in self._connections:
            each.socket.close()
