"""
Tests for credentials that take their time: what becomes of a client while one is
asked which session it has named.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tests.support.hubbing import OTHER
from tests.support.managing import SID, raw
from tests.support.wires import Browser, SocketCase
from txsessionsock.clients.life import Phase
from txsessionsock.credentials import Cookie, Found, InBand
from txsessionsock.interfaces import (
    FOREVER,
    InvalidCredential,
    InvalidReason,
    SessionID,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.limits import Limits


class Ticket:
    """
    A credential that asks somebody: C{ticket N} in a header of the handshake,
    or a message C{{"ticket": N}}.

    @ivar asked: What was asked, and not answered.
    """

    def __init__(self, awaitsMessage: bool = False) -> None:
        self.awaitsMessage = awaitsMessage
        self.asked: list[Deferred[SessionID | None]] = []
        self.cancelled = 0

    def inHandshake(self, handshake: Any, framework: Any, now: float) -> Found:
        return None if self.awaitsMessage else self._ask()

    def inMessage(self, message: Any, framework: Any, now: float) -> Found:
        isTicket = isinstance(message, dict) and "ticket" in message
        return self._ask() if isTicket else None

    def _ask(self) -> Deferred[SessionID | None]:
        asked: Deferred[SessionID | None] = Deferred()
        self.asked.append(asked)
        return asked.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self.cancelled += failure.check(CancelledError) is not None
        return failure

    def answer(self, answer: SessionID | Exception | None) -> None:
        """
        Answer the first that was asked.
        """
        asked = self.asked.pop(0)
        if isinstance(answer, Exception):
            asked.errback(answer)
        else:
            asked.callback(answer)


class Coroutine(Cookie):
    """
    A credential whose methods are coroutines, and do not wait.
    """

    awaitsMessage = True

    async def inHandshake(  # type: ignore[override]  # as Credential has it
        self, handshake: Any, framework: Any, now: float
    ) -> SessionID | None:
        return super().inHandshake(handshake, framework, now)

    async def inMessage(  # type: ignore[override]  # as Credential has it
        self, message: Any, framework: Any, now: float
    ) -> SessionID | None:
        return SID if message == "me" else None


class AskingCase(SocketCase):
    """
    A server whose clients have a L{Ticket}.
    """

    isInMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.put(user="al")
        self.ticket = Ticket(self.isInMessage)
        self.serve(credentials=[self.ticket])

    def ask(self) -> Browser:
        """
        Connect, and have the ticket asked.
        """
        browser = self.browse(cookie=None)
        if self.isInMessage:
            browser.send({"ticket": 1})
        self.assertEqual(len(self.ticket.asked), 1)
        self.assertEqual(self.phase(browser), Phase.ASKING)
        return browser

    def phase(self, browser: Browser) -> Phase:
        """
        Where a client is in its life.
        """
        phase: Phase = browser.server._sessionsock.client.life.phase
        return phase

    def assertOver(self, sessions: int = 0) -> None:
        """
        Nothing stays behind, and nobody was given a session.
        """
        self.assertEqual(len(self.events("sconnection")), sessions)
        self.assertNothingLeft()


class AskingTests(AskingCase):
    """
    Tests with a ticket in the handshake, with the session loaded once.
    """

    def test_answered(self) -> None:
        """
        What comes while the ticket is asked waits, and is handled in order.
        """
        browser = self.ask()
        browser.send("a", "b")
        self.wait(5)
        self.assertEqual(self.seen, [])
        self.ticket.answer(SID)
        browser.send("c")
        self.wait()
        self.assertEqual(browser.server.session.id, SID)
        messages = [("smessage", each) for each in "abc"]
        self.assertEqual(self.seen, [("sconnection",), *messages])
        self.wait(20)
        self.assertEqual(browser.closed, None)
        self.assertOver(1)

    def test_many(self) -> None:
        """
        No more waits than may wait for a handler.
        """
        self.serve(credentials=[self.ticket], limits=Limits(waitingMessages=4))
        browser = self.ask()
        for number in range(10):
            browser.send(number)
        self.assertTrue(browser.wire.isPaused)
        self.assertEqual(self.factory.sockets.statistics().waitingMessages, 4)
        self.ticket.answer(SID)
        browser.flush()
        self.assertFalse(browser.wire.isPaused)
        self.assertEqual(self.events("smessage"), list(range(10)))
        self.assertOver(1)

    def test_refused(self) -> None:
        """
        The answer may be that the ticket is no good, and then what came meanwhile
        is dropped.
        """
        reasons: tuple[InvalidReason, ...] = "expired", "unknown", "bad-signature"
        for reason in reasons:
            browser = self.ask()
            browser.send("a")
            self.ticket.answer(InvalidCredential(reason))
            self.assertClosed(browser, 4401, f"session-{reason}")
        self.assertEqual(self.seen, [("sinvalid", reason) for reason in reasons])
        self.assertOver()

    def test_unknown(self) -> None:
        """
        So it may name a session that there is not.
        """
        browser = self.ask()
        self.ticket.answer(OTHER)
        self.assertClosed(browser, 4401, "session-unknown")
        self.assertOver()

    def test_none(self) -> None:
        """
        If there is no ticket after all, the client has no session.
        """
        browser = self.ask()
        browser.send("a")
        self.ticket.answer(None)
        self.assertClosed(browser, 4401, "session-missing")
        self.assertEqual(self.seen, [("sinvalid", "missing")])
        self.assertOver()

    def test_failed(self) -> None:
        """
        If the store fails, the client is told to come again later, and it is no
        client without a session.
        """
        browser = self.ask()
        browser.send("a")
        error = StoreUnavailable("gone")
        self.ticket.answer(error)
        self.assertClosed(browser, 1013, "store failed")
        self.assertEqual(self.seen, [("serror", error)])
        self.assertOver()

    def test_broken(self) -> None:
        """
        The same for a credential with a fault, which is ours.
        """
        browser = self.ask()
        error = ZeroDivisionError()
        self.ticket.answer(error)
        self.assertClosed(browser, 1011, "session failed")
        self.assertEqual(self.seen, [("serror", error)])
        self.assertOver()

    def test_late(self) -> None:
        """
        If there is no answer, the client is told to come again, and the question
        is cancelled.  An answer that comes after all changes nothing.
        """
        browser = self.ask()
        self.wait(9.5)
        self.assertEqual(browser.closed, None)
        self.wait(1)
        self.assertClosed(browser, 1013, "store failed")
        ((event, error),) = self.seen
        self.assertEqual((event, type(error)), ("serror", StoreTimeout))
        self.assertEqual(self.ticket.cancelled, 1)
        self.ticket.answer(SID)
        self.assertOver()

    def test_gone(self) -> None:
        """
        When the client goes meanwhile, the question is cancelled, and what is
        answered then is nobody's, whatever it is.
        """
        for answer in SID, None, StoreUnavailable("gone"), InvalidCredential("expired"):
            for leave in Browser.cut, Browser.close:
                browser = self.ask()
                browser.send("a")
                leave(browser)
                self.wait()
                self.assertEqual(self.phase(browser), Phase.OVER)
                self.ticket.answer(answer)
                self.wait()
        self.assertEqual(self.ticket.cancelled, 8)
        self.assertEqual(self.seen, [])
        self.assertOver()

    def test_deaf(self) -> None:
        """
        That holds for a question that will not be cancelled, too; only what is
        nobody's fault but its own is logged.
        """
        asked: list[Deferred[Any]] = []

        async def deaf(*_: object) -> Any:
            wait: Deferred[Any] = Deferred()
            asked.append(wait)
            try:
                return await wait
            except CancelledError:
                again: Deferred[Any] = Deferred()
                asked.append(again)
                return await again

        self.ticket._ask = deaf  # type: ignore[method-assign,assignment]  # a double
        for answer in SID, None:
            browser = self.browse(cookie=None)
            if self.isInMessage:
                browser.send({"ticket": 1})
            browser.cut()
            asked.pop().callback(answer)
            self.wait()
        browser = self.browse(cookie=None)
        if self.isInMessage:
            browser.send({"ticket": 1})
        browser.cut()
        asked.pop().errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.seen, [])
        self.assertOver()

    def test_notCancelled(self) -> None:
        """
        A canceller that fails is logged, and the client closed or let go of all
        the same.
        """

        def fail(_: object) -> None:
            raise ZeroDivisionError

        self.ticket._ask = lambda: Deferred(fail)  # type: ignore[method-assign]  # a double
        for isCut in False, True:
            browser = self.browse(cookie=None)
            if self.isInMessage:
                browser.send({"ticket": 1})
            if isCut:
                browser.cut()
            else:
                browser.server.close(4000, "enough")
                self.assertClosed(browser, 4000, "enough")
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertOver()
            # The same is logged once a minute.
            self.clock.advance(60)

    def test_closed(self) -> None:
        """
        The server may close the socket meanwhile.
        """
        browser = self.ask()
        self.factory.sockets.goAway()
        self.assertClosed(browser, 1001, "server going away")
        self.assertEqual(self.ticket.cancelled, 1)
        self.ticket.answer(SID)
        self.assertOver()

    def test_notWaiting(self) -> None:
        """
        A credential may be made of coroutines that do not wait.
        """
        self.serve(credentials=[Coroutine()])
        one = self.browse()
        two = self.browse(cookie=None)
        two.send("me")
        for browser in one, two:
            self.assertEqual(self.phase(browser), Phase.OPEN)
            browser.send("a")
        self.assertEqual(self.events("smessage"), ["a", "a"])
        two.send("me")
        self.assertClosed(two, 4400, "session-second")
        self.assertOver(2)

    def test_notWaitingFails(self) -> None:
        """
        When such a coroutine fails at a later message, that is an error, and not
        a second credential; if it refuses the message, it is one.
        """

        async def fail(message: Any, *_: object) -> SessionID | None:
            if message == "bad":
                raise InvalidCredential("malformed")
            if message == "b":
                raise ZeroDivisionError
            return None

        coroutine = Coroutine()
        self.serve(credentials=[coroutine])
        browsers = self.browse(), self.browse()
        coroutine.inMessage = fail  # type: ignore[method-assign,assignment]  # a double
        for browser, message in zip(browsers, ["b", "bad"], strict=True):
            browser.send("a", message)
        self.assertClosed(browsers[0], 1011, None)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertClosed(browsers[1], 4400, "session-second")
        self.assertEqual(self.events("smessage"), ["a", "a"])
        self.assertOver(2)

    def test_next(self) -> None:
        """
        If it finds none, the next credential is asked.
        """
        self.serve(credentials=[self.ticket, Cookie()])
        browser = self.browse()
        if self.isInMessage:
            self.assertEqual(self.phase(browser), Phase.OPEN)
        else:
            self.ticket.answer(None)
        self.wait()
        self.assertEqual(browser.server.session.id, SID)
        self.assertOver(1)


class AskingPerMessageTests(AskingTests):
    """
    The same with the session fresh for each message.
    """

    perMessage = True


class AskingInMessageTests(AskingTests):
    """
    The same with the ticket in the first message.
    """

    isInMessage = True

    def test_second(self) -> None:
        """
        A second ticket is refused, when the session is there and before: who
        comes with two may mean to have this one's session used by that one's
        page.
        """
        for isAnswered in True, False:
            browser = self.ask()
            if isAnswered:
                self.ticket.answer(SID)
            browser.send("a", {"ticket": 2}, "b")
            if not isAnswered:
                self.ticket.answer(SID)
            self.assertClosed(browser, 4400, "session-second")
            self.assertEqual(len(self.ticket.asked), 1)
            self.ticket.asked.clear()
        self.assertNotIn("b", self.events("smessage"))
        self.assertEqual(self.ticket.cancelled, 2)
        self.assertNothingLeft()


class AskingInMessagePerMessageTests(AskingInMessageTests):
    """
    The same with the session fresh for each message.
    """

    perMessage = True


class HandshakeThenMessageTests(AskingCase):
    """
    Tests with a ticket that may be in either.
    """

    def setUp(self) -> None:
        super().setUp()
        other = raw(user="ann")
        self.successResultOf(self.place.create(f"sess:{OTHER}", other, FOREVER))
        self.ticket.awaitsMessage = True
        self.inHandshake = self.ticket._ask
        self.ticket.inHandshake = lambda *_: self.inHandshake()  # type: ignore[method-assign]  # a double
        self.serve(credentials=[self.ticket, InBand()])

    def test_message(self) -> None:
        """
        If there is none in the handshake, the first message is looked at when
        that is known, and those behind it wait for both.
        """
        browser = self.ask()
        browser.send({"ticket": 1}, "a")
        self.ticket.answer(None)
        self.assertEqual(self.phase(browser), Phase.ASKING)
        browser.send("b")
        self.ticket.answer(OTHER)
        self.wait()
        self.assertEqual(browser.server.session["user"], "ann")
        self.assertEqual(self.events("smessage"), ["a", "b"])
        self.assertOver(1)

    def test_paused(self) -> None:
        """
        What waits behind both is handled first, and then what was not received
        for so long.
        """
        self.serve(
            credentials=[self.ticket, InBand()], limits=Limits(waitingMessages=4)
        )
        browser = self.ask()
        value = self.manager.framework.cookieValue(SessionID(SID))
        browser.send({"__sid": value, "connect": 1}, "a", "b", "c")
        browser.send("d", "e")
        self.assertTrue(browser.wire.isPaused)
        self.ticket.answer(None)
        self.wait()
        self.assertEqual(self.events("smessage"), list("abcde"))
        self.assertOver(1)

    def test_noMessage(self) -> None:
        """
        If there is none in the first message either, there is none.
        """
        browser = self.ask()
        browser.send("a", {"ticket": 1})
        self.ticket.answer(None)
        self.assertClosed(browser, 4401, "session-missing")
        self.assertEqual(self.ticket.asked, [])
        self.assertOver()

    def test_timeout(self) -> None:
        """
        The time for a message begins when it is known that there is none in the
        handshake.
        """
        browser = self.ask()
        self.wait(4)
        self.ticket.answer(None)
        self.assertEqual(self.phase(browser), Phase.WAITING)
        self.wait(9.5)
        self.assertEqual(self.phase(browser), Phase.WAITING)
        self.wait(0.5)
        self.assertClosed(browser, 4408, "session-timeout")
        self.assertOver()

    def test_both(self) -> None:
        """
        One in the handshake and one in a message that came meanwhile are two.
        """
        browser = self.ask()
        browser.send({"ticket": 1})
        self.ticket.answer(SID)
        self.assertClosed(browser, 4400, "session-second")
        self.assertNothingLeft()
