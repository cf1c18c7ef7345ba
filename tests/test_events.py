"""
Tests for who is called when, by methods and by listeners.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._events import Listeners, inOrder
from txsessionsock.session import Session
from txsessionsock.sockets import SessionSockets

from .wires import Recording, SocketCase


class InOrderTests(SynchronousTestCase):
    """
    L{inOrder}
    """

    def test_kinds(self) -> None:
        """
        Ordinary functions, coroutine functions and those that return a
        L{Deferred} are called one after the other.
        """
        seen: list[int] = []
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()

        async def coroutine() -> None:
            seen.append(1)
            await first
            seen.append(2)

        def deferred() -> Deferred[None]:
            seen.append(3)
            return second

        running = inOrder([coroutine, deferred, lambda: seen.append(4)])
        assert running is not None
        self.assertEqual(seen, [1])
        first.callback(None)
        self.assertEqual(seen, [1, 2, 3])
        self.assertNoResult(running)
        second.callback(None)
        self.assertEqual(seen, [1, 2, 3, 4])
        self.assertIsNone(self.successResultOf(running))

    def test_atOnce(self) -> None:
        """
        What does not wait is done when it returns.
        """

        async def coroutine() -> None:
            pass

        done: Deferred[int] = Deferred()
        done.callback(1)
        self.assertIsNone(inOrder([lambda: 1, coroutine, lambda: done]))

    def test_failure(self) -> None:
        """
        After one that fails the rest is not called.
        """
        seen: list[int] = []

        async def bad() -> None:
            raise ZeroDivisionError

        running = inOrder([bad, lambda: seen.append(1)])
        assert running is not None
        self.failureResultOf(running, ZeroDivisionError)
        self.assertEqual(seen, [])


class ListenersTests(SynchronousTestCase):
    """
    L{Listeners}
    """

    def test_unknown(self) -> None:
        """
        An event that does not exist is an error, and the error names those
        that do.
        """
        with self.assertRaisesRegex(ValueError, "smessage"):
            Listeners().on("message", print)

    def test_off(self) -> None:
        """
        What is taken off is not called, nor missed.
        """
        listeners = Listeners()
        listeners.on("smessage", print)
        listeners.on("smessage", repr)
        listeners.off("smessage", print)
        listeners.off("disconnect", print)
        self.assertEqual(listeners.of("smessage"), (repr,))


class EventsTests(SocketCase):
    """
    All events of a socket's life, per connection.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")
        self.serve()

    def listen(self, target: Any, name: str) -> None:
        """
        Write down everything that can be listened to.
        """
        for event in (
            "sconnection",
            "smessage",
            "schanged",
            "sdestroyed",
            "disconnect",
        ):

            def listener(*args: Any, event: str = event) -> None:
                kinds = [
                    a if isinstance(a, (str, int, tuple)) else type(a) for a in args
                ]
                self.seen.append((name, event, *kinds))

            target.on(event, listener)

    def test_order(self) -> None:
        """
        The listeners of all clients come first, then those of this client,
        then the method; C{sconnection} before messages, C{disconnect} last.
        """
        self.listen(self.factory, "all")
        self.do["sconnection"] = lambda client, session: self.listen(client, "one")
        browser = self.browse()
        browser.send("a")
        self.put(user="al", more=1)
        self.wait()
        browser.close()
        me = self.factory.protocol
        self.assertEqual(
            self.seen,
            [
                ("all", "sconnection", me, Session),
                ("sconnection",),
                ("all", "smessage", me, "a", Session),
                ("one", "smessage", "a", Session),
                ("smessage", "a"),
                ("all", "schanged", me, Session, ("more",)),
                ("one", "schanged", Session, ("more",)),
                ("schanged", ("more",)),
                ("all", "disconnect", me, Session, 1000),
                ("one", "disconnect", Session, 1000),
                ("disconnect", 1000),
            ],
        )
        self.assertNothingLeft()

    def test_destroyed(self) -> None:
        """
        A session that ends is the last but one.
        """
        self.listen(self.factory, "all")
        browser = self.browse()
        self.seen.clear()
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.assertClosed(browser, 4401, "session-destroyed")
        me = self.factory.protocol
        self.assertEqual(
            self.seen,
            [
                ("all", "sdestroyed", me, Session, "destroyed"),
                ("sdestroyed", "destroyed"),
                ("all", "disconnect", me, Session, 4401),
                ("disconnect", 4401),
            ],
        )

    def test_waitedFor(self) -> None:
        """
        Each listener is waited for, and so is the method, before the next
        message.
        """
        gates: list[Deferred[None]] = [Deferred(), Deferred(), Deferred()]

        async def listener(client: Any, message: Any, session: Session) -> None:
            self.seen.append(("listener", message))
            if message == "a":
                await gates[0]

        def own(message: Any, session: Session) -> Deferred[None] | None:
            self.seen.append(("own", message))
            return gates[1] if message == "a" else None

        self.factory.on("smessage", listener)
        self.do["smessage"] = lambda c, m, s: gates[2] if m == "a" else None
        browser = self.browse()
        browser.server.on("smessage", own)
        self.seen.clear()
        browser.send("a", "b")
        expected = [("listener", "a"), ("own", "a"), ("smessage", "a")]
        for count, gate in enumerate(gates, 1):
            self.assertEqual(self.seen, expected[:count])
            gate.callback(None)
        self.assertEqual(
            self.seen[3:], [("listener", "b"), ("own", "b"), ("smessage", "b")]
        )

    def test_decorator(self) -> None:
        """
        Without a function, C{on} is a decorator that leaves it as it is.
        """
        for target in self.factory, self.factory.sockets, self.browse().server:

            @target.on("smessage")  # type: ignore[untyped-decorator]  # Three kinds of targets.
            def listener(*args: Any) -> str:
                return "still me"

            self.assertEqual(listener(), "still me")

    def test_off(self) -> None:
        """
        Who is taken off hears nothing more.
        """
        browser = self.browse()
        heard: list[Any] = []
        for target in self.factory, browser.server:
            target.on("smessage", heard.append)
            target.off("smessage", heard.append)
        browser.send("a")
        self.assertEqual((heard, self.events("smessage")), ([], ["a"]))

    def test_unknown(self) -> None:
        """
        There are no other events.
        """
        for target in self.factory, self.factory.sockets, self.browse().server:
            with self.assertRaises(ValueError):
                target.on("connect", print)

    def test_autobahns(self) -> None:
        """
        Autobahn's own event is still there, on and off.
        """
        browser = self.browse()
        heard: list[Any] = []

        def listener(payload: bytes, is_binary: bool) -> None:
            heard.append((payload, is_binary))

        browser.server.on("message", listener)
        browser.send("a")
        self.wait()
        browser.server.off("message", listener)
        browser.send("b")
        self.wait()
        self.assertEqual(heard, [(b'"a"', False)])
        self.assertEqual(self.events("smessage"), ["a", "b"])

    def test_codes(self) -> None:
        """
        The code of C{disconnect}: theirs, none, 1006 when there was no close
        frame, and ours when we closed.
        """
        for leave, code in (
            (lambda browser: browser.client.sendClose(3001), 3001),
            (lambda browser: browser.client.sendClose(), 1005),
            (lambda browser: browser.cut(), 1006),
            (lambda browser: browser.server.close(4000), 4000),
            (lambda browser: browser.server.close(), 1000),
            (lambda browser: browser.server.sendClose(1008, "x"), 1008),
        ):
            self.seen.clear()
            browser = self.browse()
            leave(browser)
            browser.flush()
            self.assertEqual(self.seen, [("sconnection",), ("disconnect", code)])
        self.assertNothingLeft()

    def test_noAnswerToClose(self) -> None:
        """
        The code is ours also if the client never answers; it is dropped.
        """
        browser = self.browse()
        browser.client.dataReceived = lambda data: None
        browser.server.close(4000)
        browser.flush()
        self.wait(4)
        self.assertTrue(browser.wire.isAborted)
        self.assertEqual(self.seen[-1], ("disconnect", 4000))

    def test_notWithoutConnection(self) -> None:
        """
        Who leaves while the session is loaded was never there.
        """
        self.store.hold("load", "fence")
        browser = self.browse()
        browser.send("a")
        browser.close()
        self.store.heal()
        self.assertEqual(self.seen, [])
        self.assertNothingLeft()

    def test_saved(self) -> None:
        """
        What C{disconnect} changes is still stored.
        """

        async def leave(client: Recording, session: Session, code: int) -> None:
            await gate
            session["left"] = code

        gate: Deferred[None] = Deferred()
        self.do["disconnect"] = leave
        self.browse().close()
        self.assertEqual(len(self.factory.sockets), 1)
        gate.callback(None)
        self.wait()
        self.assertEqual(self.stored(), {"user": "al", "left": 1000})
        self.assertNothingLeft()


class PerMessageEventsTests(EventsTests):
    """
    The same, per message.
    """

    perMessage = True


class SocketsTests(SocketCase):
    """
    L{SessionSockets}
    """

    def test_goAwayAlone(self) -> None:
        """
        With nobody there, going away is done at once.
        """
        sockets = SessionSockets(self.manager)
        self.successResultOf(sockets.goAway())

    def test_late(self) -> None:
        """
        Who comes while the server goes away is sent away too, and not waited
        for in vain.
        """
        self.put()
        self.serve()
        first = self.browse()
        hold: Deferred[None] = Deferred()
        self.do["disconnect"] = lambda client, session, code: hold
        gone = self.factory.sockets.goAway()
        self.assertClosed(first, 1001, "server going away")
        late = self.browse()
        self.assertClosed(late, 1001, "server going away")
        self.assertEqual(len(self.factory.sockets), 1)
        self.assertNoResult(gone)
        hold.callback(None)
        self.successResultOf(gone)
        self.assertEqual(self.seen, [("sconnection",), ("disconnect", 1001)])
