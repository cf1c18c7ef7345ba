"""
Tests for L{txsessionsock.socketio}: from the CONNECT packet to the session, and to
the end.
"""

from __future__ import annotations

import gc
import json
from base64 import urlsafe_b64encode
from typing import Any
from weakref import ref

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent

from tests.support.managing import SID, raw
from tests.support.socketio import Page, SocketIOCase
from txsessionsock.credentials import Auth, Bearer, Cookie, InBand, Ticket
from txsessionsock.interfaces import (
    ConnectRefused,
    NoSuchSession,
    SessionID,
    StoreUnavailable,
)
from txsessionsock.limits import Limits
from txsessionsock.messages import Event
from txsessionsock.socketio import SocketIOSocket
from txsessionsock.socketio.packets import MSGPACK, TEXT, Kind, Packet


def refused(reason: str) -> dict[str, Any]:
    return {"message": "sinvalid", "data": {"reason": reason}}


class ConnectingTests(SocketIOCase):
    """
    A client asks to be let into a namespace.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="mo")
        self.serve()

    def test_cookie(self) -> None:
        """
        With the cookie of the handshake it is let in, by each parser, and is told the
        id of its socket before anything else.
        """
        self.do["sconnection"] = lambda socket, session: socket.emit(
            "hello", session["user"], socket.id
        )
        for parser in TEXT, MSGPACK:
            page = self.browse(parser=parser)
            self.wait()
            (connected, hello) = page.got
            self.assertEqual(connected.kind, Kind.CONNECT)
            sid = connected.data["sid"]
            self.assertGreaterEqual(len(sid), 20)
            self.assertEqual(hello.data, ["hello", "mo", sid])
        self.assertNothingLeft()

    def test_refused(self) -> None:
        """
        Without a session it is told why, in the words of plain sockets.  Nothing is
        left of it.
        """
        for cookie, reason in (
            (None, "missing"),
            ("connect.sid=x", "bad-signature"),
            ("connect.sid=s%3Aan-id.wrong", "bad-signature"),
            (self.cookie("nobody"), "unknown"),
        ):
            page = self.browse(cookie)
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused(reason)])
            self.assertEqual(page.of(Kind.CONNECT), [])
            self.assertEqual(self.events("sinvalid")[-1], reason)
        self.assertNothingLeft()

    def test_retry(self) -> None:
        """
        A client that was refused may ask again on the same connection.
        """
        page = self.browse(self.cookie("nobody"))
        self.wait()
        other = json.dumps({"cookie": {"originalMaxAge": None}}).encode()
        self.successResultOf(self.place.create("sess:nobody", other, 60))
        page.connect()
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT)), 1)

    def test_unknownNamespace(self) -> None:
        """
        There are the namespaces that the server has, and their names stand before a
        question mark.
        """
        self.io.of("chat", self.recording())
        page = self.browse(connects=False)
        page.connect("/nowhere")
        page.connect("/chat")
        self.wait()
        wrong = [{"message": "Invalid namespace"}]
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/nowhere"), wrong)
        self.assertEqual(len(page.of(Kind.CONNECT, "/chat")), 1)

    def test_unknownIsLogged(self) -> None:
        """
        The log says so, too, with what is right; whatever names clients ask for,
        that is one line a minute.
        """
        page = self.browse(connects=False)
        with capturedLogs() as events:
            for name in "/nowhere", "/elsewhere":
                page.connect(name)
        (line,) = [formatEvent(event) for event in events]
        self.assertIn("'/nowhere'", line)
        self.assertIn("right is io.of(name) before", line)

    def test_twice(self) -> None:
        """
        A client that asks twice before its session is read has one socket.
        """
        self.store.hold("load")
        page = self.browse()
        page.connect()
        self.store.release()
        self.wait()
        page.connect()
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT)), 1)
        self.assertEqual(len(self.io.sockets), 1)

    def test_leavesWhileRead(self) -> None:
        """
        A client that leaves while its session is read leaves nothing behind.
        """
        for leave in Page.lose, lambda page: page.send(Packet(Kind.DISCONNECT)):
            self.store.hold("load")
            page = self.browse()
            leave(page)
            self.wait()
            self.store.release()
            self.assertNothingLeft()
            self.assertEqual(self.events("sconnection"), [])

    def test_tooEarly(self) -> None:
        """
        An event for a namespace that was not connected ends the connection, also
        while the session is being read.
        """
        page = self.browse(connects=False)
        page.emit("early")
        self.assertEqual(page.engine.closed, (1007, "parse error"))
        self.store.hold("load")
        page = self.browse()
        page.emit("early")
        self.assertEqual(page.engine.closed, (1007, "parse error"))
        self.store.release()
        self.assertNothingLeft()
        self.assertEqual(self.events("smessage"), [])

    def test_unparsable(self) -> None:
        """
        So does what is no packet, and a handler is told in the words of Socket.IO.
        """
        reasons = []
        self.do["disconnect"] = lambda socket, _, code: reasons.append(socket.reason)
        for bad in b"", b"9", b"2{}", b'2["connect"]', b"51-[]", b'4{"message":"x"}':
            page = self.browse()
            page.raw(bad)
            self.assertEqual(page.engine.closed, (1007, "parse error"), bad)
            self.wait()
            self.assertEqual(reasons.pop(), "parse error")
        self.assertNothingLeft()

    def test_idle(self) -> None:
        """
        A client that asks for no namespace is disconnected after a while; so is one
        that has left its last one.
        """
        self.serve(limits=Limits(handshakeTimeout=5))
        page = self.browse(connects=False)
        self.wait(4.75)
        self.assertIsNone(page.engine.closed)
        self.wait(0.5)
        self.assertEqual(page.engine.closed, (4408, "no namespace"))
        page = self.browse()
        self.wait(10)
        page.send(Packet(Kind.DISCONNECT))
        self.wait(4.75)
        self.assertIsNone(page.engine.closed)
        self.wait(0.5)
        self.assertEqual(page.engine.closed, (4408, "no namespace"))
        self.assertNothingLeft()

    def test_refusedAgain(self) -> None:
        """
        A client that is refused again and again has no more time than one that asks
        for nothing.
        """
        page = self.browse(self.cookie("nobody"))
        for _ in range(4):
            self.wait(2)
            page.connect()
        self.wait(1.75)
        self.assertIsNone(page.engine.closed)
        self.wait(0.5)
        self.assertEqual(page.engine.closed, (4408, "no namespace"))
        self.assertEqual(len(page.of(Kind.CONNECT_ERROR)), 5)
        self.assertNothingLeft()

    def test_half(self) -> None:
        """
        A client whose attachments do not come is disconnected.
        """
        page = self.browse()
        page.raw(b'51-["file",{"_placeholder":true,"num":0}]')
        self.wait(9.75)
        self.assertIsNone(page.engine.closed)
        self.wait(0.5)
        self.assertEqual(page.engine.closed, (1007, "parse error"))
        self.assertNothingLeft()

    def test_tooMany(self) -> None:
        """
        A session has so many sockets, of all namespaces together.
        """
        self.serve(limits=Limits(socketsPerSession=2))
        self.io.of("/chat", self.recording())
        page, other = self.browse(), self.browse()
        page.connect("/chat")
        self.wait()
        self.assertEqual(len(other.of(Kind.CONNECT)), 1)
        limit = [{"message": "session-limit"}]
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/chat"), limit)
        self.assertEqual(self.events("sinvalid"), [])


class GateTests(SocketIOCase):
    """
    An application may refuse a client that has a session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put(user="mo")
        self.serve()

    def test_refused(self) -> None:
        """
        The client gets the message and the data; others are let in, and no handler
        of it was called.
        """

        def notMo(socket: SocketIOSocket, session: Any) -> None:
            if socket.handshake.auth == {"as": session["user"]}:
                raise ConnectRefused("no mo", {"code": 7})

        self.io.use(notMo)
        page = self.browse(connects=False)
        page.connect(auth={"as": "mo"})
        self.wait()
        wrong = {"message": "no mo", "data": {"code": 7}}
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [wrong])
        self.assertEqual(self.seen, [])
        self.assertEqual(self.manager.statistics().sessions, 0)
        page.connect()
        self.wait()
        self.assertTrue(page.isConnected)
        self.assertNothingLeft()

    def test_later(self) -> None:
        """
        It may take its time, and only then.  A client that leaves meanwhile, and one
        whose session ends, leave nothing behind.
        """
        answers: list[Deferred[None]] = []

        def ask(socket: SocketIOSocket, session: Any) -> Deferred[None]:
            answers.append(Deferred())
            return answers[-1]

        self.io.use(ask)
        page, other, last = self.browse(), self.browse(), self.browse()
        self.wait()
        self.assertEqual(page.got, [])
        other.lose()
        self.wait()
        answers[0].callback(None)
        self.wait()
        self.assertTrue(page.isConnected)
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.wait()
        answers[2].callback(None)
        self.wait()
        self.assertEqual(last.of(Kind.CONNECT_ERROR), [refused("unknown")])
        self.assertNothingLeft()

    def test_broken(self) -> None:
        """
        If it fails otherwise, the connection is closed.
        """
        self.io.use(lambda *_: 1 / 0)
        page = self.browse()
        self.wait()
        self.assertEqual(page.engine.closed, (1011, "session failed"))
        self.assertNothingLeft()

    def test_unsendable(self) -> None:
        """
        So it is if what the client is to be told cannot be sent: it does not wait
        forever.
        """

        def refuse(*_: Any) -> None:
            raise ConnectRefused("no", object())

        self.io.use(refuse)
        page = self.browse()
        self.wait()
        self.assertEqual(page.engine.closed, (1011, "session failed"))
        self.assertEqual(page.got, [])
        self.assertNothingLeft()

    def test_answered(self) -> None:
        """
        Whoever takes it for a function that answers yes or no is told: the client is
        not let in, whatever it says.
        """
        for answer in False, True, succeed(False):
            self.serve()
            self.io.use(lambda *_, answer=answer: answer)
            page = self.browse()
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT), [])
            self.assertEqual(page.engine.closed, (1011, "session failed"))
            why = self.events("serror")[-1]
            self.assertIn("right is raise ConnectRefused", str(why))
            self.assertNothingLeft()


