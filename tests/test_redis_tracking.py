"""
Tests for L{txsessionsock.stores._tracking}, without any server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.stores._tracking import Deadlines, Tracked, Tracking


def ignore(key: str) -> None:
    """
    For who does not care.
    """


class TrackingTests(SynchronousTestCase):
    """
    Tests for L{Tracking}, report by report.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.tracking = Tracking(self.clock)
        self.told: list[str] = []
        self.stop = self.tracking.watch("k", self.told.append, ignore)

    def change(self) -> Callable[[], None]:
        """
        Send a change of C{k}.

        @return: What is to be called when the reply says that it was made.
        """
        tracked = self.tracking.get("k")
        assert tracked is not None
        foreign = tracked.foreign
        return lambda: self.tracking.landed(tracked, foreign)

    def test_others(self) -> None:
        """
        A report that is not owed is told, and each of them.
        """
        self.tracking.reported("k")
        self.tracking.reported("k")
        self.tracking.reported("another")
        self.assertEqual(self.told, ["k", "k"])

    def test_own(self) -> None:
        """
        The report of our own change is not told, and the next one is.
        """
        for _ in range(3):
            self.change()()
        for _ in range(3):
            self.tracking.reported("k")
        self.assertEqual(self.told, [])
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k"])

    def test_early(self) -> None:
        """
        After a report while a change is under way, the next one is told too.
        """
        landed = self.change()
        self.tracking.reported("k")
        landed()
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k", "k"])

    def test_debts(self) -> None:
        """
        What is owed is known until it comes, and is not mistaken for what is
        owed later.
        """
        self.assertFalse(self.tracking.isOwed(self.tracking.debts()))
        self.change()()
        debts = self.tracking.debts()
        self.assertTrue(self.tracking.isOwed(debts))
        self.change()()
        self.tracking.reported("k")
        self.assertFalse(self.tracking.isOwed(debts))
        self.assertTrue(self.tracking.isOwed(self.tracking.debts()))
        self.tracking.reported("k")
        self.assertFalse(self.tracking.isOwed(self.tracking.debts()))

    def test_lost(self) -> None:
        """
        With the connection, what is owed is gone: on the next one, the first
        report is somebody else's.
        """
        self.change()()
        debts = self.tracking.debts()
        self.tracking.lost()
        self.assertFalse(self.tracking.isOwed(debts))
        self.assertEqual(self.tracking.debts(), [])
        self.tracking.reported("k")
        self.assertEqual(self.told, ["k"])

    def test_underWay(self) -> None:
        """
        Of a change that is under way when all are told, no report is expected.
        """
        self.stop()
        for n in range(1000):
            self.tracking.watch(f"k{n}", ignore, ignore)
        self.tracking.watch("k", self.told.append, ignore)
        landed = self.change()
        self.tracking.tellAll()
        self.assertEqual(self.told, [])
        landed()
        self.assertEqual(self.tracking.debts(), [])

    def test_stopped(self) -> None:
        """
        Nothing is owed for what nobody watches, also if the change is under
        way when its watching ends; nor is it if the key is watched again.
        """
        for changes in [self.change()], [self.change(), self.change()]:
            last = changes.pop()
            for landed in changes:
                landed()
            self.stop()
            self.assertIsNone(self.tracking.get("k"))
            last()
            self.assertEqual(self.tracking.debts(), [])
            self.stop = self.tracking.watch("k", self.told.append, ignore)
            last()
            self.assertEqual(self.tracking.debts(), [])
            self.tracking.reported("k")
            self.assertEqual(self.told, ["k"])
            self.told.clear()

    def test_watchers(self) -> None:
        """
        A key is known as long as somebody watches it; C{ended} is called when
        nobody does.
        """
        ended: list[str] = []
        tracked = self.tracking.get("k")
        second = self.tracking.watch("k", self.told.append, ended.append)
        self.assertEqual(len(self.tracking), 1)
        self.stop()
        self.assertIs(self.tracking.get("k"), tracked)
        self.tracking.reported("k")
        self.assertEqual((self.told, ended), (["k"], []))
        stop = self.tracking.watch("k2", ignore, ended.append)
        stop()
        second()
        self.assertEqual((ended, len(self.tracking)), (["k2", "k"], 0))

    def test_all(self) -> None:
        """
        All are told, once: some at a time, those in a hurry before.
        """
        keys = [f"k{n}" for n in range(1000)]
        stops = [self.tracking.watch(k, self.told.append, ignore) for k in keys]
        self.stop()
        callLater, turns = self.clock.callLater, [0]

        def begin(delay: float, f: Callable[[], object]) -> IDelayedCall:
            turns.append(len(self.told))
            return callLater(delay, f)

        self.patch(self.clock, "callLater", begin)
        self.tracking.tellAll()
        self.assertLess(len(self.told), 100)
        self.tracking.tellInTime("k999")
        self.assertEqual(self.told[-1], "k999")
        stops[998]()
        self.clock.advance(0)
        self.assertEqual(sorted(self.told), sorted({*keys} - {"k998"}))
        turns.append(len(self.told))
        self.assertLess(max(b - a for a, b in pairwise(turns)), 100)
        self.tracking.tellInTime("k1")
        self.assertEqual(len(self.told), 999)

    def test_clear(self) -> None:
        """
        After the end, nobody is told, and no timer is left.
        """
        for n in range(1000):
            self.tracking.watch(f"k{n}", self.told.append, ignore)
        self.tracking.tellAll()
        self.told.clear()
        self.tracking.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.tracking.tellInTime("k999")
        self.assertEqual(self.told, [])


