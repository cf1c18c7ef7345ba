"""
Tests for L{txsessionsock.socketio}: events and their answers, in both directions.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.logger import capturedLogs, formatEvent

from tests.support.managing import withoutEvents
from tests.support.socketio import Page, SocketIOCase
from txsessionsock.interfaces import ClientGone, SessionError, StoreTimeout
from txsessionsock.limits import Limits
from txsessionsock.messages import Event
from txsessionsock.socketio import SocketIO, SocketIOSocket, enable
from txsessionsock.socketio.packets import MSGPACK, TEXT, Kind, Packet


class Basket(SocketIOSocket):
    """
    A socket as an application writes it.
    """

    def on_add(self, fruit: str, number: int) -> object:
        self.session[fruit] = self.session.get(fruit, 0) + number
        return self.session[fruit]

    async def on_late(self, value: Any) -> object:
        return await succeed([value])

    def on_yielding(self) -> Any:
        value = yield succeed(7)
        return value

    def on_two(self) -> object:
        return 1, b"\0"

    def on_nothing(self) -> object:
        return None

    def on_early(self) -> object:
        self.answer("early")
        self.answer("again")
        return "late"


class AnswerTests(SocketIOCase):
    """
    What a handler returns answers its event.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(Basket)

    def test_answers(self) -> None:
        """
        The method for an event gets what came with it.  What it returns, or will
        return, is the answer, if the client asks for one.
        """
        for parser in TEXT, MSGPACK:
            self.put()
            page = self.browse(parser=parser)
            for number, (name, args) in enumerate(
                (
                    ("add", ("fig", 2)),
                    ("late", (["x"],)),
                    ("yielding", ()),
                    ("two", ()),
                    ("nothing", ()),
                    ("early", ()),
                )
            ):
                page.emit(name, *args, id=number)
                page.emit(name, *args)
            self.wait()
            self.assertEqual(
                page.acks,
                [
                    (0, [2]),
                    (1, [[["x"]]]),
                    (2, [7]),
                    (3, [1, b"\0"]),
                    (4, []),
                    (5, ["early"]),
                ],
            )
            page.lose()
            self.wait()

    def test_everyEvent(self) -> None:
        """
        Whoever listens to all events of a client may answer, too, and answers that
        one and not the one before.
        """
        client: Any = None

        def received(event: Event, session: Any) -> None:
            client.answer(*event.args)

        def connected(socket: Basket, session: Any) -> None:
            nonlocal client
            client = socket
            socket.on("smessage", received)

        self.io.on("sconnection", connected)
        page = self.browse()
        page.emit("any", "a", id=5)
        page.emit("any", "b")
        page.emit("any", "c", id=7)
        self.wait()
        self.assertEqual(page.acks, [(5, ["a"]), (7, ["c"])])

    def test_listeners(self) -> None:
        """
        Functions listen to events of all clients, of one, and to all events.  They
        are called in this order, and the first that returns something answers.
        """
        called: list[Any] = []

        def all_(socket: Basket, *args: Any) -> object:
            called.append(("all", socket.id, args))
            return None

        def own(*args: Any) -> object:
            called.append(("own", args))
            return "own"

        def connected(socket: Basket, session: Any) -> None:
            socket.on("add", own)
            socket.onAny(lambda *args: called.append(("any of one", args)))

        self.io.on("add", all_)
        self.io.on("sconnection", connected)
        self.io.onAny(lambda socket, *args: called.append(("any", socket.id, args)))
        self.io.on("smessage", lambda s, event, session: called.append(event))
        page = self.browse()
        page.emit("add", "fig", 1, id=7)
        self.wait()
        sid = page.of(Kind.CONNECT)[0]["sid"]
        self.assertEqual(
            called,
            [
                Event("add", ("fig", 1)),
                ("any", sid, ("add", "fig", 1)),
                ("any of one", ("add", "fig", 1)),
                ("all", sid, ("fig", 1)),
                ("own", ("fig", 1)),
            ],
        )
        self.assertEqual(page.acks, [(7, ["own"])])
        self.assertNothingLeft()

    def test_beside(self) -> None:
        """
        Whoever listens to an event hears of it, also where a method handles it: to
        that event of all clients or of one, to all events, or to C{smessage}.
        """
        called: list[str] = []

        class Hearing(Basket):
            def sessionMessageReceived(self, event: Any, session: Any) -> None:
                called.append("heard")

        def hear(*args: Any) -> None:
            called.append("heard")

        for protocol, prepare in (
            (Hearing, lambda io: None),
            (Basket, lambda io: io.on("add", hear)),
            (Basket, lambda io: io.onAny(hear)),
            (Basket, lambda io: io.on("smessage", hear)),
            (Basket, lambda io: io.on("sconnection", lambda s, _: s.on("add", hear))),
            (Basket, lambda io: io.on("sconnection", lambda s, _: s.onAny(hear))),
            (
                Basket,
                lambda io: io.on("sconnection", lambda s, _: s.on("smessage", hear)),
            ),
        ):
            self.put()
            prepare(self.serve(protocol))
            page = self.browse()
            page.emit("add", "fig", 1, id=7)
            self.wait()
            self.assertEqual(called, ["heard"])
            self.assertEqual(page.acks, [(7, [1])])
            self.assertNothingLeft()
            called.clear()

    def test_once(self) -> None:
        """
        A listener may listen once, and be taken off.
        """
        called: list[str] = []
        self.io.once("add", lambda *_: called.append("once"))
        often = self.io.on("add", lambda *_: called.append("often"))
        page = self.browse()
        page.emit("add", "fig", 1)
        page.emit("add", "fig", 1)
        self.io.off("add", often)
        page.emit("add", "fig", 1)
        self.assertEqual(called, ["once", "often", "often"])
        self.assertEqual(self.io.events.of("add"), ())

    def test_order(self) -> None:
        """
        Events are handled one after the other, each when the handler of the one
        before is done.
        """
        waiting: list[Deferred[Any]] = []
        order: list[Any] = []

        def slow(socket: Basket, number: int) -> Deferred[Any]:
            order.append(number)
            waiting.append(Deferred())
            return waiting[-1]

        self.io.on("slow", slow)
        page = self.browse()
        page.emit("slow", 1, id=1)
        page.emit("slow", 2, id=2)
        self.assertEqual(order, [1])
        waiting[0].callback("a")
        self.assertEqual(order, [1, 2])
        waiting[1].callback("b")
        self.assertEqual(page.acks, [(1, ["a"]), (2, ["b"])])

    def test_sessionEvents(self) -> None:
        """
        A client cannot fire events of sessions, whatever it names its own.
        """
        called: list[Any] = []
        for name in "sconnection", "sdestroyed", "smessage", "serror":
            self.io.on(name, lambda *args, name=name: called.append(name))
        page = self.browse()
        page.emit("sdestroyed", "x")
        page.emit("serror", "x")
        self.assertEqual(called, ["sconnection", "smessage", "smessage"])

    def test_unhandled(self) -> None:
        """
        An event that nobody handles is said in the log, with what is right, and gets
        no answer.
        """
        with capturedLogs() as logs:
            page = self.browse()
            page.emit("ad", "fig", id=1)
            self.io.on("smessage", lambda *_: None)
            page.emit("ed", id=2)
        (line,) = [formatEvent(log) for log in withoutEvents(logs)]
        self.assertIn("nobody handles the event 'ad' of /", line or "")
        self.assertIn("a method of Basket", line or "")
        self.assertEqual(page.acks, [])

    def test_unsendable(self) -> None:
        """
        A handler whose answer cannot be sent has failed.
        """
        self.io.on("bad", lambda socket: object())
        page = self.browse()
        page.emit("bad", id=1)
        self.wait()
        self.assertEqual(page.engine.closed, (1011, "handler failed"))
        self.flushLoggedErrors(ValueError)


