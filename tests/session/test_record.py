"""
Tests for L{txsessionsock.session.record}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.support.managing import raw
from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import (
    KEEP,
    IncrementError,
    SessionReplaced,
    Stored,
    StoreTimeout,
    UndecodableSession,
    UnencodableSession,
)
from txsessionsock.session import Change, Journal, Record, Update, WriteAttempt
from txsessionsock.session.journal import STAMP


def stored(**data: Any) -> Stored:
    """
    A session as the store has it.
    """
    return Stored(raw(**data), None)


class RecordCase(SynchronousTestCase):
    """
    A record of a session.
    """

    def setUp(self) -> None:
        self.framework = Express(secrets=["s"], ttl=100)
        document = self.framework.loads(raw(n=1), 0)
        self.record = Record(self.framework, document)
        self.record.stored = stored(n=1)
        self.copy = self.record.copy

    def prepare(self, *changes: Change) -> WriteAttempt:
        """
        Find out what is to be written, which is something.
        """
        self.record.collect()
        attempt = self.record.prepare(list(changes), 0)
        assert attempt is not None
        return attempt

    def change(self, f: Callable[[dict[str, Any]], Any]) -> Update:
        return Update(f, Deferred())

    def writes(self, attempt: WriteAttempt) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(attempt.new)
        del data["cookie"]
        data.pop(STAMP, None)
        return data


class RecordTests(RecordCase):
    """
    What is stored, what was changed.
    """

    def test_nothing(self) -> None:
        """
        What did not change is not written.
        """
        self.assertIsNone(self.record.prepare([], 0))
        self.assertFalse(self.record.unsaved)

    def test_logoutBeatsChange(self) -> None:
        """
        A login that one side ended does not come back with what the other
        side changed in it; otherwise a change beats a deletion.
        """
        login = {"id": 7, "seen": 1}
        for key, isBack in (("user", False), ("draft", True)):
            for weEndIt in (True, False):
                document = self.framework.loads(raw(**{key: login}), 0)
                record = Record(self.framework, document)
                record.stored = stored(**{key: login})
                if weEndIt:
                    record.copy.delete(key)
                    theirs = stored(**{key: {**login, "seen": 2}})
                else:
                    record.copy.get(key)["seen"] = 2
                    theirs = stored(other=1)
                record.collect()
                record.absorb(theirs, 0)
                self.assertEqual(key in record.copy.data, isBack, (key, weEndIt))

    def test_attempt(self) -> None:
        """
        A write replaces exactly what is stored, and until it is done what
        changed is unsaved.
        """
        self.copy.assign("m", 2)
        attempt = self.prepare()
        self.assertEqual(attempt.old, raw(n=1))
        self.assertEqual(self.writes(attempt), {"n": 1, "m": 2})
        self.assertEqual((attempt.ttl, self.record.size), (100, len(attempt.new)))
        self.assertTrue(self.record.unsaved)
        self.assertEqual(self.record.landed(attempt, Stored(attempt.new, 5)), [])
        self.assertFalse(self.record.unsaved)
        self.assertEqual(self.record.stored, Stored(attempt.new, 5))
        self.assertIsNone(self.record.prepare([], 0))

    def test_new(self) -> None:
        """
        One that is new is created once something is in it, or if it is
        wanted.
        """
        record = Record(self.framework, self.framework.newDocument(0))
        self.assertIsNone(record.prepare([], 0))
        self.assertFalse(record.unsaved)
        record.isWanted = True
        self.assertTrue(record.unsaved)
        attempt = record.prepare([], 0)
        assert attempt is not None
        self.assertIsNone(attempt.old)

    def test_envelope(self) -> None:
        """
        What the framework keeps beside the data goes back as it came, also
        when others changed it.
        """
        self.copy.assign("m", 2)
        other = json.dumps({"cookie": {"originalMaxAge": None, "x": 1}, "n": 1})
        self.record.refused(self.prepare())
        self.record.absorb(Stored(other.encode(), None), 0)
        self.assertEqual(json.loads(self.prepare().new)["cookie"]["x"], 1)

    def test_equalBytes(self) -> None:
        """
        Equal bytes change nothing but the deadline.
        """
        self.assertEqual(self.record.absorb(Stored(raw(n=1), 7), 0), [])
        self.assertEqual(self.record.stored, Stored(raw(n=1), 7))

    def test_merged(self) -> None:
        """
        Other bytes are merged.
        """
        self.copy.increment("n", 1)
        self.record.collect()
        self.assertEqual(self.record.absorb(stored(n=5, m=1), 0), ["n", "m"])
        self.assertEqual(self.writes(self.prepare()), {"n": 6, "m": 1})

    def test_undecodable(self) -> None:
        """
        What cannot be understood leaves everything as it was.
        """
        with self.assertRaises(UndecodableSession):
            self.record.absorb(Stored(b"?", None), 0)
        self.assertEqual(self.record.stored, stored(n=1))

    def test_people(self) -> None:
        """
        Two different people are never merged; one and nobody are.
        """
        for ours, theirs, isReplaced in (
            (1, 2, True),
            (1, None, False),
            (None, 2, False),
            (1, 1, False),
        ):
            self.setUp()
            self.copy.assign("userId", ours)
            self.record.collect()
            if isReplaced:
                with self.assertRaises(SessionReplaced):
                    self.record.absorb(stored(userId=theirs), 0)
                self.assertEqual(self.copy.data["userId"], 1)
            else:
                self.record.absorb(stored(userId=theirs), 0)

    def counted(self) -> list[dict[str, Any]]:
        """
        The data in which somebody looked for who is logged in, from now on.
        """
        looked: list[dict[str, Any]] = []
        identify = self.framework.identity

        def counting(data: dict[str, Any]) -> object:
            looked.append(data)
            return identify(data)

        self.patch(self.framework, "identity", counting)
        return looked

    def test_identityOnce(self) -> None:
        """
        Who is logged in is found out once for a foreign change, if nothing was
        changed here, however often somebody asks.
        """
        self.assertIsNone(self.record.identity)
        looked = self.counted()
        for n, user in enumerate((None, "ann", "ann", None, "ann")):
            self.record.absorb(stored(n=n, userId=user), 0)
            self.assertEqual([self.record.identity] * 3, [user] * 3)
            self.assertEqual(len(looked), n + 1)

    def test_anotherAfterwards(self) -> None:
        """
        Who logs in after somebody else was logged in takes the session from those who
        had it then, also where somebody saw that it was nobody's meanwhile, or took
        the login out here.  Whoever comes back has it still.
        """
        self.record.absorb(stored(n=1, userId="ann"), 0)
        self.record.absorb(stored(n=2), 0)
        self.record.absorb(stored(n=3, userId="ann"), 0)
        self.copy.delete("userId")
        self.store()
        self.assertIsNone(self.record.identity)
        self.assertRaises(
            SessionReplaced, self.record.absorb, stored(n=4, userId="bob"), 0
        )

    def test_anotherByUs(self) -> None:
        """
        Who logged in here last is who was logged in last, also if that one logged out
        here before anybody looked.
        """
        self.record.absorb(stored(n=1, userId="ann"), 0)
        self.copy.assign("userId", "bob")
        self.store()
        self.copy.delete("userId")
        self.store()
        self.assertRaises(
            SessionReplaced, self.record.absorb, stored(n=2, userId="ann"), 0
        )

    def store(self) -> None:
        """
        Store what was changed.
        """
        self.record.collect()
        attempt = self.record.prepare([], 0)
        assert attempt is not None
        self.record.landed(attempt, Stored(attempt.new, None))

    def test_identityChangedHere(self) -> None:
        """
        What is changed here counts at once.
        """
        self.record.absorb(stored(userId="ann", user={"id": 1}), 0)
        self.copy.assign("userId", None)
        self.assertEqual(self.record.identity, 1)
        self.copy.get("user")["id"] = 2
        self.assertEqual(self.record.identity, 2)
        self.record.collect()
        self.assertEqual(self.record.identity, 2)
        self.assertRaises(
            SessionReplaced, self.record.absorb, stored(n=2, user={"id": 1}), 0
        )

    def test_noNumber(self) -> None:
        """
        An increment of what is no number is a problem that names the key.
        """
        self.copy.increment("n", 1)
        self.record.collect()
        self.record.absorb(stored(n="x"), 0)
        self.assertIsInstance(self.record.problem, IncrementError)
        self.assertIn("'n'", str(self.record.problem))

    def test_unencodable(self) -> None:
        """
        What cannot be stored has its stored value again, also what cannot be
        copied.
        """
        cycle: list[Any] = []
        cycle.append(cycle)
        for value in ({1}, cycle):
            self.setUp()
            self.copy.assign("n", value)
            self.copy.assign("m", 2)
            self.assertEqual(self.writes(self.prepare()), {"n": 1, "m": 2})
            assert isinstance(self.record.problem, UnencodableSession)
            self.assertEqual(self.record.problem.keys, ("n",))

    def test_onlyTheUnencodable(self) -> None:
        """
        Of several changes, only those fail that put in what cannot be stored.
        """
        good, bad = (
            self.change(lambda d: d.update(a=1)),
            self.change(lambda d: d.update(b={1})),
        )
        after = self.change(lambda d: d.update(c="b" in d))
        attempt = self.prepare(good, bad, after)
        self.assertEqual(self.writes(attempt), {"n": 1, "a": 1, "c": False})
        self.failureResultOf(bad.done, UnencodableSession)
        self.assertEqual(attempt.pending, [good, after])
        self.assertIsNone(self.record.problem)

    def test_undone(self) -> None:
        """
        An assignment that was undone is forgotten: increments made later are
        increments.
        """
        for value in (5, 1):
            self.copy.assign("n", value)
            self.record.collect()
        self.assertIsNone(self.record.prepare([], 0))
        self.copy.increment("n", 1)
        self.record.collect()
        self.record.absorb(stored(n=100), 0)
        self.assertEqual(self.writes(self.prepare()), {"n": 101})

    def test_equalUpdate(self) -> None:
        """
        Changes that change nothing are to be confirmed, not written.
        """
        attempt = self.prepare(self.change(len))
        self.assertEqual((attempt.old, attempt.new), (raw(n=1), raw(n=1)))
        self.assertIs(attempt.ttl, KEEP)


class DoubtCase(RecordCase):
    """
    Attempts that nobody answered.

    @ivar error: What the next one fails with.
    """

    def setUp(self) -> None:
        super().setUp()
        self.error = StoreTimeout()

    def lost(self, *changes: Change) -> WriteAttempt:
        """
        An attempt that nobody answered.
        """
        attempt = self.prepare(*changes)
        self.record.timedOut(attempt, self.error)
        self.assertTrue(self.record.isInDoubt)
        return attempt

    def addOne(self) -> Update:
        return self.change(lambda data: data.update(u=data.get("u", 0) + 1))


class StampedDoubtTests(DoubtCase):
    """
    Our stamp tells which attempt it was that stored something.
    """

    def setUp(self) -> None:
        super().setUp()
        document = self.framework.loads(raw(n=1), 0)
        self.record = Record(self.framework, document, Journal("one"))
        self.record.stored = stored(n=1)
        self.copy = self.record.copy

    def test_done(self) -> None:
        """
        Our bytes show that it was done, with its changes.
        """
        self.copy.increment("n", 1)
        change = self.addOne()
        attempt = self.lost(change)
        self.assertEqual(self.record.absorb(Stored(attempt.new, None), 0), ["u"])
        self.assertFalse(self.record.isInDoubt)
        self.assertFalse(self.record.unsaved)
        self.assertIsNone(self.successResultOf(change.done))
        self.assertEqual(self.copy.data, {"n": 2, "u": 1})

    def test_notDone(self) -> None:
        """
        The old ones show that it was not; it is to be done again.
        """
        self.copy.increment("n", 1)
        change = self.addOne()
        attempt = self.lost(change)
        self.assertEqual(self.record.absorb(stored(n=1), 0), [])
        self.assertEqual(attempt.pending, [change])
        self.assertEqual(self.writes(self.prepare()), {"n": 2})

    def test_late(self) -> None:
        """
        One that is done after it was begun again counts once, as do its
        changes.
        """
        self.copy.increment("n", 1)
        change = self.addOne()
        first = self.lost(change)
        self.record.absorb(stored(n=1), 0)
        self.copy.increment("n", 1)
        second = self.prepare(*first.pending)
        self.assertEqual(self.writes(second), {"n": 3, "u": 1})
        self.record.refused(second)
        self.record.absorb(Stored(first.new, None), 0)
        self.assertIsNone(self.successResultOf(change.done))
        self.assertEqual(second.pending, [])
        self.assertEqual(self.writes(self.prepare()), {"n": 3, "u": 1})

    def test_lateWhileAnotherIsInDoubt(self) -> None:
        """
        Also if the second one was not answered either: it cannot have been
        done then.
        """
        self.copy.increment("n", 1)
        first = self.lost()
        self.record.absorb(stored(n=1), 0)
        self.copy.increment("n", 1)
        self.lost()
        self.record.absorb(Stored(first.new, None), 0)
        self.assertFalse(self.record.isInDoubt)
        self.record.absorb(stored(n=100), 0)
        self.assertEqual(self.writes(self.prepare()), {"n": 102})


class DoubtTests(DoubtCase):
    """
    Without stamps, nothing tells.
    """

    def test_equalBytes(self) -> None:
        """
        Bytes like ours may be somebody else's, who counted, too: what is done
        by then is neither taken for ours nor done twice.
        """
        self.copy.increment("n", 1)
        self.copy.assign("m", 1)
        change = self.addOne()
        attempt = self.lost(change)
        self.record.absorb(Stored(attempt.new, None), 0)
        self.failureResultOf(change.done, StoreTimeout)
        self.assertIsInstance(self.record.problem, StoreTimeout)
        self.assertFalse(self.record.isInDoubt)
        self.assertEqual(self.copy.data, {"n": 2, "m": 1, "u": 1})
        self.assertIsNone(self.record.prepare([], 0))

    def test_oldBytes(self) -> None:
        """
        Nor do the old ones tell that nothing was done: somebody may have undone
        it.
        """
        self.copy.increment("n", 1)
        self.copy.assign("m", 1)
        change = self.addOne()
        self.lost(change)
        self.assertEqual(self.record.absorb(stored(n=1), 0), [])
        self.failureResultOf(change.done, StoreTimeout)
        self.assertIsInstance(self.record.problem, StoreTimeout)
        self.assertEqual(self.copy.data, {"n": 1, "m": 1})
        self.assertEqual(self.writes(self.prepare()), {"n": 1, "m": 1})

    def test_storeKnows(self) -> None:
        """
        The store may learn what it did, which is for certain, whatever is there:
        the bytes of the attempt, the old ones, or others.
        """
        for isDone in True, False:
            for n in 1, 2, 10:
                self.setUp()
                self.copy.increment("n", 1)
                change = self.addOne()
                attempt = self.lost(change)
                self.error.isDone = isDone
                self.record.absorb(stored(n=n, u=1) if n == 2 else stored(n=n), 0)
                self.assertFalse(self.record.isInDoubt)
                self.assertIsNone(self.record.problem)
                expected = n if isDone else n + 1
                self.assertEqual(self.copy.data["n"], expected, (isDone, n))
                self.assertEqual(attempt.pending, [] if isDone else [change])

    def test_assignments(self) -> None:
        """
        Assignments are there, whoever made them, or are made again.
        """
        self.copy.assign("m", 1)
        attempt = self.lost()
        self.record.absorb(Stored(attempt.new, None), 0)
        self.assertIsNone(self.record.problem)
        self.assertFalse(self.record.unsaved)
        self.copy.assign("m", 2)
        self.lost()
        self.record.absorb(Stored(attempt.new, None), 0)
        self.assertIsNone(self.record.problem)
        self.assertEqual(self.writes(self.prepare()), {"n": 1, "m": 2})

    def test_unknown(self) -> None:
        """
        Others show nothing: increments and updates are given up.
        """
        self.copy.increment("n", 1)
        self.copy.assign("m", 1)
        change = self.addOne()
        self.lost(change)
        self.copy.increment("n", 5)
        self.record.collect()
        self.record.absorb(stored(n=10), 0)
        self.failureResultOf(change.done, StoreTimeout)
        self.assertIsInstance(self.record.problem, StoreTimeout)
        self.assertEqual(self.writes(self.prepare()), {"n": 15, "m": 1})

    def test_unknownAssignment(self) -> None:
        """
        An assignment is made again, and stays one: it is not added to.
        """
        self.copy.assign("n", 5)
        self.lost()
        self.copy.increment("n", 1)
        self.record.collect()
        self.record.absorb(stored(n=100), 0)
        self.assertEqual(self.writes(self.prepare()), {"n": 6})

    def test_noLongerLate(self) -> None:
        """
        When others have written, it cannot be done any more; equal bytes that
        they write are theirs.
        """
        self.copy.assign("m", 1)
        attempt = self.lost()
        self.record.absorb(stored(n=7), 0)
        again = self.prepare()
        self.record.landed(again, Stored(again.new, None))
        self.record.absorb(Stored(attempt.new, None), 0)
        self.assertIsNone(self.record.prepare([], 0))
        self.assertEqual(self.copy.data, {"n": 1, "m": 1})

    def test_neverStored(self) -> None:
        """
        A new session that was not stored after all is still to be stored.
        """
        self.record = Record(self.framework, self.framework.newDocument(0))
        self.copy = self.record.copy
        self.copy.assign("m", 1)
        self.lost()
        self.record.neverStored()
        self.assertEqual(self.writes(self.prepare()), {"m": 1})
