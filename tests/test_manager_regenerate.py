"""
Tests for L{SessionManager.regenerate}.
"""

from __future__ import annotations

from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    StoreUnavailable,
)

from .managing import KEY, SID, Recorder
from .test_manager_end import EndCase


class RegenerateTests(EndCase):
    """
    L{SessionManager.regenerate}.
    """

    def test_sameData(self) -> None:
        """
        The new session has the same data, also what was not saved; the old
        one is gone, for everybody; its holders are told when they are to be,
        except for who holds the new one.
        """
        elsewhere = Recorder()
        self.open(elsewhere, self.newManager())
        self.session["unsaved"] = {"a": 1}
        new, tell = self.successResultOf(
            self.manager.regenerate(self.session, self.holder)
        )
        self.assertNotEqual(new.id, SID)
        self.assertIsNone(self.stored())
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 0, "unsaved": {"a": 1}})
        self.assertEqual(dict(new), {"n": 0, "unsaved": {"a": 1}})
        self.clock.advance(0)
        self.assertEqual(elsewhere.reasons, ["destroyed"])
        self.assertEqual(self.other.reasons, [])
        tell()
        tell()
        self.assertEqual((self.other.reasons, self.holder.reasons), (["moved"], []))
        self.failureResultOf(self.session.save(), NoSuchSession)
        self.assertIs(self.successResultOf(self.manager.open(new.id, Recorder())), new)
        self.assertIsNot(new["unsaved"], self.session["unsaved"])
        self.failureResultOf(self.manager.open(SID, Recorder()), NoSuchSession)
        self.successResultOf(new.destroy())
        self.assertEqual(self.holder.reasons, ["destroyed"])

    def test_changedMeanwhile(self) -> None:
        """
        What changes while the old one is saved is in the new one.
        """
        self.session["n"] = 1
        self.store.hold("replace")
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.session["late"] = 1
        self.store.release()
        new, _ = self.successResultOf(regenerated)
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 1, "late": 1})

    def test_empty(self) -> None:
        """
        A stored session without data has a stored successor.
        """
        del self.session["n"]
        new, _ = self.successResultOf(
            self.manager.regenerate(self.session, self.holder)
        )
        self.assertEqual((self.stored(f"sess:{new.id}"), new.isNew), ({}, False))

    def test_new(self) -> None:
        """
        A session that was never stored has a successor that is not.
        """
        session = self.manager.create(self.holder)
        new, _ = self.successResultOf(self.manager.regenerate(session, self.holder))
        self.assertTrue(new.isNew)
        new["n"] = 1
        self.successResultOf(new.save())
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 1})

    def test_loggedOutMeanwhile(self) -> None:
        """
        A logout that comes first is a logout: no session is left.
        """
        self.store.hold("create")
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.successResultOf(self.place.destroy(KEY))
        self.store.release()
        self.failureResultOf(regenerated, NoSuchSession)
        self.assertEnded("destroyed")
        self.assertEqual(self.place._place._sessions, {})
        self.assertEqual(len(self.manager._lives), 0)

    def test_storeFails(self) -> None:
        """
        When the store fails, the old session stays, and no new one does.
        """
        for method in ("create", "destroy"):
            self.store.fail(StoreUnavailable(), method)
            regenerated = self.manager.regenerate(self.session, self.holder)
            self.failureResultOf(regenerated, StoreUnavailable)
            self.store.heal()
            self.run_(20)
            self.assertEqual(self.stored(), {"n": 0})
            self.assertEqual(list(self.manager._lives), [SID])
            self.assertEqual(self.manager._new, {})
        self.assertEqual(self.holder.reasons, [])
        self.session["n"] = 1
        self.successResultOf(self.session.save())

    def test_readWhileMoving(self) -> None:
        """
        Who reads the old session while it moves is told that it moved.
        """
        self.store.hold("destroy")
        regenerated = self.manager.regenerate(self.session, self.holder)
        keeper = self.session.keeper
        reloaded = self.session.reload()
        self.store.release()
        _, tell = self.successResultOf(regenerated)
        self.failureResultOf(reloaded, SessionError)
        tell()
        self.assertEqual(self.other.reasons, ["moved"])
        self.assertIsNone(keeper.unsaved())
