"""
Tests for who is called when, by methods and by listeners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.support.wires import Recording, SocketCase
from txsessionsock._deferreds import inOrder
from txsessionsock.clients import SessionSockets
from txsessionsock.clients.listeners import Listeners
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


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
        listeners.off("smessage")
        self.assertEqual(listeners.of("smessage"), ())

    def test_onceOverlapping(self) -> None:
        """
        Who listens once is called once, also if two events came before the
        first was handled, and may take himself off before.
        """
        listeners, heard = Listeners(), list[int]()
        listeners.once("smessage", heard.append)
        first, second = listeners.of("smessage"), listeners.of("smessage")
        for number, (listener,) in enumerate((first, second)):
            listener(number)
        self.assertEqual((heard, listeners.of("smessage")), ([0], ()))
        listeners.once("smessage", heard.append)
        listeners.off("smessage", heard.append)
        self.assertEqual(listeners.of("smessage"), ())


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

    def test_idle(self) -> None:
        """
        For a client whose protocol has no C{sessionChanged}, nothing is done when
        somebody else changes the session, until somebody listens.
        """

        class Plain(SessionSocketProtocol):
            def sessionMessageReceived(self, message: Any, session: Session) -> None:
                session[message] = 1
                self.send(message)

        self.factory.protocol = Plain
        one, two = self.browse(), self.browse()
        session = two.server.session
        begun: list[object] = []
        keeper = session.keeper
        original = keeper.handlerBegins

        def begins(holder: Any) -> None:
            begun.append(holder)
            original(holder)

        self.patch(keeper, "handlerBegins", begins)
        one.send("a")
        self.wait()
        self.assertEqual((one.got, begun), (["a"], [one.server._sessionsock.client]))
        told: list[Sequence[str]] = []
        two.server.on("schanged", lambda session, keys: told.append(keys))
        one.send("b")
        self.wait()
        self.assertEqual(told, [("b",)])

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

    def targets(self) -> list[Any]:
        """
        All that can be listened to.
        """
        return [self.factory, self.factory.sockets, self.browse().server]

    def test_decorator(self) -> None:
        """
        Without a function, C{on} and C{once} are decorators that leave it as it
        is, and so do they with one.
        """
        for target in self.targets():
            for add in target.on, target.once:

                @add("smessage")  # type: ignore[untyped-decorator]  # Three kinds of targets.
                def listener(*args: Any) -> str:
                    return "still me"

                self.assertEqual(listener(), "still me")
                self.assertIs(add("smessage", listener), listener)

    def test_decorated(self) -> None:
        """
        Autobahn's own event has the same decorators.
        """
        browser = self.browse()
        heard: list[Any] = []
        for name in "on", "once":

            @getattr(browser.server, name)("message")  # type: ignore[untyped-decorator]  # As above.
            def listener(payload: bytes, is_binary: bool, name: str = name) -> None:
                heard.append((name, payload, is_binary))

            self.assertIsNotNone(listener)
        for message in "a", "b":
            browser.send(message)
            self.wait()
        self.assertEqual(
            heard,
            [("on", b'"a"', False), ("once", b'"a"', False), ("on", b'"b"', False)],
        )
        self.assertEqual(self.events("smessage"), ["a", "b"])
        browser.server.off("message")
        browser.send("c")
        self.wait()
        self.assertEqual(len(heard), 3)

    def test_once(self) -> None:
        """
        Who listens once hears the next event, of any client or of one.
        """
        browser = self.browse()
        heard: list[Any] = []
        for target in self.factory, browser.server:
            target.once("smessage", lambda *args: heard.append(args[-2]))
            target.once("disconnect", heard.append)
            target.off("disconnect", heard.append)
        browser.send("a", "b")
        browser.close()
        self.assertEqual(heard, ["a", "a"])

    def test_onceAmongOthers(self) -> None:
        """
        Who listens once leaves nobody out who comes after it, nor takes off
        itself where it listens for good.
        """
        browser = self.browse()
        heard: list[str] = []

        def each(*args: Any, **more: Any) -> None:
            heard.append("each")

        def last(*args: Any, **more: Any) -> None:
            heard.append("last")

        for event in "smessage", "message":
            browser.server.on(event, each)
            browser.server.once(event, each)
            browser.server.on(event, last)
            browser.send("a", "b")
            self.wait()
            self.assertEqual(heard, ["each", "each", "last", "each", "last"])
            browser.server.once(event, each)
            browser.server.off(event, each)
            browser.send("c")
            self.wait()
            self.assertEqual(heard[5:], ["last"])
            browser.server.off(event)
            heard.clear()

    def test_noFunction(self) -> None:
        """
        What is no function is refused at once, and so is what is given in the
        place of the event.
        """
        for target in self.targets():
            for add in target.on, target.once:
                for wrong in "smessage", 5:
                    self.assertRaises(TypeError, add, "smessage", wrong)
                self.assertRaises(ValueError, add, print)
        with self.assertRaisesRegex(TypeError, "is a function, not a str"):
            self.browse().server.on("message", "smessage")

    def test_offAll(self) -> None:
        """
        C{off()} of a client takes off all its listeners, as Autobahn's does;
        with an event, all of that event.
        """
        heard: list[str] = []
        for event, left in ("smessage", ["payload"]), (None, []):
            browser = self.browse()
            browser.server.on("smessage", lambda message, session: heard.append("m"))
            browser.server.on("message", lambda p, is_binary: heard.append("payload"))
            browser.server.off(event)
            browser.send("a")
            self.wait()
            self.assertEqual(heard, left)
            heard.clear()

    def test_unknown(self) -> None:
        """
        There are no other events, which is said where one is named; Autobahn's is
        one of single clients.
        """
        for target in self.targets():
            for name in "on", "once", "off":
                for event in ("connect", "Message", "", None)[: 4 - (name == "off")]:
                    method = getattr(target, name)
                    with self.assertRaisesRegex(ValueError, "there is sconnection"):
                        method(event, print)
        for target in self.factory, self.factory.sockets:
            self.assertRaises(ValueError, target.on, "message", print)

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