class CredentialTests(SocketIOCase):
    """
    Other ways to name a session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.value = self.cookie().partition("=")[2]

    def test_auth(self) -> None:
        """
        C{auth} with the signed value, if that is enabled.
        """
        page = self.enabled(Auth())
        page.connect(auth={"__sid": self.value})
        self.wait()
        self.assertTrue(page.isConnected)
        for auth, reason in (
            ({"__sid": SID}, "bad-signature"),
            ({"__sid": "s%3Aan-id.wrong"}, "bad-signature"),
            ({"__sid": 7}, "malformed"),
            ({}, "missing"),
            (None, "missing"),
        ):
            page = self.browse(None, connects=False)
            page.connect(auth=auth)
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused(reason)])
        self.serve()
        page = self.browse(None, connects=False)
        page.connect(auth={"__sid": self.value})
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused("missing")])

    def test_unsigned(self) -> None:
        """
        A bare id does only if that is asked for.
        """
        page = self.enabled(Auth(allowUnsigned=True))
        page.connect(auth={"__sid": SID})
        self.wait()
        self.assertTrue(page.isConnected)

    def ticket(self, sessionID: SessionID = SID) -> str:
        """
        A ticket for a session.
        """
        return self.successResultOf(self.manager.tickets().issue(sessionID))

    def test_ticket(self) -> None:
        """
        C{auth} with a ticket, which is good once.
        """
        page = self.enabled(Ticket())
        ticket = self.ticket()
        page.connect(auth={"ticket": ticket})
        self.wait()
        self.assertTrue(page.isConnected)
        for auth, reason in (
            ({"ticket": ticket}, "unknown"),
            ({"ticket": "A" * 32}, "unknown"),
            ({"ticket": ticket[1:]}, "malformed"),
            ({"ticket": None}, "malformed"),
            ({"ticket": [ticket]}, "malformed"),
            ({"ticket": self.value}, "malformed"),
        ):
            page = self.browse(connects=False)
            page.connect(auth=auth)
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused(reason)])
        self.assertNothingLeft()

    def test_ticketForEach(self) -> None:
        """
        Each namespace may show one, for the same session; one that shows none has the
        session of the others.
        """
        self.serve(credentials=[Cookie(), Ticket()])
        for name in "/chat", "/news", "/more":
            self.io.of(name, self.recording())
        other = SessionID("other")
        self.successResultOf(self.place.create("sess:other", raw(), 60))
        page = self.browse(None, connects=False)
        page.connect(auth={"ticket": self.ticket()})
        page.connect("/chat", {"ticket": self.ticket()})
        page.connect("/news")
        page.connect("/more", {"ticket": self.ticket(other)})
        self.wait()
        for name in "/chat", "/news":
            self.assertEqual(len(page.of(Kind.CONNECT, name)), 1)
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/more"), [refused("second")])
        self.assertEqual(self.manager.statistics().sessions, 1)
        self.assertNothingLeft()

    def test_ticketInOutage(self) -> None:
        """
        A store that fails is no C{sinvalid}.
        """
        page = self.enabled(Ticket())
        ticket = self.ticket()
        self.store.fail(StoreUnavailable("gone"), "destroy")
        page.connect(auth={"ticket": ticket})
        self.wait()
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [])
        self.assertEqual(page.engine.closed, (1013, "store failed"))

    def test_ticketAsSubprotocol(self) -> None:
        """
        As a subprotocol it would be that of all namespaces: refused, with a good
        cookie, too, and not spent.
        """
        self.enabled(Ticket())
        ticket = self.ticket()
        offered = {"sec-websocket-protocol": f"sessionsock, base64url.ticket.{ticket}"}
        page = self.browse(connects=False, headers=offered)
        page.connect()
        self.wait()
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused("malformed")])
        page = self.browse(None, connects=False)
        page.connect(auth={"ticket": ticket})
        self.wait()
        self.assertTrue(page.isConnected)

    def test_bearer(self) -> None:
        """
        The header of the connection counts for all its namespaces, and so does the
        subprotocol.
        """
        self.serve(credentials=[Cookie(), Bearer(), Auth()])
        self.io.of("/chat", self.recording())
        encoded = urlsafe_b64encode(self.value.encode()).decode().rstrip("=")
        for headers in (
            {"authorization": f"Bearer {self.value}"},
            {"sec-websocket-protocol": f"sessionsock, base64url.bearer.{encoded}"},
        ):
            page = self.browse(None, connects=False, headers=headers)
            page.connect()
            page.connect("/chat")
            self.wait()
            self.assertEqual(len(page.of(Kind.CONNECT, "/chat")), 1)
        bad = {"authorization": "Bearer junk"}
        page = self.browse(connects=False, headers=bad)
        page.connect()
        page.connect("/chat", {"__sid": self.value})
        self.wait()
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused("bad-signature")])
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/chat"), [refused("second")])

    def test_explicit(self) -> None:
        """
        What the client sends along counts before the cookie, good or bad.
        """
        other = SessionID("other")
        self.successResultOf(self.place.create("sess:other", raw(), 60))
        self.enabled(Auth(), Ticket())
        for auth in (
            {"__sid": self.cookie("other").partition("=")[2]},
            {"ticket": self.ticket(other)},
        ):
            page = self.browse(connects=False)
            page.connect(auth=auth)
            self.wait()
            self.assertTrue(page.isConnected)
            (client,) = self.io.sockets
            self.assertEqual(client.session.id, other)
            page.connection.lost(1006, "transport close")
            self.wait()
        both = {"__sid": self.value, "ticket": self.ticket()}
        junk = {"__sid": "junk"}
        for auth, reason in (junk, "bad-signature"), (both, "second"):
            page = self.browse(connects=False)
            page.connect(auth=auth)
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT_ERROR), [refused(reason)])

    def test_staleCookie(self) -> None:
        """
        Where an event may name the session, a cookie that is bad or stale is not the
        last word: CONNECT is answered.
        """
        self.serve(credentials=[Cookie(), InBand()])
        for cookie in "connect.sid=junk", self.cookie("nobody"):
            self.seen.clear()
            page = self.browse(cookie, connects=False)
            page.connect()
            self.wait()
            self.assertTrue(page.isConnected)
            self.assertEqual(self.events("sconnection"), [])
            page.emit("connect_with_session", {"__sid": self.value})
            page.emit("a")
            self.wait()
            self.assertEqual(len(self.events("sconnection")), 1)
            self.assertEqual(len(self.events("smessage")), 1)
        self.assertNothingLeft()

    def test_goneAtTheGate(self) -> None:
        """
        So it is with one whose session is gone for a function that lets clients in:
        another session may be named then.
        """
        other = SessionID("other")
        self.successResultOf(self.place.create("sess:other", raw(), 60))
        self.serve(credentials=[Cookie(), InBand()])

        @self.io.use  # type: ignore[untyped-decorator]  # The case has any server.
        def gate(socket: Any, session: Any) -> None:
            if session.id == SID:
                raise NoSuchSession

        page = self.browse()
        self.wait()
        page.emit("connect_with_session", {"__sid": self.cookie("other")[12:]})
        self.wait()
        (client,) = self.io.sockets
        self.assertEqual(client.session.id, other)
        self.assertNothingLeft()

    def enabled(self, *credentials: Any) -> Page:
        self.serve(credentials=[Cookie(), *credentials])
        return self.browse(None, connects=False)

    def test_inBand(self) -> None:
        """
        A first message, or the event of the Node library: CONNECT is answered at
        once, since clients send nothing before.
        """
        for name, value in (
            ("message", {"__sid": self.value, "connect": 1}),
            ("connect_with_session", {"__sid": self.value}),
        ):
            page = self.enabled(InBand())
            page.connect()
            self.assertTrue(page.isConnected)
            self.assertEqual(self.events("sconnection"), [])
            page.emit(name, value)
            self.wait()
            self.assertEqual(len(self.events("sconnection")), 1)
            page.emit("next")
            self.assertEqual(self.events("smessage"), [Event("next")])
            page.emit(name, value)
            self.wait()
            self.assertFalse(page.isConnected)
            self.assertNothingLeft()
            self.seen.clear()

    def test_inBandRefused(self) -> None:
        """
        The client that was answered is told why by an event, and disconnected.
        """
        for first, reason in (
            (("hello",), "missing"),
            (("message", {"__sid": SID, "connect": 1}), "bad-signature"),
            (("message", {"__sid": self.value}), "malformed"),
            (("connect_with_session", {"__sid": "s%3Ax.y"}), "bad-signature"),
            (None, "timeout"),
        ):
            page = self.enabled(InBand())
            page.connect()
            if first is None:
                self.wait(10.25)
            else:
                page.emit(*first)
            self.wait()
            self.assertEqual(page.events, [["sinvalid", {"reason": reason}]])
            self.assertFalse(page.isConnected)
            self.assertEqual(self.events("sinvalid"), [reason])
            self.assertNothingLeft()
            self.seen.clear()


class NamespaceTests(SocketIOCase):
    """
    The namespaces of one connection.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()
        self.io.of("/chat", self.recording())

    def test_shared(self) -> None:
        """
        They share one session object, and each has its own handlers.
        """
        sessions = []
        self.do["sconnection"] = lambda socket, session: sessions.append(
            (socket.namespace, session)
        )
        called = []
        self.io.on("a", lambda socket: called.append("main"))
        self.io.of("/chat").on("a", lambda socket: called.append("chat"))
        page = self.browse()
        page.connect("/chat")
        page.emit("a", namespace="/chat")
        page.emit("a")
        self.wait()
        (main, one), (chat, other) = sessions
        self.assertEqual((main, chat, called), ("/", "/chat", ["chat", "main"]))
        self.assertIs(one, other)
        self.assertNothingLeft()

    def test_sameSession(self) -> None:
        """
        One that names no session has that of the others; one that names another is
        refused.
        """
        self.serve(credentials=[Auth(), Cookie()])
        self.io.of("/chat", self.recording())
        other = self.cookie("other").partition("=")[2]
        self.successResultOf(self.place.create("sess:other", raw(), 60))
        page = self.browse(None, connects=False)
        page.connect(auth={"__sid": self.cookie().partition("=")[2]})
        page.connect("/chat")
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT, "/chat")), 1)
        page.send(Packet(Kind.DISCONNECT, "/chat"))
        page.connect("/chat", {"__sid": other})
        self.wait()
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/chat"), [refused("second")])
        self.assertEqual(self.manager.statistics().sessions, 1)
        self.assertTrue(page.isConnected)
        self.assertNothingLeft()

    def test_sameSessionWhileClosing(self) -> None:
        """
        One that is to be closed has its session until what it was sent has gone out.
        """
        self.serve(credentials=[Auth(), Cookie()], perMessage=True)
        self.io.of("/chat", self.recording())
        other = self.cookie("other").partition("=")[2]
        self.successResultOf(self.place.create("sess:other", raw(), 60))

        def leave(socket: SocketIOSocket, event: Event, session: Any) -> None:
            session["n"] = 1
            socket.disconnect()

        self.do["smessage"] = leave
        page = self.browse()
        self.store.hold("replace")
        page.emit("x")
        self.wait()
        page.connect("/chat", {"__sid": other})
        self.wait()
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/chat"), [refused("second")])
        self.store.release()
        self.wait()
        self.assertFalse(page.isConnected)
        page.connect("/chat", {"__sid": other})
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT, "/chat")), 1)
        self.assertNothingLeft()

    def test_leave(self) -> None:
        """
        A client may leave one and stay in the other, and come back.
        """
        page = self.browse()
        page.connect("/chat")
        self.wait()
        page.send(Packet(Kind.DISCONNECT, "/chat"))
        self.wait(60)
        self.assertEqual(self.events("disconnect"), [1000])
        page.connect("/chat")
        self.wait()
        first, second = page.of(Kind.CONNECT, "/chat")
        self.assertNotEqual(first["sid"], second["sid"])
        self.assertIsNone(page.engine.closed)
        self.assertNothingLeft()

    def test_late(self) -> None:
        """
        What a client sent before it knew that we have disconnected it is dropped.
        """
        page = self.browse()
        page.connect("/chat")
        self.do["smessage"] = lambda socket, event, session: socket.disconnect()
        page.emit("bye", namespace="/chat")
        page.emit("late", namespace="/chat")
        self.wait()
        self.assertEqual(self.events("smessage"), [Event("bye")])
        self.assertEqual(page.of(Kind.DISCONNECT, "/chat"), [None])
        page.emit("later", namespace="/chat")
        self.assertIsNone(page.engine.closed)
        self.assertTrue(page.isConnected)
        self.assertNothingLeft()

    def test_disconnectAll(self) -> None:
        """
        A client is disconnected from all of them, and its connection closed.
        """
        self.do["smessage"] = lambda socket, event, session: socket.disconnect(True)
        page = self.browse()
        page.connect("/chat")
        page.emit("bye")
        self.wait()
        for namespace in "/", "/chat":
            self.assertEqual(page.of(Kind.DISCONNECT, namespace), [None])
        self.assertEqual(page.engine.closed, (1000, ""))
        self.assertNothingLeft()

    def test_paused(self) -> None:
        """
        While too much waits for the handlers of one, nothing is received at all;
        when it has room again, and no other minds, it is.
        """
        self.serve(limits=Limits(waitingMessages=2))
        self.io.of("/chat", self.recording())
        page = self.browse()
        page.connect("/chat")
        self.wait()
        slow: list[Deferred[None]] = []

        def handler(socket: Any, event: Any, session: Any) -> Deferred[None]:
            slow.append(Deferred())
            return slow[-1]

        self.do["smessage"] = handler
        for namespace in "/", "/chat":
            for _ in range(3):
                page.emit("x", namespace=namespace)
        self.assertTrue(page.engine.isPaused)
        while slow:
            self.assertTrue(page.engine.isPaused or len(slow) < 3)
            slow.pop(0).callback(None)
            self.wait()
        self.assertFalse(page.engine.isPaused)
        self.assertNothingLeft()