class _Server:
    """
    One key on a server that tracks as a Redis does, and one connection to it,
    on which nothing is overtaken.

    @ivar version: Of the bytes.

    @ivar isMute: Whether it reports nothing of what is done over the
        connection, as with C{NOLOOP}.
    """

    def __init__(self) -> None:
        self.version = 0
        self.isMute = False
        self.isTracked = False
        self.requests: deque[Callable[[], None]] = deque()
        self.messages: deque[Callable[[], None]] = deque()
        self.report: Callable[[], None]

    def changed(self, *, isOwn: bool = False) -> None:
        if self.isTracked and not (isOwn and self.isMute):
            self.messages.append(self.report)
        self.isTracked = False

    def foreign(self) -> None:
        self.version += 1
        self.changed()

    def cut(self) -> None:
        self.requests.clear()
        self.messages.clear()
        self.isTracked = False


class _Holder:
    """
    Watches the key, and knows by what was reported whether its copy is
    the current one.

    @ivar known: The version of the copy.

    @ivar isFresh: Whether it was read after all that was told.

    @ivar fences: What each fence that was passed found: whether the copy was
        held for fresh, its version, the version at the time of the question,
        and whether a report was owed.
    """

    def __init__(self, server: _Server) -> None:
        self.server = server
        self.tracking = Tracking(Clock())
        server.report = lambda: self.tracking.reported("k")
        self.fences: list[tuple[bool, int, int, bool]] = []
        self.tellings = 0
        self.watch()

    def watch(self) -> None:
        self.known, self.isFresh = -1, False
        self.stop = self.tracking.watch("k", self.changed, ignore)
        self.load()

    def changed(self, key: str) -> None:
        self.tellings += 1
        self.isFresh = False
        self.load()

    def load(self) -> None:
        tellings, server = self.tellings, self.server
        tracked = self.tracking.get("k")

        def execute() -> None:
            version, server.isTracked = server.version, True
            server.messages.append(lambda: answered(version))

        def answered(version: int) -> None:
            if self.tracking.get("k") is tracked:
                self.known = version
                self.isFresh = self.isFresh or tellings == self.tellings

        server.requests.append(execute)

    def change(self, *, isTouch: bool, isEarly: bool) -> None:
        """
        @param isTouch: Whether it leaves the bytes alone, whatever they are.

        @param isEarly: Whether its report comes before its reply.
        """
        server, base = self.server, self.known
        tracked = self.tracking.get("k")
        assert tracked is not None
        foreign = tracked.foreign

        def execute() -> None:
            server.isTracked = True
            version, isDone = server.version, isTouch or base == server.version
            if isDone and not isTouch:
                version = server.version = version + 1
            if isDone and isEarly:
                server.changed(isOwn=True)
            server.messages.append(lambda: answered(version, isDone))
            if isDone and not isEarly:
                server.changed(isOwn=True)
            server.isTracked = not server.isMute or not isDone

        def answered(version: int, isDone: bool) -> None:
            if isDone:
                self.tracking.landed(tracked, foreign)
            if not isTouch and self.tracking.get("k") is tracked:
                self.known = version

        server.requests.append(execute)

    def fence(self) -> None:
        server, debts = self.server, self.tracking.debts()
        asked = server.version

        def answered() -> None:
            owed = self.tracking.isOwed(debts)
            self.fences.append((self.isFresh, self.known, asked, owed))

        server.requests.append(lambda: server.messages.append(answered))

    def cut(self) -> None:
        self.server.cut()
        self.tracking.lost()
        self.tracking.tellAll()

    def act(self, action: str) -> None:
        """
        Let one thing happen.
        """
        server = self.server
        match action:
            case "foreign" | "fence" | "load" | "cut":
                target = server if action == "foreign" else self
                getattr(target, action)()
            case "write" | "early write" | "touch" | "early touch":
                isTouch, isEarly = "touch" in action, "early" in action
                self.change(isTouch=isTouch, isEarly=isEarly)
            case "evict":
                server.changed()
            case "expire":
                # By our own timer.
                self.tracking.tell("k")
            case "execute" if server.requests:
                server.requests.popleft()()
            case "deliver" if server.messages:
                server.messages.popleft()()
            case "watch again":
                self.stop()
                self.watch()

    def settle(self) -> None:
        """
        Let everything arrive.
        """
        while self.server.requests or self.server.messages:
            self.act("execute")
            self.act("deliver")


