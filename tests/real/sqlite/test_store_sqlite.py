"""
Tests for L{txsessionsock.stores.sqlite}.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from threading import Event
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from tests.support.storecase import FileCase, WaitingContract
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    ISessionStore,
    IWatchableStore,
    Stored,
    StoreError,
    StoreFailure,
    StoreRefusal,
    StoreTimeout,
    StoreUnavailable,
    UndecodableSession,
)
from txsessionsock.stores._sqlite.file import SessionFile
from txsessionsock.stores.sqlite import POLL_INTERVAL, SQLiteStore, _Batch
from txsessionsock.testing import WatchableContract


class _Fixture(FileCase):
    """
    Stores in one file.
    """

    filename = "sessions.db"

    def open(self, timeout: float = 2.0) -> SQLiteStore:
        """
        A store, as one more process would have it.
        """
        return self.closing(SQLiteStore(self.path, self.reactor, timeout))

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """
        Do something to the file behind everybody's back.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    def slowly(self, store: SQLiteStore) -> Event:
        """
        Have the thread of a store wait until the event is set.
        """
        event, begun = Event(), Event()

        def work(file: SessionFile) -> None:
            begun.set()
            event.wait()

        self.addCleanup(event.set)
        store._ask(work, writes=False).addErrback(
            lambda failure: failure.trap(StoreFailure)
        )
        begun.wait(10)
        return event


class SQLiteStoreContractTests(WaitingContract, WatchableContract, _Fixture):
    """
    L{SQLiteStore} keeps what stores promise.
    """

    lifetime = 20.0  # No sweep helps.

    def makeStore(self) -> ISessionStore:
        return self.open()


