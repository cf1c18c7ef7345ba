"""
Tests for L{txsessionsock.socketio.handover}: a client that comes back to another
node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from zope.interface import implementer

from tests.support.managing import KEY, raw, turn
from tests.support.recovering import RecoveryCase, missedBy, offsetOf, pidOf
from tests.support.socketio import Page
from txsessionsock.bus import LocalBus
from txsessionsock.hub import Hub, hubOf
from txsessionsock.interfaces import BusFull, IBus, StoreError, StoreUnavailable
from txsessionsock.limits import Limits
from txsessionsock.socketio import Recovery
from txsessionsock.socketio.handover import Handover
from txsessionsock.socketio.packets import Kind


@implementer(IBus)
class FailingBus:
    """
    A bus that carries nothing, once C{error} is set: or answers never, if that is
    L{None}.
    """

    def __init__(self, bus: LocalBus) -> None:
        self.node = bus.node
        self._shared = bus._shared
        self.bus = bus
        self.error: Exception | str | None = ""

    def handle(self, answer: Callable[[bytes], bytes]) -> None:
        self.bus.handle(answer)

    def request(self, command: bytes) -> Deferred[dict[str, bytes | None]]:
        if self.error == "":
            return self.bus.request(command)
        if isinstance(self.error, Exception):
            return fail(self.error)
        return Deferred()

    def close(self) -> Deferred[None]:
        return self.bus.close()


class NodesCase(RecoveryCase):
    """
    Two nodes, each with its own store, manager and hub.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bus: Any = self.newBus()
        Hub(self.io.sockets, self.bus)
        self.here = self.io, self.manager, self.store
        self.there = self.node()
        self.at(self.here)

    def newBus(self) -> Any:
        """
        What the first node talks through.
        """
        return LocalBus(self.clock)

    def node(self) -> Any:
        """
        Another node.
        """
        self.manager = self.newManager(store := self.newStore())
        self.serve()
        place = self.bus.bus if isinstance(self.bus, FailingBus) else self.bus
        Hub(self.io.sockets, LocalBus(place=place))
        return self.io, self.manager, store

    def at(self, node: Any) -> None:
        """
        Pages come to this node now.
        """
        self.io, self.manager, self.store = node

    def lost(self) -> Page:
        """
        A client of the first node that is in a room, was sent something, and missed
        something.
        """
        self.at(self.here)
        self.do["sconnection"] = lambda socket, session: (
            socket.recovered or socket.join("news")
        )
        page = self.come()
        self.io.to("news").emit("seen")
        self.wait()
        self.lose(page)
        self.io.to("news").emit("secret", b"\xff")
        self.wait()
        return page

    def ghosts(self) -> list[int]:
        """
        How many ghosts each node has.
        """
        return [len(node[0].ghosts) for node in (self.here, self.there)]

    def assertNothingLeft(self) -> None:
        for node in self.there, self.here:
            self.at(node)
            self.assertEqual(self.io.ghosts._handover._attempts, {})
            self.assertEqual(self.io.ghosts._handover._leaving, {})
            super().assertNothingLeft()