class HeldTests(SocketIOCase):
    """
    Per message, neither events nor answers go out before what they tell is stored.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(Basket)

    asked: Deferred[Any]

    def test_held(self) -> None:
        """
        An answer, what a handler sends and what it asks wait for the store.
        """

        def tell(socket: Basket) -> None:
            socket.session["told"] = True
            socket.emit("told")
            self.asked = socket.call("asked")

        self.io.on("tell", tell)
        page = self.browse()
        self.store.hold("replace")
        page.emit("add", "fig", 1, id=3)
        page.emit("tell")
        self.wait()
        self.assertEqual((page.acks, page.events), ([], []))
        self.store.release()
        self.wait()
        self.assertEqual(self.stored(), {"fig": 1, "told": True})
        self.assertEqual(page.acks, [(3, [1])])
        self.assertEqual(page.events, [["told"], ["asked"]])
        page.lose()
        self.wait()
        self.failureResultOf(self.asked, ClientGone)

    def test_lost(self) -> None:
        """
        What was not stored is not answered: the connection is closed instead.
        """
        page = self.browse()
        self.store.hold("replace")
        page.emit("add", "fig", 1, id=3)
        self.wait(10)
        self.assertEqual(page.acks, [])
        self.assertEqual(page.engine.closed, (1013, "store failed"))
        self.store.release()

    def test_givenUp(self) -> None:
        """
        Nor is what was given up while its handler was at work.
        """
        gate: Deferred[None] = Deferred()

        async def count(socket: Basket) -> int:
            socket.session.increment("n")
            await gate
            return 1

        self.io.on("count", count)
        page, other = self.browse(), self.browse()
        page.emit("count", id=3)
        self.store.fail(StoreTimeout(), "replace")
        other.emit("add", "fig", 1, id=4)
        self.clock.advance(0)
        self.store.heal()
        self.wait(12)
        gate.callback(None)
        self.wait()
        self.assertEqual(self.stored(), {"fig": 1})
        self.assertEqual(page.acks, [])
        self.assertEqual(page.engine.closed, (1013, "store failed"))


class AskingTests(SocketIOCase):
    """
    A client is asked something.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()
        self.results: list[Any] = []

    def ask(self, *args: Any, **options: Any) -> Page:
        """
        Connect, and be asked when a message comes.
        """

        async def handler(socket: Any, event: Event, session: Any) -> None:
            try:
                answer = await socket.call("question", *args, **options)
            except Exception as error:
                answer = error
            self.results.append((answer, dict(session)))

        self.do["smessage"] = handler
        page = self.browse()
        page.emit("x")
        self.wait()
        return page

    def test_answered(self) -> None:
        """
        The answer comes to the handler that waits for it: one value, several, or
        none.
        """
        for values, expected in (([1], 1), ([], None), ([1, b"x"], (1, b"x"))):
            page = self.ask("now?")
            ((question, number),) = [
                (packet.data, packet.id) for packet in page.got if packet.id is not None
            ]
            self.assertEqual(question, ["question", "now?"])
            page.send(Packet(Kind.ACK, "/", values, number))
            self.wait()
            self.assertEqual(self.results.pop(), (expected, {}))
            page.lose()
            self.assertNothingLeft()

    def test_fresh(self) -> None:
        """
        After the answer the session is as fresh as it would be for a message.
        """
        page = self.ask()
        self.put(n=1)
        page.send(Packet(Kind.ACK, "/", ["yes"], 1))
        self.wait()
        self.assertEqual(self.results, [("yes", {"n": 1})])

    def test_strangeAnswers(self) -> None:
        """
        An answer that nobody asked for, or the second to one question, is dropped.
        """
        page = self.ask()
        page.send(Packet(Kind.ACK, "/", ["who?"], 99))
        page.send(Packet(Kind.ACK, "/", ["yes"], 1))
        page.send(Packet(Kind.ACK, "/", ["no"], 1))
        self.wait()
        self.assertEqual([answer for answer, _ in self.results], ["yes"])
        self.assertIsNone(page.engine.closed)

    def test_behind(self) -> None:
        """
        What the client sent before its answer is no reason not to read that: more of
        it may wait meanwhile, within the bound for bytes.
        """
        for size, most in (1, 32), (400, 3):
            self.serve(limits=Limits(waitingMessages=2, waitingBytes=1000))
            self.results.clear()

            async def ask(socket: Any, event: Event, session: Any) -> None:
                if event.name == "ask":
                    self.results.append(await socket.call("sure?"))

            self.do["smessage"] = ask
            page = self.browse()
            page.emit("ask")
            for _ in range(most - 1):
                page.emit("x", "x" * size)
                self.assertFalse(page.engine.isPaused)
            page.emit("x", "x" * size)
            self.assertTrue(page.engine.isPaused)
            page.send(Packet(Kind.ACK, "/", ["yes"], 1))
            self.wait()
            self.assertEqual(self.results, ["yes"])
            self.assertFalse(page.engine.isPaused)
            self.assertNothingLeft()

    def test_behindMuch(self) -> None:
        """
        The same if so much has come already when the handler asks.
        """
        self.serve(limits=Limits(waitingMessages=4))
        slow: Deferred[None] = Deferred()

        async def handler(socket: Any, event: Event, session: Any) -> None:
            if event.name == "slow":
                await slow
            elif event.name == "ask":
                self.results.append(await socket.call("sure?"))

        self.do["smessage"] = handler
        page = self.browse()
        for name in ("slow", "ask", "x", "x", "x"):
            page.emit(name)
        self.assertTrue(page.engine.isPaused)
        slow.callback(None)
        self.wait()
        self.assertFalse(page.engine.isPaused)
        page.send(Packet(Kind.ACK, "/", ["yes"], 1))
        self.wait()
        self.assertEqual(self.results, ["yes"])
        self.assertNothingLeft()

    def test_time(self) -> None:
        """
        The time to answer is over after a minute, or when the caller says; then an
        answer is too late.
        """
        for options, seconds in ({"timeout": 5}, 5), ({}, 60):
            page = self.ask(**options)
            self.wait(seconds - 0.25)
            self.assertEqual(self.results, [])
            self.wait(0.5)
            self.assertIsInstance(self.results.pop()[0], TimeoutError)
            page.send(Packet(Kind.ACK, "/", ["yes"], 1))
            self.wait()
            self.assertNothingLeft()

    def test_gone(self) -> None:
        """
        A client that leaves answers nothing more.
        """
        page = self.ask(timeout=None)
        page.lose()
        self.wait()
        self.assertIsInstance(self.results[0][0], ClientGone)
        self.assertNothingLeft()

    def test_ended(self) -> None:
        """
        Nor does one whose session has ended.
        """
        self.ask(timeout=None)
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.wait()
        self.assertIsInstance(self.results[0][0], ClientGone)
        self.assertNothingLeft()


