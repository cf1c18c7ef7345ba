"""
Tests for sessions in which a web application leaves nothing but our stamp, where
its framework ends those.
"""

from __future__ import annotations

import json
from typing import Any

from tests.manager.test_manager_repair import RepairCase
from tests.support.managing import SID, Recorder
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import NoSuchSession, StoreUnavailable
from txsessionsock.manager import SessionManager
from txsessionsock.session.journal import STAMP


class Ending(Express):
    """
    Express, if it ended sessions in which nothing is left.
    """

    def isEnded(self, data: dict[str, Any]) -> bool:
        return not data


class EmptiedTests(RepairCase):
    """
    It ends, by whoever sees it first, unless it is another one by then.
    """

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        framework = Ending(secrets=["keyboard cat"], ttl=self.lifetime)
        if store is not None:
            self.freeStore()
        store = self.newStore() if store is None else store
        return SessionManager(store, framework, self.clock, **options)

    def emptied(self) -> dict[str, Any]:
        """
        @return: What a request leaves that knew all that was there.
        """
        copy = self.request()
        return {key: copy[key] for key in ("cookie", STAMP)}

    def test_live(self) -> None:
        """
        Sockets hear of it, and the session is gone.
        """
        self.save(mine=1)
        self.ends(self.emptied())
        self.assertIsNone(self.stored())
        self.assertEqual(self.holder.reasons, ["destroyed"])
        self.failureResultOf(self.session.save(), NoSuchSession)

    def test_nobodyThere(self) -> None:
        """
        Also if nobody had it open: who comes next has no session.
        """
        self.save(mine=1)
        self.settled(self.manager.release(self.session, self.holder), 10)
        self.putRaw(json.dumps(self.emptied()).encode())
        self.failureResultOf(self.manager.open(SID, Recorder()), NoSuchSession)
        self.assertIsNone(self.stored())

    def test_byUs(self) -> None:
        """
        A session that a socket emptied stays.
        """
        self.save(mine=1)
        self.session.clear()
        self.settled(self.session.save())
        self.ends(self.request())
        self.assertEqual(self.holder.reasons, [])
        self.save(again=1)
        self.assertEqual(self.session["again"], 1)

    def test_filledMeanwhile(self) -> None:
        """
        What somebody put into it before it was ended is not lost.
        """
        self.save(mine=1)
        emptied = self.emptied()
        backend = self.manager._storage
        destroy = backend.destroy

        def late(*args: Any) -> Any:
            self.putRaw(json.dumps({**emptied, "mine": 5}).encode())
            return destroy(*args)

        self.patch(backend, "destroy", late)
        self.ends(emptied)
        stored = self.stored() or {}
        self.assertEqual(stored["mine"], 5)
        self.assertEqual(self.holder.reasons, [])
        self.assertEqual(dict(self.session), {"mine": 5})

    def test_outage(self) -> None:
        """
        If it cannot be ended, that is tried again.
        """
        self.save(mine=1)
        self.store.fail(StoreUnavailable(), "destroy")
        self.ends(self.emptied())
        self.assertEqual(self.holder.reasons, [])
        self.store.heal()
        self.run_(3)
        self.assertIsNone(self.stored())
        self.assertEqual(self.holder.reasons, ["destroyed"])