class FreedTests(SocketIOCase):
    """
    What is over is freed at once.
    """

    def test_freed(self) -> None:
        """
        Not when the collector comes.
        """
        self.put()
        self.serve()
        self.do["sconnection"] = lambda socket, session: faces.append(ref(socket))
        faces: list[Any] = []
        page = self.browse()
        page.emit("x", id=1)
        self.wait()
        connection = ref(page.connection)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        page.lose()
        self.wait()
        self.pages.clear()
        del page
        self.assertEqual([connection(), *[face() for face in faces]], [None, None])


class EndTests(SocketIOCase):
    """
    How a connection ends, and what the client sees of it.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()
        self.page = self.browse()
        self.wait()

    def test_destroyed(self) -> None:
        """
        Logout: a DISCONNECT packet, after which the client stays away.
        """
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.wait()
        self.assertEqual(self.events("sdestroyed"), ["destroyed"])
        self.assertEqual(self.page.of(Kind.DISCONNECT), [None])
        self.assertIsNone(self.page.engine.closed)
        self.assertEqual(self.events("disconnect"), [4401])
        self.wait(10)
        self.assertEqual(self.page.engine.closed, (4408, "no namespace"))
        self.assertNothingLeft()

    def test_moved(self) -> None:
        """
        A new id: the connection is closed, so that the client comes again with its
        new cookie.
        """
        client = next(iter(self.io.sockets))
        client.ended("moved")
        self.wait()
        self.assertEqual(self.page.of(Kind.DISCONNECT), [])
        self.assertEqual(self.page.engine.closed, (4307, "session-moved"))
        self.assertNothingLeft()

    def test_outage(self) -> None:
        """
        A store that fails is no reason to stay away, neither before a client is
        connected nor after.
        """
        self.store.fail(StoreUnavailable("down"), "load", "fence")
        page = self.browse()
        self.page.emit("x")
        self.wait()
        for each in page, self.page:
            self.assertEqual(each.engine.closed, (1013, "store failed"))
            self.assertEqual(each.of(Kind.CONNECT_ERROR), [])
            self.assertEqual(each.of(Kind.DISCONNECT), [])
        self.assertEqual(self.events("sinvalid"), [])
        self.assertNothingLeft()

    def test_broken(self) -> None:
        """
        A handler that raises closes the connection.
        """
        self.do["smessage"] = lambda *_: 1 / 0
        self.page.emit("x")
        self.wait()
        self.assertEqual(self.page.engine.closed, (1011, "handler failed"))
        ((_, error),) = [each for each in self.seen if each[0] == "serror"]
        self.assertIsInstance(error, ZeroDivisionError)
        self.assertNothingLeft()

    def test_goAway(self) -> None:
        """
        When the server ends, connections are closed, and the clients find another.
        """
        reasons = []
        self.do["disconnect"] = lambda socket, _, code: reasons.append(socket.reason)
        idle = self.browse(connects=False)
        gone = self.manager.end()
        self.wait()
        self.successResultOf(gone)
        for page in self.page, idle, self.browse(connects=False):
            self.assertEqual(page.engine.closed, (1001, "server going away"))
        self.assertEqual(reasons, ["server shutting down"])
        self.wait()

    def test_goAwayInOrder(self) -> None:
        """
        They are closed in the order in which they came.
        """
        pages = [self.browse(connects=False) for _ in range(20)]
        closed: list[int] = []
        for number, page in enumerate(pages):
            close = page.engine.close

            def noted(
                code: int, reason: str, number: int = number, close: Any = close
            ) -> None:
                closed.append(number)
                close(code, reason)

            page.engine.close = noted  # type: ignore[method-assign]
        self.manager.end()
        self.wait()
        self.assertEqual(closed, [*range(20)])

    def test_leavesAtEnd(self) -> None:
        """
        A connection whose client is just leaving its only namespace when the server
        ends is not waited for, either.
        """

        def leave(socket: SocketIOSocket, event: Event, session: Any) -> None:
            session["n"] = 1
            socket.disconnect()

        self.do["smessage"] = leave
        self.store.hold("replace")
        self.page.emit("x")
        self.wait()
        gone = self.manager.end()
        self.wait()
        self.assertIsNone(self.page.engine.closed)
        self.store.heal()
        self.wait()
        self.assertFalse(self.page.isConnected)
        self.assertEqual(self.page.engine.closed, (1001, "server going away"))
        self.wait(1)
        self.successResultOf(gone)

    def test_lost(self) -> None:
        """
        What came before a client was lost is handled, and what its handlers changed
        is stored; a handler is told why it was lost.
        """

        def count(socket: SocketIOSocket, event: Event, session: Any) -> None:
            session["n"] = session.get("n", 0) + 1

        reasons = []
        self.do["smessage"] = count
        self.do["disconnect"] = lambda socket, _, code: reasons.append(
            (code, socket.reason)
        )
        for _ in range(3):
            self.page.emit("x")
        self.page.lose(1006, "ping timeout")
        self.wait()
        self.assertEqual(self.stored(), {"n": 3})
        self.assertEqual(reasons, [(1006, "ping timeout")])
        self.assertNothingLeft()
