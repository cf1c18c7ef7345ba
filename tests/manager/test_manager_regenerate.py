"""
Tests for L{SessionManager.regenerate}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.manager.test_manager_end import EndCase
from tests.manager.test_manager_interleaving import LateStore
from tests.support.managing import KEY, SID, Recorder
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionError,
    SessionReplaced,
    Stored,
    StoreError,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.stores.memory import MemoryStore


def _oneMore(data: dict[str, Any]) -> None:
    data["n"] += 1


def _gone(failure: Failure) -> None:
    failure.trap(NoSuchSession)


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
        self.assertEqual(self.manager.statistics().sessions, 0)

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
            self.assertEqual(self.manager.statistics().sessions, 1)
            self.assertEqual(self.manager.statistics().newSessions, 0)
        self.assertEqual(self.holder.reasons, [])
        self.session["n"] = 1
        self.successResultOf(self.session.save())

    def test_changedByOthers(self) -> None:
        """
        What others store after the copy was made is merged into it: values,
        nested ones, increments, deletions, and what the web application
        writes.
        """
        self.put(n=5, gone=1, nested={"a": 1}, foreign=1)
        self.clock.advance(0)
        elsewhere = self.open(Recorder(), self.newManager())
        self.store.hold("create")
        regenerated = self.manager.regenerate(self.session, self.holder)
        elsewhere.increment("n", 2)
        elsewhere["nested"]["b"] = 2
        del elsewhere["gone"]
        self.successResultOf(elsewhere.save())
        data = self.stored() or {}
        self.put(**data | {"foreign": 2})
        self.store.release()
        new, _ = self.successResultOf(regenerated)
        expected = {"n": 7, "nested": {"a": 1, "b": 2}, "foreign": 2}
        self.assertEqual(self.stored(f"sess:{new.id}"), expected)
        self.assertEqual(dict(new), expected)
        self.assertIsNone(self.stored())

    def test_envelope(self) -> None:
        """
        What the framework keeps beside the data is in the new session as others
        left it: if they change nothing else meanwhile, too.
        """
        self.store.hold("create")
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.putRaw(b'{"cookie":{"originalMaxAge":9,"domain":"a.b"},"n":0}')
        self.store.release()
        new, _ = self.successResultOf(regenerated)
        current = self.successResultOf(self.place.load(f"sess:{new.id}"))
        assert current is not None
        cookie = json.loads(current.raw)["cookie"]
        self.assertEqual((cookie["originalMaxAge"], cookie["domain"]), (9, "a.b"))
        self.assertEqual(self.manager.cookieAttributes(new).domain, "a.b")
        self.assertIsNone(self.stored())

    def test_anywhere(self) -> None:
        """
        Wherever an increment or an update of another node comes in between, it
        is stored and in the new session, or it fails and is not; and there is
        one session in the end.
        """
        for step in range(12):
            for verb in "increment", "update":
                self.anywhere(step, verb)

    def anywhere(self, step: int, verb: str) -> None:
        self.setUp()
        store = LateStore(MemoryStore(place=self.place))
        manager = self.newManager(store)
        session = self.open(self.holder, manager)
        elsewhere = self.open(Recorder(), self.newManager())
        store.isPrompt = False
        session["own"] = 1
        regenerated = manager.regenerate(session, self.holder)
        told: list[object] = []
        for number in range(100):
            if number in (step, step + 2):
                if verb == "increment":
                    elsewhere.increment("n")
                    done = elsewhere.save()
                else:
                    done = elsewhere.update(_oneMore)
                done.addCallbacks(lambda _: told.append(1), _gone)
            if not store.questions:
                break
            # Done and answered are two things.
            question = store.questions[0]
            (question.reply if question.answer is not None else question.do)()
            store.questions = [q for q in store.questions if not q.waiting.called]
            self.clock.advance(0.1)
        new, _ = self.successResultOf(regenerated)
        expected = {"n": len(told), "own": 1}
        self.assertEqual(self.stored(f"sess:{new.id}"), expected)
        self.assertEqual(dict(new), expected)
        self.assertEqual(list(self.place._place._sessions), [f"sess:{new.id}"])

    def test_othersGoOn(self) -> None:
        """
        Who never gets a moment in which the session stays as it is gives up,
        and leaves the old one.
        """
        elsewhere = self.open(Recorder(), self.newManager())
        destroy = self.store.inner.destroy

        def first(key: str, old: bytes | None = None) -> Deferred[bool]:
            if key == KEY:
                elsewhere.increment("n")
                self.successResultOf(elsewhere.save())
            return destroy(key, old)

        self.patch(self.store.inner, "destroy", first)
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.run_(10, 0.01)
        self.failureResultOf(regenerated, StoreError)
        self.assertEqual(list(self.place._place._sessions), [KEY])
        self.assertGreater((self.stored() or {})["n"], 100)
        self.assertEqual(self.holder.reasons, [])

    def test_inDoubt(self) -> None:
        """
        When the store does not answer whether it deleted the old session, that
        is found out.
        """
        self.store.lose("destroy")
        regenerated = self.manager.regenerate(self.session, self.holder)
        new, _ = self.successResultOf(regenerated)
        self.assertEqual(list(self.place._place._sessions), [f"sess:{new.id}"])

    def test_inDoubtNotDone(self) -> None:
        """
        If it did not, it is tried again, with what was stored meanwhile.
        """
        destroy = self.store.inner.destroy
        answers: list[Deferred[bool]] = []

        def once(key: str, old: bytes | None = None) -> Deferred[bool]:
            self.patch(self.store.inner, "destroy", destroy)
            self.put(n=1)
            answers.append(fail(StoreTimeout()))
            return answers[0]

        self.patch(self.store.inner, "destroy", once)
        regenerated = self.manager.regenerate(self.session, self.holder)
        new, _ = self.successResultOf(regenerated)
        self.assertEqual(len(answers), 1)
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 1})
        self.assertEqual(list(self.place._place._sessions), [f"sess:{new.id}"])

    def test_inDoubtForGood(self) -> None:
        """
        If it cannot be found out, that is said; no new session stays, and who
        holds the old one is told when it is known that it is gone.
        """
        self.store.lose("destroy")
        self.store.hold("load")
        self.store.fail(StoreUnavailable(), "load")
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.failureResultOf(regenerated, StoreTimeout)
        self.assertEqual(self.place._place._sessions, {})
        self.store.heal()
        self.run_(2)
        self.assertEnded("destroyed")

    def test_somebodyElse(self) -> None:
        """
        If somebody else logs in meanwhile, there is no new session.
        """
        self.put(n=0, user="alice")
        self.clock.advance(0)
        self.store.hold("create")
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.put(n=0, user="bob")
        self.store.release()
        self.failureResultOf(regenerated, SessionReplaced)
        self.assertEnded("replaced")
        self.assertEqual(list(self.place._place._sessions), [KEY])

    def test_loggedOutHere(self) -> None:
        """
        A logout on the same node, while the old session is being deleted, is a
        logout.
        """
        self.store.hold("destroy")
        regenerated = self.manager.regenerate(self.session, self.holder)
        destroyed = self.session.destroy()
        self.store._gates.pop(1).callback(None)
        self.store.release()
        self.successResultOf(destroyed)
        self.failureResultOf(regenerated, NoSuchSession)
        self.assertEqual(self.place._place._sessions, {})

    def test_savedMeanwhile(self) -> None:
        """
        What others on the same node change is in the new session if they are
        told that it is stored, and otherwise not.
        """
        self.store.hold("replace", "create", "destroy")
        self.session["a"] = 1
        regenerated = self.manager.regenerate(self.session, self.holder)
        self.session["b"] = 1
        first = self.session.save()
        second = self.session.update(_oneMore)
        self.store._gates.pop(0).callback(None)
        self.store._gates.pop(0).callback(None)
        self.session["late"] = 1
        last = self.session.save()
        changed = self.session.update(_oneMore)
        self.store.release()
        new, _ = self.successResultOf(regenerated)
        self.successResultOf(first)
        self.successResultOf(second)
        self.failureResultOf(last, NoSuchSession)
        self.failureResultOf(changed, NoSuchSession)
        self.assertEqual(self.stored(f"sess:{new.id}"), {"n": 1, "a": 1, "b": 1})

    def test_settled(self) -> None:
        """
        Where web applications write, too, other nodes have time to put back
        what was overwritten.
        """
        here, there = (self.newManager(repair=True) for _ in range(2))
        session = self.open(self.holder, here)
        elsewhere = self.open(Recorder(), there)
        before = self.stored() or {}
        elsewhere.increment("n")
        self.successResultOf(elsewhere.save())
        self.put(**before)
        regenerated = here.regenerate(session, self.holder)
        self.run_(1, 0.01)
        new, _ = self.successResultOf(regenerated)
        self.assertEqual((new["n"], self.stored()), (1, None))

    def test_settledInTime(self) -> None:
        """
        The session waits for who wrote it and is there no more as long as it has
        to, also if the store is slow: others open it meanwhile.
        """
        store = self.newStore()
        here, there = self.newManager(store, repair=True), self.newManager(repair=True)
        elsewhere = self.open(Recorder(), there)
        elsewhere.increment("n")
        self.successResultOf(elsewhere.save())
        session = self.open(self.holder, here)
        load = store.inner.load

        def loadLater(key: str) -> Deferred[Stored | None]:
            late = deferLater(self.clock, 0.3, lambda: key)
            return late.addCallback(load)

        self.patch(store.inner, "load", loadLater)
        regenerated = here.regenerate(session, self.holder)
        self.run_(1.6, 0.01)
        new, _ = self.successResultOf(regenerated)
        self.assertEqual(new["n"], 1)

    def test_settledThoughOthersWrite(self) -> None:
        """
        So they have if the session never stays as it is, and something is
        overwritten at the last moment.
        """
        store = self.newStore()
        here, there = self.newManager(store, repair=True), self.newManager(repair=True)
        session = self.open(self.holder, here)
        elsewhere = self.open(Recorder(), there)
        load, destroy = store.inner.load, store.inner.destroy
        counted, written = 0, 0

        def count() -> None:
            nonlocal counted
            elsewhere.increment("n")
            self.successResultOf(elsewhere.save())
            counted += 1

        def loadLater(key: str) -> Deferred[Stored | None]:
            count()
            return load(key)

        def destroyLater(key: str, old: bytes | None = None) -> Deferred[bool]:
            nonlocal written
            if key == KEY and not written:
                written = 1
                data = json.loads(old or b"{}")
                count()
                self.put(**data | {"foreign": written})
            return destroy(key, old)

        self.patch(store.inner, "load", loadLater)
        self.patch(store.inner, "destroy", destroyLater)
        regenerated = here.regenerate(session, self.holder)
        self.run_(2, 0.01)
        new, _ = self.successResultOf(regenerated)
        self.assertEqual((new["n"], new["foreign"]), (counted, 1))
        self.assertIsNone(self.stored())

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
