"""
Tests for L{txsessionsock.socketio.connection}: what happens to one namespace of a
connection while something happens to another.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.support.managing import raw
from tests.support.socketio import Page, SocketIOCase
from txsessionsock.clients import Client
from txsessionsock.credentials import Auth
from txsessionsock.interfaces import ClientGone
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


class GoingAwayTests(TwoCase):
    """
    The server ends.
    """

    def test_held(self) -> None:
        """
        The connection is closed when what was sent in either namespace is stored,
        and has gone out.
        """
        for namespace in "/", "/chat":
            self.page = page = self.both(perMessage=True)

            def done(socket: Any, event: Any, session: Any) -> None:
                session["n"] = event.args[0]
                socket.emit("done")

            self.do["smessage"] = done
            self.store.hold("replace")
            page.emit("x", namespace, namespace=namespace)
            going = self.io.sockets.goAway()
            self.wait()
            self.assertIsNone(page.engine.closed)
            self.store.release()
            self.wait()
            self.assertEqual(page.of(Kind.EVENT, namespace), [["done"]])
            self.assertEqual(page.engine.closed, (1001, "server going away"))
            self.successResultOf(going)

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