class HandoverTests(NodesCase):
    """
    A client comes back to another node.
    """

    def test_back(self) -> None:
        """
        It is who it was, in its rooms, and gets what it missed, and what is sent
        then, once; and it can come back to the first one again.
        """
        page = self.lost()
        self.at(self.there)
        again = self.back(page)
        self.assertBack(again, page, ["secret", b"\xff"])
        self.assertEqual(self.ghosts(), [0, 0])
        for node in self.here, self.there:
            node[0].to("news").emit("after")
        self.wait()
        self.assertEqual(missedBy(again)[1:], [["after"]] * 2)
        self.lose(again)
        self.there[0].to("news").emit("more")
        self.wait()
        self.at(self.here)
        last = self.back(again)
        self.assertBack(last, page, ["more"])
        self.assertNothingLeft()

    def test_meanwhile(self) -> None:
        """
        What any node sends while the client goes over comes once, and all of it.
        """
        third = self.node()
        for steps in range(12):
            page = self.lost()
            self.at(self.there)
            again = self.browse(connects=False)
            again.connect("/", {"pid": pidOf(page), "offset": offsetOf(page)})
            sent = []
            for step in range(12):
                if step >= steps:
                    turn(self.clock)
                for number, node in enumerate((self.here, self.there, third)):
                    sent.append([f"{number}", step])
                    node[0].to("news").emit(*sent[-1])
            self.wait()
            self.assertEqual(again.of(Kind.CONNECT), page.of(Kind.CONNECT))
            got = missedBy(again)
            self.assertEqual(got[0], ["secret", b"\xff"])
            self.assertEqual(sorted(got[1:]), sorted(sent))
            for sender in "012":
                mine = [step for name, step in got[1:] if name == sender]
                self.assertEqual(mine, list(range(12)))
            again.connection.close(1012, "")
            self.wait()
        self.at(third)
        super().assertNothingLeft()

    def test_one(self) -> None:
        """
        Of two who come at the same time, to two nodes or to one, one gets it.
        """
        third = self.node()
        for nodes in (self.there, third), (self.here, third), (self.there, self.there):
            page = self.lost()
            pages = []
            for node in nodes:
                self.at(node)
                pages.append(self.browse(connects=False))
                auth = {"pid": pidOf(page), "offset": offsetOf(page)}
                pages[-1].connect("/", auth)
            self.wait()
            backs = [
                each for each in pages if each.of(Kind.CONNECT) == page.of(Kind.CONNECT)
            ]
            self.assertEqual(len(backs), 1)
            (other,) = (each for each in pages if each not in backs)
            self.assertNew(other, page)
            for each in pages:
                each.connection.close(1012, "")
            self.wait()

    def test_leaves(self) -> None:
        """
        A client that leaves while it goes over comes back later, to whichever node.
        """
        for steps in range(12):
            page = self.lost()
            self.at(self.there)
            again = self.browse(connects=False)
            again.connect("/", {"pid": pidOf(page), "offset": offsetOf(page)})
            for _ in range(steps):
                turn(self.clock)
            again.lose()
            self.wait()
            self.assertEqual(sum(self.ghosts()), 1)
            self.at(self.here if steps % 2 else self.there)
            last = self.back(page)
            self.assertBack(last, page, ["secret", b"\xff"])
            last.connection.close(1012, "")
            self.wait()
        self.assertNothingLeft()

    def test_tooMuch(self) -> None:
        """
        A client that is sent more meanwhile than is kept comes as a new one, and else
        gets all of it.
        """
        self.recovery = Recovery(clientBytes=2000)
        self.setUp()
        backs = 0
        for steps in range(12):
            page = self.lost()
            self.at(self.there)
            again = self.browse(connects=False)
            again.connect("/", {"pid": pidOf(page), "offset": offsetOf(page)})
            for _ in range(steps):
                turn(self.clock)
            sent = [["n", n, "x" * 200] for n in range(6)]
            for event in sent:
                self.there[0].to("news").emit(*event)
            self.wait()
            if again.of(Kind.CONNECT) == page.of(Kind.CONNECT):
                self.assertBack(again, page, ["secret", b"\xff"], *sent)
                backs += 1
            else:
                self.assertNotIn(["secret", b"\xff"], missedBy(again))
            again.connection.close(1012, "")
            self.wait()
        self.assertIn(backs, range(1, 12))
        self.assertNothingLeft()

    def test_noTrace(self) -> None:
        """
        Neither a C{pid} nor the id of a session goes to other nodes.
        """
        page = self.lost()
        commands = []
        take = LocalBus._take

        def noted(bus: Any, asker: Any, command: bytes, answered: Any) -> None:
            commands.append(command)
            take(bus, asker, command, answered)

        self.patch(LocalBus, "_take", noted)
        self.at(self.there)
        self.assertBack(self.back(page), page, ["secret", b"\xff"])
        self.assertEqual(len(commands), 4)
        for command in commands:
            self.assertNotIn(pidOf(page).encode(), command)
            self.assertNotIn(KEY.partition(":")[2].encode(), command)


