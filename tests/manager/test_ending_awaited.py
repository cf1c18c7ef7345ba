"""
Tests for what becomes of handlers and pages that do not end when a server does, and
what is said of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.support.managing import SID
from tests.support.pages import WebTestCase, waiting
from tests.support.wires import Recording, SocketCase
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session, shortHash


HERE = __name__
NEVER = "not waited for any longer: "


class Stuck(SessionSocketProtocol):
    """
    A protocol whose methods do not end.
    """

    async def sessionMessageReceived(self, message: Any, session: Any) -> None:
        await Deferred[None]()


class Echo(SessionSocketProtocol):
    """
    The same with Autobahn's method.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> Any:
        return Deferred()


async def listener(client: Any, message: Any, session: Any) -> None:
    """
    A listener that does not end.
    """
    await Deferred[None]()


async def other(client: Any, message: Any, session: Any) -> None:
    """
    A listener that does.
    """


class Listener:
    """
    A listener that is an object.
    """

    def __call__(self, message: Any, session: Any) -> Deferred[None]:
        return Deferred()


class SocketTests(SocketCase):
    """
    Handlers of sockets.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()

    def begin(self, protocol: type[SessionSocketProtocol]) -> Any:
        """
        Connect, with a handler that does not end.
        """
        self.serve(protocol)
        return self.browse()

    def said(self) -> list[str]:
        """
        End, after a while in which a handler was at work.

        @return: What is said of handlers.
        """
        self.wait(5)
        with capturedLogs() as logs:
            ended = self.manager.end(drain=10.0)
            self.wait(12)
        self.successResultOf(ended)
        warned = [event for event in logs if event["log_level"] is LogLevel.warn]
        said = [formatEvent(event) for event in warned]
        assert said[0].startswith("gave up waiting for clients to leave after 7 s")
        return [line for line in said if "gave up" not in line]

    def line(self, handler: str, event: str = "smessage", seconds: str = "12.0") -> str:
        """
        What is to be said.
        """
        return (
            f"{NEVER}{HERE}.{handler} has been at work on {event} for {seconds} s,"
            f" with the session {shortHash(SID)}, of the client tcp4:127.0.0.1:9"
        )

    def test_method(self) -> None:
        """
        A method is named by its class, with its client, a hash of its session,
        and for how long it has been at work.
        """
        self.begin(Stuck).send("a")
        self.assertEqual(self.said(), [self.line("Stuck")])

    def test_autobahn(self) -> None:
        """
        So is one of Autobahn's.
        """
        self.begin(Echo).send("a")
        self.assertEqual(self.said(), [self.line("Echo")])

    def test_listener(self) -> None:
        """
        A listener is named itself, be it one of several, or wrapped; other
        events meanwhile do not change that.
        """
        browser = self.begin(SessionSocketProtocol)
        sockets = self.factory._sessionsock.sockets
        for each in other, partial(listener), other:
            sockets.on("smessage", each)
        sockets.on("serror", lambda client, failure: Deferred())
        browser.send("a")
        browser.server._sessionsock.client._report(self.failure())
        self.assertEqual(self.said(), [self.line("listener")])

    def test_once(self) -> None:
        """
        So is one that is there for one event only.
        """
        browser = self.begin(SessionSocketProtocol)
        self.factory._sessionsock.sockets.once("smessage", listener)
        browser.send("a")
        self.assertEqual(self.said(), [self.line("listener")])

    def failure(self) -> Any:
        """
        Something that went wrong.
        """
        failing: Deferred[None] = Deferred()
        failing.errback(ZeroDivisionError())
        return self.failureResultOf(failing)

    def test_object(self) -> None:
        """
        An object is named by its class.
        """
        browser = self.begin(SessionSocketProtocol)
        browser.server.on("smessage", Listener())
        browser.send("a")
        self.assertEqual(self.said(), [self.line("Listener")])

    def test_disconnect(self) -> None:
        """
        So is what begins when its client leaves, at work for less time.
        """
        browser = self.begin(SessionSocketProtocol)
        browser.server.on("disconnect", Listener())
        self.assertEqual(self.said(), [self.line("Listener", "disconnect", "6.8")])

    def test_ended(self) -> None:
        """
        What has ended is not named.
        """
        browser = self.begin(SessionSocketProtocol)
        done: Deferred[None] = Deferred()
        browser.server.on("smessage", lambda message, session: done)
        browser.send("a")
        sockets = self.factory._sessionsock.sockets
        self.assertEqual(len(list(sockets.awaited())), 1)
        done.callback(None)
        self.assertEqual(list(sockets.awaited()), [])

    def test_many(self) -> None:
        """
        Not all are named.
        """
        self.serve(Stuck)
        for _ in range(12):
            self.browse().send("a")
        said = self.said()
        self.assertEqual(said, [self.line("Stuck")] * 10 + ["… and 2 more"])


class HurryTests(SocketCase):
    """
    Messages that wait when the time is up in which clients have to leave.
    """

    def test_storedInTime(self) -> None:
        """
        They are not handled: what their handlers changed last would come too late to
        be stored.  C{disconnect} is called, and everything that was changed is stored.
        """

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await deferLater(self.clock, 2.0)
            session["last"] = message

        self.put()
        self.do["smessage"] = handler
        self.serve()
        self.browse().send(*range(8))
        ended = self.manager.end(drain=10.0)
        self.wait(10)
        self.successResultOf(ended)
        self.assertEqual(self.events("smessage"), [0, 1, 2, 3])
        self.assertEqual(self.events("disconnect"), [1001])
        self.assertEqual(self.stored(), {"last": 3})
        self.wait(10)
        self.assertEqual(self.events("smessage"), [0, 1, 2, 3])

    def test_storedLate(self) -> None:
        """
        The end waits for the handlers that are at work then, as long as there is time
        to store what they change.
        """
        done: Deferred[None] = Deferred()

        async def handler(client: Recording, message: Any, session: Session) -> None:
            await done
            session["last"] = message

        self.put()
        self.do["smessage"] = handler
        self.serve()
        self.browse().send("a")
        ended = self.manager.end(drain=10.0)
        self.wait(8)
        self.assertNoResult(ended)
        done.callback(None)
        self.wait()
        self.successResultOf(ended)
        self.assertEqual(self.events("disconnect"), [1001])
        self.assertEqual(self.stored(), {"last": "a"})


class PageTests(WebTestCase):
    """
    Pages.
    """

    def test_page(self) -> None:
        """
        A page is named by its path, without what may be a secret.
        """
        requests: list[Any] = []
        cookie, _ = self.login()
        browser = self.serve(waiting(requests))
        browser.send("/slow?token=secret", cookie=cookie)
        self.world.clock.advance(5)
        with capturedLogs() as logs:
            ended = self.world.manager.end(drain=10.0)
            self.world.clock.pump([0.5] * 24)
        self.successResultOf(ended)
        said = [str(formatEvent(event)) for event in logs]
        page = "the page of GET /slow, for 127.0.0.1, has been at work for 12.0 s"
        self.assertEqual([line for line in said if NEVER in line], [NEVER + page])
        self.assertNotIn("secret", "".join(said))
