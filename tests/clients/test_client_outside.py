"""
Tests for L{txsessionsock.session}: what is changed outside of a handler is
stored all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import capturedLogs, formatEvent
from twisted.web.server import Request

from tests.support.managing import SID, timers
from tests.support.pages import WebTestCase, waiting
from tests.support.wires import Recording, SocketCase
from txsessionsock.session import Session
from txsessionsock.web import sessionOf


CHANGES: list[tuple[Callable[[Session], Any], dict[str, Any]]] = [
    (lambda s: s.update(a=1), {"n": 0, "old": 1, "a": 1}),
    (lambda s: s.__setitem__("n", 2), {"n": 2, "old": 1}),
    (lambda s: s.__delitem__("old"), {"n": 0}),
    (lambda s: s.pop("old"), {"n": 0}),
    (lambda s: s.clear(), {}),
    (lambda s: s.setdefault("b", 3), {"n": 0, "old": 1, "b": 3}),
    (lambda s: s.increment("n"), {"n": 1, "old": 1}),
]


class OutsideTests(SocketCase):
    """
    Of a handler of a socket.
    """

    perMessage = False

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0, old=1)
        self.serve()

    def saves(self) -> list[IDelayedCall]:
        """
        The timers of those who save.
        """
        return [call for call in timers(self.clock) if "Saving" in repr(call)]

    def test_later(self) -> None:
        """
        By C{callLater}: at the latest a second after.
        """
        for change, stored in CHANGES:
            self.put(n=0, old=1)
            self.do["smessage"] = lambda client, message, session, f=change: (
                None,
                self.clock.callLater(0.5, f, session),
            )[0]
            browser = self.browse()
            browser.send("a")
            self.run_(1.25, 0.25)
            self.assertEqual(self.stored(), {"n": 0, "old": 1})
            self.run_(0.25, 0.25)
            self.assertEqual(self.stored(), stored)
            self.assertEqual(self.saves(), [])
            browser.close()
            self.run_(1)

    def test_callback(self) -> None:
        """
        By a callback of a L{Deferred}, while a handler of somebody else waits.
        """
        waiting: Deferred[Any] = Deferred()
        answer: Deferred[None] = Deferred()

        def handle(client: Recording, message: Any, session: Session) -> object:
            if message == "wait":
                return waiting
            answer.addCallback(lambda _: session.increment("n"))
            return None

        self.do["smessage"] = handle
        one, two = self.browse(), self.browse()
        two.send("a")
        one.send("wait")
        self.run_(3.5, 0.25)
        answer.callback(None)
        self.run_(1, 0.25)
        self.assertEqual(self.stored(), {"n": 1, "old": 1})
        waiting.callback(None)

    def test_nested(self) -> None:
        """
        What is changed in place cannot be noticed; C{save} stores it.
        """
        self.put(cart=[])
        session = self.browse().server.session
        assert isinstance(session, Session)
        session["cart"].append("figs")
        self.run_(3, 0.25)
        self.assertEqual(self.stored(), {"cart": []})
        self.successResultOf(session.save())
        self.assertEqual(self.stored(), {"cart": ["figs"]})

    def test_inside(self) -> None:
        """
        Nothing is begun by what a handler does before it waits.
        """
        seen: list[Any] = []

        def handle(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 5
            session.increment("n")
            del session["old"]
            seen.extend(self.saves())

        self.do["smessage"] = handle
        self.browse().send("a")
        self.assertEqual(seen, [])

    def test_tooLate(self) -> None:
        """
        When nobody has the session open any more, a warning says that it is
        too late.
        """
        browser = self.browse()
        session = browser.server.session
        assert isinstance(session, Session)
        browser.close()
        self.run_(1)
        with capturedLogs() as logs:
            session["n"] = 5
        [text] = [formatEvent(event) for event in logs]
        self.assertIn("not stored", text)
        self.assertNotIn(SID, text)

    def test_ended(self) -> None:
        """
        When it has ended, nothing happens.
        """
        session = self.browse().server.session
        assert isinstance(session, Session)
        self.successResultOf(session.destroy())
        with capturedLogs() as logs:
            session["n"] = 5
        self.assertEqual((list(logs), self.saves()), ([], []))


class OutsidePerMessageTests(OutsideTests):
    """
    The same per message.
    """

    perMessage = True


class PageTests(WebTestCase):
    """
    Of a page that goes on after it was rendered, or after its client left.
    """

    def test_later(self) -> None:
        """
        It is stored before the page is done.
        """
        cookie, sessionID = self.login()
        for leaves in False, True:
            requests: list[Request] = []
            connection = self.serve(waiting(requests))
            connection.send("/", cookie=cookie)
            clock = self.world.clock
            session = sessionOf(requests[0])
            if leaves:
                connection.leave()
            clock.advance(0.5)
            session["leaves"] = leaves
            clock.pump([0.25] * 4)
            stored = self.stored(sessionID)
            assert stored is not None
            self.assertEqual(stored["leaves"], leaves)
