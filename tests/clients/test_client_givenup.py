"""
Tests for L{txsessionsock.clients.client}: a change that is given up while the
handler that made it is at work.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import Recorder
from tests.support.wires import Recording, SocketCase
from txsessionsock.interfaces import (
    IncrementError,
    StoreTimeout,
    StoreUnavailable,
    UnencodableSession,
)
from txsessionsock.session import Session


class GivenUpTests(SocketCase):
    """
    Per message.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put(n=0)
        self.serve()
        self.gate: Deferred[None] = Deferred()
        self.change = lambda session: session.increment("n")
        self.do["smessage"] = self.counts
        self.browser = self.browse()
        self.other = self.browse()

    async def counts(self, client: Recording, message: Any, session: Session) -> None:
        """
        Change something, wait, and answer.
        """
        if message == "other":
            session["other"] = 1
            return
        if message == "count":
            session.increment("n")
            return
        self.change(session)
        await self.gate
        if message == "update":
            await session.update(lambda data: data.update(u=1))
        client.send("done")

    def doubt(self, message: str = "other") -> None:
        """
        Have the write of another handler not be answered, which has the change of
        the one at work.
        """
        self.store.fail(StoreTimeout(), "replace")
        self.other.send(message)
        self.clock.advance(0)
        self.store.heal()

    def goOn(self) -> None:
        self.wait(12)
        self.gate.callback(None)
        self.wait(12)

    def test_unknown(self) -> None:
        """
        It is told that nobody knows whether that is stored, and is closed before
        it is answered; who has no handler at work is not.
        """
        idle = self.browse()
        self.browser.send("go")
        self.doubt()
        self.wait(12)
        self.assertClosed(self.browser, 1013, "store failed")
        self.assertIsNone(idle.closed)
        self.assertIsInstance(self.events("serror")[0], StoreTimeout)
        self.goOn()
        self.assertEqual(self.browser.got, [])
        self.assertEqual(self.stored(), {"n": 0, "other": 1})
        self.assertNothingLeft()

    def test_bystander(self) -> None:
        """
        A handler at work that changed nothing is none of these, also if what another
        one changed is given up.
        """
        self.change = lambda session: None
        self.browser.send("go")
        self.doubt("count")
        self.goOn()
        self.assertClosed(self.other, 1013, "store failed")
        self.assertEqual((self.browser.got, self.browser.closed), (["done"], None))

    def test_stored(self) -> None:
        """
        Nor is one whose change was only in doubt, and is stored.
        """
        self.change = lambda session: session.__setitem__("mine", 1)
        self.browser.send("go")
        self.doubt()
        self.goOn()
        self.assertEqual((self.browser.got, self.browser.closed), (["done"], None))
        self.assertEqual(self.stored(), {"n": 0, "mine": 1, "other": 1})

    def test_noNumber(self) -> None:
        """
        So it is with an increment where there is no number any more.
        """
        self.browser.send("go")
        self.put(n="none")
        self.other.send("other")
        self.goOn()
        self.assertClosed(self.browser, 1011, "session failed")
        self.assertEqual(self.browser.got, [])
        self.assertIsInstance(self.events("serror")[0], IncrementError)

    def test_reverted(self) -> None:
        """
        And with what cannot be stored.
        """
        self.change = lambda session: session.__setitem__("mine", object())
        self.browser.send("go")
        self.other.send("other")
        self.goOn()
        self.assertClosed(self.browser, 1011, "session failed")
        self.assertEqual(self.browser.got, [])
        self.assertIsInstance(self.events("serror")[0], UnencodableSession)

    def test_update(self) -> None:
        """
        What is sent when an update is done with which the change is given up does
        not go out either.
        """
        self.browser.send("update")
        self.store.fail(StoreTimeout(), "replace")
        self.other.send("other")
        self.clock.advance(0)
        self.store.heal()
        self.gate.callback(None)
        self.wait(12)
        self.assertClosed(self.browser, 1013, "store failed")
        self.assertEqual(self.browser.got, [])
        self.assertEqual(self.stored(), {"n": 0, "other": 1, "u": 1})


class PerConnectionTests(SocketCase):
    """
    Per connection.
    """

    def test_inOutage(self) -> None:
        """
        In an outage that was told already, it is told as well.
        """
        self.put(n=0)
        self.serve()
        self.do["smessage"] = lambda client, message, session: session.increment("n")
        browser = self.browse()
        holder = Recorder()
        session = self.open(holder)
        self.store.fail(StoreUnavailable("down"), "replace")
        browser.send("go")
        self.wait(1)
        self.assertEqual(len(self.events("serror")), 1)
        self.store.fail(StoreTimeout(), "replace")
        saved = session.save()
        self.store.heal()
        self.wait(1)
        self.failureResultOf(saved, StoreTimeout)
        self.assertEqual(self.stored(), {"n": 0})
        self.assertIsInstance(self.events("serror")[-1], StoreTimeout)

    def test_nextOutage(self) -> None:
        """
        The next outage is told, too.
        """
        self.put(n=0)
        self.serve()
        self.do["smessage"] = lambda client, message, session: session.increment("n")
        browser = self.browse()
        self.store.fail(StoreTimeout(), "replace")
        browser.send("go")
        self.clock.advance(1)
        self.store.heal()
        self.wait(12)
        self.assertIsInstance(self.events("serror")[-1], StoreTimeout)
        self.seen.clear()
        self.store.fail(StoreUnavailable("down"))
        browser.send("go")
        self.wait(3)
        self.assertEqual(len(self.events("serror")), 1)