class RefusedTests(NodesCase):
    """
    Who does not come back to another node.
    """

    def setUp(self) -> None:
        super().setUp()
        self.page = self.lost()
        self.at(self.there)

    def test_loggedOut(self) -> None:
        """
        Who has no session any more.
        """
        self.successResultOf(self.place.destroy(KEY))
        again = self.back(self.page)
        self.assertEqual([packet.kind for packet in again.got], [Kind.CONNECT_ERROR])
        self.wait(1)
        self.assertEqual(self.ghosts(), [0, 0])

    def test_otherUser(self) -> None:
        """
        Who has a session of its own; the other one comes back all the same, and
        nobody says where it is.
        """
        told: list[str] = []
        tell = Handover._tell

        def noted(handover: Handover, topic: str, value: object) -> Any:
            told.append(topic)
            return tell(handover, topic, value)

        self.patch(Handover, "_tell", noted)
        for number, data in enumerate(({"user": 43}, {"user": 42}, {})):
            created = self.place.create(f"sess:s{number}", raw(**data), 600)
            self.successResultOf(created)
            cookie = self.cookie(f"s{number}")
            self.assertNew(self.back(self.page, cookie=cookie), self.page)
        self.assertEqual(told, ["recover"] * 3)
        self.assertBack(self.back(self.page), self.page, ["secret", b"\xff"])

    def test_createdAgain(self) -> None:
        """
        Who has another session of the same id with the same in it.
        """
        self.successResultOf(self.place.destroy(KEY))
        self.wait()
        self.put(user=42)
        self.assertNew(self.back(self.page), self.page)
        self.assertEqual(self.ghosts(), [0, 0])

    def test_createdAgainAtOnce(self) -> None:
        """
        Or one of somebody else, also if the node with the ghost has not heard of it:
        that asks.
        """
        store = self.here[2]
        store.hold("fence")
        self.successResultOf(self.place.destroy(KEY))
        self.put(user=43)
        again = self.back(self.page)
        store.release()
        self.wait(1)
        self.assertNew(again, self.page)
        self.assertEqual(self.ghosts(), [0, 0])

    def test_identity(self) -> None:
        """
        Who has another user in the session.
        """
        self.put(user=43)
        self.assertNew(self.back(self.page), self.page)
        self.wait(1)
        self.assertEqual(self.ghosts(), [0, 0])

    def test_offset(self) -> None:
        """
        Who has got something that is not known.
        """
        self.assertNew(self.back(self.page, "unknown"), self.page)
        self.assertEqual(self.ghosts(), [0, 0])

    def test_alive(self) -> None:
        """
        Who is another client's twin.
        """
        self.at(self.here)
        page = self.come()
        self.at(self.there)
        self.assertNew(self.back(page), page)
        self.assertTrue(page.isConnected)

    def test_endsMeanwhile(self) -> None:
        """
        Whose session ends while it goes over: it gets nothing, whenever that is.
        """
        for steps in range(12):
            if steps:
                self.put(user=42)
                self.page = self.lost()
                self.at(self.there)
            again = self.browse(connects=False)
            auth = {"pid": pidOf(self.page), "offset": offsetOf(self.page)}
            again.connect("/", auth)
            for _ in range(steps):
                turn(self.clock)
            isBack = bool(again.of(Kind.CONNECT))
            self.successResultOf(self.place.destroy(KEY))
            self.wait(1)
            self.assertEqual(bool(again.events), isBack)
            self.assertFalse(again.isConnected)
            self.assertEqual(self.ghosts(), [0, 0])
        self.assertNothingLeft()

    def test_hostile(self) -> None:
        """
        What is no command is refused, and what nobody asked for ignored.
        """
        pack = msgspec.msgpack.encode
        self.come().connection.close(1012, "")
        for topic in "recover", "recover: found", "recover: hand over":
            for payload in (
                b"",
                b"\xc1",
                b"\x91" * 100_000,
                pack(["n"] * 7),
                pack({"number": "n"}),
                pack([["n", "socket", [["planet", "", ""]]]]),
            ):
                with capturedLogs() as events:
                    asking = hubOf(self.io.sockets).ask(topic, payload)
                    self.wait()
                self.assertEqual(set(self.successResultOf(asking).values()), {None})
                self.assertEqual(len(events), 2)
        for topic, payload in (
            ("recover: found", pack(["n", "socket", []])),
            ("recover: hand over", pack(["n"])),
        ):
            asking = hubOf(self.io.sockets).ask(topic, payload)
            self.wait()
            self.assertEqual(set(self.successResultOf(asking).values()), {None})
        self.assertBack(self.back(self.page), self.page, ["secret", b"\xff"])