_READ = ["execute", "deliver"]
_ACTIONS = ["foreign", "write", "touch", "load", "evict", "fence", "expire"]
_ACTIONS += ["early write", "early touch", "watch again", "cut"]
# Most of what happens is that time passes.
_actions = st.lists(st.sampled_from(_READ) | st.sampled_from(_ACTIONS), max_size=60)


class TrackingModelTests(SynchronousTestCase):
    """
    Tests for L{Tracking} with a server that is a model of Redis, where
    anything happens in any order.
    """

    @settings(max_examples=500)
    @given(_actions)
    @example(["execute", "deliver", "early write", "execute", "deliver", "deliver"])
    @example([*_READ, "touch", *_READ, "cut", *_READ, "foreign", *_READ])
    @example([*_READ, "touch", "watch again", *_READ])
    def test_nothingMissed(self, actions: list[str]) -> None:
        """
        A copy that is held for fresh when a fence is passed is as new as the
        fence, whatever was written and reported in whatever order; and no
        report is ever believed to be missing.
        """
        server = _Server()
        holder = _Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        holder.fence()
        holder.settle()
        for isFresh, known, asked, owed in holder.fences:
            self.assertFalse(isFresh and known < asked, "missed")
            self.assertFalse(owed)
        self.assertEqual(holder.known, server.version)
        self.assertTrue(holder.fences[-1][0])

    @given(_actions)
    def test_mute(self, actions: list[str]) -> None:
        """
        A server that does not report our own changes is found out by the
        first fence after one, unless something else was reported.
        """
        server = _Server()
        server.isMute = True
        holder = _Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        tellings = holder.tellings
        holder.fences.clear()
        holder.act("touch")
        holder.settle()
        holder.fence()
        holder.settle()
        self.assertEqual(tellings, holder.tellings)
        self.assertTrue(holder.fences[-1][3])

    @given(st.lists(st.sampled_from(["write", "touch", "fence", "execute", "deliver"])))
    def test_quiet(self, actions: list[str]) -> None:
        """
        Who is alone is told nothing, however many changes are under way.
        """
        server = _Server()
        holder = _Holder(server)
        for action in actions:
            holder.act(action)
        holder.settle()
        self.assertEqual(holder.tellings, 0)