class FileTests(_Fixture):
    """
    Tests for the file of an L{SQLiteStore}.
    """

    def test_foreign(self) -> None:
        """
        What somebody else wrote into the file is a session that cannot be
        read, and others can.
        """
        store = self.open()
        for key in "text", "date", "k":
            self.reactor.wait(store.create(key, b"1", FOREVER))
        self.execute("UPDATE sessions SET raw = '1' WHERE key = 'text'")
        self.execute("UPDATE sessions SET expires = 'soon' WHERE key = 'date'")
        for key in "text", "date":
            answers: list[Deferred[Any]] = [
                store.load(key),
                store.replace(key, b"1", b"2", KEEP),
            ]
            for answer in answers:
                with self.assertRaisesRegex(UndecodableSession, "by this library"):
                    self.reactor.wait(answer)
            self.assertTrue(self.reactor.wait(store.destroy(key)))
        self.assertEqual(self.reactor.wait(store.load("k")), Stored(b"1", None))

    def test_memoryRefused(self) -> None:
        """
        What is no file is refused at once.
        """
        for path in ":memory:", "":
            error = self.assertRaises(ValueError, SQLiteStore, path, self.reactor)
            self.assertIn("memory:", str(error))

    def test_lazy(self) -> None:
        """
        A store that is not used makes no file, and closes at once.
        """
        store = SQLiteStore(self.path, self.reactor)
        self.successResultOf(store.close())
        self.assertEqual(os.listdir(self.directory), [])

    def test_mode(self) -> None:
        """
        What is in the file is for its owner alone, also in its companions.
        """
        self.addCleanup(os.umask, os.umask(0))
        store = self.open()
        self.reactor.wait(store.create("k", b"", FOREVER))
        names = os.listdir(self.directory)
        self.assertEqual(len(names), 3)
        for name in names:
            mode = os.stat(os.path.join(self.directory, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600, name)

    def test_kept(self) -> None:
        """
        What is stored is there for the next process; a path with odd
        characters is a path.
        """
        self.path = os.path.join(self.directory, "a b%20?mode=ro#é.db")
        store = self.open()
        self.reactor.wait(store.create("k", b"1", FOREVER))
        self.reactor.wait(store.close())
        self.assertEqual(os.listdir(self.directory), [os.path.basename(self.path)])
        stored = self.reactor.wait(self.open().load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"1")

    def test_otherApplication(self) -> None:
        """
        The database of another application is refused and left as it is.
        """
        self.execute("CREATE TABLE sessions (id)")
        with open(self.path, "rb") as file:
            before = file.read()
        store = self.open()
        text = self.outage(store.load("k"), StoreError)
        self.assertIn("another application", text)
        self.outage(store.fence("k"), StoreUnavailable)
        self.outage(store.create("k", b"", FOREVER), StoreError)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_noDatabase(self) -> None:
        """
        A file that is something else altogether is refused and left as it is.
        """
        with open(self.path, "w") as file:
            file.write("Dear diary,\n" * 1000)
        text = self.outage(self.open().create("k", b"", FOREVER), StoreError)
        self.assertIn("not an SQLite database", text)
        with open(self.path) as file:
            self.assertEqual(file.read(), "Dear diary,\n" * 1000)

    def test_newerSchema(self) -> None:
        """
        A file of a later version is refused.
        """
        store = self.open()
        self.reactor.wait(store.create("k", b"", FOREVER))
        self.reactor.wait(store.close())
        self.execute("PRAGMA user_version = 2")
        text = self.outage(self.open().load("k"), StoreError)
        self.assertIn("schema 2", text)

    def test_directoryMissing(self) -> None:
        """
        While the directory is missing the store cannot be reached; when it is
        there, it can.
        """
        self.path = os.path.join(self.directory, "sub", "sessions.db")
        store = self.open()
        text = self.outage(store.create("k", b"", FOREVER), StoreUnavailable)
        self.assertIn("No such file", text)
        os.makedirs(os.path.dirname(self.path))
        self.assertTrue(self.reactor.wait(store.create("k", b"", FOREVER)))

    def test_fileIsDirectory(self) -> None:
        """
        A directory is no file.
        """
        os.makedirs(self.path)
        self.outage(self.open().load("k"), StoreUnavailable)

    def test_deleted(self) -> None:
        """
        A file that vanishes takes no sessions with it: the store fails until
        the file is back, and then reports every watched key.
        """
        store = self.open()
        reported: list[str] = []
        self.reactor.wait(store.create("k", b"1", FOREVER))
        store.watch("k", reported.append)
        self.reactor.wait(store.fence("k"))
        reported.clear()
        away = self.path + ".away"
        # What is in the write-ahead log is part of the file.
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.rename(self.path, away)
        for answer in (
            store.load("k"),
            store.replace("k", b"1", b"2", FOREVER),
            store.fence("k"),
        ):
            text = self.outage(answer, StoreUnavailable)
            self.assertIn("gone", text)
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual(reported, [])
        os.rename(away, self.path)
        self.reactor.waitUntil(lambda: reported == ["k"])
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"1")

    def test_replaced(self) -> None:
        """
        Another file in the place of the first is noticed.
        """
        store = self.open()
        reported: list[str] = []
        self.reactor.wait(store.create("k", b"1", FOREVER))
        store.watch("k", reported.append)
        self.reactor.wait(store.fence("k"))
        reported.clear()
        original, self.path = self.path, self.path + ".other"
        other = self.open()
        self.reactor.wait(other.create("k", b"another", FOREVER))
        self.reactor.wait(other.close())
        for suffix in "-wal", "-shm":
            os.remove(original + suffix)
        os.replace(self.path, original)
        self.path = original
        self.reactor.wait(store.fence("k"))
        self.assertEqual(reported, ["k"])
        stored = self.reactor.wait(store.load("k"))
        assert stored is not None
        self.assertEqual(stored.raw, b"another")

    def test_readOnly(self) -> None:
        """
        What cannot be written can be read, and watched.
        """
        store = self.open()
        self.reactor.wait(store.create("k", b"1", FOREVER))
        connection = store._file._connection
        assert connection is not None
        connection.execute("PRAGMA query_only = 1")
        loaded = store.load("k")
        replaced = store.replace("k", b"1", b"2", FOREVER)
        text = self.outage(replaced, StoreError)
        self.assertIn("readonly", text)
        self.assertIsNotNone(self.reactor.wait(loaded))

    def test_full(self) -> None:
        """
        A full disk is an outage, and nothing is written by halves.
        """
        store = self.open()
        self.reactor.wait(store.create("k", b"1", FOREVER))
        connection = store._file._connection
        assert connection is not None
        connection.execute("PRAGMA max_page_count = 10")
        event = self.slowly(store)
        small = store.touch("k", 60.0)
        big = store.replace("k", b"1", bytes(10**6), KEEP)
        event.set()
        self.outage(big, StoreUnavailable)
        with self.assertRaises(StoreUnavailable):
            self.reactor.wait(small)
        self.assertEqual(
            self.execute("SELECT raw, expires FROM sessions"), [(b"1", None)]
        )
        connection.execute("PRAGMA max_page_count = 100000")
        self.reactor.wait(store.replace("k", b"1", bytes(10**6), KEEP))

    def test_fullForgetsNothing(self) -> None:
        """
        What others did is reported, even if it was seen in a transaction that
        came to nothing.
        """
        store, other = self.open(), self.open()
        reported: list[str] = []
        self.reactor.wait(store.create("k", b"1", FOREVER))
        store.watch("k", reported.append)
        self.reactor.wait(store.fence("k"))
        reported.clear()
        event = self.slowly(store)
        self.reactor.wait(other.touch("k", 1000.0))
        big = store.replace("k", b"1", bytes(10**6), KEEP)
        connection = store._file._connection
        assert connection is not None
        connection.execute("PRAGMA max_page_count = 10")
        event.set()
        self.outage(big, StoreUnavailable)
        self.reactor.wait(store.fence("k"))
        self.assertEqual(reported, ["k"])

    def test_commitFails(self) -> None:
        """
        What becomes of a transaction whose commit fails is unknown; the store
        goes on with the next.
        """
        store = self.open()
        self.reactor.wait(store.create("k", b"1", FOREVER))
        connection = store._file._connection
        assert connection is not None
        connection.execute("PRAGMA foreign_keys = 1")
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
        )
        broken = store._ask(lambda file: file._write("INSERT INTO b VALUES (7)"))
        self.outage(broken, StoreTimeout)
        self.reactor.wait(store.replace("k", b"1", b"2", KEEP))

    def test_unfit(self) -> None:
        """
        A key that SQLite cannot hold is refused, without being shown, and
        spoils nothing that is done in the same transaction.
        """
        store = self.open()
        self.reactor.wait(store.load("warm"))
        event = self.slowly(store)
        good = store.create("good", b"", FOREVER)
        bad = store.create("secret\ud800", b"", FOREVER)
        also = store.create("also", b"", FOREVER)
        event.set()
        text = self.outage(bad, StoreRefusal)
        self.assertNotIn("secret", text)
        self.assertEqual(
            (self.reactor.wait(good), self.reactor.wait(also)), (True, True)
        )


