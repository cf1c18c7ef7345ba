"""
Tests for sessions that live in the browser: L{txsessionsock.stores.cookie}, and
what a manager makes of them.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support.managing import Recorder, timers
from tests.support.signedcookies import (
    SECRET,
    SIGNED,
    starletteCookie,
)
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.starlette import Starlette
from txsessionsock.interfaces import (
    ISessionStore,
    NoSuchSession,
    SessionID,
    SessionReadOnly,
    StoreError,
    UnencodableSession,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.cookie import CookieStore


class CookieStoreTests(SynchronousTestCase):
    """
    Tests for L{CookieStore}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(SIGNED)
        self.store = CookieStore(Starlette(SECRET, maxAge=100), self.clock)
        self.key = starletteCookie(b'{"n":1}')

    def test_interface(self) -> None:
        """
        It is a store, for frameworks whose sessions are cookies.
        """
        verifyObject(ISessionStore, self.store)
        self.assertRaises(TypeError, CookieStore, Express("x"), self.clock)

    def test_load(self) -> None:
        """
        A cookie is there with its deadline until that comes.
        """
        stored = self.successResultOf(self.store.load(self.key))
        assert stored is not None
        self.assertEqual(stored.raw, self.key.encode("ascii"))
        self.assertEqual(stored.expires, SIGNED + 101)
        self.clock.advance(100.9)
        self.assertIsNotNone(self.successResultOf(self.store.load(self.key)))
        self.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(self.store.load(self.key)))

    def test_notOurs(self) -> None:
        """
        What is not signed is not there.
        """
        for key in self.key + "x", "", "x":
            self.assertIsNone(self.successResultOf(self.store.load(key)))

    def test_readOnly(self) -> None:
        """
        Nothing can be stored, and the error says why.
        """
        raw = self.key.encode("ascii")
        for tried in [
            self.store.create(self.key, raw, 5),
            self.store.replace(self.key, raw, raw, 5),
            self.store.touch(self.key, 5),
            self.store.destroy(self.key),
            self.store.destroy(self.key, b"x"),
        ]:
            failure = self.failureResultOf(tried, StoreError)
            self.assertIn("sessions live in the browser", str(failure.value))
            self.assertNotIn(self.key, str(failure.value))


class ManagedTests(SynchronousTestCase):
    """
    Signed cookies, as a manager deals with them.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(SIGNED)
        self.framework = Starlette(SECRET, maxAge=100)
        store = CookieStore(self.framework, self.clock)
        self.manager = SessionManager(store, self.framework, self.clock)
        self.holder = Recorder()

    def open(self, text: bytes = b'{"n":1,"l":[1],"user":"ann"}') -> Session:
        """
        Open the session of a cookie.
        """
        value = starletteCookie(text)
        sessionID = self.framework.sessionID(value, self.clock.seconds())
        return self.successResultOf(self.manager.open(sessionID, self.holder))

    def test_open(self) -> None:
        """
        The session is what is in the cookie.
        """
        session = self.open()
        self.assertEqual(dict(session), {"n": 1, "l": [1], "user": "ann"})
        self.assertEqual(session.expires, SIGNED + 101)
        self.assertEqual(session.pop("missing", 5), 5)
        self.successResultOf(session.reload())
        self.successResultOf(session.save())

    def test_fresh(self) -> None:
        """
        A message finds it, unless the cookie is too old.
        """
        session = self.open()
        self.assertIsNone(session.keeper.fresh(session.keeper.arrival()))
        session.keeper.clientActed(isFresh=True)
        self.assertEqual(self.holder.failures, [])
        # Nobody has looked at the time yet.
        self.clock.rightNow += 101
        fresh = session.keeper.fresh(session.keeper.arrival())
        assert fresh is not None
        self.failureResultOf(fresh, NoSuchSession)
        self.assertEqual(self.holder.reasons, ["expired"])

    def test_expires(self) -> None:
        """
        It ends for who has it open when the cookie is too old.
        """
        session = self.open()
        self.clock.pump([1] * 100)
        self.assertEqual(self.holder.reasons, [])
        self.clock.pump([0.5] * 3)
        self.assertEqual(self.holder.reasons, ["expired"])
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertEqual(timers(self.clock), [])

    def test_tooOld(self) -> None:
        """
        It cannot be opened after that.
        """
        self.clock.advance(101)
        opened = self.manager.open(SessionID(starletteCookie(b"{}")), self.holder)
        self.failureResultOf(opened, NoSuchSession)

    def test_assigning(self) -> None:
        """
        Whoever changes it is told at once, and it stays as it is.
        """
        session = self.open()
        for change in [
            lambda: session.__setitem__("n", 2),
            lambda: session.__delitem__("n"),
            lambda: session.pop("n"),
            session.clear,
            lambda: session.setdefault("x", 1),
            lambda: session.update(n=2),
            lambda: session.increment("n"),
        ]:
            error = self.assertRaises(SessionReadOnly, change)
            self.assertIn("lives in the browser", str(error))
            self.assertIsInstance(error, TypeError)
        called: list[object] = []
        self.failureResultOf(session.update(called.append), SessionReadOnly)
        self.assertEqual(called, [])
        self.assertEqual(dict(session), {"n": 1, "l": [1], "user": "ann"})
        self.successResultOf(session.save())
        self.assertEqual(self.holder.failures, [])

    def test_nested(self) -> None:
        """
        A change within a value comes to light when it is to be stored, and is
        undone.
        """
        session = self.open()
        session["l"].append(2)
        self.failureResultOf(session.save(), UnencodableSession)
        self.assertEqual(session["l"], [1])
        self.assertEqual(len(self.holder.failures), 1)
        self.successResultOf(session.save())
        self.clock.pump([1] * 20)
        self.assertEqual(len(self.holder.failures), 1)

    def test_destroy(self) -> None:
        """
        Who wants to log somebody out here is told that this cannot be done.
        """
        session = self.open()
        failure = self.failureResultOf(session.destroy(), StoreError)
        self.assertIn("sessions live in the browser", str(failure.value))
        self.failureResultOf(session.touch(), StoreError)
        self.assertEqual(self.holder.reasons, [])
        self.successResultOf(self.manager.release(session, self.holder))
        self.assertEqual(timers(self.clock), [])
