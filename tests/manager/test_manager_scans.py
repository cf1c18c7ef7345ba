"""
Tests for how often a session is looked through for changes: as seldom as it can
be, and no change is missed for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import KEY
from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.interfaces import NoSuchSession
from txsessionsock.session import Session, merge, workingcopy
from txsessionsock.testing import UnwatchableStore


class ScanCase(SocketCase):
    """
    A session with values that can be changed in place, and two clients.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(cart=["figs"], n=0)
        self.begin()

    def begin(self, **options: Any) -> None:
        """
        Connect.
        """
        options.setdefault("store", self.store)
        self.freeStore()
        self.manager = self.newManager(**options)
        self.serve()
        self.one, self.two = self.browse(), self.browse()
        self.session: Session = self.one.server.session
        # Once a handler got it, somebody may change it at any time.
        self.ask(lambda client, session: session["cart"])
        self.wait()
        self.seen.clear()
        self.scans = 0
        original = merge.fingerprint

        def counting(value: Any) -> bytes | None:
            self.scans += type(value) is list
            return original(value)

        self.patch(workingcopy, "fingerprint", counting)

    def ask(
        self, f: Callable[[Recording, Session], Any], browser: Browser | None = None
    ) -> None:
        """
        Have a client's handler do something.
        """
        self.do["smessage"] = lambda client, message, session: f(client, session)
        (browser or self.one).send("go")

    def keysTold(self) -> list[Any]:
        """
        The keys of each C{schanged}.
        """
        return [event[1] for event in self.seen if event[0] == "schanged"]


def read(client: Recording, session: Session) -> None:
    client.send(session["cart"])


def change(client: Recording, session: Session) -> None:
    session["cart"].append("nuts")
    client.send("done")


class CountTests(ScanCase):
    """
    How often, in strict mode.
    """

    def test_reads(self) -> None:
        """
        Once for a message that only reads: when its handler is done.
        """
        self.ask(read)
        self.wait(3)
        self.assertEqual((self.one.got, self.scans), ([["figs"]], 1))

    def test_changes(self) -> None:
        """
        Nor does one that changes something have it looked through again before the
        write.
        """
        # Whose handler would hear of it, and be looked after, too.
        self.two.cut()
        self.wait()
        self.scans = 0
        self.ask(change)
        self.wait(3)
        self.assertEqual((self.one.got, self.scans), (["done"], 1))
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts"], "n": 0})

    def test_manyAnswers(self) -> None:
        """
        However many frames it sends.
        """

        def handle(client: Recording, session: Session) -> None:
            for _ in range(10):
                client.send(len(session["cart"]))

        self.ask(handle)
        self.wait(3)
        self.assertEqual((self.one.got, self.scans), ([1] * 10, 1))

    def test_waits(self) -> None:
        """
        Once more for a handler that sends something and waits: then.
        """
        waiting: Deferred[None] = Deferred()

        def handle(client: Recording, session: Session) -> Any:
            read(client, session)
            return waiting

        self.ask(handle)
        self.wait()
        self.assertEqual((self.one.got, self.scans), ([["figs"]], 1))
        waiting.callback(None)
        self.wait(3)
        self.assertEqual(self.scans, 2)


class TrackedCountTests(CountTests):
    """
    How often, in tracked mode.
    """

    perMessage = False

    def begin(self, **options: Any) -> None:
        super().begin(freshness="tracked", **options)

    def test_waits(self) -> None:
        """
        Once more for a handler that waits: it may change something any time.
        """
        waiting: Deferred[None] = Deferred()
        self.ask(lambda client, session: waiting)
        self.wait()
        self.assertEqual(self.scans, 0)
        self.wait(1)
        self.assertEqual(self.scans, 1)
        waiting.callback(None)
        self.assertEqual(self.scans, 2)


class UnwatchedCountTests(CountTests):
    """
    How often, with a store that is read for each message.
    """

    def begin(self, **options: Any) -> None:
        super().begin(store=UnwatchableStore(self.store), **options)