class SendingTests(SocketIOCase):
    """
    What can be sent, and what cannot.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(Basket, limits=Limits(messageSize=1000))
        self.page = self.browse()
        self.socket = next(iter(self.io.sockets)).handlers.face

    def test_send(self) -> None:
        """
        C{send} is the event C{message}, as with Socket.IO.
        """
        self.socket.send({"a": [b"x", 1]})
        self.socket.emit("two", 1, 2)
        expected = [["message", {"a": [b"x", 1]}], ["two", 1, 2]]
        self.assertEqual(self.page.events, expected)

    def test_refused(self) -> None:
        """
        What cannot be sent raises where it is sent.
        """
        for name in "connect", "connect_error", "disconnect", "newListener":
            with self.assertRaisesRegex(ValueError, "event of the client itself"):
                self.socket.emit(name)
            with self.assertRaisesRegex(ValueError, "event of the client itself"):
                self.socket.call(name)
            with self.assertRaisesRegex(ValueError, "event of the client itself"):
                self.socket.on(name if name != "disconnect" else "connect", print)
        with self.assertRaisesRegex(TypeError, "a str, not a int"):
            self.socket.emit(7)
        for value in object(), float("nan"), {1: 2}:
            with self.assertRaises(ValueError):
                self.socket.emit("x", value)
        with self.assertRaisesRegex(ValueError, "no more than 1000 can be sent"):
            self.socket.emit("x", "y" * 1000)
        with self.assertRaises(ValueError):
            self.socket.emit("x", *[b""] * 11)
        self.assertEqual(self.page.events, [])
        self.assertIsNone(self.page.engine.closed)

    def test_gone(self) -> None:
        """
        To a client that is gone, nothing is sent; it cannot be asked.
        """
        self.page.lose()
        self.wait()
        self.socket.emit("x")
        self.failureResultOf(self.socket.call("x"), ClientGone)


class MistakeTests(SocketIOCase):
    """
    Mistakes of a program are refused at once.
    """

    def test_notEnabled(self) -> None:
        """
        A server without sessions serves nobody.
        """
        io = SocketIO(Basket)
        with self.assertRaisesRegex(SessionError, r"right is enable\(io, manager\)"):
            io.sockets  # noqa: B018  # It raises.

    def test_twice(self) -> None:
        """
        It is enabled once.
        """
        self.serve()
        with self.assertRaisesRegex(ValueError, "has sessions already"):
            enable(self.io, self.manager)

    def test_protocols(self) -> None:
        """
        The class of a namespace is one of ours.
        """
        self.serve()
        for bad in int, object():
            with self.assertRaises(TypeError):
                self.io.protocol = bad
            with self.assertRaises(TypeError):
                self.io.of("/x", bad)
        with self.assertRaises(SessionError):
            Basket().emit("x")

    def test_neverCalled(self) -> None:
        """
        Nor has it a method for an event that no client sends: those of sessions have
        other names here than with Node and python-socketio.
        """
        self.serve()
        for event, right in (
            ("connect", "right is sessionConnected"),
            ("disconnect", "right is sessionDisconnected"),
            ("smessage", "right is sessionMessageReceived"),
            ("connect_error", "never called"),
        ):
            bad = type("Bad", (SocketIOSocket,), {f"on_{event}": lambda *_: None})
            for use in SocketIO, partial(self.io.of, "/bad"):
                with self.assertRaisesRegex(TypeError, rf"Bad\.on_{event} .*{right}"):
                    use(bad)
            self.assertIsNone(self.io.named("/bad"))

    def test_connection(self) -> None:
        """
        The event of Node's servers, and of python-socketio's, for a client that has
        come has another name.
        """
        self.serve()
        for register in self.io.on, self.io.once:
            for event in "connection", "connect":
                with self.assertRaisesRegex(ValueError, "right is 'sconnection'"):
                    register(event, print)
        self.assertFalse(self.io.events)

    def test_names(self) -> None:
        """
        A namespace has a name that a packet can have.
        """
        self.serve()
        for bad in "a,b", "a?b", "a\nb":
            with self.assertRaises(ValueError):
                self.io.of(bad)
        self.assertIs(self.io.of("chat"), self.io.of("/chat"))
        self.assertIs(self.io.of("/"), self.io)

    def test_namespaces(self) -> None:
        """
        The class of the main namespace may name the others.
        """

        class Main(Basket):
            namespaces: ClassVar = {"/news": Basket}

        news = SocketIO(Main).named("/news")
        assert news is not None
        self.assertIs(news.protocol, Basket)
        for bad, error in ({"/x": int}, TypeError), ({"a,b": Basket}, ValueError):
            with self.assertRaises(error):
                SocketIO(type("Bad", (Basket,), {"namespaces": bad}))

    def test_listeners(self) -> None:
        """
        Who listens is a function, and to something that has a name.
        """
        self.serve()
        for event in "add", "smessage":
            with self.assertRaises(TypeError):
                self.io.on(event, 7)
        for method in self.io.on, self.io.once:
            with self.assertRaisesRegex(TypeError, "is a str, not a NoneType"):
                method(None, print)
        for wrong in None, 7:
            for method in self.io.onAny, self.io.use:
                with self.assertRaisesRegex(TypeError, "wants a function"):
                    method(wrong)
