"""
Tests for L{txsessionsock.socketio.recovery}: who comes back, with what, and who does
not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import KEY, SID, raw
from tests.support.recovering import (
    RecoveryCase,
    missedBy,
    offsetOf,
    pidOf,
)
from tests.support.socketio import Page
from txsessionsock.hub import Hub, hubOf
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.limits import Limits
from txsessionsock.messages import Event
from txsessionsock.socketio import Recovery
from txsessionsock.socketio.packets import MSGPACK, TEXT, Kind, Packet


def _assign(session: Any) -> None:
    session["n"] = session.get("n", 0) + 1


class ReturnTests(RecoveryCase):
    """
    A client that lost its connection comes back.
    """

    def test_back(self) -> None:
        """
        It has its id, its rooms and its C{pid}; C{recovered} is true, and what it
        missed comes after CONNECT, in order, before anything that is sent to it then.
        """
        seen: list[Any] = []

        def connected(socket: Any, session: Any) -> None:
            seen.append((socket.id, socket.recovered, socket.rooms))
            if not socket.recovered:
                socket.join("news")
            socket.emit("welcome", len(seen))

        self.do["sconnection"] = connected
        for parser in TEXT, MSGPACK:
            seen.clear()
            page = self.come(parser)
            self.io.to("news").emit("n", 0)
            self.wait()
            self.lose(page)
            self.wait(1)
            for n in range(1, 4):
                self.io.to("news").emit("n", n, b"\xff")
            self.io.emit("all")
            self.io.to("other").emit("other")
            sid = page.of(Kind.CONNECT)[0]["sid"]
            self.io.to(sid).send("private")
            self.hubs(self.io).by("user", 42).send("plain")
            again = self.back(page)
            missed: list[Any] = [["n", n, b"\xff"] for n in range(1, 4)]
            missed += [["all"], ["message", "private"], ["message", "plain"]]
            self.assertBack(again, page, *missed, ["welcome", 2])
            rooms = {sid, "news"}
            self.assertEqual(seen, [(sid, False, {sid}), (sid, True, rooms)])
            self.io.to("news").emit("after")
            self.wait()
            self.assertEqual(missedBy(again)[-1], ["after"])
            again.send(Packet(Kind.DISCONNECT))
        self.assertNothingLeft()

    def hubs(self, io: Any) -> Hub:
        """
        The hub, with an index.
        """
        hub = hubOf(io.sockets)
        if "user" not in hub._indexes:
            hub.index("user", lambda session: session.get("user"))
        return hub

    def test_nothingMissed(self) -> None:
        """
        A client that was sent nothing comes back without an offset, or with the last.
        """
        page = self.come()
        self.lose(page)
        self.assertBack(again := self.back(page), page)
        self.io.emit("e", 1)
        self.wait()
        self.lose(again)
        more = self.back(again)
        self.assertBack(more, page)

    def test_onItsWay(self) -> None:
        """
        What was sent before the connection was lost, and did not arrive, comes too.
        """
        page = self.come()
        for n in range(5):
            self.io.emit("n", n)
        self.wait()
        self.lose(page)
        again = self.back(page, page.events[1][-1])
        self.assertBack(again, page, *(["n", n] for n in (2, 3, 4)))

    def test_again(self) -> None:
        """
        It comes back after a second loss, and a third, with the same C{pid}; also if
        it got nothing of what it was sent the first time.
        """
        page = self.come()
        self.io.emit("n", 0)
        self.wait()
        offset, last = offsetOf(page), page
        for n in range(1, 4):
            self.lose(last)
            self.io.emit("n", n)
            last = self.back(page, offset)
            self.assertBack(last, page, *(["n", m] for m in range(1, n + 1)))
        self.lose(last)
        self.assertBack(self.back(last), page)

    def test_direct(self) -> None:
        """
        What a handler sends that runs on after the loss comes too: while the client
        is away, and when it is back.
        """
        gate: Deferred[None] = Deferred()
        more: Deferred[None] = Deferred()

        async def work(socket: Any, event: Any, session: Any) -> None:
            await gate
            socket.emit("done", 1)
            socket.send("done")
            await more
            socket.emit("done", 2)

        self.do["smessage"] = work
        page = self.come()
        page.emit("work")
        self.lose(page)
        self.wait()
        gate.callback(None)
        again = self.back(page)
        missed = [["done", 1], ["message", "done"]]
        self.assertBack(again, page, *missed)
        more.callback(None)
        self.wait()
        self.assertEqual(missedBy(again), [*missed, ["done", 2]])
        self.assertNothingLeft()

    def working(self, **acts: Any) -> list[Deferred[None]]:
        """
        Have handlers run on until these fire, and then do something.
        """
        gates: list[Deferred[None]] = []

        async def work(socket: Any, event: Any, session: Any) -> None:
            gates.append(Deferred())
            await gates[-1]
            acts[event.args[0]](socket)

        self.do["smessage"] = work
        return gates

    def test_expelled(self) -> None:
        """
        A handler that runs on after the loss takes the client out of rooms: while it
        is away, and when it is back.
        """

        def connected(socket: Any, session: Any) -> None:
            if not socket.recovered:
                socket.join("news", "secret")
                hubOf(self.io.sockets).room("own").add(socket)

        def leave(socket: Any) -> None:
            socket.leave("secret")
            hubOf(self.io.sockets).room("own").remove(socket)

        self.do["sconnection"] = connected
        gates = self.working(leave=leave)

        def tell(n: int) -> None:
            self.io.to("secret").emit("secret", n)
            self.io.to("news").emit("news", n)
            hubOf(self.io.sockets).room("own").send("own")
            self.wait()

        for losses in 1, 2:
            page = last = self.come()
            page.emit("work", "leave")
            for n in range(losses):
                last = self.back(page) if n else last
                self.lose(last)
            gates.pop().callback(None)
            tell(1)
            last = self.back(page)
            self.assertBack(last, page, ["news", 1])
            last.send(Packet(Kind.DISCONNECT))
        page = self.come()
        page.emit("work", "leave")
        self.lose(page)
        last = self.back(page)
        gates.pop().callback(None)
        tell(1)
        self.assertBack(last, page, ["news", 1])
        self.assertNothingLeft()

    def test_disconnected(self) -> None:
        """
        Or disconnects it: then it does not come back.
        """
        gates = self.working(
            disconnect=lambda socket: socket.disconnect(),
            close=lambda socket: socket.disconnect(close=True),
        )
        for how in "disconnect", "close":
            page = self.come()
            page.emit("work", how)
            self.lose(page)
            gates.pop().callback(None)
            self.wait()
            self.assertNew(self.back(page), page)
            page = self.come()
            page.emit("work", how)
            self.lose(page)
            last = self.back(page)
            gates.pop().callback(None)
            self.wait()
            self.assertFalse(last.isConnected)
        self.assertNothingLeft()

    def test_disconnectedEverywhere(self) -> None:
        """
        Also in its other namespaces, if it is disconnected from all.
        """
        gates = self.working(work=lambda socket: socket.disconnect(close=True))
        self.io.of("a", self.recording())
        for isBack in False, True:
            page = self.come()
            page.connect("/a")
            self.wait()
            (old,) = page.of(Kind.CONNECT, "/a")
            self.io.of("a").emit("e")
            self.wait()
            offset = page.of(Kind.EVENT, "/a")[0][-1]
            page.emit("work", "work")
            self.lose(page)
            self.assertEqual(len(self.io.ghosts), 2)
            again = self.browse(connects=False)
            hers = {"pid": old["pid"], "offset": offset}
            if isBack:
                again.connect("/a", hers)
                self.wait()
            gates.pop().callback(None)
            self.wait()
            self.assertEqual(len(self.io.ghosts), 0)
            if isBack:
                self.assertEqual(len(again.of(Kind.DISCONNECT, "/a")), 1)
            else:
                again.connect("/a", hers)
                self.wait()
                (new,) = again.of(Kind.CONNECT, "/a")
                self.assertNotEqual(new["sid"], old["sid"])
        self.assertNothingLeft()

    def test_reasons(self) -> None:
        """
        It is waited for after each loss of the connection, and only then: not when it
        left, when it was disconnected, or when we closed the connection.
        """
        for reason in "transport close", "transport error", "ping timeout":
            page = self.come()
            self.lose(page, 1006, reason)
            self.assertBack(self.back(page), page)
        ends: list[Any] = [
            lambda page: page.send(Packet(Kind.DISCONNECT)),
            lambda page: self.io.disconnect(),
            lambda page: page.connection.close(1012, "restart"),
            lambda page: page.raw(b"9"),
            lambda page: self.lose(page, 1001, "server shutting down"),
        ]
        for end in ends:
            page = self.come()
            end(page)
            self.wait()
            if page.connection._engine is not None:
                self.lose(page)
            self.wait()
            self.assertEqual(len(self.io.ghosts), 0)
            self.assertNew(self.back(page), page)

    def test_otherNamespaces(self) -> None:
        """
        Each namespace of a connection comes back by itself.
        """
        self.io.of("a", self.recording())
        page = self.come()
        page.connect("/a")
        self.wait()
        self.io.of("a").emit("e", 0)
        self.wait()
        (old,) = page.of(Kind.CONNECT, "/a")
        offset = page.of(Kind.EVENT, "/a")[0][-1]
        self.lose(page)
        self.io.of("a").emit("e", 1)
        again = self.browse(connects=False)
        again.connect("/a", {"pid": old["pid"], "offset": offset})
        self.wait()
        self.assertEqual(again.of(Kind.CONNECT, "/a"), [old])
        (missed,) = again.of(Kind.EVENT, "/a")
        self.assertEqual(missed[:-1], ["e", 1])
        again.connect("/", {"pid": old["pid"]})
        self.wait()
        self.assertNotEqual(again.of(Kind.CONNECT)[0]["pid"], old["pid"])

    def test_acks(self) -> None:
        """
        What asks for an answer has no offset, and is not kept; all other events have
        one, so that the official client takes no text of the application for one.
        """
        page = self.come()
        (socket,) = [client.handlers.face for client in self.io.sockets]
        asked = socket.call("ask", "text")
        asked.addErrback(lambda failure: None)
        self.io.volatile.emit("v", "text")
        self.wait()
        self.assertEqual(page.got[1].data, ["ask", "text"])
        self.assertEqual(len(page.got[2].data), 3)
        self.lose(page)
        self.assertBack(self.back(page, page.got[2].data[-1]), page)

    def test_counts(self) -> None:
        """
        Who is waited for is not counted, gets nothing that is volatile, and leaves
        when its room is disconnected.
        """
        page = self.come()
        self.lose(page)
        self.wait()
        hub = hubOf(self.io.sockets)
        for doing in (
            self.io.count(),
            self.io.emit("e"),
            self.io.volatile.emit("v"),
            hub.session(SID).count(),
            hub.session(SID).send(1),
        ):
            self.assertEqual(self.successResultOf(doing), {hub.node: 0})
        again = self.back(page)
        self.assertBack(again, page, ["e"], ["message", 1])
        self.lose(again)
        self.wait()
        self.assertEqual(self.successResultOf(self.io.disconnect()), {hub.node: 0})
        self.assertNew(self.back(again), page)

    def test_off(self) -> None:
        """
        Without recovery nothing is added, and nothing kept.
        """
        self.serve(recovery=None)
        page = self.come()
        self.io.emit("e", 1)
        self.wait()
        self.assertEqual(list(page.of(Kind.CONNECT)[0]), ["sid"])
        self.assertEqual(page.events, [["e", 1]])
        self.lose(page)
        self.assertNothingLeft()


class RefusalTests(RecoveryCase):
    """
    Who does not come back.
    """

    def lost(self) -> Page:
        """
        A client that was sent something, and missed something.
        """
        page = self.come()
        self.io.emit("seen")
        self.wait()
        self.lose(page)
        self.io.emit("secret")
        self.wait()
        return page

    def other(self, sid: str = "other", **data: Any) -> str:
        """
        The cookie of another session.
        """
        created = self.place.create(f"sess:{sid}", raw(**data), 600)
        self.assertTrue(self.successResultOf(created))
        return self.cookie(sid)

    def test_loggedOut(self) -> None:
        """
        With a session that was destroyed it gets C{sinvalid}, and nothing else; its
        ghost is gone as soon as that is known.
        """
        page = self.lost()
        self.successResultOf(self.place.destroy(KEY))
        self.wait(1)
        self.assertEqual(len(self.io.ghosts), 0)
        again = self.back(page)
        (refused,) = [packet.data for packet in again.got]
        self.assertEqual(refused["message"], "sinvalid")

    def test_loggedOutAtOnce(self) -> None:
        """
        The same when nobody here has heard of it yet.
        """
        page = self.lost()
        self.successResultOf(self.place.destroy(KEY))
        again = self.back(page)
        self.assertEqual([packet.kind for packet in again.got], [Kind.CONNECT_ERROR])

    def test_otherUser(self) -> None:
        """
        Who knows the C{pid} of somebody else gets nothing with a session of its own,
        and the other one comes back all the same.
        """
        page = self.lost()
        for data in {"user": 43}, {"user": 42}, {}:
            thief = self.back(page, cookie=self.other(f"s{len(data)}{data}", **data))
            self.assertNew(thief, page)
            self.lose(thief)
        self.assertBack(self.back(page), page, ["secret"])

    def test_noSession(self) -> None:
        """
        Nor without one.
        """
        page = self.lost()
        for cookie in "connect.sid=x", self.cookie("nobody"):
            thief = self.back(page, cookie=cookie)
            self.assertEqual(
                [packet.kind for packet in thief.got], [Kind.CONNECT_ERROR]
            )
        self.assertBack(self.back(page), page, ["secret"])

    def test_createdAgain(self) -> None:
        """
        A session of the same id and with the same in it is another one, if it was
        destroyed in between: whether that was heard of or not.
        """
        for seconds in 0, 1:
            page = self.lost()
            self.successResultOf(self.place.destroy(KEY))
            self.wait(seconds)
            self.put(user=42)
            again = self.back(page)
            self.assertNew(again, page)
            self.lose(again)

    def test_identity(self) -> None:
        """
        With another user in the session, or none, it is a new client; also if the
        first user is back in it.
        """
        for first, *users in (
            [42, 43],
            [42, None],
            [42, 43, 42],
            [None, 42],
            [None, 42, None],
        ):
            self.successResultOf(self.place.destroy(KEY))
            self.wait(1)
            self.put(user=first)
            page = self.lost()
            for user in users:
                self.put(user=user)
                self.wait(1)
            self.assertNew(self.back(page), page)

    def test_identityAtOnce(self) -> None:
        """
        The same when nobody here has heard of it yet.
        """
        page = self.lost()
        self.put(user=43)
        self.assertNew(self.back(page), page)

    def test_dataChanged(self) -> None:
        """
        Whatever else changes in the session does not matter.
        """
        page = self.lost()
        self.put(user=42, cart=3)
        self.assertBack(self.back(page), page, ["secret"])

    def test_moved(self) -> None:
        """
        A session that goes on under another id is another one.
        """
        page = self.come()
        (socket,) = [client.handlers.face for client in self.io.sockets]
        self.lose(page)
        session = socket.session
        holder = self.holder
        opened = self.successResultOf(self.manager.open(SID, holder))
        self.assertIs(opened, session)
        moving = self.manager.regenerate(session, holder)
        self.wait(1)
        moved, tell = self.successResultOf(moving)
        tell()
        again = self.back(page, cookie=self.cookie(moved.id))
        self.assertNew(again, page)

    def test_alive(self) -> None:
        """
        As long as a client lives, nobody else is that client.
        """
        page = self.come()
        self.io.emit("e")
        self.wait()
        self.assertNew(twin := self.back(page), page)
        self.lose(page)
        first = self.back(page)
        self.assertBack(first, page)
        self.assertNew(self.back(page), page)
        self.assertTrue(twin.isConnected)

    def test_offsets(self) -> None:
        """
        An offset that is not known, or not any more, is none.
        """
        for offset in "unknown", "", "x" * 1000, 1, ["x"]:
            page = self.lost()
            self.assertNew(self.back(page, offset), page)
        self.serve(recovery=Recovery(clientBytes=1000))
        page = self.come()
        self.io.emit("e", 0)
        self.wait()
        self.lose(page)
        for n in range(10):
            self.io.emit("e", n)
        self.assertNew(self.back(page), page)

    def test_pids(self) -> None:
        """
        What is no C{pid} is none.
        """
        self.lost()
        long = "x" * 24, "ü" * 24, "x" * 10_000
        wrong: list[Any] = [None, 1, "", "x", ["x"], {}, *long]
        for pid in wrong:
            page = self.browse(connects=False)
            page.connect("/", {"pid": pid, "offset": "x"})
            self.wait()
            self.assertEqual(len(page.of(Kind.CONNECT)), 1)

    def test_parser(self) -> None:
        """
        A client that speaks otherwise is another one.
        """
        page = self.lost()
        self.assertNew(self.back(page, parser=MSGPACK), page)

    def test_late(self) -> None:
        """
        It is waited for so many seconds.
        """
        page = self.lost()
        self.wait(119)
        self.assertBack(again := self.back(page), page, ["secret"])
        self.lose(again)
        self.run_(121, 1.0)
        self.assertNew(self.back(again), page)
        self.assertNothingLeft()

    def test_tooLate(self) -> None:
        """
        And not a second longer.
        """
        self.io.emit("e")
        for seconds in 0, 7, 14, 21, 28:
            self.wait(seconds)
            page = self.come()
            self.io.emit("e")
            self.wait()
            self.lose(page)
            self.run_(120, 1.0)
            self.wait(0.25)
            self.assertNew(self.back(page), page)

    def test_notAnswered(self) -> None:
        """
        A client that did not hear that it is connected is not waited for.
        """
        self.serve(perMessage=True)
        page = self.come()
        self.do["smessage"] = lambda socket, event, session: session.update(n=1)
        self.store.hold("replace")
        page.emit("change")
        other = self.come()
        self.assertEqual(other.got, [])
        self.lose(other)
        self.assertEqual(len(self.io.ghosts), 0)
        self.store.release()

    def test_gates(self) -> None:
        """
        A client that the application does not let in gets nothing.
        """
        page = self.lost()

        def refuse(socket: Any, session: Any) -> None:
            raise ValueError("blocked")

        self.io.use(refuse)
        again = self.back(page)
        self.assertEqual(again.of(Kind.CONNECT), [])
        self.assertEqual(again.events, [])
        self.flushLoggedErrors(ValueError)


class BoundTests(RecoveryCase):
    """
    What is kept has bounds.
    """

    def test_settings(self) -> None:
        """
        More than a client can be sent at once cannot be kept for it.
        """
        with self.assertRaisesRegex(ValueError, "Limits.unsentBytes"):
            self.serve(recovery=Recovery(clientBytes=2 << 20))
        wrongs: list[dict[str, Any]] = [
            {"seconds": 0},
            {"clients": -1},
            {"totalBytes": "1"},
        ]
        for wrong in wrongs:
            with self.assertRaises((TypeError, ValueError)):
                Recovery(**wrong)

    def test_clients(self) -> None:
        """
        Those who have been away for longest are given up first.
        """
        self.serve(recovery=Recovery(clients=2))
        pages = [self.come() for _ in range(4)]
        for page in pages:
            self.lose(page)
            self.wait()
        self.assertEqual(len(self.io.ghosts), 2)
        for page in pages[:2]:
            self.assertNew(self.back(page), page)
        for page in pages[2:]:
            self.assertBack(self.back(page), page)

    def test_perSession(self) -> None:
        """
        As many as a session may have sockets are waited for, and they take no place
        of its sockets.
        """
        self.serve(limits=Limits(socketsPerSession=2))
        pages = []
        for _ in range(5):
            pages.append(self.come())
            self.assertTrue(pages[-1].isConnected)
            self.lose(pages[-1])
            self.wait()
        self.assertEqual(len(self.io.ghosts), 2)
        self.assertNew(one := self.back(pages[0]), pages[0])
        self.assertBack(two := self.back(pages[4]), pages[4])
        self.assertTrue(one.isConnected and two.isConnected)
        self.assertEqual(len(self.browse().of(Kind.CONNECT_ERROR)), 1)

    def sidOf(self, page: Page) -> str:
        """
        The id of its socket.
        """
        return str(page.of(Kind.CONNECT)[0]["sid"])

    def test_total(self) -> None:
        """
        What is kept for all has a bound; what many get counts once.
        """
        self.serve(recovery=Recovery(totalBytes=100_000))
        pages = [self.come() for _ in range(50)]
        ghosts = self.io.ghosts
        for n in range(10):
            self.io.emit("n", n, "x" * 1000)
        self.assertLess(ghosts._budget.used, 25_000)
        for _ in range(100):
            self.io.emit("more", "x" * 2000)
            self.assertLess(ghosts._budget.used, 105_000)
        self.wait()
        self.lose(pages[5])
        self.assertBack(self.back(pages[5]), pages[5])

    def test_oldest(self) -> None:
        """
        Those who have been away for longest are given up, when others need the room
        who have not had much; and when there are none, what was sent is forgotten.
        """
        self.serve(recovery=Recovery(totalBytes=100_000))
        page, thin = self.come(), self.come()
        self.io.to(self.sidOf(page)).emit("much", "x" * 45_000)
        self.wait()
        self.lose(page)
        self.lose(thin)
        others = [self.come() for _ in range(50)]
        for other in others:
            self.io.to(self.sidOf(other)).emit("little", "x" * 1400)
        self.assertEqual(len(self.io.ghosts), 1)
        self.assertNew(self.back(page), page)
        self.assertBack(self.back(thin), thin)
        self.wait()
        for other in others:
            self.lose(other)
            self.assertBack(self.back(other), other)

    def test_givenUpMeanwhile(self) -> None:
        """
        Those who are given up because of an event for many do not get it then, nor
        take any room.
        """
        self.serve(recovery=Recovery(totalBytes=100_000))
        fat, thin = self.come(), self.come()
        fats, thins = self.io.to(self.sidOf(fat)), self.io.to(self.sidOf(thin))
        fats.emit("own", "x" * 90_000)
        self.wait()
        self.lose(fat)
        self.lose(thin)
        thins.to(self.sidOf(fat)).emit("both", "x" * 12_000)
        self.assertEqual(len(self.io.ghosts), 1)
        self.assertBack(self.back(thin), thin, ["both", "x" * 12_000])
        self.assertNothingLeft()

    def test_nobody(self) -> None:
        """
        When nobody is waited for, what a client was sent is forgotten.
        """
        self.serve(recovery=Recovery(totalBytes=1000))
        page = self.come()
        self.io.emit("e", "x" * 1000)
        self.assertEqual(self.io.ghosts._budget.used, 0)
        self.wait()
        self.lose(page)
        self.assertBack(self.back(page), page)

    def test_share(self) -> None:
        """
        A client that is sent very much takes nobody else's room.
        """
        self.serve(recovery=Recovery(totalBytes=100_000))
        page, greedy = self.come(), self.come()
        self.lose(page)
        for n in range(3):
            self.io.emit("e", n)
        sid = self.sidOf(greedy)
        for n in range(1000):
            self.io.to(sid).emit("more", n, "x" * 1000)
            self.assertLess(self.io.ghosts._budget.used, 105_000)
        self.assertBack(self.back(page), page, ["e", 0], ["e", 1], ["e", 2])
        self.lose(greedy)
        self.assertBack(self.back(greedy), greedy)

    def test_once(self) -> None:
        """
        What a client names counts once for each connection, since it may cost a
        question to all nodes.
        """
        page = self.come()
        self.lose(page)
        again = self.come()
        again.send(Packet(Kind.DISCONNECT))
        again.connect("/", {"pid": pidOf(page)})
        self.wait()
        self.assertEqual(len({data["pid"] for data in again.of(Kind.CONNECT)}), 2)
        self.assertNotEqual(pidOf(again), pidOf(page))
        self.assertBack(self.back(page), page)

    def test_forgotten(self) -> None:
        """
        What was sent longer ago is not kept.
        """
        page = self.come()
        self.io.emit("e", "x" * 1000)
        self.assertGreater(self.io.ghosts._budget.used, 1000)
        self.run_(160, 1.0)
        self.assertEqual(self.io.ghosts._budget.used, 0)
        self.lose(page)
        self.assertBack(self.back(page), page)

    def test_shutdown(self) -> None:
        """
        The end of the process waits for nobody.
        """
        page, other = self.come(), self.come()
        self.lose(page)
        self.wait()
        ending = self.manager.end(drain=1)
        self.wait(2)
        self.successResultOf(ending)
        self.assertEqual(len(self.io.ghosts), 0)
        self.assertFalse(other.engine.closed is None)


class PerMessageTests(ReturnTests):
    """
    The same with the session fresh for each message.
    """

    perMessage = True

    def test_held(self) -> None:
        """
        What waited until something was stored when the connection was lost, and what
        is sent meanwhile, comes when that is stored, and not if it cannot be.
        """

        def change(socket: Any, event: Any, session: Any) -> None:
            session["n"] = session.get("n", 0) + 1
            socket.emit("changed", session["n"])

        self.do["smessage"] = change
        page = self.come()
        self.io.emit("first")
        self.wait()
        self.store.hold("replace")
        page.emit("change")
        self.lose(page)
        self.wait()
        self.io.emit("more")
        self.wait()
        again = self.back(page)
        self.assertEqual(again.got, [])
        self.store.release()
        self.wait()
        self.assertBack(again, page, ["changed", 1], ["more"])
        self.assertNothingLeft()

    def test_heldTooMuchBefore(self) -> None:
        """
        A client for which more waited than may be kept is not waited for, also if it
        has not got any of that yet; and is gone as any other.
        """

        def change(socket: Any, event: Any, session: Any) -> None:
            session["n"] = 1
            for _ in range(15):
                socket.emit("x", "y" * 100_000)

        self.do["smessage"] = change
        page = self.come()
        self.store.hold("replace")
        page.emit("change")
        self.wait()
        self.lose(page)
        self.assertEqual(len(self.io.ghosts), 0)
        self.store.release()
        self.wait(1)
        self.assertNothingLeft()

    def test_heldByAll(self) -> None:
        """
        And on what waits for all together.
        """
        self.serve(recovery=Recovery(totalBytes=100_000), perMessage=True)
        page, _ = self.changing()
        self.io.emit("changed", "x" * 60_000)
        self.assertGreater(self.io.ghosts._budget.used, 60_000)
        self.io.emit("changed", "x" * 60_000)
        self.assertLess(self.io.ghosts._budget.used, 100_000)
        self.assertEqual(len(self.io.ghosts), 0)
        self.store.release()
        self.wait(1)
        self.assertNew(self.back(page), page)
        self.assertNothingLeft()

    def changing(self, change: Callable[[Any], object] = _assign) -> tuple[Page, Page]:
        """
        A client that lost its connection, and another one of the same session.
        """
        self.do["smessage"] = lambda socket, event, session: change(session)
        page, other = self.come(), self.come()
        self.lose(page)
        self.store.hold("replace")
        other.emit("change")
        return page, other

    def test_heldMeanwhile(self) -> None:
        """
        What it is sent while changes of its session are not stored waits for that.
        """
        page, _ = self.changing()
        self.io.emit("changed")
        (ghost,) = self.io.ghosts._ghosts.values()
        self.assertEqual(len(ghost.trail), 0)
        self.store.release()
        self.wait(1)
        self.assertEqual(len(ghost.trail), 1)
        self.assertBack(self.back(page), page, ["changed"])

    def test_heldAmongOthers(self) -> None:
        """
        When another node hands over what it kept, what waits here goes on waiting,
        with what comes behind it, and is in the trail once.
        """
        page, _ = self.changing()
        for name in "second", "fourth":
            self.io.emit(name)
        (ghost,) = self.io.ghosts._ghosts.values()
        second = ghost._held[0][1]
        first, again, third = (
            ghost.encode(Event(name, ()), offset)
            for name, offset in (("1", "o1"), ("2", second.offset), ("3", "o3"))
        )
        ghost.merge(None, [first, again, third])
        self.assertEqual(ghost.trail.after(None), [first])
        self.store.release()
        self.wait(1)
        offsets = [frame.offset for frame in ghost.trail.after(None)]
        self.assertEqual(offsets[:3], ["o1", second.offset, "o3"])
        self.assertEqual(len(offsets), 4)
        self.lose(self.back(page))
        self.assertNothingLeft()

    def test_heldFails(self) -> None:
        """
        When they cannot be stored, nobody comes back for it.
        """
        page, other = self.changing()
        self.store.release()
        self.wait(1)
        self.store.fail(StoreUnavailable("gone"), "replace")
        other.emit("change")
        self.io.emit("changed")
        self.assertEqual(len(self.io.ghosts), 1)
        self.wait(1)
        self.assertEqual(len(self.io.ghosts), 0)
        self.store.heal()
        self.wait(1)
        self.assertNew(self.back(page), page)
        self.flushLoggedErrors()

    def test_heldGivenUp(self) -> None:
        """
        Nor when that change is given up.
        """
        page, _ = self.changing(lambda session: session.increment("n"))
        self.io.emit("changed")
        self.assertEqual(len(self.io.ghosts), 1)
        self.put(user=42, n="none")
        self.store.release()
        self.wait(1)
        self.assertEqual(len(self.io.ghosts), 0)
        self.assertNew(self.back(page), page)
        self.flushLoggedErrors()

    def test_heldTooMuch(self) -> None:
        """
        There is a bound on that, too.
        """
        page, _ = self.changing()
        for _ in range(9):
            self.io.emit("changed", "x" * 100_000)
        self.assertEqual(len(self.io.ghosts), 1)
        self.io.emit("changed", "x" * 200_000)
        self.assertEqual(len(self.io.ghosts), 0)
        self.store.release()
        self.wait(1)
        self.assertNew(self.back(page), page)
