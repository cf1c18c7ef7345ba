"""
Tests for the watch over all tests, which finds secrets that are told, and for what
objects show of themselves.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.support.secrets import SECRETS
from tests.support.wires import SocketCase, count
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID, StoreError
from txsessionsock.manager import SessionManager
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore
from txsessionsock.tickets import Tickets


SID = SessionID("Xq7h-secret-id-2Zk")

SIGNING = "Xq7h-signing-2Zk"

_log = Logger()


@pytest.mark.telling
class WatchTests(SynchronousTestCase):
    """
    L{tests.support.secrets.SecretWatch}
    """

    def setUp(self) -> None:
        SECRETS.found()
        self.framework = Express([SIGNING])

    def test_nothing(self) -> None:
        """
        It finds nothing where no secret is.
        """
        self.framework.newSessionID()
        _log.debug("a line with {word}", word="an-identity")
        self.assertEqual(SECRETS.found(), [])

    def test_line(self) -> None:
        """
        It finds an id in a line, at the lowest level, and forgets it.
        """
        _log.debug("session {id}", id=self.framework.newSessionID())
        self.assertEqual(len(SECRETS.found()), 1)
        self.assertEqual(SECRETS.found(), [])

    def test_field(self) -> None:
        """
        It finds a cookie in a field that no line shows, and in what shows it.
        """
        cookie = self.framework.cookieValue(SID)
        _log.info("a line", request={"cookie": [cookie]})
        self.assertEqual(len(SECRETS.found()), 1)

    def test_ticket(self) -> None:
        """
        It finds a ticket.
        """
        issuing = Tickets(MemoryStore(Clock())).issue(SID)
        _log.info("{url}", url=f"/ws?ticket={self.successResultOf(issuing)}")
        self.assertEqual(len(SECRETS.found()), 1)

    def test_failure(self) -> None:
        """
        It finds an id in what was raised, whether it is logged or not.
        """
        found = self.framework.newSessionID()
        try:
            raise ValueError(f"no {found}")
        except ValueError:
            _log.failure("it failed")
        self.flushLoggedErrors(ValueError)
        self.assertEqual(len(SECRETS.found()), 1)
        found = self.framework.newSessionID()
        StoreError(f"no {found}")
        self.assertEqual(len(SECRETS.found()), 1)

    def test_signing(self) -> None:
        """
        It finds what signs the cookies of tests.
        """
        _log.info("signed by keyboard cat")
        self.assertEqual(len(SECRETS.found()), 1)


class ReprTests(SocketCase):
    """
    What objects show of themselves.
    """

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        if store is not None and store is vars(self).get("store"):
            self.freeStore()
        framework = Express(SIGNING)
        return SessionManager(
            store or self.newStore(), framework, self.clock, **options
        )

    def newStore(self) -> FlakyStore:
        return FlakyStore(MemoryStore(place=self.place))

    def test_objects(self) -> None:
        """
        No object of the library that is there while a server serves shows the id of
        a session, a cookie or what signs it.
        """
        manager = self.manager
        framework: Any = manager.framework
        document = framework.newDocument(self.clock.seconds())
        document.data["n"] = 1
        raw = framework.dumps(document, self.clock.seconds())
        key = framework.key(SID)
        self.successResultOf(self.place.create(key, raw, 600.0))
        self.do["smessage"] = count
        self.serve(perMessage=True)
        cookie = self.cookie(SID)
        browser = self.browse(cookie=cookie)
        self.store.hold("replace")
        browser.send("a", "b")
        self.assertEqual(manager.statistics().sessions, 1)
        words = str(SID), SIGNING, cookie.partition("=")[2]
        seen = 0
        for each in gc.get_objects():
            kind = type(each)
            module = str(kind.__module__)
            isTesting = module.startswith("txsessionsock.testing")
            if isTesting or not module.startswith("txsessionsock"):
                continue
            seen += 1
            try:
                shown = repr(each)
            except Exception:
                # Of an earlier test, half of which is gone.
                continue
            for word in words:
                self.assertNotIn(word, shown, kind)
        self.assertGreater(seen, 50)
        self.store.heal()
        self.wait(1)
