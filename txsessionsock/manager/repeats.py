# -*- test-case-name: tests.clients.test_repeatable -*-
"""
Handlers that may run again, all those of one session.

Messages wait in their clients until it is the session's turn to write.  Then their
handlers run, one after the other, on a draft that nobody else sees, and what they sent
is kept.  One write stores the draft.  If it succeeds, nothing else was stored since
what they ran on: no question before it could have told more.  If it does not, the draft
and the frames are thrown away, and they run again, in order, on what is there instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txsessionsock._repeatable import NOW, Running
from txsessionsock.interfaces import NoSuchSession
from txsessionsock.session import Check, Draft, Holder, Problem, Session

from .live import Live


__all__ = ["MOST_CONFLICTS", "Repeats", "Run", "Runner"]

MOST_CONFLICTS: Final = 10
"""
How often somebody else may be first until a handler is given up, if nothing could be
stored for as long as a call of the store may take.  Nodes that have much to do are in
each other's way as often within a tenth of a second.
"""

_STRETCH: Final = 0.002
"""
For how many seconds handlers run at a stretch.  Those who are left wait for the next
write: a fifth of a slice, in which others have their handlers, and hundreds of short
ones.
"""


class Run(Running, Protocol):
    """
    A message whose handler may run again.

    @ivar author: Who sent it.

    @ivar conflicts: How often somebody else was first.

    @ivar isOver: Whether its client was told that it failed, and it does not run
        again.
    """

    conflicts: int
    isOver: bool

    @property
    def author(self) -> Holder: ...

    def run(self, session: Session) -> Sequence[Any]:
        """
        Call its handler.

        @return: The frames that it sent.

        @raise Exception: It failed.
        """

    def stored(self, frames: Sequence[Any], failure: Failure | None) -> None:
        """
        All is stored.

        @param failure: What the handler failed with; what it did was dropped then.
        """

    def failed(self, failure: Failure) -> None:
        """
        Nothing is, as far as is known.
        """


class Runner(Protocol):
    """
    A client whose handlers may run again.
    """

    def next(self) -> Run | None:
        """
        Take its next message, if that may be handled now.
        """

    def given(self, failure: Failure) -> None:
        """
        Its messages will not be handled.
        """


class _Outcome(NamedTuple):
    """
    What became of a message.

    @ivar keys: Which keys have another value.
    """

    run: Run
    frames: Sequence[Any]
    failure: Failure | None
    keys: Sequence[str]


class Repeats:
    """
    The handlers of one session that may run again, as one change of it.

    @ivar isInSlice: Whether it is now the time that this session's handlers have.

    @ivar isNew: Whether none has run.
    """

    _log = Logger()

    isSure = False
    isInSlice = False
    isNew = True

    def __init__(self, live: Live, seconds: Callable[[], float]) -> None:
        """
        @param seconds: Says what time it is.
        """
        self._live = live
        self._seconds = seconds
        # Those with messages that did not run yet.
        self._line: deque[Runner] = deque()
        # Those that ran on the draft, and wait for the write; and those that were in an
        # earlier one, and wait for the next.
        self._ran: list[Run] = []
        self._left: list[Run] = []
        # How often somebody was first since a draft was stored, and since when.
        self._conflicts = 0
        self._since = 0.0
        # Whether handlers run now.  To take a message may have others come at once,
        # also of another client: that does not run meanwhile.
        self._isMaking = False
        self._waiting: list[Deferred[None]] = []

    # Who runs.

    def enter(self, runner: Runner) -> None:
        """
        A client has messages.
        """
        self._line.append(runner)
        if len(self._line) == 1:
            self._live.upkeep.repeatLater()

    def leave(self, runner: Runner) -> None:
        """
        It has none any more.
        """
        if runner in self._line:
            self._line.remove(runner)

    @property
    def isWaiting(self) -> bool:
        """
        Whether somebody waits to run.
        """
        return bool(self._left or self._line)

    @property
    def isDrafting(self) -> bool:
        """
        Whether there is a draft that is not stored yet.
        """
        return self._isMaking or bool(self._ran)

    def undrafted(self) -> Deferred[None]:
        """
        @return: A L{Deferred} that fires when the draft is stored or was thrown away.
        """
        undrafted: Deferred[None] = Deferred()
        self._waiting.append(undrafted)
        return undrafted

    # A change; see there.

    @property
    def isPending(self) -> bool:
        return bool(self._ran or self._left or self._line)

    def made(self, before: dict[str, Any], check: Check) -> tuple[dict[str, Any], Any]:
        self.isNew = False
        draft = Draft(before)
        outcomes = self._results(self._all(), draft, check)
        if self.isWaiting:
            self._live.upkeep.repeatLater()
        self._wake()
        return draft.data, outcomes

    def _results(
        self, runs: Iterable[Run], draft: Draft, check: Check
    ) -> list[_Outcome]:
        """
        Have handlers run, in whose place the session has the draft.
        """
        session = self._live.session
        keeper = session.keeper
        copy, isHandling = session.exchange(draft), keeper.isHandling
        self._isMaking = keeper.isHandling = True
        try:
            return [self._outcome(run, session, draft, check) for run in runs]
        finally:
            self._isMaking, keeper.isHandling = False, isHandling
            session.exchange(copy)

    def _all(self) -> Iterator[Run]:
        """
        Yield those that run again, and then, as long as there is time, new ones.
        """
        until = self._seconds() + _STRETCH
        yield from self._again()
        line = self._line
        while line and not self._left:
            run = line[0].next()
            if run is None:
                line.popleft()
                continue
            self._ran.append(run)
            yield run
            if self._seconds() > until:
                return

    def _again(self) -> Sequence[Run]:
        """
        @return: Those that run again.  After the first conflict it is half as many each
            time, since a short draft is the sooner one: two nodes with much to do would
            be in each other's way for long.
        """
        again = [run for run in (*self._ran, *self._left) if not run.isOver]
        most = max(1, len(again) >> max(0, self._conflicts - 1))
        self._ran, self._left = again[:most], again[most:]
        return tuple(self._ran)

    def _outcome(
        self, run: Run, session: Session, draft: Draft, check: Check
    ) -> _Outcome:
        NOW.run = run
        try:
            frames = run.run(session)
            return _Outcome(run, frames, None, draft.take(check))
        except BaseException:  # Also sys.exit(), as in any other handler.
            draft.undo()
            return _Outcome(run, (), Failure(), ())
        finally:
            NOW.run = None

    def again(self, outcomes: list[_Outcome]) -> Callable[[dict[str, Any]], object]:
        return partial(self._redo, [each.run for each in outcomes if each.keys])

    def _redo(self, runs: list[Run], data: dict[str, Any]) -> None:
        """
        Have handlers change other data, and send nothing.
        """
        draft = Draft(data)
        for each in self._results(runs, draft, _unchecked):
            if each.failure is not None:
                line = (
                    "a web application overwrote what a handler did, and the handler"
                    " fails now that it runs again"
                )
                self._live.storage.failed(self._log, line, each.failure)
        data.clear()
        data.update(draft.data)

    def authors(
        self, outcomes: list[_Outcome], keys: Sequence[str]
    ) -> Iterator[tuple[Any, Sequence[str]]]:
        for run, _, _, changed in outcomes:
            yield run.author, changed

    def succeed(self, outcomes: list[_Outcome]) -> None:
        self._conflicts = 0
        self._forget([each.run for each in outcomes])
        for run, frames, failure, _ in outcomes:
            if not run.isOver:
                run.stored(frames, failure)

    def fail(self, error: Problem, outcomes: list[_Outcome] | None = None) -> None:
        failure = error if isinstance(error, Failure) else Failure(error)
        self._conflicts = 0
        if outcomes is not None:
            self._failed([each.run for each in outcomes], failure)
        else:
            self._failed([*self._ran, *self._left], failure)
            line, self._line = self._line, deque()
            for runner in line:
                runner.given(failure)

    def refused(self, error: Exception, outcomes: list[_Outcome]) -> None:
        if not self._conflicts:
            self._since = self._seconds()
        self._conflicts += 1
        for run, *_ in outcomes:
            run.conflicts += 1
        if self._seconds() - self._since >= self._live.storage.timeout:
            runs = [each.run for each in outcomes]
            tired = [run for run in runs if run.conflicts >= MOST_CONFLICTS]
            if tired:
                self._failed(tired, Failure(error))

    def abandon(self) -> None:
        """
        The session ended.
        """
        self.fail(NoSuchSession())

    def _failed(self, runs: list[Run], failure: Failure) -> None:
        self._forget(runs)
        for run in runs:
            if not run.isOver:
                run.failed(failure)

    def _forget(self, runs: list[Run]) -> None:
        """
        They are done.
        """
        # Mostly it is all of them.  A write that is found to have succeeded late may
        # lack those that came since.
        gone = set(map(id, runs))
        self._ran = [run for run in self._ran if id(run) not in gone]
        self._left = [run for run in self._left if id(run) not in gone]
        self._wake()

    def _wake(self) -> None:
        """
        If there is no draft, have others go on.
        """
        if not self._ran:
            waiting, self._waiting = self._waiting, []
            for undrafted in waiting:
                undrafted.callback(None)


def _unchecked(data: dict[str, Any]) -> None:
    """
    It is looked at later.
    """