class MissedTests(ScanCase):
    """
    Nothing is missed, in strict mode.
    """

    def test_heldBack(self) -> None:
        """
        What a handler sends waits for what it changes after that.
        """
        cart = self.session["cart"]
        self.store.hold("replace")

        def handle(client: Recording, session: Session) -> None:
            client.send("before")
            cart.append("nuts")
            client.send("after")

        self.ask(handle)
        self.wait()
        self.assertEqual(self.one.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(self.one.got, ["before", "after"])
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts"], "n": 0})

    def test_behindAWrite(self) -> None:
        """
        The answer of a handler that only reads waits for a write that is under
        way, and no longer.
        """
        self.store.hold("replace")
        self.ask(lambda client, session: session.update(n=1))
        self.wait()
        self.ask(read, self.two)
        self.wait()
        self.assertEqual(self.two.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(self.two.got, [["figs"]])
        self.assertEqual(self.calls("replace"), 1)

    def test_waitsAndIsHeardOf(self) -> None:
        """
        A handler sends something, changes something and waits: its answer waits
        for the write, though handlers of others that hear of it end first.
        """
        self.store.hold("replace")

        def handle(client: Recording, session: Session) -> Any:
            change(client, session)
            return Deferred()

        self.ask(handle)
        self.wait()
        self.assertEqual(self.keysTold(), [("cart",)])
        self.assertEqual(self.one.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(self.one.got, ["done"])
        self.assertEqual(self.two.server.session["cart"], ["figs", "nuts"])

    def test_otherReceiver(self) -> None:
        """
        So does what it sends to another client.
        """
        self.store.hold("replace")

        def handle(client: Recording, session: Session) -> None:
            self.two.server.send("to two")
            session["cart"].append("nuts")

        self.ask(handle)
        self.wait()
        self.assertEqual(self.two.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(self.two.got, ["to two"])

    def test_sendsAndEnds(self) -> None:
        """
        What a handler sends arrives, if it ends the session in the same breath.
        """

        def handle(client: Recording, session: Session) -> None:
            client.send("bye")
            session.destroy()

        self.ask(handle)
        self.wait()
        self.assertEqual(self.one.got, ["bye"])
        self.assertEqual(self.one.closed, (4401, "session-destroyed"))

    def test_sendsAndFindsItGone(self) -> None:
        """
        Also if it only finds out that the session is gone.
        """

        def handle(client: Recording, session: Session) -> None:
            client.send("bye")
            # The store reports it only when the reactor is done with this.
            self.successResultOf(self.place.destroy(KEY))
            self.failureResultOf(session.reload(), NoSuchSession)

        self.ask(handle)
        self.wait()
        self.assertEqual(self.one.got, ["bye"])
        self.assertEqual(self.one.closed, (4401, "session-destroyed"))

    def test_outside(self) -> None:
        """
        Those who change something outside of a handler are not taken for the
        next one whose handler runs: also its client is told.
        """
        for n, f in enumerate(
            (
                lambda: self.session.__setitem__("n", 5),
                lambda: self.session.increment("n"),
                lambda: self.session["cart"].append("nuts"),
            )
        ):
            self.clock.callLater(0, f)
            self.clock.advance(0)
            self.ask(lambda client, session: session["cart"])
            key = "cart" if n == 2 else "n"
            self.assertEqual(self.keysTold(), [(key,)] * 2)
            self.seen.clear()
            self.wait(2)

    def test_besideWaiting(self) -> None:
        """
        A handler that waits and then changes what it got before is the one who
        did it, though another handler is the first to end.
        """
        waiting: Deferred[None] = Deferred()
        told: list[Recording] = []
        self.do["schanged"] = lambda client, *_: told.append(client)

        async def handle(client: Recording, session: Session) -> None:
            cart = session["cart"]
            # Changes are looked for when it waits; then nobody asks for it again.
            client.send("a moment")
            await waiting
            cart.append("nuts")
            await Deferred()

        self.ask(handle)
        self.wait()
        waiting.callback(None)
        self.ask(lambda client, session: None, self.two)
        self.assertEqual(told, [self.two.server])

    def test_whileStoring(self) -> None:
        """
        What is set while the store answers, by nobody's handler, is stored.
        """
        self.store.hold("replace")
        self.ask(change)
        self.wait()
        self.session["n"] = 7
        self.store.release()
        self.wait(2)
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts"], "n": 7})

    def test_whileStoringTheLast(self) -> None:
        """
        Also if nobody holds the session any more.
        """
        self.store.hold("replace")
        self.ask(change)
        self.wait()
        for browser in self.one, self.two:
            browser.cut()
        self.wait()
        self.session["n"] = 7
        self.store.release()
        self.wait(2)
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts"], "n": 7})

    def test_beforeTheWrite(self) -> None:
        """
        What is asked for and changed between a handler's end and the write goes with
        the write.  What was asked for long before is stored by C{save}.
        """
        cart = self.session["cart"]

        def handle(client: Recording, session: Session) -> None:
            session["n"] = 1
            self.clock.callLater(0, lambda: session["cart"].append("nuts"))

        self.ask(handle)
        self.wait()
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts"], "n": 1})
        self.assertEqual(self.calls("replace"), 1)
        self.clock.callLater(0, cart.append, "dates")
        self.wait()
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"cart": ["figs", "nuts", "dates"], "n": 1})
