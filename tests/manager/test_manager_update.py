"""
Tests for L{Session.update}: read, change and store as one step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from operator import methodcaller
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from tests.manager.test_manager_save import SaveCase
from tests.support.managing import KEY, Recorder
from txsessionsock.interfaces import SessionError, StoreUnavailable, UnencodableSession


def addOne(data: dict[str, Any]) -> int:
    """
    Count, and tell how far.
    """
    data["n"] += 1
    count: int = data["n"]
    return count


class UpdateTests(SaveCase):
    """
    What a function does to the data.
    """

    def test_result(self) -> None:
        """
        What it did is stored, and the result is what it returned.
        """
        self.assertEqual(self.successResultOf(self.session.update(addOne)), 1)
        self.assertEqual((self.stored(), self.session["n"]), ({"n": 1}, 1))

    def test_conflict(self) -> None:
        """
        It is called again on what others wrote.
        """
        self.put(n=10, theirs=1)
        updated = self.session.update(addOne)
        self.assertEqual(self.successResultOf(updated), 11)
        self.assertEqual(self.stored(), {"n": 11, "theirs": 1})

    def test_onTop(self) -> None:
        """
        It gets the unsaved changes too, and a copy that is its own.
        """
        self.session["n"] = 5
        self.session["d"] = {"a": 1}
        seen: list[dict[str, Any]] = []
        self.successResultOf(self.session.update(seen.append))
        self.assertEqual(seen, [{"n": 5, "d": {"a": 1}}])
        seen[0]["d"]["a"] = 2
        self.successResultOf(self.session.save())
        self.assertEqual(self.session["d"], {"a": 1})
        self.assertEqual(self.stored(), {"n": 5, "d": {"a": 1}})

    def test_inOrder(self) -> None:
        """
        Several come in order, with one write.
        """
        self.store.hold("replace")
        self.session["other"] = 1
        self.session.save()
        updates = [self.session.update(addOne) for _ in range(3)]
        self.store.release()
        self.assertEqual([self.successResultOf(u) for u in updates], [1, 2, 3])
        self.assertEqual(self.calls("replace"), 2)

    def test_raises(self) -> None:
        """
        If it raises, nothing of it is stored; others are.
        """

        def bad(data: dict[str, Any]) -> None:
            data["n"] = 99
            raise KeyError("no")

        self.store.hold("fence", "replace")
        self.session["other"] = 1
        self.session.save()
        updates = [self.session.update(addOne), self.session.update(bad)]
        updates.append(self.session.update(addOne))
        self.store.release()
        self.failureResultOf(updates[1], KeyError)
        self.assertEqual(self.stored(), {"n": 2, "other": 1})

    def test_asynchronous(self) -> None:
        """
        One that would wait is refused, and did nothing.
        """

        async def coroutine(data: dict[str, Any]) -> None:
            data["n"] = 99

        def generator(data: dict[str, Any]) -> Generator[None, None, None]:
            yield

        def deferred(data: dict[str, Any]) -> Deferred[None]:
            data["n"] = 99
            return succeed(None)

        def awaitable(data: dict[str, Any]) -> Awaitable[None]:
            data["n"] = 99
            return coroutine(data)

        for f in (coroutine, generator, deferred, awaitable):
            error = self.failureResultOf(self.session.update(f), TypeError).value
            self.assertIn("ordinary function", str(error))
        self.assertEqual((self.stored(), self.session["n"]), ({"n": 0}, 0))

    def test_onlyWhenStored(self) -> None:
        """
        What it changed comes into the live session when it is stored, in
        place, beside what was changed there meanwhile.
        """
        self.session["d"] = {"a": 1, "b": 1}
        self.successResultOf(self.session.save())
        held = self.session["d"]
        self.store.hold("replace")
        updated = self.session.update(lambda data: data["d"].update(a=2, c=2))
        self.assertEqual(held, {"a": 1, "b": 1})
        held["b"] = 2
        self.session["live"] = 1
        self.store.release()
        self.successResultOf(updated)
        self.assertEqual(held, {"a": 2, "b": 2, "c": 2})
        self.assertIs(self.session["d"], held)
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 0, "d": held, "live": 1})

    def test_nothing(self) -> None:
        """
        One that changes nothing writes nothing, but is sure of what it saw.
        """
        get = lambda data: data["n"]  # noqa: E731 - shorter
        self.assertEqual(self.successResultOf(self.session.update(get)), 0)
        self.assertEqual(self.calls("replace"), 0)
        self.put(n=7)
        self.assertEqual(self.settled(self.session.update(get)), 7)
        self.assertEqual(self.calls("replace"), 0)

    def test_storeFails(self) -> None:
        """
        When the store fails, it fails, and is not made later.
        """
        self.store.fail(StoreUnavailable(), "replace")
        self.failureResultOf(self.session.update(addOne), StoreUnavailable)
        self.store.heal()
        self.run_(11)
        self.assertEqual((self.stored(), self.session["n"]), ({"n": 0}, 0))

    def test_unencodable(self) -> None:
        """
        One that puts in what cannot be stored fails alone.
        """
        cycle: list[Any] = []
        cycle.append(cycle)
        self.session["mine"] = {1}
        self.store.hold("replace")
        self.session["first"] = 1
        self.assertNoResult(self.session.update(addOne))
        bad = [
            self.session.update(methodcaller("update", x=object())),
            self.session.update(methodcaller("update", x=cycle)),
        ]
        good = self.session.update(addOne)
        self.store.release()
        self.failureResultOf(bad[0], UnencodableSession)
        self.failureResultOf(bad[1], RecursionError, UnencodableSession)
        self.assertEqual(self.successResultOf(good), 2)
        self.assertEqual(self.stored(), {"n": 2, "first": 1})

    def test_cancelled(self) -> None:
        """
        One that was cancelled before its turn is not made.
        """
        self.store.hold("replace")
        self.session["other"] = 1
        self.session.save()
        updated = self.session.update(addOne)
        updated.cancel()
        self.failureResultOf(updated, CancelledError)
        self.store.release()
        self.assertEqual(self.stored(), {"n": 0, "other": 1})

    def test_cancelledUnderWay(self) -> None:
        """
        One that was cancelled while it was written is no error.
        """
        self.store.hold("replace")
        updated = self.session.update(addOne)
        updated.cancel()
        self.failureResultOf(updated, CancelledError)
        self.store.release()
        self.assertEqual((self.stored(), self.session["n"]), ({"n": 1}, 1))

    def test_told(self) -> None:
        """
        The others are told which keys it changed; who asked for it in a
        handler of its own is not.
        """
        other = Recorder()
        self.open(other)
        self.handle(self.session, lambda s: s.update(addOne))
        self.assertEqual((self.holder.keys, other.keys), ([], [("n",)]))
        self.successResultOf(self.session.update(addOne))
        self.assertEqual((self.holder.keys, other.keys), ([("n",)], [("n",)] * 2))

    def test_callbackChangesSession(self) -> None:
        """
        What is done with the session when an update fails or succeeds stays.
        """

        def bad(data: dict[str, Any]) -> None:
            raise KeyError

        def after(_: object) -> None:
            self.session["after"] = self.session.get("after", 0) + 1

        self.session.update(bad).addErrback(after)
        self.session.update(addOne).addCallback(after)
        self.successResultOf(self.session.save())
        self.assertEqual(self.stored(), {"n": 1, "after": 2})

    def test_mapping(self) -> None:
        """
        With a mapping it is what a dictionary has.
        """
        self.session.update({"a": 1}, b=2)
        self.assertEqual(dict(self.session), {"n": 0, "a": 1, "b": 2})

    def test_regenerate(self) -> None:
        """
        A session has no way to get a new id by itself.
        """
        self.failureResultOf(self.session.regenerate(), SessionError)
        self.assertEqual(self.successResultOf(self.place.destroy(KEY)), True)
