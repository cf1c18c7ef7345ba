"""
Tests for L{txsessionsock.socketio}: handlers that may run again.
"""

from __future__ import annotations

from typing import Any

from tests.support.recovering import RecoveryCase
from tests.support.socketio import SocketIOCase
from txsessionsock.interfaces import SessionError
from txsessionsock.limits import Limits
from txsessionsock.socketio import SocketIO, SocketIOSocket, enable
from txsessionsock.socketio.packets import Kind, Packet


class Again(SocketIOSocket):
    """
    A socket whose handlers may run again.
    """

    repeatable = True

    def on_count(self, by: int) -> int:
        self.session["n"] = self.session.get("n", 0) + by
        self.emit("counts", self.session["n"])
        count: int = self.session["n"]
        return count

    def on_early(self) -> str:
        self.session["n"] = self.session.get("n", 0) + 1
        self.answer("early", self.session["n"])
        self.answer("again")
        return "late"

    def on_bad(self, what: str) -> object:
        does: dict[str, Any] = {
            "join": lambda: self.join("room"),
            "leave": lambda: self.leave("room"),
            "to": lambda: self.to("room").emit("x"),
            "broadcast": lambda: self.broadcast.emit("x"),
            "call": lambda: self.call("x"),
            "disconnect": self.disconnect,
            "disconnect all": lambda: self.disconnect(close=True),
            "receive": self.receive,
        }
        try:
            does[what]()
        except SessionError:
            return "refused"
        return "done"

    async def on_slow(self) -> None:
        self.session["n"] = 99


class RepeatableTests(SocketIOCase):
    """
    Events whose handlers run again.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.serve(Again, perMessage=True)

    def meddle(self) -> None:
        """
        Have somebody be faster next time.
        """
        store: Any = self.store
        replace = store.replace

        def late(*args: Any) -> Any:
            store.replace = replace
            self.put(n=10)
            return replace(*args)

        store.replace = late

    def test_answer(self) -> None:
        """
        The answer, and what is emitted, is that of the last time.
        """
        page = self.browse()
        self.meddle()
        page.emit("count", 1, id=3)
        page.emit("early", id=4)
        self.wait()
        self.assertEqual(page.acks, [(3, [11]), (4, ["early", 12])])
        self.assertEqual(page.events, [["counts", 11]])
        self.assertEqual(self.stored(), {"n": 12})

    def test_arguments(self) -> None:
        """
        Its arguments come again, too, whatever was done to them.
        """
        self.io.on(
            "list", lambda socket, items: socket.session.update({"n": items.pop()})
        )
        page = self.browse()
        self.meddle()
        page.emit("list", [1, 2])
        self.wait()
        self.assertEqual(self.stored(), {"n": 2})

    def test_refused(self) -> None:
        """
        What cannot be thrown away raises.
        """
        page = self.browse()
        tries = [*("join", "leave", "to", "broadcast", "call"), "receive"]
        tries += ["disconnect", "disconnect all"]
        for number, what in enumerate(tries):
            page.emit("bad", what, id=number)
        self.wait()
        self.assertEqual(page.acks, [(n, ["refused"]) for n in range(len(tries))])
        self.assertTrue(page.isConnected)

    def test_asynchronous(self) -> None:
        """
        One that would wait is refused, and does nothing.
        """
        page = self.browse()
        page.emit("slow")
        self.wait()
        self.assertEqual(self.stored(), {"n": 0})
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(page.engine.closed, (1011, "handler failed"))


class MissedTests(RecoveryCase):
    """
    Clients that come back.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.serve(Again)

    def test_late(self) -> None:
        """
        What is emitted, and stored when the connection was lost, waits for the client.
        """
        page = self.come()
        self.store.hold("replace")
        page.emit("count", 1)
        page.emit("count", 1, id=3)
        self.wait()
        self.lose(page)
        self.store.release()
        self.wait()
        self.assertEqual(self.stored(), {"n": 2})
        again = self.back(page, None)
        self.assertBack(again, page, ["counts", 1], ["counts", 2])
        self.assertEqual(again.acks, [])
        self.assertNothingLeft()

    def test_after(self) -> None:
        """
        So does what is emitted when it was lost; also if the client is back by then.
        """
        for isBack in (False, True):
            self.put(n=0)
            page = self.come()
            self.store.hold("replace")
            page.emit("count", 1)
            self.wait()
            page.emit("count", 1)
            self.lose(page)
            again = self.back(page, None) if isBack else page
            self.store.release()
            self.wait(1)
            again = again if isBack else self.back(page, None)
            self.assertEqual(self.stored(), {"n": 2})
            self.assertBack(again, page, ["counts", 1], ["counts", 2])
        self.assertNothingLeft()


class SetUpTests(SocketIOCase):
    """
    Where it cannot be had, that is said before anybody connects.
    """

    def test_perConnection(self) -> None:
        """
        Per connection, an answer goes out before anybody asks the store.
        """
        with self.assertRaisesRegex(ValueError, "perMessage=True"):
            enable(SocketIO(Again), self.manager)
        io = SocketIO()
        enable(io, self.manager)
        with self.assertRaisesRegex(ValueError, "perMessage=True"):
            io.of("/other", Again)


class Ordinary(SocketIOSocket):
    """
    Another namespace's.
    """

    def on_see(self) -> object:
        return dict(self.session)


class NamespacesTests(SocketIOCase):
    """
    A namespace whose handlers may run again, and another one on the same connection.
    """

    perMessage = True

    def test_resumed(self) -> None:
        """
        When the first takes a message, and by that has the connection receive again,
        what comes for the other one does not see the draft.
        """
        self.put(n=0)
        self.freeStore()
        self.manager = self.newManager(self.store, freshness="tracked")
        self.serve(Again, limits=Limits(waitingMessages=1))
        self.io.of("/other", Ordinary)
        page = self.browse()
        page.connect("/other")
        engine: Any = page.engine
        late = Packet(Kind.EVENT, "/other", ["see"], 9)

        def resume() -> None:
            del engine.resume
            engine.resume()
            for payload, isBinary in page.parser.encode(late):
                page.connection.received(payload[1:], isBinary)

        self.store.hold("replace")
        page.emit("count", 1, id=0)
        self.assertTrue(engine.isPaused)
        engine.resume = resume
        self.wait()
        self.assertEqual((page.of(Kind.ACK, "/other"), page.acks), ([], []))
        self.store.release()
        self.wait()
        self.assertEqual(page.acks, [(0, [1])])
        self.assertEqual(page.of(Kind.ACK, "/other"), [(9, [{"n": 1}])])
