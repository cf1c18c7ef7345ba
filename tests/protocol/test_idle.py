"""
What a client takes that says nothing: of how many objects it and its session are made.

The garbage collector goes through all of them, each time that it goes through all that
there is; with 10,000 clients nobody is answered meanwhile.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import raw
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import ADDRESS, MemoryWire
from txsessionsock.websocket import AutobahnTimer


_CLIENTS = 40

_PATIENCE = 15.0
"""
For how many seconds they say nothing; less than until their first ping.
"""

_IDLE = 35
"""
How many objects a client and its session take beside those of Autobahn, and of the
transport.  Whoever adds one for each connection finds it here.  Before it does more,
ask whether the factory could have it, or whether it can be made when it is needed.
"""

_STORED = 44
"""
The same for a session that was changed and stored, when it is too late to repair it.
"""

_ONE = b"\x81\x81\0\0\0\x001"
"""
The number as a message.
"""


class Counting(SessionSocketProtocol):
    """
    Counts messages.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> None:
        session["n"] = message
        self.send(message)


class IdleTests(SynchronousTestCase):
    """
    Clients that say nothing.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.store = MemoryStore(self.clock)
        self.framework = Express("a secret")
        self.wires: list[MemoryWire] = []

    def bare(self) -> Any:
        """
        Make a server without sessions.
        """
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = WebSocketServerProtocol
        factory._batched_timer = AutobahnTimer(self.clock)
        return factory

    def sessioned(self, *, perMessage: bool) -> Any:
        """
        Make a server.
        """
        # As beside a web application: the manager remembers what was stored.
        manager = SessionManager(self.store, self.framework, self.clock, repair=True)
        factory = SessionSocketFactory(manager, perMessage=perMessage)
        factory.protocol = Counting
        return factory

    def connect(self, factory: Any, message: bytes = b"") -> Any:
        """
        Connect a client with a session of its own.

        @param message: A frame that it sends.
        """
        sid: Any = f"{len(self.wires):032}"
        new = self.store.create(self.framework.key(sid), raw(), 86400)
        self.assertTrue(self.successResultOf(new))
        protocol = factory.buildProtocol(ADDRESS)
        wire = MemoryWire(protocol, isServer=True, peerAddress=ADDRESS)
        protocol.makeConnection(wire)
        lines = [
            "GET / HTTP/1.1",
            "Host: 127.0.0.1:9",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            f"Cookie: connect.sid={self.framework.cookieValue(sid)}",
        ]
        protocol.dataReceived("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.clock.advance(0)
        self.assertEqual(protocol.state, protocol.STATE_OPEN)
        if message:
            protocol.dataReceived(message)
        wire.getOutBuffer()
        self.wires.append(wire)
        return protocol

    def objects(self, connect: Callable[[], Any]) -> Counter[str]:
        """
        @param connect: Connects a client.

        @return: How many objects each takes, by their types.
        """
        for _ in range(3):
            # What the first ones cost is not of each.
            connect()
        before = self.counted()
        for _ in range(_CLIENTS):
            connect()
        after = self.counted()
        return Counter({k: (n - before[k]) // _CLIENTS for k, n in after.items()})

    def counted(self) -> Counter[str]:
        self.clock.pump([0.25] * round(4 * _PATIENCE))
        for _ in range(4):
            # What holds nothing that could hold anything is left out from the next
            # time on, and then what holds only that.
            gc.collect()
        return Counter(type(each).__qualname__ for each in gc.get_objects())

    def assertTakes(self, most: int, factory: Any, message: bytes = b"") -> None:
        """
        A client takes no more objects, beside those of Autobahn.
        """
        for _ in range(_CLIENTS):
            # The first objects of a class decide for which attributes all others have
            # room: who gets another one later has a dictionary more.  So these say
            # nothing.
            self.connect(factory)
        bare = self.bare()
        theirs = self.objects(lambda: self.connect(bare))
        ours = self.objects(lambda: self.connect(factory, message))
        ours.subtract(theirs)
        kinds = {kind: number for kind, number in ours.items() if number}
        self.assertLessEqual(sum(ours.values()), most, kinds)
        for wire in self.wires:
            wire.protocol.connectionLost(Failure(ConnectionDone()))

    def test_perConnection(self) -> None:
        """
        One that said nothing yet, with its session loaded.
        """
        self.assertTakes(_IDLE, self.sessioned(perMessage=False))

    def test_perMessage(self) -> None:
        """
        The same where the session is read for each message.
        """
        self.assertTakes(_IDLE, self.sessioned(perMessage=True))

    def test_afterMessage(self) -> None:
        """
        One that said something, by which its session was changed and stored.
        """
        self.assertTakes(_STORED, self.sessioned(perMessage=False), _ONE)

    def test_afterEachMessage(self) -> None:
        """
        The same where the session is stored after each message.
        """
        self.assertTakes(_STORED, self.sessioned(perMessage=True), _ONE)