class TimeTests(_Fixture):
    """
    Tests for locks, deadlines and the end of a store.
    """

    def test_locked(self) -> None:
        """
        While another process writes, one can read; what cannot be written in
        time was not written.
        """
        store = self.open(timeout=0.4)
        self.reactor.wait(store.create("k", b"1", FOREVER))
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        loaded, replaced = store.load("k"), store.replace("k", b"1", b"2", FOREVER)
        fenced, conflict = store.fence("k"), store.replace("k", b"0", b"2", FOREVER)
        self.assertIsNotNone(self.reactor.wait(loaded))
        self.reactor.wait(fenced)
        for answer in replaced, conflict:
            text = self.outage(answer, StoreUnavailable)
            self.assertIn("locked", text)
        replaced = store.replace("k", b"1", b"3", FOREVER)
        connection.execute("COMMIT")
        self.assertEqual(self.reactor.wait(replaced).raw, b"3")

    def test_timeout(self) -> None:
        """
        What takes too long is not done, nor is what was not begun; what has
        more time is.  The store goes on when it can.
        """
        self.reactor.wait(self.open().create("k", b"1", FOREVER))
        store = self.open(timeout=0.2)
        event, begun = Event(), Event()

        def slow(file: SessionFile) -> None:
            begun.set()
            event.wait(10)
            file.destroy("k")

        hold = self.slowly(store)
        running = store._ask(slow)
        # Enough for the slowest machine.
        store._timeout = 10.0
        more = store.create("more", b"", FOREVER)
        store._timeout = 0.2
        hold.set()
        self.reactor.waitUntil(begun.is_set)
        waiting = store.create("never", b"", FOREVER)
        self.outage(running, StoreUnavailable)
        self.outage(waiting, StoreUnavailable)
        event.set()
        store._timeout = 10.0
        self.assertIs(self.reactor.wait(more), True)
        self.assertIsNone(self.reactor.wait(store.load("never")))
        self.assertIsNotNone(self.reactor.wait(store.load("k")))

    def test_timeoutOfCommit(self) -> None:
        """
        Whether it was done that took too long when it could not be stopped any
        more is known before anything else is answered.
        """
        self.reactor.wait(self.open().create("k", b"1", FOREVER))
        store = self.open(timeout=0.2)
        self.reactor.wait(store.load("k"))
        event, mayCommit = Event(), _Batch.mayCommit

        def slowly(batch: _Batch) -> bool:
            may = mayCommit(batch)
            event.wait(10)
            return may

        self.addCleanup(event.set)
        self.patch(_Batch, "mayCommit", slowly)
        doubts: list[Any] = []
        hold = self.slowly(store)
        answers: list[Deferred[Any]] = [store.destroy("k")]
        answers.append(store.replace("k", b"1", b"2", FOREVER))
        hold.set()
        for answer in answers:
            answer.addErrback(lambda failure: doubts.append(failure.value))
            self.reactor.wait(answer)
        self.assertEqual([type(doubt) for doubt in doubts], [StoreTimeout] * 2)
        self.assertEqual([doubt.isDone for doubt in doubts], [None, None])
        store._timeout = 10.0
        loaded = store.load("k")
        event.set()
        self.assertIsNone(self.reactor.wait(loaded))
        self.assertEqual([doubt.isDone for doubt in doubts], [True, False])

    def test_cancel(self) -> None:
        """
        What is cancelled before its turn is not done.
        """
        store = self.open()
        self.reactor.wait(store.load("warm"))
        event = self.slowly(store)
        answer = store.create("k", b"", FOREVER)
        answer.cancel()
        with self.assertRaises(CancelledError):
            self.reactor.wait(answer)
        event.set()
        self.assertIsNone(self.reactor.wait(store.load("k")))

    def test_close(self) -> None:
        """
        Closing finishes what was asked, may be repeated, and ends the rest.
        """
        store = self.open()
        store.watch("k", lambda key: None)
        created = store.create("k", b"", FOREVER)
        self.reactor.wait(store.close())
        self.assertTrue(self.successResultOf(created))
        self.successResultOf(store.close())
        store.watch("k", lambda key: None)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        failure = self.failureResultOf(store.load("k"), StoreUnavailable)
        self.assertIn("closed", str(failure.value))
        self.assertEqual(os.listdir(self.directory), ["sessions.db"])

    def test_fencesShare(self) -> None:
        """
        All fences that wait are passed by one look, and a fence that comes
        while a look is under way waits for the next.
        """
        store = self.open()
        self.reactor.wait(store.load("warm"))
        looks = 0
        look = store._file._look

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        self.patch(store._file, "_look", counted)
        event = self.slowly(store)
        self.assertEqual(looks, 1)
        fences = [store.fence(f"k{n}") for n in range(50)]
        event.set()
        self.reactor.wait(gatherResults(fences))
        self.assertEqual(looks, 2)

    def test_fenceBlind(self) -> None:
        """
        A change that is made while a look is under way is reported by the next
        look, before the fence that was set after the change.
        """
        store, other = self.open(), self.open()
        reported: list[str] = []
        self.reactor.wait(store.create("k", b"1", FOREVER))
        store.watch("k", reported.append)
        self.reactor.wait(store.fence("k"))
        begun, event = Event(), Event()
        self.addCleanup(event.set)

        def slow(file: SessionFile) -> None:
            begun.set()
            event.wait(10)

        store._ask(slow, writes=False)
        begun.wait(10)
        reported.clear()
        self.reactor.wait(other.touch("k", 60.0))
        fenced = store.fence("k")
        event.set()
        self.reactor.wait(fenced)
        self.assertEqual(reported, ["k"])

    def test_polledOnlyWhileWatched(self) -> None:
        """
        Nothing is asked of a file in which nothing is watched.
        """
        store = self.open()
        self.reactor.wait(store.load("k"))
        self.reactor.advance(5)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        stop = store.watch("k", lambda key: None)
        (timer,) = self.reactor.getDelayedCalls()
        self.assertLessEqual(timer.getTime(), self.reactor.seconds() + POLL_INTERVAL)
        stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class SweepTests(_Fixture):
    """
    Tests for what becomes of sessions that ended.
    """

    def rows(self) -> int:
        """
        How many rows there are.
        """
        ((count,),) = self.execute("SELECT count(*) FROM sessions")
        assert isinstance(count, int)
        return count

    def fill(self, store: IWatchableStore, count: int) -> None:
        """
        Have many sessions.
        """
        for first in range(0, count, 200):
            keys = [f"k{n}" for n in range(first, min(first + 200, count))]
            creating = [store.create(key, b"", 30.0) for key in keys]
            self.reactor.wait(gatherResults(creating))

    def test_sweep(self) -> None:
        """
        Sessions that expired, and a minute later their tombstones, leave the
        file, however many there are, and no session that lives does.
        """
        store = self.open(timeout=60.0)
        self.fill(store, 10_000)
        self.reactor.wait(store.create("stays", b"", FOREVER))
        self.reactor.wait(store.create("longer", b"", 1e6))
        self.reactor.advance(61)
        for _ in range(20):
            self.reactor.wait(store.load("any"))
        ((alive,),) = self.execute(
            "SELECT count(*) FROM sessions WHERE raw IS NOT NULL"
        )
        self.assertEqual((alive, self.rows()), (2, 10_002))
        self.reactor.advance(61)
        for _ in range(20):
            self.reactor.wait(store.load("any"))
        self.assertEqual(self.rows(), 2)
        for key in "stays", "longer":
            self.assertIsNotNone(self.reactor.wait(store.load(key)))

    def test_sweptByAnother(self) -> None:
        """
        Who did not look before the session was swept is told all the same.
        """
        store, other = self.open(), self.open()
        reported: list[str] = []
        self.fill(other, 1)
        store.watch("k0", reported.append)
        self.reactor.wait(store.fence("k0"))
        reported.clear()
        event = self.slowly(store)
        self.reactor.advance(61)
        self.reactor.wait(other.load("any"))
        ((raw,),) = self.execute("SELECT raw FROM sessions")
        self.assertIsNone(raw)
        event.set()
        self.reactor.waitUntil(lambda: reported == ["k0"])

    def test_graveMissed(self) -> None:
        """
        When tombstones went that this store has not seen, it reports all that
        is watched.
        """
        store, other = self.open(), self.open()
        reported: list[str] = []
        self.reactor.wait(other.create("k", b"", FOREVER))
        self.reactor.wait(other.create("j", b"", FOREVER))
        store.watch("k", reported.append)
        store.watch("j", reported.append)
        self.reactor.wait(store.fence("k"))
        reported.clear()
        event = self.slowly(store)
        self.reactor.wait(other.destroy("k"))
        self.reactor.advance(61)
        self.reactor.wait(other.load("any"))
        self.assertEqual(self.rows(), 1)
        event.set()
        self.reactor.wait(store.fence("k"))
        self.assertEqual(sorted(reported), ["j", "k"])

    def test_many(self) -> None:
        """
        When very much was changed, all that is watched is reported.
        """
        store, other = self.open(), self.open()
        reported: list[str] = []
        store.watch("elsewhere", reported.append)
        self.reactor.wait(store.fence("k"))
        reported.clear()
        event = self.slowly(store)
        self.fill(other, 6000)
        event.set()
        self.reactor.wait(store.fence("k"))
        self.assertEqual(reported, ["elsewhere"])

    def test_endsAtOnce(self) -> None:
        """
        A deadline that is now, or was, ends a session, and that is reported.
        """
        store = self.open()
        reported: list[str] = []
        store.watch("k", reported.append)
        for ttl in 0.0, -60.0:
            self.reactor.wait(store.create("k", b"1", 30.0))
            self.reactor.wait(store.fence("k"))
            reported.clear()
            self.reactor.wait(store.touch("k", ttl))
            self.assertIsNone(self.reactor.wait(store.load("k")))
            self.reactor.wait(store.fence("k"))
            self.assertEqual(reported, ["k"])


class InterruptedTests(_Fixture):
    """
    Tests for a copy of a file in use.
    """

    def test_copy(self) -> None:
        """
        What was answered is in the file and its log, whatever becomes of the
        process.
        """
        store = self.open()
        for n in range(20):
            self.reactor.wait(store.create(f"k{n}", b"", FOREVER))
        copy = self.path + ".copy"
        for suffix in "", "-wal":
            shutil.copy(self.path + suffix, copy + suffix)
        self.path = copy
        reader = self.open()
        for n in range(20):
            self.assertIsNotNone(self.reactor.wait(reader.load(f"k{n}")))
