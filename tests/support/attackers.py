"""
Clients that attack a server, and clients that it has to serve meanwhile: a program
that reads what to do from its standard input and writes what came of it to its
standard output, both as JSON.  All of it is bounded in number and time, and goes
to this machine only.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

from tests.support.attackscripts import ATTACKS, SOCKETIO, Attack, Do, Step
from tests.support.rawsocket import Closed, RawSocket, RawSocketIO


__all__ = ["GOOD", "NEWCOMER"]

GOOD, NEWCOMER = "good", "newcomer"
"""
The clients that are to be served: one that has its connection, and one that makes
a new one each time.
"""

_TURN = 65536

_CONNECTIONS_A_SECOND = 2000


@dataclass(eq=False)
class _Client:
    number: int
    script: Iterator[Step]
    socket: socket.socket
    began: float
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    isAnswered: bool = False
    awaits: bool = False
    isConnected: bool = False


class _Attackers:
    """
    All clients of one kind.
    """

    def __init__(self, attack: Attack, told: dict[str, Any]) -> None:
        self._attack = attack
        self._count = told["count"]
        self._port = told["port"]
        self._cookies = told["cookies"]
        self._network = told["network"]
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._made = 0
        self.end = monotonic() + told["seconds"]
        self.connected = self.cut = self.sent = self.received = 0
        self.oldest = 0.0

    def run(self) -> None:
        """
        Attack, until the end.
        """
        for number in range(self._count):
            self._later(number / _CONNECTIONS_A_SECOND, self._connecting(number))
        while (now := monotonic()) < self.end:
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            soonest = self._timers[0][0] if self._timers else self.end
            wait = min(max(soonest - monotonic(), 0.0), 1.0)
            for descriptor, events in self._poll.poll(wait):
                client = self._clients.get(descriptor)
                if client is not None:
                    self._happened(client, events)
        for client in list(self._clients.values()):
            self._gone(client)

    def _later(self, seconds: float, f: Callable[[], None]) -> None:
        entry = monotonic() + seconds, next(self._order), f
        heapq.heappush(self._timers, entry)

    def _connecting(self, number: int) -> Callable[[], None]:
        return lambda: self._connect(number)

    def _connect(self, number: int) -> None:
        if self._made >= self._count * self._attack.most:
            return
        self._made += 1
        made = socket.socket()
        made.setblocking(False)
        if not self._attack.reads:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Each has an address of its own, so that no limit by address helps.
        made.bind((f"127.{self._network}.{number // 250}.{number % 250 + 1}", 0))
        made.connect_ex(("127.0.0.1", self._port))
        cookie = self._cookies[number % len(self._cookies)]
        script = self._attack.script(cookie, self._port)
        client = _Client(number, script, made, monotonic())
        self._clients[made.fileno()] = client
        self._poll.register(made.fileno(), select.EPOLLOUT)

    def _happened(self, client: _Client, events: int) -> None:
        try:
            if events & (select.EPOLLERR | select.EPOLLHUP):
                raise ConnectionError
            if events & select.EPOLLIN:
                self._read(client)
            if events & select.EPOLLOUT:
                if not client.isConnected:
                    client.isConnected = True
                    self.connected += 1
                self._write(client)
        except OSError:
            self.cut += client.isConnected
            self._gone(client)
            self._later(self._attack.again, self._connecting(client.number))

    def _read(self, client: _Client) -> None:
        data = client.socket.recv(_TURN)
        if not data:
            raise ConnectionError
        self.received += len(data)
        client.isAnswered = True
        if client.awaits:
            client.awaits = False
            self._wants(client, isWriting=True)

    def _write(self, client: _Client) -> None:
        if not client.pending:
            step = next(client.script, None)
            if step is Do.LEAVE:
                raise ConnectionError
            if step is Do.AWAIT:
                client.awaits = not client.isAnswered
            if isinstance(step, bytes):
                client.pending = memoryview(step)
            elif not client.isAnswered or step is not Do.AWAIT:
                self._wants(client, isWriting=False)
            if isinstance(step, float):
                self._later(step, lambda: self._wants(client, isWriting=True))
        if client.pending:
            count = client.socket.send(client.pending)
            self.sent += count
            client.pending = client.pending[count:]

    def _wants(self, client: _Client, *, isWriting: bool) -> None:
        if self._clients.get(client.socket.fileno()) is client:
            isReading = self._attack.reads or not client.isAnswered
            events = select.EPOLLOUT * isWriting | select.EPOLLIN * isReading
            self._poll.modify(client.socket.fileno(), events)

    def _gone(self, client: _Client) -> None:
        if client.isConnected:
            self.oldest = max(self.oldest, monotonic() - client.began)
        del self._clients[client.socket.fileno()]
        client.socket.close()


def _attack(told: dict[str, Any]) -> dict[str, Any]:
    attackers = _Attackers({**ATTACKS, **SOCKETIO}[told["kind"]], told)
    attackers.run()
    names = "connected", "cut", "sent", "received", "oldest"
    return {name: getattr(attackers, name) for name in names}


def _kind(told: dict[str, Any]) -> type[RawSocket]:
    return RawSocketIO if told["isSocketIO"] else RawSocket


def _good(told: dict[str, Any]) -> dict[str, Any]:
    """
    Send a number at fixed times, whatever has been answered, and measure how long
    each answer takes.
    """
    times: list[float] = []
    sent: dict[int, float] = {}
    lost: list[str] = []
    client = _kind(told)(told["port"], told["cookies"][0])
    total = int(told["seconds"] / told["interval"])
    began, number = monotonic(), 0
    end = began + told["seconds"] + told["patience"]
    while (number < total or sent) and (now := monotonic()) < end:
        due = began + number * told["interval"]
        try:
            if number < total and now >= due:
                sent[number] = now
                client.say(number)
                number += 1
                continue
            wait = min(max(due - now, 0.0) if number < total else 1.0, 1.0)
            if select.select([client], [], [], wait)[0]:
                for answer in client.arrived():
                    times.append(monotonic() - sent.pop(answer))
        except (Closed, OSError) as error:
            lost += [f"{type(error).__name__} {error}"]
            break
    return {"times": times, "unanswered": total - len(times), "lost": lost}


def _newcomer(told: dict[str, Any]) -> dict[str, Any]:
    """
    Connect, ask for something and leave, again and again.
    """
    times: list[float] = []
    lost: list[str] = []
    end = monotonic() + told["seconds"]
    while (began := monotonic()) < end:
        try:
            client = _kind(told)(told["port"], told["cookies"][0], told["patience"])
            client.ask(1)
            times.append(monotonic() - began)
            client.close()
        except (Closed, OSError, AssertionError) as error:
            lost.append(f"{type(error).__name__} {error}")
        select.select([], [], [], 0.25)
    return {"times": times, "unanswered": len(lost), "lost": lost}


def main() -> None:
    told = json.loads(sys.stdin.readline())
    if told["core"] is not None:
        with suppress(AttributeError):
            os.sched_setaffinity(0, [told["core"]])
    does = {GOOD: _good, NEWCOMER: _newcomer}.get(told["kind"], _attack)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(does(told)), flush=True)


if __name__ == "__main__":
    main()
