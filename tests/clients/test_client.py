"""
Tests for L{txsessionsock.clients.client}: what goes wrong, and how it ends.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.managing import KEY, Recorder
from tests.support.wires import Recording, SocketCase
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    NoSuchSession,
    StoreUnavailable,
    UndecodableSession,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session


class WrongTests(SocketCase):
    """
    What goes wrong, per connection.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_raises(self) -> None:
        """
        A handler that raises closes its socket; its changes stay.
        """

        def bad(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 1
            raise ZeroDivisionError

        self.do["smessage"] = bad
        browser, other = self.browse(), self.browse()
        browser.send("a")
        self.assertClosed(browser, 1011, "handler failed")
        (error,) = self.events("serror")
        self.assertIsInstance(error, ZeroDivisionError)
        self.assertIsNone(other.closed)
        self.wait(2)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertNothingLeft()

    def test_everyHandler(self) -> None:
        """
        Whichever handler raises, in whichever way, nothing is left over.
        """

        async def later(*args: Any) -> None:
            raise ZeroDivisionError

        def now(*args: Any) -> None:
            raise ZeroDivisionError

        for event in (
            "sconnection",
            "smessage",
            "schanged",
            "sdestroyed",
            "disconnect",
        ):
            for bad in now, later:
                self.do.clear()
                self.do[event] = bad
                self.seen.clear()
                self.put()
                browser = self.browse()
                if browser.closed is None:
                    browser.send("a")
                self.put(n=1)
                self.wait()
                self.successResultOf(self.place.destroy(KEY))
                self.wait()
                browser.close()
                self.assertEqual(self.events("disconnect")[1:], [])
                self.assertNothingLeft()
                logged = len(self.flushLoggedErrors(ZeroDivisionError))
                told = len(self.events("serror"))
                self.assertEqual(
                    (logged, told), (1, 0) if event == "sdestroyed" else (0, 1)
                )

    def test_serrorRaises(self) -> None:
        """
        When the last resort fails, that is logged, and the socket closed.
        """

        def bad(*args: Any) -> None:
            raise ZeroDivisionError

        self.do["smessage"] = self.do["serror"] = bad
        browser = self.browse()
        browser.send("a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertClosed(browser, 1011, "handler failed")

    def test_logged(self) -> None:
        """
        Unless somebody listens to C{serror}, errors are logged.
        """

        class Plain(Recording):
            sessionError = Recording.__mro__[1].sessionError  # type: ignore[attr-defined]  # The library's own.

        self.serve(Plain)
        self.do["smessage"] = lambda *args: 1 / 0
        self.browse().send("a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.store.fail(StoreUnavailable("down"))
        with capturedLogs() as captured:
            for _ in range(3):
                self.browse(cookie=self.cookie("x"))
            self.clock.advance(60)
            self.browse(cookie=self.cookie("x"))
        said = [formatEvent(e) for e in captured if e["log_level"] is LogLevel.error]
        line = "the session store failed: down"
        self.assertEqual(said, [line, f"left out: 2 more of: {line}", line])
        heard: list[Any] = []
        self.factory.on("serror", lambda client, failure: heard.append(failure.value))
        self.browse(cookie=self.cookie("x"))
        self.assertEqual(len(heard), 1)

    def test_undecodable(self) -> None:
        """
        A session that cannot be decoded is no logout, and is not overwritten.
        """
        self.putRaw(b"\xff not JSON")
        browser = self.browse()
        self.assertClosed(browser, 1011, "session failed")
        ((event, error),) = self.seen
        self.assertEqual((event, type(error)), ("serror", UndecodableSession))
        current = self.successResultOf(self.place.load(KEY))
        assert current is not None
        self.assertEqual(current.raw, b"\xff not JSON")
        self.assertNothingLeft()

    def test_undecodableLater(self) -> None:
        """
        Nor when that happens while the socket is open.
        """
        browser = self.browse()
        self.putRaw(b"\xff")
        self.wait()
        self.assertClosed(browser, 1011, "session failed")
        self.assertEqual(len(self.events("serror")), 1)
        self.assertEqual(self.events("sdestroyed"), [])

    def test_unencodable(self) -> None:
        """
        What cannot be stored closes the socket whose handler put it there.
        """

        def put(client: Recording, message: Any, session: Session) -> None:
            session["x"] = {1}

        self.do["smessage"] = put
        browser, other = self.browse(), self.browse()
        browser.send("a")
        self.wait(2)
        self.assertClosed(browser, 1011, "session failed")
        (error,) = self.events("serror")
        self.assertIsInstance(error, UnencodableSession)
        self.assertIsNone(other.closed)
        self.assertEqual(self.stored(), {})
        self.assertNothingLeft()

    def test_outage(self) -> None:
        """
        Per connection, sockets stay open in an outage, which is told once;
        what was changed is stored later, also when the sockets are gone.
        """
        if self.factory.sockets.perMessage:
            return

        def change(client: Recording, message: Any, session: Session) -> None:
            session["n"] = message
            client.send(message)

        self.do["smessage"] = change
        browser = self.browse()
        for outage in 1, 2:
            self.seen.clear()
            self.store.fail(StoreUnavailable("down"))
            for number in range(3):
                browser.send(number)
                self.wait(3)
            self.assertEqual(len(self.events("serror")), 1)
            self.assertIsNone(browser.closed)
            self.assertEqual(browser.got, [0, 1, 2] * outage)
            self.store.heal()
            self.wait(12)
            self.assertEqual(self.stored(), {"n": 2})
        self.store.fail(StoreUnavailable("down"))
        browser.send(9)
        browser.close()
        self.wait(3)
        self.assertEqual(len(self.factory.sockets), 0)
        self.store.heal()
        self.wait(12)
        self.assertEqual(self.stored(), {"n": 9})
        self.assertEqual(self.events("sinvalid"), [])
        self.assertNothingLeft()


class NotFreshTests(SocketCase):
    """
    A session that cannot be had for a message.
    """

    perMessage = True

    def test_unforeseen(self) -> None:
        """
        Whatever a framework raises, no message is dropped in silence.
        """

        def identity(data: dict[str, Any]) -> object:
            return 1 / (1 - data.get("n", 0))

        self.put()
        framework = Express(secrets=["keyboard cat"], identity=identity)
        self.freeStore()
        self.manager = SessionManager(self.store, framework, self.clock)
        self.serve()
        browser = self.browse()
        self.put(n=1)
        browser.send("a")
        self.assertClosed(browser, 1011, "session failed")
        self.assertEqual(self.events("smessage"), [])
        self.assertIsInstance(self.events("serror")[0], ZeroDivisionError)
        # That it changed was noticed, too.
        self.flushLoggedErrors(ZeroDivisionError)


class LongHandlerTests(SocketCase):
    """
    A handler that takes its time, per connection.
    """

    def test_saved(self) -> None:
        """
        What it changes is stored a second later at the latest.
        """
        gates: list[Deferred[None]] = [Deferred() for _ in range(3)]

        async def handler(client: Recording, message: Any, session: Session) -> None:
            for number, gate in enumerate(gates):
                session["n"] = number
                await gate

        self.put()
        self.serve()
        self.do["smessage"] = handler
        browser = self.browse()
        browser.send("a")
        for number, gate in enumerate(gates):
            self.wait(1.25)
            self.assertEqual(self.stored(), {"n": number})
            gate.callback(None)
        self.assertEqual(self.calls("replace"), 3)
        self.assertNothingLeft()


class PerMessageWrongTests(WrongTests):
    """
    The same, per message.
    """

    perMessage = True


class EndTests(SocketCase):
    """
    The end of a session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_beside(self) -> None:
        """
        C{sdestroyed} is called at once, beside a handler that still runs; what
        waits is dropped, what the handler does after goes nowhere.
        """
        gate: Deferred[None] = Deferred()

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await gate
            session["n"] = 1
            client.send("too late")
            await session.save()

        self.do["smessage"] = handler
        self.do["sdestroyed"] = lambda client, session, reason: client.send("no")
        browser = self.browse()
        browser.send("a", "b")
        self.successResultOf(self.place.destroy(KEY))
        self.wait()
        self.assertEqual(self.seen[-1], ("sdestroyed", "destroyed"))
        self.assertClosed(browser, 4401, "session-destroyed")
        gate.callback(None)
        self.wait()
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual(self.seen[-1], ("disconnect", 4401))
        self.assertEqual((browser.got, self.stored()), ([], None))
        self.assertEqual(self.events("serror"), [])
        self.assertNothingLeft()

    def test_updating(self) -> None:
        """
        A handler whose L{Session.update} still waits for its turn then did
        not fail.
        """

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await session.update(lambda data: data.update(n=message))

        self.do["smessage"] = handler
        one, two = self.browse(), self.browse()
        self.store.hold("replace")
        one.send(1)
        two.send(2)
        self.successResultOf(one.server.session.destroy())
        self.store.release()
        for browser in one, two:
            self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(self.events("serror"), [])
        self.assertNothingLeft()

    def test_movedBeforeTold(self) -> None:
        """
        Nor did one that saves after the session got a new id, but before its
        client is told.
        """
        gate: Deferred[None] = Deferred()

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await gate
            await session.save()

        self.do["smessage"] = handler
        browser = self.browse()
        browser.send("a")
        page = Recorder()
        moved = self.manager.regenerate(self.open(page), page)
        new, tell = self.successResultOf(moved)
        gate.callback(None)
        self.assertEqual((browser.closed, self.events("serror")), (None, []))
        tell()
        self.assertClosed(browser, 4307, "session-moved")
        self.successResultOf(self.manager.release(new, page))
        self.assertNothingLeft()

    def test_expired(self) -> None:
        """
        An idle socket is closed when its session expires.
        """
        browser = self.browse()
        self.wait(10)
        for _ in range(24 * 60):
            self.clock.advance(60)
            browser.flush()
        self.assertClosed(browser, 4401, "session-expired")
        self.assertEqual(self.events("sdestroyed"), ["expired"])

    def test_replaced(self) -> None:
        """
        So is one whose session is somebody else's now.
        """
        self.put(user="al")
        browser = self.browse()
        self.put(user="bo")
        self.assertClosed(browser, 4401, "session-replaced")
        self.assertEqual(self.events("sdestroyed"), ["replaced"])

    def test_replacedLater(self) -> None:
        """
        Nor does it matter that it was nobody's meanwhile: a socket that was somebody's
        is never somebody else's.  One that was nobody's is whoever's logs in.
        """
        self.put(user="al")
        browser = self.browse()
        self.put(n=1)
        self.assertIsNone(browser.closed)
        self.put(user="bo")
        self.assertClosed(browser, 4401, "session-replaced")
        self.put(n=2)
        guest = self.browse()
        self.put(user="cy")
        self.assertIsNone(guest.closed)

    def test_receive(self) -> None:
        """
        Who waits for a message waits no more.
        """
        browser = self.browse()
        waiting = browser.server.receive()
        self.successResultOf(browser.server.session.destroy())
        self.failureResultOf(waiting, NoSuchSession)

    def test_firstCode(self) -> None:
        """
        The first code wins.
        """
        browser = self.browse()
        browser.server.close(4000, "mine")
        self.successResultOf(browser.server.session.destroy())
        self.assertClosed(browser, 4000, "mine")

    def test_tooMany(self) -> None:
        """
        The 101st socket of a session is closed, and another may come when one
        has gone.
        """
        browsers = [self.browse() for _ in range(101)]
        self.assertClosed(browsers[100], 4429, "session-limit")
        self.assertEqual(len(self.seen), 100)
        browsers[0].close()
        self.assertIsNone(self.browse().closed)
        self.assertNothingLeft()
