"""
Tests for a protocol of one's own, in memory: no port is opened, and time passes
when the test says so::

    python -m pytest examples/test_counter.py     # or python -m twisted.trial
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock import (
    Express,
    MemoryStore,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
)
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.testing import Browser, FlakyStore, putSession


class Counter(SessionSocketProtocol):
    """
    What is to be tested.
    """

    def sessionMessageReceived(self, message, session):
        session["count"] = session.get("count", 0) + 1
        self.send({"count": session["count"]})

    def sessionChanged(self, session, keys):
        self.send({"now": session["count"]})


class CounterTests(SynchronousTestCase):
    """
    A server with one session, and a web application beside it.
    """

    perMessage = True

    def setUp(self):
        self.clock = Clock()
        self.application = MemoryStore(self.clock)
        # What one of them stores, the other sees.
        self.store = FlakyStore(MemoryStore(place=self.application))
        framework = Express(secrets=["keyboard cat"], ttl=3600)
        manager = SessionManager(self.store, framework, self.clock)
        self.factory = SessionSocketFactory(manager, perMessage=self.perMessage)
        self.factory.protocol = Counter
        self.cookie = putSession(self.application, framework, self.clock, {"count": 41})

    def connect(self):
        """
        Open a tab.
        """
        return Browser(self.factory, cookie=self.cookie)

    def test_counts(self):
        """
        It counts on from what the web application stored.
        """
        tab = self.connect()
        tab.send("hello", "hello again")
        self.assertEqual([tab.next(), tab.next()], [{"count": 42}, {"count": 43}])

    def test_twoTabs(self):
        """
        One tab is told what another did.
        """
        one, other = self.connect(), self.connect()
        other.send("hello")
        self.assertEqual(other.next(), {"count": 42})
        self.assertEqual(one.next(), {"now": 42})

    def test_stranger(self):
        """
        Without a session a socket is closed; the pages of other people have
        none at all.
        """
        self.assertEqual(Browser(self.factory).closed, (4401, "session-missing"))
        other = Browser(self.factory, cookie=self.cookie, origin="https://evil.example")
        self.assertEqual(other.status, 403)

    def test_timeUp(self):
        """
        The session ends an hour after the last message.
        """
        tab = self.connect()
        tab.wait(3000)
        tab.send("hello")
        tab.wait(3000)
        self.assertIsNone(tab.closed)
        tab.wait(700)
        self.assertEqual(tab.closed, (4401, "session-expired"))

    def test_outage(self):
        """
        When the store fails, no answer is sent, since nothing was counted.
        """
        tab = self.connect()
        self.store.fail(StoreUnavailable("no power"))
        tab.send("hello")
        tab.wait(10)
        self.assertEqual((tab.got, tab.closed), ([], (1013, "store failed")))


class PerConnectionTests(CounterTests):
    """
    The same in the other mode.
    """

    perMessage = False

    def test_outage(self):
        """
        When the store fails, it is counted in memory, and stored later.
        """
        tab = self.connect()
        self.store.fail(StoreUnavailable("no power"))
        tab.send("hello")
        self.assertEqual(tab.next(), {"count": 42})
        tab.wait(10)
        self.assertIsNone(tab.closed)
