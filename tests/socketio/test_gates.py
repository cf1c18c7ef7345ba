"""
Tests for L{txsessionsock.socketio}: functions that let clients in, and that are not
done when a client is closed or goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail

from tests.support.managing import SID
from tests.support.socketio import SocketIOCase
from txsessionsock.credentials import InBand
from txsessionsock.interfaces import ConnectRefused, SessionError
from txsessionsock.limits import Limits
from txsessionsock.socketio import SocketIOSocket
from txsessionsock.socketio.packets import Kind


class ClosingTests(SocketIOCase):
    """
    The client is closed, or gone, while it is decided whether it is let in.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_byItself(self) -> None:
        """
        A function that disconnects the client does not let it in.
        """
        for isAll in False, True:
            self.serve()
            self.io.use(lambda socket, _, isAll=isAll: socket.disconnect(isAll))
            page = self.browse()
            self.wait()
            self.assertEqual(page.of(Kind.CONNECT_ERROR), [{"message": "closed"}])
            self.assertEqual(page.engine.closed, (1000, "") if isAll else None)
            self.assertEqual(self.seen, [])
            self.assertNothingLeft()

    def test_cancelled(self) -> None:
        """
        It is cancelled, and may mind that or not; nothing is left of the client.
        """

        def end(error: Exception | None) -> Callable[..., Any]:
            async def gate(socket: SocketIOSocket, session: Any) -> None:
                try:
                    await Deferred()
                except CancelledError:
                    if error is not None:
                        raise error from None

            return gate

        for error in None, ConnectRefused("gone"), CancelledError():
            self.serve()
            self.io.use(end(error))
            page = self.browse()
            self.wait()
            page.lose()
            self.wait()
            self.assertNothingLeft()
            page = self.browse()
            self.wait()
            going = self.io.sockets.goAway()
            self.wait()
            self.successResultOf(going)
            self.assertEqual(page.engine.closed, (1001, "server going away"))
            self.assertNothingLeft()
        self.assertEqual(self.seen, [])

    def test_ended(self) -> None:
        """
        When the session ends meanwhile the client is told at once, and comes again if
        the session just has a new id.
        """
        self.io.use(lambda socket, session: Deferred())
        page = self.browse()
        self.wait()
        self.successResultOf(self.place.destroy("sess:an-id"))
        self.wait()
        unknown = {"message": "sinvalid", "data": {"reason": "unknown"}}
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [unknown])
        self.assertEqual(self.seen, [("sinvalid", "unknown")])
        self.assertNothingLeft()
        self.put()
        page = self.browse()
        self.wait()
        session = self.successResultOf(self.manager.open(SID, self.holder))
        moving = self.manager.regenerate(session, self.holder)
        self.wait()
        other, tell = self.successResultOf(moving)
        tell()
        self.wait()
        self.assertEqual(page.engine.closed, (4307, "session-moved"))
        self.assertEqual(page.of(Kind.CONNECT_ERROR), [])
        for each in session, other:
            self.successResultOf(self.manager.release(each, self.holder))
        self.assertNothingLeft()

    def test_broken(self) -> None:
        """
        What else goes wrong then is logged.
        """

        async def gate(socket: SocketIOSocket, session: Any) -> None:
            try:
                await Deferred()
            finally:
                1 / 0  # noqa: B018 - it fails

        self.io.use(gate)
        page = self.browse()
        self.wait()
        page.lose()
        self.wait()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertNothingLeft()

    def test_notCancelled(self) -> None:
        """
        A function that fails as if it were cancelled is broken.
        """
        self.io.use(lambda socket, session: fail(CancelledError()))
        page = self.browse()
        self.wait()
        self.assertEqual(page.engine.closed, (1011, "session failed"))
        self.assertNothingLeft()


class EarlyTests(SocketIOCase):
    """
    Nothing is sent to a client that is not connected: it would keep that until it
    is, which may be with another session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def test_gate(self) -> None:
        """
        Where it is decided whether it is let in, that is refused, and so are rooms.
        """
        for early in (
            lambda socket, session: socket.emit("early"),
            lambda socket, session: socket.send("early"),
            lambda socket, session: socket.call("early"),
            lambda socket, session: socket.join("a"),
        ):
            self.serve()
            self.io.use(early)
            page = self.browse()
            self.wait()
            self.assertEqual(page.got, [])
            self.assertEqual(page.engine.closed, (1011, "session failed"))
            ((_, error),) = self.seen
            self.assertIsInstance(error, SessionError)
            self.assertIn("right is to do that in sconnection", str(error))
            self.seen.clear()
            self.assertNothingLeft()

    def test_invalid(self) -> None:
        """
        Where there is no session, it is dropped; the error says what there is to say.
        """
        self.do["sinvalid"] = lambda socket, reason: socket.emit("early")
        page = self.browse(None)
        self.wait()
        self.assertEqual([each.kind for each in page.got], [Kind.CONNECT_ERROR])
        self.serve(credentials=[InBand()])
        page = self.browse(None)
        page.emit("hello")
        self.wait()
        self.assertEqual(page.events, [["early"], ["sinvalid", {"reason": "missing"}]])
        self.assertNothingLeft()


class InBandTests(SocketIOCase):
    """
    The client was told that it is connected, to name its session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(credentials=[InBand()], limits=Limits(socketsPerSession=1))

    def test_refused(self) -> None:
        """
        When it has one and is not let in, it is told by an event what would have
        been the error, and disconnected.
        """

        def gate(socket: SocketIOSocket, session: Any) -> None:
            if session.get("user") == "mo":
                raise ConnectRefused("no mo", {"code": 7})

        self.io.use(gate)
        self.assertRefused([])
        self.assertRefused([["srefused", {"message": "session-limit"}]])
        self.wait()
        for page in self.pages:
            page.lose()
        self.wait()
        self.put(user="mo")
        self.assertRefused([["srefused", {"message": "no mo", "data": {"code": 7}}]])
        self.assertNothingLeft()

    def assertRefused(self, events: list[Any]) -> None:
        page = self.browse(None)
        page.emit("connect_with_session", {"__sid": self.cookie().partition("=")[2]})
        self.wait()
        self.assertEqual(page.events, events)
        self.assertEqual(page.isConnected, not events)
