"""
Several processes write one session, over a store that answers late or never
and does what it was asked too late: whatever the interleaving, nothing is
lost, and what was acknowledged is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.managing import KEY, SID, ManagerCase, Recorder
from txsessionsock import _deferreds
from txsessionsock.interfaces import (
    TTL,
    IWatchableStore,
    Stored,
    StoreTimeout,
    StoreUnavailable,
)
from txsessionsock.manager import SessionManager
from txsessionsock.session.journal import STAMP


_T = TypeVar("_T")


class Question:
    """
    What a store was asked.
    """

    def __init__(self, ask: Callable[[], Deferred[Any]]) -> None:
        self._ask = ask
        self.isOver = False
        self.answer: Deferred[Any] | None = None
        self.waiting: Deferred[Any] = Deferred()

    def do(self) -> None:
        """
        Do it, without an answer.
        """
        if self.answer is None and not self.isOver:
            self.answer = self._ask()

    def miss(self) -> None:
        """
        Do it no more, if nobody waits for it: something that was asked later
        is answered.
        """
        if self.answer is None and self.waiting.called:
            self.isOver = True

    def reply(self) -> None:
        """
        Do it, and answer if somebody still waits.
        """
        self.do()
        if self.answer is None:
            return
        if self.waiting.called:
            self.answer.addErrback(lambda _: None)
        else:
            self.answer.addBoth(self.waiting.callback)

    def refuse(self) -> None:
        """
        Answer that it was not done, if it was not.
        """
        if self.answer is None and not self.waiting.called:
            self.isOver = True
            self.waiting.errback(StoreUnavailable())


@implementer(IWatchableStore)
class LateStore:
    """
    A store that does nothing by itself.
    """

    def __init__(self, inner: IWatchableStore) -> None:
        self.inner = inner
        self.isPrompt = True
        self.questions: list[Question] = []

    def _later(self, ask: Callable[[], Deferred[_T]]) -> Deferred[_T]:
        if self.isPrompt:
            return ask()
        question = Question(ask)
        self.questions.append(question)
        return question.waiting

    def load(self, key: str) -> Deferred[Stored | None]:
        return self._later(lambda: self.inner.load(key))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        return self._later(lambda: self.inner.create(key, raw, ttl))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        return self._later(lambda: self.inner.replace(key, old, new, ttl))

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._later(lambda: self.inner.touch(key, ttl))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        return self._later(lambda: self.inner.destroy(key, old))

    def fence(self, key: str) -> Deferred[None]:
        return self._later(lambda: self.inner.fence(key))

    def watch(self, key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        return self.inner.watch(key, changed)


class Process:
    """
    One process, what it did to the session, and what it was told of that.

    @ivar pending: How many increments nobody told it about.

    @ivar sure: How many it was told are stored.

    @ivar unsure: How many may be stored.

    @ivar updates: The same two for updates.
    """

    def __init__(self, case: ManagerCase, name: str) -> None:
        self.name = name
        self.store = LateStore(case.newStore())
        self.holder = Recorder()
        manager = case.newManager(self.store)
        self.session = case.successResultOf(manager.open(SID, self.holder))
        self.pending = self.sure = self.unsure = self.last = self.marks = 0
        self.updates = [0, 0]
        self._failures = 0

    def mark(self, data: MutableMapping[str, Any]) -> None:
        """
        Make what is stored different from whatever others store: two that
        store equal bytes cannot be told apart.
        """
        self.marks += 1
        data[f"mark of {self.name}"] = self.marks

    def assign(self) -> None:
        self.last += 1
        self.session[self.name] = self.last
        self.session["nested"][self.name] = self.last

    def increment(self) -> None:
        self.session.increment("n")
        self.mark(self.session)
        self.pending += 1

    def save(self) -> None:
        count = self.pending

        def saved(_: object) -> None:
            self.learn()
            moved = min(count, self.pending)
            self.pending -= moved
            self.sure += moved

        def failed(failure: Failure) -> None:
            failure.trap(StoreTimeout, StoreUnavailable)
            self.learn()

        self.session.save().addCallbacks(saved, failed)

    def learn(self) -> None:
        """
        Note which increments may never be stored.
        """
        new = self.holder.failures[self._failures :]
        self._failures += len(new)
        if any(isinstance(failure, StoreTimeout) for failure in new):
            self.unsure += self.pending
            self.pending = 0

    def update(self) -> None:
        def f(data: dict[str, Any]) -> None:
            data["updates"] = data.get("updates", 0) + 1
            self.mark(data)

        def failed(failure: Failure) -> None:
            if failure.trap(StoreTimeout, StoreUnavailable) is StoreTimeout:
                self.updates[1] += 1

        def done(_: object) -> None:
            self.updates[0] += 1

        self.session.update(f).addCallbacks(done, failed)

    def reload(self) -> None:
        self.session.reload().addErrback(
            lambda failure: failure.trap(StoreTimeout, StoreUnavailable)
        )

    def question(self, pick: int) -> Question | None:
        questions = self.store.questions
        return questions[pick % len(questions)] if questions else None

    def answer(self, kind: str) -> None:
        """
        Do something about the oldest question that somebody waits for.
        """
        for question in self.store.questions:
            if not question.waiting.called:
                getattr(question, kind)()
                return
            question.miss()


ACTS = ("assign", "increment", "save", "update", "reload")
ANSWERS = ("reply", "do", "refuse", "do late")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(ACTS), st.integers(0, 2)),
        st.tuples(st.sampled_from(ANSWERS), st.integers(0, 20)),
        st.tuples(st.just("reply"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 30])),
    ),
    max_size=60,
)

# Stored, not answered, and overwritten before anybody looked.
LOST = [("increment", 0), ("save", 0), ("do", 0), ("wait", 30), ("reload", 1)]
# Done when it was given up.
LATE = [
    *[("update", 0), ("increment", 0), ("wait", 30), ("do late", 0), ("reply", 3)],
    *[("increment", 0), ("reply", 0), ("reply", 0), ("save", 0)],
]
# Asked again, while somebody else overwrites it.
OVERTAKEN = [("update", 0), ("wait", 30), ("reply", 0), ("update", 1)]


class InterleavingTests(ManagerCase):
    """
    Everything at once.
    """

    repairs = False

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        return super().newManager(store, repair=self.repairs, **options)

    def stored(self, key: str = KEY) -> dict[str, Any] | None:
        data = super().stored(key)
        if data is not None:
            data.pop(STAMP, None)
        return data

    @settings(
        max_examples=300,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.booleans(), STEPS)
    @example(False, LOST)
    @example(True, LOST)
    @example(False, LATE)
    @example(True, LATE)
    @example(False, OVERTAKEN)
    @example(True, OVERTAKEN)
    def test_nothingLost(self, repairs: bool, steps: list[tuple[str, int]]) -> None:
        """
        All assignments to keys of one's own are there at the end; increments
        and updates that were acknowledged are counted once, those that failed
        with L{StoreTimeout} once or not at all, all others not at all.  With
        stamps or without.
        """
        self.setUp()
        self.repairs = repairs
        self.patch(_deferreds, "_uniform", lambda low, high: high)
        self.put(n=0, nested={})
        processes = [Process(self, name) for name in ("p0", "p1", "p2")]
        for process in processes:
            process.store.isPrompt = False
        for kind, number in steps:
            self.step(processes, kind, number)
        self.settle(processes)
        self.verify(processes)

    def step(self, processes: list[Process], kind: str, number: int) -> None:
        process = processes[number % 3]
        if kind in ACTS:
            getattr(process, kind)()
        elif kind == "wait":
            self.run_(number / 10, 0.1)
        elif kind == "do late":
            question = process.question(number // 3)
            if question is not None:
                question.do()
        else:
            process.answer(kind)
        for one in processes:
            one.learn()

    def settle(self, processes: list[Process]) -> None:
        """
        Let the stores be well, and everybody store what is left.
        """
        for process in processes:
            process.store.isPrompt = True
            for question in process.store.questions:
                question.miss()
                question.reply()
        self.run_(30, 1.0)
        for process in processes:
            process.learn()
            process.save()
        self.run_(2)
        for process in processes:
            self.successResultOf(process.session.reload())
            self.assertEqual(process.pending, 0)

    def verify(self, processes: list[Process]) -> None:
        stored = self.stored()
        assert stored is not None
        for process in processes:
            self.assertEqual(dict(process.session), stored)
            if process.last:
                self.assertEqual(stored[process.name], process.last)
                self.assertEqual(stored["nested"][process.name], process.last)
            self.assertIsNone(process.session.keeper.unsaved())
        sure = sum(process.sure for process in processes)
        unsure = sum(process.unsure for process in processes)
        self.assertTrue(sure <= stored["n"] <= sure + unsure, (sure, stored, unsure))
        done, doubtful = (sum(p.updates[i] for p in processes) for i in (0, 1))
        updates = stored.get("updates", 0)
        self.assertTrue(done <= updates <= done + doubtful, (done, updates, doubtful))