class NodesPerMessageTests(HandoverTests):
    """
    The same with the session fresh for each message.
    """

    perMessage = True

    def test_held(self) -> None:
        """
        What waits at the new node until the session is stored there goes on waiting
        when the client goes over, and with it what comes behind; and comes once.
        """

        def change(socket: Any, event: Any, session: Any) -> None:
            session["n"] = session.get("n", 0) + 1

        self.do["smessage"] = change
        for steps in range(8):
            page = self.lost()
            self.at(self.there)
            other = self.come()
            (session,) = [client.session for client in self.io.sockets]
            late: list[Any] = []
            self.store.hold("replace")
            again = self.browse(connects=False)
            again.connect("/", {"pid": pidOf(page), "offset": offsetOf(page)})
            for step in range(12):
                if step == steps:
                    other.emit("change")
                turn(self.clock)
                if session.keeper.unsaved() is not None:
                    late.append(["n", step])
                self.here[0].to("news").emit("n", step)
            self.wait()
            self.assertEqual([event for event in missedBy(again) if event in late], [])
            self.store.release()
            self.wait()
            sent = [["n", step] for step in range(12)]
            self.assertBack(again, page, ["secret", b"\xff"], *sent)
            for each in other, again:
                each.connection.close(1012, "")
            self.wait()
        self.assertNothingLeft()


class TroubleTests(NodesCase):
    """
    The bus fails: clients come as new ones.
    """

    def serve(self, *args: Any, **options: Any) -> Any:
        options["limits"] = Limits(socketsPerSession=1000)
        return super().serve(*args, **options)

    def newBus(self) -> Any:
        return FailingBus(LocalBus(self.clock))

    def test_fails(self) -> None:
        """
        At once, if nothing can be asked; after a while, if nobody answers.
        """
        for error in BusFull("full"), StoreUnavailable("gone"), StoreError("?"), None:
            self.bus.error = ""
            page = self.lost()
            self.lose(self.back(page))
            other = self.lost()
            self.bus.error = error
            gone = self.back(other, pid="x" * 24)
            if error is None:
                self.assertEqual(gone.got, [])
                self.wait(4)
            self.assertNew(gone, other)
        self.bus.error = ""
        self.flushLoggedErrors()

    def test_failsThere(self) -> None:
        """
        If the node with the ghost cannot say so, the other one waits for a while.
        """
        page = self.lost()
        self.bus.error = BusFull("full")
        self.at(self.there)
        again = self.back(page)
        self.assertEqual(again.got, [])
        self.wait(4)
        self.assertNew(again, page)
        self.bus.error = ""
        self.assertEqual(self.ghosts(), [1, 0])
        self.assertNothingLeft()

    def test_many(self) -> None:
        """
        So many are asked for at a time; others come as new ones at once.
        """
        self.at(self.here)
        self.bus.error = None
        pages = []
        for _ in range(110):
            pages.append(self.browse(connects=False))
            pages[-1].connect("/", {"pid": "x" * 24})
            if len(pages) % 50 == 0:
                self.wait()
        self.wait()
        self.assertEqual(sum(page.isConnected for page in pages), 10)
        self.wait(4)
        self.assertEqual(sum(page.isConnected for page in pages), 110)
        self.bus.error = ""