class DeadlinesTests(SynchronousTestCase):
    """
    Tests for L{Deadlines}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000.1)
        self.due: list[str] = []
        self.deadlines = Deadlines(self.clock, self.due.append)

    def expect(self, key: str, delay: float | None) -> None:
        """
        Expect a key to end so many seconds from now.
        """
        end = None if delay is None else self.clock.seconds() + delay
        self.deadlines.expect(key, end)

    def test_due(self) -> None:
        """
        Each deadline is told when it is there, and once.
        """
        for key, delay in ("b", 2.0), ("a", 1.0), ("c", 3.0), ("past", -1.0):
            self.expect(key, delay)
        self.clock.advance(0)
        self.assertEqual(self.due, ["past"])
        self.clock.pump([0.99, 0.02])
        self.assertEqual(self.due, ["past", "a"])
        self.clock.advance(10.0)
        self.assertEqual(self.due, ["past", "a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_moved(self) -> None:
        """
        It is the last that counts: earlier, later, or never.
        """
        for key, delay in ("a", 5.0), ("b", 5.0), ("c", 5.0), ("d", 5.0):
            self.expect(key, delay)
        self.expect("a", 1.0)
        self.expect("b", 9.0)
        self.expect("c", None)
        self.deadlines.forget("d")
        self.clock.advance(1.0)
        self.assertEqual(self.due, ["a"])
        self.clock.advance(7.9)
        self.assertEqual(self.due, ["a"])
        self.clock.advance(0.2)
        self.assertEqual(self.due, ["a", "b"])

    def test_clear(self) -> None:
        """
        After the end nothing is due, and no timer is left.
        """
        self.expect("a", 1.0)
        self.deadlines.clear()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(2.0)
        self.assertEqual(self.due, [])

    def test_within(self) -> None:
        """
        Who is told of a deadline may set the next at once, for this key and
        others.
        """

        def due(key: str) -> None:
            self.due.append(key)
            if len(self.due) < 4:
                self.expect(key, 1.0)
                self.deadlines.forget("b")

        self.deadlines = Deadlines(self.clock, due)
        self.expect("a", 1.0)
        self.expect("b", 1.5)
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.due, ["a"] * 4)

    def test_bounded(self) -> None:
        """
        Neither what is put off with each write nor keys that come and go add
        up, and there is one timer.
        """
        for n in range(10_000):
            self.clock.advance(0.01)
            self.expect("a", 1000.0)
            self.expect("b", 1000.0 - n / 100)
            self.expect(f"k{n}", 500.0)
            self.deadlines.forget(f"k{n}")
        self.assertLess(len(self.deadlines._heap), 100)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(2000.0)
        self.assertEqual(sorted(self.due), ["a", "b"])
        self.assertEqual(self.deadlines._heap, [])

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.none() | st.integers(-1, 9))
            | st.tuples(st.just("pass"), st.integers(0, 4))
            | st.tuples(st.just("forget"), st.sampled_from("abc"))
        )
    )
    def test_model(self, steps: list[tuple[str, object]]) -> None:
        """
        At each time, exactly those were told whose last deadline is past.
        """
        self.setUp()
        ends: dict[str, float] = {}
        for name, value in steps:
            if name == "pass":
                assert isinstance(value, int)
                self.clock.advance(value / 8)
                now = self.clock.seconds()
                over = sorted(key for key, end in ends.items() if end <= now)
                self.assertEqual(sorted(self.due), over)
                self.due.clear()
                for key in over:
                    del ends[key]
            elif name == "forget":
                self.deadlines.forget(str(value))
                ends.pop(str(value), None)
            else:
                assert value is None or isinstance(value, int)
                self.expect(name, None if value is None else value / 8)
                ends.pop(name, None)
                if value is not None:
                    ends[name] = self.clock.seconds() + value / 8
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)


class TrackedTests(SynchronousTestCase):
    """
    Tests for L{Tracked}.
    """

    def test_small(self) -> None:
        """
        There is one for each session: it has no dictionary.
        """
        self.assertFalse(hasattr(Tracked(), "__dict__"))
