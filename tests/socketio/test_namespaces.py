"""
Tests for L{txsessionsock.socketio.connection}: what happens to one namespace of a
connection while something happens to another.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.support.managing import SID, raw
from tests.support.socketio import Page, SocketIOCase
from txsessionsock.clients import Client
from txsessionsock.credentials import Auth, InBand
from txsessionsock.hub import Hub
from txsessionsock.interfaces import ClientGone
from txsessionsock.messages import Event
from txsessionsock.socketio.packets import Kind, Packet


class TwoCase(SocketIOCase):
    """
    A client in two namespaces.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.page = self.both()

    def both(self, **options: Any) -> Page:
        self.serve(**options)
        self.io.of("/chat", self.recording())
        page = self.browse()
        page.connect("/chat")
        self.wait()
        return page

    def client(self, namespace: str) -> Client:
        (found,) = (
            client
            for client in self.io.sockets
            if client.handlers.face.namespace == namespace
        )
        assert isinstance(found, Client)
        return found


class LostTests(TwoCase):
    """
    The connection is lost.
    """

    def test_closedMeanwhile(self) -> None:
        """
        When one is closed before it knows that, both are told, once, and so is
        whoever waits for the connection to end.
        """
        gone = self.page.connection.goAway()
        self.page.lose(1006, "ping timeout")
        self.client("/chat").close(1000, "")
        self.wait()
        self.assertEqual(self.events("disconnect"), [1006, 1006])
        self.successResultOf(gone)
        self.assertNothingLeft()

    def test_closesOther(self) -> None:
        """
        So it is when a handler of the first that is told closes the other.
        """
        self.do["disconnect"] = lambda *_: [each.close() for each in self.io.sockets]
        self.page.lose()
        self.wait()
        self.assertEqual(self.events("disconnect"), [1006, 1006])
        self.assertNothingLeft()

    def test_calls(self) -> None:
        """
        Whoever waits for an answer in vain may stop others from waiting.
        """
        failures: list[Any] = []
        calls: list[Deferred[Any]] = []

        def gone(failure: Any) -> None:
            failures.append(failure.type)
            calls[1].cancel()

        face: Any = self.client("/").handlers.face
        calls += [face.call("ask") for _ in range(2)]
        calls[0].addErrback(gone)
        calls[1].addErrback(lambda failure: failures.append(failure.type))
        self.page.lose()
        self.wait()
        self.assertEqual(failures, [ClientGone, CancelledError])
        self.assertNothingLeft()


class LeavingTests(TwoCase):
    """
    A client leaves one namespace, and has the other.
    """

    def test_full(self) -> None:
        """
        What it sent before is handled, though it has not read what it was sent; its
        messages of the other one wait.
        """
        for leave in (
            lambda page: page.send(Packet(Kind.DISCONNECT, "/chat")),
            lambda page: self.client("/chat").close(1000, ""),
        ):
            page = self.both()
            self.seen.clear()
            page.engine.unsent = 2_000_000
            page.emit("x", namespace="/chat")
            page.emit("y")
            leave(page)
            self.wait()
            self.assertEqual(
                [each[0] for each in self.seen], ["smessage", "disconnect"]
            )
            page.engine.unsent = 0
            page.connection.relieved()
            self.wait()
            self.assertEqual(len(self.events("smessage")), 2)
            self.assertNothingLeft()

    def test_others(self) -> None:
        """
        A client that is disconnected from all of them gets into none while that
        which it was sent before waits.
        """
        page = self.both(perMessage=True)

        def bye(socket: Any, event: Any, session: Any) -> None:
            session["n"] = 1
            socket.disconnect(close=True)

        self.do["smessage"] = bye
        page.send(Packet(Kind.DISCONNECT, "/chat"))
        self.store.hold("replace")
        page.emit("x")
        page.connect("/chat")
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT, "/chat")), 1)
        self.store.release()
        self.wait()
        self.assertEqual(page.engine.closed, (1000, ""))
        self.assertNothingLeft()


