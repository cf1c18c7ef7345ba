"""
Through how many files four routes of the library go: a message, a handshake,
what somebody else changed, and what a hub sends.  C{docs/architecture.md} tells
them.

C{python -m benchmarks.routes} in the top directory; with C{--files}, which files
these are.  It counts calls of functions of this package, the files that they are
in, and the crossings: calls from one file into another.  In memory: a memory
store, and an Autobahn client at the other end of a wire that is not there.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect

import txsessionsock
from txsessionsock.bus import LocalBus
from txsessionsock.frameworks.express import Express
from txsessionsock.hub import Hub
from txsessionsock.interfaces import FOREVER, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore


PACKAGE = Path(txsessionsock.__file__).parent

SESSION = SessionID("an-id")

ADDRESS = IPv4Address("TCP", "127.0.0.1", 9)


@dataclass
class Route:
    """
    What was called on the way.

    @ivar files: How many functions of each file were called.

    @ivar crossings: How many of these calls came from another file.

    @ivar wings: How many came from another package.
    """

    calls: int = 0
    files: Counter[str] = field(default_factory=Counter)
    crossings: int = 0
    wings: int = 0

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {len(self.files)} files, {self.crossings} crossings,"
            f" {self.wings} of them between wings"
        )


def followed(way: Callable[[], object]) -> Route:
    """
    Go a way, and see through which files it leads.
    """
    route = Route()

    def seen(frame: FrameType, event: str, _: object) -> None:
        name = fileOf(frame)
        if event != "call" or name is None:
            return
        caller = frame.f_back
        while caller is not None and fileOf(caller) is None:
            caller = caller.f_back
        before = None if caller is None else fileOf(caller)
        route.calls += 1
        route.files[name] += 1
        if before not in (None, name):
            route.crossings += 1
            route.wings += before.split("/")[0] != name.split("/")[0]

    sys.setprofile(seen)
    try:
        way()
    finally:
        sys.setprofile(None)
    return route


def fileOf(frame: FrameType) -> str | None:
    """
    @return: The name of a frame's file within the package, L{None} if it is in
        another one or no function.
    """
    code = frame.f_code
    path = Path(code.co_filename)
    if code.co_name.startswith("<") or not path.is_relative_to(PACKAGE):
        return None
    return path.relative_to(PACKAGE).as_posix()


class Counting(SessionSocketProtocol):
    """
    Counts, or tells how far.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        if message == "count":
            session["n"] = session.get("n", 0) + 1
        self.send(session.get("n", 0))


class Client(WebSocketClientProtocol):
    """
    Keeps what it gets.
    """

    got: list[Any]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(json.loads(payload))


class Node:
    """
    A server on a clock, and who is connected to it.
    """

    def __init__(self, clock: Clock, place: MemoryStore) -> None:
        self.clock = clock
        store = MemoryStore(clock, place)
        framework = Express(secrets=["keyboard cat"])
        self.manager = SessionManager(store, framework, clock)
        self.server: Any = SessionSocketFactory(self.manager, perMessage=True)
        self.server.protocol = Counting
        value = framework.cookieValue(SESSION)
        self.factory: Any = WebSocketClientFactory(
            "ws://127.0.0.1:9",
            headers={"cookie": f"{framework.cookieName}={value}"},
            reactor=clock,
        )
        self.factory.protocol = Client
        self.got: list[Any] = []

    def connect(self) -> None:
        """
        Have a client shake hands.
        """
        server = self.server.buildProtocol(ADDRESS)
        self.client: Any = self.factory.buildProtocol(ADDRESS)
        self.client.got = self.got
        here = FakeTransport(server, isServer=True, peerAddress=ADDRESS)
        there = FakeTransport(self.client, isServer=False, peerAddress=ADDRESS)
        self.pump: IOPump = connect(server, here, self.client, there)
        self.settle()

    def say(self, message: object) -> None:
        """
        Have the client send a message, and wait for what comes of it.
        """
        self.client.sendMessage(json.dumps(message).encode())
        self.settle()

    def settle(self) -> None:
        """
        Let everything arrive.
        """
        for _ in range(3):
            self.pump.flush()
            self.clock.advance(0)


def routes() -> dict[str, Route]:
    """
    Go each way.
    """
    clock = Clock()
    clock.advance(1_700_000_000)
    place = MemoryStore(clock)
    raw = json.dumps({"cookie": {"originalMaxAge": None}, "user": 42}).encode()
    place.create(f"sess:{SESSION}", raw, FOREVER)
    one, other = Node(clock, place), Node(clock, place)
    bus = LocalBus(clock)
    hub = Hub(one.server.sockets, bus)
    Hub(other.server.sockets, LocalBus(clock, bus))
    found = {"a handshake, to its session": followed(one.connect)}
    one.say("count")
    found["a message that changes the session, to its answer"] = followed(
        lambda: one.say("count")
    )
    one.say("look")
    found["a message that reads"] = followed(lambda: one.say("look"))
    other.connect()
    stored: list[Any] = []
    place.load(f"sess:{SESSION}").addCallback(stored.append)
    changed = json.loads(stored[0].raw) | {"basket": ["pear"]}
    place.replace(
        f"sess:{SESSION}", stored[0].raw, json.dumps(changed).encode(), FOREVER
    )
    found["a change of somebody else, to schanged on two nodes"] = followed(
        other.settle
    )
    hub.session(SESSION).send("hello")

    def send() -> None:
        hub.session(SESSION).send("hello")
        one.settle()
        other.settle()

    found["a hub's message, to two sockets on two nodes"] = followed(send)
    assert one.got[-2:] == other.got[-2:] == ["hello"] * 2
    return found


def main() -> None:
    for what, route in routes().items():
        print(f"{what}: {route}")
        if "--files" in sys.argv:
            for name, calls in sorted(route.files.items()):
                print(f"    {calls:3} {name}")


if __name__ == "__main__":
    main()
