"""
Managers, holders and stores for the tests of the manager.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import EndReason, Lifetime, SessionID
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import FlakyStore


SID = SessionID("an-id")
KEY = "sess:an-id"

_T = TypeVar("_T")


def timers(clock: Clock) -> list[IDelayedCall]:
    """
    What is to happen, but for looking whether a store has answered in time, and
    saying what was left out of the log, which end by themselves.
    """
    ends = "Storage._checkTimes", "Seldom.end"
    calls = clock.getDelayedCalls()
    return [call for call in calls if not any(end in repr(call) for end in ends)]


def leftIn(reactor: Any, before: set[int]) -> list[Any]:
    """
    What is to happen in a real reactor that was not to happen before, but for what
    ends by itself, and for what sites that are kept for other tests do each second.

    @param before: The identities of the calls that there were.
    """
    known = "Storage._checkTimes", "Seldom.end", "HTTPFactory._updateLogDateTime"
    calls = [call for call in reactor.getDelayedCalls() if id(call) not in before]
    return [call for call in calls if not any(each in str(call) for each in known)]


def withoutEvents(logs: Iterable[Any]) -> list[Any]:
    """
    What is logged for people: not what is for programs; see
    L{tests.manager.test_tally}.
    """
    return [each for each in logs if "event" not in each]


def turn(clock: Clock) -> None:
    """
    Let the reactor go round once.  C{clock.advance} would also make the calls
    that the calls of this turn ask for.
    """
    calls: Sequence[Any] = clock.getDelayedCalls()
    for call in calls:
        if call.active() and call.getTime() <= clock.seconds():
            function, arguments, named = call.func, call.args, call.kw
            call.cancel()
            function(*arguments, **named)


class Recorder:
    """
    A holder that keeps what it is told.
    """

    def __init__(self) -> None:
        self.keys: list[tuple[str, ...]] = []
        self.numbers: list[int] = []
        self.failures: list[BaseException | None] = []
        self.reasons: list[EndReason] = []
        self.whenEnded: Callable[[], object] = lambda: None

    def changed(self, keys: Sequence[str]) -> None:
        self.keys.append(tuple(keys))

    def stored(self, number: int) -> None:
        self.numbers.append(number)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure.value)

    def gaveUp(self, failure: Failure, *, isMine: bool) -> None:
        self.failures.append(failure.value)

    def ended(self, reason: EndReason) -> None:
        self.reasons.append(reason)
        self.whenEnded()


def raw(**data: Any) -> bytes:
    """
    A session as Express stores it.
    """
    return json.dumps({"cookie": {"originalMaxAge": None}, **data}).encode()


class ManagerCase(SynchronousTestCase):
    """
    One place, and processes that have their own stores and managers on it.

    @ivar place: A store that is nobody's: what it does, everybody else
        hears of.
    """

    lifetime = 86400

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.place = MemoryStore(self.clock)
        self.store = self.newStore()
        self.manager = self.newManager(self.store)
        self.holder = Recorder()

    def newStore(self) -> FlakyStore:
        """
        A store of another process.
        """
        return FlakyStore(MemoryStore(place=self.place))

    def newManager(self, store: Any = None, **options: Any) -> SessionManager:
        """
        Another process.
        """
        if store is not None and store is vars(self).get("store"):
            # It serves one.
            self.freeStore()
        return SessionManager(
            self.newStore() if store is None else store,
            Express(secrets=["keyboard cat"], ttl=self.lifetime),
            self.clock,
            **options,
        )

    def freeStore(self) -> None:
        """
        Have the store serve another manager than the one that was made first.
        """
        manager = vars(self).get("manager")
        if manager is not None:
            self.successResultOf(manager.stop())

    def put(self, **data: Any) -> None:
        """
        Write the session, as a foreign application does.
        """
        self.putRaw(raw(**data))

    def putRaw(self, new: bytes, ttl: float | Lifetime | None = None) -> None:
        ttl = self.lifetime if ttl is None else ttl
        current = self.successResultOf(self.place.load(KEY))
        if current is None:
            self.assertTrue(self.successResultOf(self.place.create(KEY, new, ttl)))
        else:
            self.successResultOf(self.place.replace(KEY, current.raw, new, ttl))

    def stored(self, key: str = KEY) -> dict[str, Any] | None:
        """
        What is stored, without what Express keeps beside it.
        """
        current = self.successResultOf(self.place.load(key))
        if current is None:
            return None
        data: dict[str, Any] = json.loads(current.raw)
        del data["cookie"]
        return data

    def open(
        self, holder: Recorder | None = None, manager: SessionManager | None = None
    ) -> Session:
        """
        Open the session, which must be there at once.
        """
        opened = (manager or self.manager).open(SID, holder or self.holder)
        return self.successResultOf(opened)

    def handle(
        self,
        session: Session,
        f: Callable[[Session], object],
        holder: Recorder | None = None,
        *,
        saveNow: bool = True,
    ) -> int:
        """
        Run a synchronous handler.
        """
        holder = holder or self.holder
        session.keeper.handlerBegins(holder)
        f(session)
        return session.keeper.handlerEnds(holder, wasSync=True, saveNow=saveNow)

    def run_(self, seconds: float, step: float = 0.05) -> None:
        """
        Let time pass.
        """
        self.clock.pump([0, *[step] * round(seconds / step)])

    def calls(self, method: str, store: FlakyStore | None = None) -> int:
        """
        How often the store was asked.
        """
        asked = (store or self.store).calls
        return sum(name == method for name, _ in asked)

    def settled(self, deferred: Deferred[_T], seconds: float = 1.0) -> _T:
        """
        The result of what takes some time.
        """
        self.run_(seconds)
        return self.successResultOf(deferred)

    def assertQuiet(self) -> None:
        """
        Nothing waits for a time to come, and no error was lost.
        """
        self.assertEqual(timers(self.clock), [])
        gc.collect()