class ClosingTests(TwoCase):
    """
    Both are closed, and the connection with them.
    """

    def test_held(self) -> None:
        """
        It is closed when what was sent in either namespace is stored, and has gone
        out: when the server ends, or the clients of somebody are to come again.
        """

        def again() -> Deferred[Any]:
            closing = Hub(self.io.sockets).session(SID).close(1012, "again")
            self.successResultOf(closing)
            return closing

        def away() -> Deferred[Any]:
            going: Deferred[Any] = self.io.sockets.goAway()
            return going

        for namespace, end, closed in (
            ("/", again, (1012, "again")),
            ("/chat", again, (1012, "again")),
            ("/", away, (1001, "server going away")),
            ("/chat", away, (1001, "server going away")),
        ):
            self.page = page = self.both(perMessage=True)

            def done(socket: Any, event: Any, session: Any) -> None:
                session["n"] = event.args[0]
                socket.emit("done")

            self.do["smessage"] = done
            self.store.hold("replace")
            page.emit("x", (namespace, closed), namespace=namespace)
            ending = end()
            self.wait()
            self.assertIsNone(page.engine.closed)
            self.store.release()
            self.wait()
            self.assertEqual(page.of(Kind.EVENT, namespace), [["done"]])
            self.assertEqual(page.engine.closed, closed)
            self.successResultOf(ending)

    def test_left(self) -> None:
        """
        So it is if the last namespace that is waited for is one that the client is
        disconnected from.
        """
        page = self.both(perMessage=True)

        def bye(socket: Any, event: Any, session: Any) -> None:
            session["n"] = 1
            socket.disconnect()

        self.do["smessage"] = bye
        self.store.hold("replace")
        page.emit("x", namespace="/chat")
        going = self.io.sockets.goAway()
        self.wait()
        self.assertIsNone(page.engine.closed)
        self.store.release()
        self.wait()
        self.assertEqual(page.of(Kind.DISCONNECT, "/chat"), [None])
        self.assertEqual(page.engine.closed, (1001, "server going away"))
        self.successResultOf(going)


class SessionTests(SocketIOCase):
    """
    The namespaces have one session.
    """

    def test_namedAgain(self) -> None:
        """
        A page may name it in each namespace, whether it is known there already or
        not: once, and no other one.
        """
        self.put()
        self.serve(credentials=[InBand()])
        for name in "/chat", "/news":
            self.io.of(name, self.recording())

        def naming(namespace: str, sid: str = SID) -> None:
            value = self.cookie(sid).partition("=")[2]
            page.emit("connect_with_session", {"__sid": value}, namespace=namespace)
            self.wait()

        page = self.browse(None)
        naming("/")
        page.connect("/chat")
        page.connect("/news")
        self.wait()
        naming("/chat")
        page.emit("x", namespace="/chat")
        self.wait()
        self.assertEqual(self.events("smessage"), [Event("x")])
        naming("/news", "other")
        self.assertEqual(page.of(Kind.DISCONNECT, "/news"), [None])
        self.assertEqual(page.of(Kind.DISCONNECT, "/chat"), [])
        naming("/chat")
        self.assertEqual(page.of(Kind.DISCONNECT, "/chat"), [None])
        self.assertTrue(page.isConnected)
        self.assertNothingLeft()

    def test_atOnce(self) -> None:
        """
        Also when the functions that let clients in take their time, and the client
        names another session meanwhile, or none.
        """
        self.put()
        self.successResultOf(self.place.create("sess:other", raw(), 60))
        self.serve(credentials=[Auth()])
        asked: list[Deferred[None]] = []

        def gate(socket: Any, session: Any) -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

        for name in "/", "/chat", "/news":
            self.io.of(name, self.recording()).use(gate)
        page = self.browse(None, connects=False)
        for name, auth in (
            ("/", {"__sid": self.cookie().partition("=")[2]}),
            ("/chat", {"__sid": self.cookie("other").partition("=")[2]}),
            ("/news", None),
        ):
            page.connect(name, auth)
        self.wait()
        for each in asked:
            each.callback(None)
        self.wait()
        self.assertEqual(len(page.of(Kind.CONNECT)), 1)
        self.assertEqual(len(page.of(Kind.CONNECT, "/news")), 1)
        second = {"message": "sinvalid", "data": {"reason": "second"}}
        self.assertEqual(page.of(Kind.CONNECT_ERROR, "/chat"), [second])
        self.assertEqual(self.manager.statistics().sessions, 1)
        self.assertNothingLeft()
