"""
Tests for L{txsessionsock.session.journal}.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from itertools import permutations
from math import inf, nan
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session import Journal, Memory
from txsessionsock.session.branches import Stamp
from txsessionsock.session.journal import STAMP, stampList, stampsIn
from txsessionsock.session.writes import Function, Write


class Node:
    """
    A node that writes a session, with compare-and-set, and repairs it.

    @ivar offset: By how many seconds its clock is wrong.
    """

    def __init__(
        self, name: str, place: Place, offset: float = 0.0, **options: Any
    ) -> None:
        self.journal = Journal(name, **{"now": place.now + offset} | options)
        self.offset = offset
        self._place = place
        self.load()

    @property
    def now(self) -> float:
        return self._place.now + self.offset

    def load(self) -> None:
        """
        Have the session anew.
        """
        raw = deepcopy(self._place.stored)
        stamps = stampsIn(raw)
        self.journal.seen(raw, stamps, self.now)

    def look(self) -> tuple[dict[str, Any], bool]:
        """
        @return: What should be stored, and whether it is not.
        """
        raw = deepcopy(self._place.stored)
        stamps = stampsIn(raw)
        repaired = self.journal.repaired(raw, stamps, self.now)
        return repaired, repaired is not raw

    def write(self, by: dict[str, int] | None = None, **values: Any) -> None:
        """
        Set keys, or delete those that are C{None}, and add to others.
        """
        before = self.look()[0]
        after = {k: v for k, v in {**before, **values}.items() if v is not None}
        for key, number in (by or {}).items():
            after[key] = after.get(key, 0) + number
        self._put(before, after, after, by or {}, ())

    def update(self, f: Function) -> None:
        """
        Call a function with the data.
        """
        before = self.look()[0]
        after = deepcopy(before)
        f(after)
        self._put(before, before, after, {}, (f,))

    def repair(self) -> bool:
        """
        Store what is missing.

        @return: Whether something was.
        """
        repaired, isMissing = self.look()
        if isMissing:
            self._put(repaired, repaired, repaired, {}, ())
        return isMissing

    def takeOver(self) -> bool:
        """
        Store what is missing of nodes that are dead.

        @return: Whether something was.
        """
        self.repair()
        data = self.journal.takenOver(self.now)
        if data is not None:
            self._put(data, data, data, {}, ())
        return data is not None

    def _put(
        self,
        before: dict[str, Any],
        collected: dict[str, Any],
        after: dict[str, Any],
        by: dict[str, int],
        functions: Sequence[Function],
    ) -> None:
        journal, number = self.journal, self.journal.begin()
        stamps = journal.stamps(number, self.now, isRepair=after is before)
        stored = {**after, STAMP: stampList(stamps)}
        self._place.stored = deepcopy(stored)
        write = Write(number, stamps, before, collected, after, by, functions)
        journal.wrote(write, self.now)


class Place:
    """
    Where the session is.
    """

    def __init__(self, **data: Any) -> None:
        self.now = 1_700_000_000.0
        self.stored: dict[str, Any] = data

    @property
    def data(self) -> dict[str, Any]:
        """
        What is stored, without stamps.
        """
        return {key: value for key, value in self.stored.items() if key != STAMP}


class JournalTests(SynchronousTestCase):
    """
    L{Journal}.
    """

    def setUp(self) -> None:
        self.place = Place(user="ada", n=1)
        self.node = Node("one", self.place)

    def foreign(self) -> dict[str, Any]:
        """
        A request of the web application begins.

        @return: Its copy.
        """
        return deepcopy(self.place.stored)

    def ends(self, copy: dict[str, Any], **values: Any) -> None:
        """
        It ends, and writes all that it has.
        """
        self.place.stored = {**copy, **values}
        self.node.repair()

    def test_overwritten(self) -> None:
        """
        What somebody wrote over who had an older copy comes back, with what
        they changed: new keys, other values, what was deleted, what was added.
        """
        copy = self.foreign()
        self.node.write(mine=[1], user="Ada")
        self.node.write(by={"n": 2}, other=1)
        self.node.write(by={"n": 3}, other=None)
        self.ends(copy, seen=True)
        expected = {"user": "Ada", "n": 6, "seen": True, "mine": [1]}
        self.assertEqual(self.place.data, expected)

    def test_again(self) -> None:
        """
        It comes back as often as it is overwritten, and counts once.
        """
        copies = [self.foreign()]
        self.node.write(by={"n": 2}, mine=1)
        copies.append(self.foreign())
        self.node.write(by={"n": 3})
        for copy in (*copies, *reversed(copies)):
            self.ends(copy)
            self.assertEqual(self.place.data, {"user": "ada", "n": 6, "mine": 1})

    def test_againAndAgain(self) -> None:
        """
        Also when that goes on for longer than writes are remembered: each
        request begins right after another one has overwritten it.
        """
        self.node.write(first=1)
        copy = self.foreign()
        self.node.write(mine=1)
        for _ in range(40):
            self.place.stored = copy
            copy = self.foreign()
            self.node.repair()
            self.assertEqual(self.place.data["mine"], 1)
            self.place.now += 2

    def test_newNode(self) -> None:
        """
        A node that has just come sees a copy of before, one of later, and that of
        before again: it puts back what the later one had, which a node had written.
        """
        copies = []
        for number in 1, 2:
            self.node.write(mine=number)
            copies.append(self.foreign())
        two = Node("two", self.place)
        for copy in (*copies, copies[0]):
            self.place.stored = deepcopy(copy)
            two.repair()
        self.assertEqual(self.place.data["mine"], 2)
        self.node.repair()
        self.assertEqual(self.place.data["mine"], 2)

    def test_bothBeforeStamps(self) -> None:
        """
        Two copies from before there were any stamps.
        """

        def append(number: int, data: dict[str, Any]) -> None:
            data.setdefault("log", []).append(number)

        copy = self.foreign()
        for number in 5, 7:
            self.node.update(partial(append, number))
        for _ in range(3):
            self.ends(copy, h=1)
            self.assertEqual(self.place.data["log"], [5, 7])

    def test_neverStamped(self) -> None:
        """
        Somebody who drops what is not theirs is let have it in the end.
        """
        copy = self.foreign()
        self.node.write(mine=1)
        for _ in range(10):
            self.ends(copy)
            self.place.now += 2
        self.assertEqual(self.place.data["mine"], 1)
        for _ in range(30):
            self.ends(copy)
            self.place.now += 2
        self.assertEqual(self.place.data, {"user": "ada", "n": 1})

    def test_countsWithoutStamps(self) -> None:
        """
        Somebody who drops stamps, and has counts as they were after one of our
        writes, has all that was counted until then.
        """
        self.node.write(by={"n": 1})
        copy = self.foreign()
        self.node.write(by={"n": 2, "m": 1})
        for _ in range(10):
            self.ends({"user": "ada", "n": self.place.data["n"], "m": 1})
            self.assertEqual(self.place.data, {"user": "ada", "n": 4, "m": 1})
            self.place.now += 1
        del copy[STAMP]
        self.ends(copy)
        self.assertEqual(self.place.data, {"user": "ada", "n": 4, "m": 1})

    def test_many(self) -> None:
        """
        Nothing makes it remember more and more, not even somebody who goes on
        writing old copies.
        """
        copy = {**self.foreign(), STAMP: {"other": [1, self.place.now]}}
        for _ in range(6000):
            self.node.write(by={"n": 1})
        self.ends(copy)
        self.assertEqual(self.place.data["n"], 5001)
        self.place.now += 6
        self.node.write(mine=1)
        self.assertEqual(len(self.node.journal._writes), 1)

    def test_bare(self) -> None:
        """
        A copy from before there were any stamps is just old, whichever node
        left the first one.
        """
        copy = self.foreign()
        other = Node("two", self.place)
        self.node.look()
        other.write(theirs=1)
        self.node.write(mine=1)
        self.place.stored = copy
        # Who did not wait for the other node to see to what is its own.
        self.node.write(more=1)
        other.repair()
        expected = {"user": "ada", "n": 1, "theirs": 1, "mine": 1, "more": 1}
        self.assertEqual(self.place.data, expected)

    def test_appendedTwice(self) -> None:
        """
        What was appended may be alike.
        """
        self.node.write(list=[1])
        copy = self.foreign()
        self.node.write(list=[1, 2, 2])
        self.ends({**copy, "list": [1, 2]})
        self.assertEqual(self.place.data["list"], [1, 2, 2])

    def test_known(self) -> None:
        """
        Who knew of it and changed or deleted it meant that.
        """
        self.node.write(mine=1, other=1, by={"n": 1})
        copy = self.foreign()
        del copy["other"]
        self.ends(copy, mine=2, n=0)
        self.assertEqual(self.place.data, {"user": "ada", "n": 0, "mine": 2})

    def test_changedToo(self) -> None:
        """
        A key that somebody else changed too, or deleted, is left as they left
        it; nested dictionaries are looked into.
        """
        self.place.stored.update(both=1, gone=1, cart={"figs": 1, "tea": 1})
        self.node.load()
        copy = self.foreign()
        self.node.write(both=2, gone=2, cart={"figs": 2, "tea": 2})
        copy["cart"]["tea"] = 7
        del copy["gone"]
        self.ends(copy, both=3)
        expected = {"user": "ada", "n": 1, "both": 3, "cart": {"figs": 2, "tea": 7}}
        self.assertEqual(self.place.data, expected)

    def test_emptied(self) -> None:
        """
        A session that was emptied stays empty, and one that was made anew, with
        no stamp where there had been one, stays as it is.
        """
        self.node.write(mine=1)
        self.node.write(mine=2)
        self.ends({})
        self.assertEqual(self.place.data, {})
        self.node = Node("two", self.place)
        self.node.write(mine=1)
        self.place.now += 10
        self.node.write(mine=2)
        self.ends({"user": "eve"})
        self.assertEqual(self.place.data, {"user": "eve"})

    def test_emptiedThenFilled(self) -> None:
        """
        What was there before does not come back with what is put into it then.
        """
        self.node.write(mine=1)
        self.ends({})
        self.ends({"flash": 1})
        self.assertEqual(self.place.data, {"flash": 1})

    def test_emptiedUnseen(self) -> None:
        """
        Nor by a node that sees only what another one wrote then.
        """
        self.node.write(mine=1)
        other = Node("two", self.place)
        self.place.stored = {}
        other.write(flash=1)
        self.node.repair()
        self.assertEqual(self.place.data, {"flash": 1})
        self.node.write(later=1)
        self.assertEqual(self.place.data, {"flash": 1, "later": 1})

    def test_emptiedByOldCopy(self) -> None:
        """
        Nor where that other node had not seen what was stored before: also its
        later writes tell that the session was empty.
        """
        for name, writes in ("two", 1), ("three", 2):
            other = Node(name, self.place)
            self.node.write(by={"mine": 1})
            self.place.stored = {}
            for number in range(writes):
                other.write(flash=number)
            expected = self.place.data
            self.assertFalse(self.node.repair())
            self.assertEqual(self.place.data, expected)

    def test_foundEmpty(self) -> None:
        """
        Nor where that other node found the session empty when it came.
        """
        self.node.write(mine=1)
        self.place.stored = {}
        other = Node("two", self.place)
        # It has nothing to look at: that is what it loaded.
        other._put({}, {"flash": 1}, {"flash": 1}, {}, ())
        self.assertFalse(self.node.repair())
        self.assertEqual(self.place.data, {"flash": 1})

    def test_writtenAfterEmptied(self) -> None:
        """
        What is written into it after that is put back as ever.
        """
        other = Node("two", self.place)
        self.node.write(by={"mine": 1})
        self.place.stored = {}
        other.write(flash=1)
        copy = self.foreign()
        self.node.write(by={"mine": 5})
        self.ends(copy)
        self.assertEqual(self.place.data, {"flash": 1, "mine": 5})

    def test_otherPerson(self) -> None:
        """
        Nor with what is written after somebody logged in or out.
        """
        copy = self.foreign()
        self.node.write(mine=1)
        self.place.stored = {**copy, "user": "eve"}
        self.node.load()
        self.ends(self.foreign(), flash=1)
        self.assertEqual(self.place.data, {"user": "eve", "n": 1, "flash": 1})

    def test_tooLate(self) -> None:
        """
        What was written longer ago than the window is no more known.
        """
        copy = {**self.foreign(), STAMP: {"other": [1, self.place.now]}}
        self.node.write(mine=1)
        self.place.now += 3
        self.node.write(more=1)
        self.assertEqual(self.node.journal.until(), self.place.now + 5)
        self.place.now += 2
        self.ends(copy)
        self.assertEqual(self.place.data, {"user": "ada", "n": 1, "mine": 1, "more": 1})
        self.place.now += 5.1
        self.ends(copy)
        self.assertEqual(self.place.data, {"user": "ada", "n": 1})

    def test_noNumber(self) -> None:
        """
        Nothing is added to what somebody made no number, or only looks like
        one.
        """
        for odd in ("1", True, None):
            copy = self.foreign()
            self.node.write(by={"n": 1})
            self.ends(copy, n=odd)
            self.assertIs(self.place.data["n"], odd)
            self.place.stored = {"n": 1}

    def test_loadedWithStamps(self) -> None:
        """
        A copy without stamps may be from before the session was loaded.
        """
        copy = self.foreign()
        Node("two", self.place).write(theirs=1)
        self.node = Node("one", self.place)
        self.node.write(mine=1)
        self.ends(copy)
        self.assertEqual(self.place.data, {"user": "ada", "n": 1, "mine": 1})

    def test_stamps(self) -> None:
        """
        Other nodes' stamps are kept; what makes no sense is dropped, and nothing
        of it is seen by the application.
        """
        now = self.place.now
        stamps = {
            "other": [7, now],
            "ahead": [7, now + 9e6],
            "repairs": [7, now, 0],
            "bare": [7, now, 7, 5],
            "empty": [7, now, 7, 0, 5],
        }
        self.place.stored[STAMP] = {
            **stamps,
            "odd": [None, 1],
            "odder": 5,
            "oddest": ["1", "2"],
            "true": [1],
            "long": [1, 1, 1, 1, 1, 1],
        }
        self.node.write(mine=1)
        self.assertEqual(self.place.stored[STAMP], {**stamps, "one": [1, now]})
        self.assertIs(type(self.place.stored[STAMP]["one"][1]), int)
        odds: list[Any] = [5, [], "x", None, {1: [1, 1]}]
        for odd in odds:
            data = {STAMP: odd, "a": 1}
            self.assertEqual((stampsIn(data), data), ({}, {"a": 1}))
        numbers = True, 0, -1, 1.5, 2**53, 10**400
        times = True, -1, 2**53, 10**400, 1e308, inf, -inf, nan
        for number, at in [(n, 1.0) for n in numbers] + [(1, at) for at in times]:
            self.assertEqual(stampsIn({STAMP: {"x": [number, at]}}), {}, (number, at))
        for own in (True, -1, 1.5, 2**53, nan):
            self.assertEqual(stampsIn({STAMP: {"x": [1, 1, own]}}), {}, own)
            self.assertEqual(stampsIn({STAMP: {"x": [1, 1, 1, own]}}), {}, own)

    def test_oldStamps(self) -> None:
        """
        A stamp is dropped when this process has seen it unchanged for an hour,
        in whichever session, whatever the clock of its node was.
        """
        memory = Memory()
        self.node = Node("one", self.place, memory=memory)
        self.place.stored[STAMP] = {
            "fast": [7, self.place.now + 7000],
            "slow": [7, self.place.now - 7000],
        }
        self.node.write(mine=1)
        self.place.now += 3599
        self.node.write(mine=2)
        self.assertEqual(set(self.place.stored[STAMP]), {"one", "fast", "slow"})
        self.place.stored[STAMP]["fast"] = [8, self.place.now]
        self.place.now += 2
        self.node.write(mine=3)
        self.assertEqual(set(self.place.stored[STAMP]), {"one", "fast"})
        elsewhere = Place()
        elsewhere.now = self.place.now
        elsewhere.stored[STAMP] = {"slow": [6, 0], "fast": [9, 0], "new": [1, 0]}
        node = Node("one", elsewhere, memory=memory)
        node.write(mine=1)
        self.assertEqual(set(elsewhere.stored[STAMP]), {"one", "fast", "new"})

    def test_manyStamps(self) -> None:
        """
        There are never more than a hundred; the youngest stay.
        """
        now = self.place.now
        stamps = {f"n{number}": [1, now - number] for number in range(200)}
        self.place.stored[STAMP] = stamps
        self.node.write(mine=1)
        left = {"one", *(f"n{number}" for number in range(99))}
        self.assertEqual(set(self.place.stored[STAMP]), left)

    def test_inDoubt(self) -> None:
        """
        A stamp tells whether an attempt succeeded, also when somebody changed
        the session since.
        """
        self.node.write(mine=1)
        stamps = stampsIn({**self.foreign(), "more": 1})
        self.assertEqual(self.node.journal.last(stamps), 1)
        self.node.journal.begin()
        self.assertEqual(self.node.journal.last(stamps), 1)
        self.assertEqual(self.node.journal.last({"other": Stamp(9, 1.0, 9)}), 0)
        self.assertIsNone(self.node.journal.last({}))

    def test_unchanged(self) -> None:
        """
        With nothing to repair, what is stored is given back itself.
        """
        self.node.write(mine=1)
        data = self.foreign()
        stamps = stampsIn(data)
        self.assertIs(self.node.journal.repaired(data, stamps, self.place.now), data)


class NodesTests(SynchronousTestCase):
    """
    Several nodes that change the same keys.
    """

    def setUp(self) -> None:
        self.place = Place(user="ada")
        self.nodes = [Node(name, self.place) for name in ("one", "two", "three")]
        self.one, self.two, self.three = self.nodes

    def foreign(self) -> dict[str, Any]:
        """
        A request of the web application begins.
        """
        return deepcopy(self.place.stored)

    def ends(self, copy: dict[str, Any], *nodes: Node, **values: Any) -> None:
        """
        It ends, and nodes look, one after the other, until nobody has anything
        to do any more.
        """
        self.place.stored = {**copy, **values}
        for _ in range(4):
            repairs = [node.repair() for node in nodes or self.nodes]
            if True not in repairs:
                return
        self.fail("they go on for ever")

    def test_update(self) -> None:
        """
        What two nodes counted by C{update}, and appended, is all there,
        whoever looks first, and in whichever order they did it.
        """

        def count(data: dict[str, Any]) -> None:
            data["u"] = data.get("u", 0) + 1
            data.setdefault("log", []).append(data["u"])

        for first, second in permutations(range(3), 2):
            for turns in ("abab", "aabb", "abba", "baba"):
                self.setUp()
                one, two = self.nodes[first], self.nodes[second]
                one.update(count)
                two.update(count)
                copy = self.foreign()
                for turn in turns:
                    (one if turn == "a" else two).update(count)
                self.ends(copy, two, one, seen=1)
                expected = {"user": "ada", "u": 6, "log": [1, 2, 3, 4, 5, 6], "seen": 1}
                self.assertEqual(self.place.data, expected)

    def test_bothSides(self) -> None:
        """
        Also where the web application counted, too: then each node does its own
        again.
        """

        def count(data: dict[str, Any]) -> None:
            data["u"] = data.get("u", 0) + 1

        self.one.update(count)
        copy = self.foreign()
        self.one.update(count)
        self.two.update(count)
        self.two.write(by={"n": 2})
        self.ends(copy, u=copy["u"] + 1, n=5)
        self.assertEqual(self.place.data, {"user": "ada", "u": 4, "n": 7})

    def test_inTurn(self) -> None:
        """
        Of assignments one after the other the last one stands; what was
        appended in turn is there.
        """
        self.one.write(x=1, list=[1])
        copy = self.foreign()
        self.two.write(x=2, list=[1, 2])
        self.one.write(x=3, list=[1, 2, 3])
        self.two.write(x=4, list=[1, 2, 3, 4])
        for nodes in (self.one, self.two), (self.two, self.one):
            self.ends(deepcopy(copy), *nodes, h=1)
            self.place.data["list"].sort()
            expected = {"user": "ada", "x": 4, "list": [1, 2, 3, 4], "h": 1}
            self.assertEqual(self.place.data, expected)

    def test_appended(self) -> None:
        """
        What was appended is appended again, to whatever somebody else made of
        the list meanwhile, unless a node replaced it.
        """
        self.one.write(list=[1], cart={"figs": [1]}, gone=[1])
        self.two.repair()
        copy = self.foreign()
        self.one.write(list=[1, 2], cart={"figs": [1, 2]}, gone=[1, 2])
        self.two.write(gone=[])
        self.one.repair()
        self.place.stored = copy
        Node("four", self.place).write(list=[1, 3], cart={"figs": [1, 3]})
        self.ends(self.foreign())
        expected = {
            "user": "ada",
            "list": [1, 3, 2],
            "cart": {"figs": [1, 3, 2]},
            "gone": [],
        }
        self.assertEqual(self.place.data, expected)
        # Also if whoever did not see it replaced the list: then it is there.
        self.one.write(list=[1, 3, 2, 2])
        self.place.stored = copy
        Node("five", self.place).write(list=[1, 3, 2, 2, 5])
        self.ends(self.foreign())
        self.assertEqual(self.place.data["list"], [1, 3, 2, 2, 5])

    def test_superseded(self) -> None:
        """
        What a node assigned does not come back over what another one assigned
        after it, also if that was overwritten in between.
        """
        self.one.write(n=1)
        first = self.foreign()
        self.one.write(x=1)
        early = self.foreign()
        self.two.write(x=2)
        self.one.write(by={"n": 1})
        self.two.repair()
        # The application counted, too, so each node does its own again.
        self.place.stored = {**first, "n": 2}
        self.two.repair()
        late = self.foreign()
        self.one.repair()
        self.place.stored = {**early, "n": 2}
        self.one.repair()
        self.ends(late, self.one, self.two)
        self.assertEqual(self.place.data, {"user": "ada", "x": 2, "n": 3})

    def test_beganWithBranch(self) -> None:
        """
        What a request changed that began with what another one had just
        overwritten is its own, whichever node had seen to that.
        """
        self.one.write(x=1)
        self.two.repair()
        copy = self.foreign()
        self.two.write(y=1)
        self.one.repair()
        self.place.stored = {**copy, "h": 1}
        began = self.foreign()
        self.one.look()
        self.two.repair()
        self.one.repair()
        self.place.stored = {**began, "h": 2}
        expected = {"user": "ada", "x": 1, "y": 1, "h": 2}
        self.assertEqual(self.one.look()[0], expected)

    def test_deletedByNode(self) -> None:
        """
        What a node deleted does not come back.
        """
        self.one.write(x=1, cart={"figs": 1, "tea": 1})
        self.two.repair()
        copy = self.foreign()
        self.two.write(x=None, cart={"tea": 1})
        self.ends(copy, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "cart": {"tea": 1}, "h": 1})

    def test_deletedByApplication(self) -> None:
        """
        What the web application deleted stays deleted, also where the request
        began with what another one had just overwritten.
        """
        self.one.write(x=1)
        copy = self.foreign()
        self.one.write(y=1)
        self.place.stored = {**copy, "flash": 1}
        began = self.foreign()
        self.ends(began)
        self.assertEqual(self.place.data, {"user": "ada", "x": 1, "y": 1, "flash": 1})
        del began["flash"]
        self.ends(began)
        self.assertEqual(self.place.data, {"user": "ada", "x": 1, "y": 1})

    def changed(self, first: int | None, second: int | None) -> dict[str, Any]:
        """
        Two nodes change a key one after the other.  The second one never sees
        what was there before the first one did.

        @return: A copy from before both.
        """
        self.setUp()
        self.one.write(x=0)
        self.two.repair()
        # That there was nothing is forgotten.
        self.place.now += 6
        self.one.write(x=1)
        copy = self.foreign()
        self.one.write(x=first)
        self.two.write(x=second)
        self.one.repair()
        return copy

    def test_copyOfWhatIsUnseen(self) -> None:
        """
        What a node assigned or deleted is put back where the copy has a value that
        the node never saw, since the copy is of a version that it never saw.
        """
        for first, second in (2, 3), (None, 3), (2, None):
            copy = self.changed(first, second)
            self.ends(copy, self.two, self.one, h=1)
            more = {} if second is None else {"x": second}
            self.assertEqual(self.place.data, {"user": "ada", "h": 1, **more})

    def test_copyOfBeforeItCame(self) -> None:
        """
        So it is for a node that had not got the session yet.
        """
        self.one.write(x=1)
        copy = self.foreign()
        self.one.write(x=2)
        four = Node("four", self.place)
        four.write(x=3)
        self.one.repair()
        self.ends(copy, four, self.one, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "x": 3, "h": 1})

    def test_deletedOfWhatIsUnseen(self) -> None:
        """
        But what such a copy has not got stays away: the application may have
        deleted it.
        """
        copy = self.changed(2, 3)
        del copy["x"]
        self.ends(copy, self.two, self.one, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "h": 1})

    def test_assignedToo(self) -> None:
        """
        What the application assigned stays where the node saw the version of which
        that is a copy, also if it is no longer remembered, or has no room.
        """
        for elapsed, memory in (0, None), (6, None), (0, Memory(0)):
            self.setUp()
            four = Node("four", self.place, memory=memory)
            self.one.write(x=1)
            four.repair()
            copy = self.foreign()
            self.one.write(x=2)
            four.write(y=1)
            self.place.now += elapsed
            four.write(x=3)
            self.ends(copy, four, self.one, x=4)
            self.assertEqual(self.place.data["x"], 4)

    def test_assignedWithoutStamps(self) -> None:
        """
        So does what it assigned if it left out the stamps: that tells nothing of
        its copy.
        """
        self.one.write(x=1)
        four = Node("four", self.place)
        four.write(x=2)
        copy = self.foreign()
        del copy[STAMP]
        self.ends(copy, four, self.one, x=4)
        self.assertEqual(self.place.data["x"], 4)

    def test_assignedByNodeSince(self) -> None:
        """
        What another node assigned since, that had not seen it either, stays.
        """
        copy = self.changed(2, 3)
        self.place.stored = copy
        Node("four", self.place).write(x=5)
        self.ends(self.foreign(), self.two, self.one)
        self.assertEqual(self.place.data["x"], 5)

    def test_whatRequestsDo(self) -> None:
        """
        What two requests do to each other is as without us: no node brings back
        what only they changed.
        """
        copy = self.foreign()
        self.ends(self.foreign(), flash=1)
        self.one.write(x=1)
        self.ends(copy, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "x": 1, "h": 1})

    def test_simple(self) -> None:
        """
        If nothing was changed on both sides, whoever looks first sees to it all,
        nested keys too, and calls no function.
        """
        called: list[int] = []

        def add(data: dict[str, Any]) -> None:
            called.append(1)
            data["cart"]["figs"] = 2

        self.one.write(cart={"figs": 1, "tea": 1, "salt": 1})
        self.three.repair()
        copy = self.foreign()
        self.one.update(add)
        self.two.write(by={"n": 1})
        self.three.repair()
        copy["cart"]["tea"] = 2
        del copy["cart"]["salt"]
        self.ends(copy, self.three)
        expected = {"user": "ada", "cart": {"figs": 2, "tea": 2}, "n": 1}
        self.assertEqual(self.place.data, expected)
        self.assertFalse(self.one.repair() or self.two.repair())
        self.assertEqual(called, [1])

    def test_halfOfIt(self) -> None:
        """
        A node that looks at a branch in which nothing is missing leaves its
        stamp: so it notices when another one brings back half of what it did.
        """
        self.one.write(n=1)
        copy = self.foreign()
        self.two.write(flag=1)
        self.one.repair()
        self.two.write(flag=None)
        self.place.stored = copy
        self.two.look()
        self.one.repair()
        self.assertTrue(self.two.repair())
        self.assertEqual(self.place.data, {"user": "ada", "n": 1})

    def test_raises(self) -> None:
        """
        A function that fails when it is called again is not called once more,
        and that is logged; other writes are made.
        """
        called: list[int] = []

        def once(data: dict[str, Any]) -> None:
            called.append(1)
            if len(called) > 1:
                raise ValueError("not again")
            data["u"] = 1

        copy = self.foreign()
        self.one.update(once)
        self.one.write(mine=1)
        self.ends(copy, self.one, u=7)
        self.ends(copy, self.one, u=7)
        self.assertEqual(self.place.data, {"user": "ada", "u": 7, "mine": 1})
        self.assertEqual(len(called), 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_clocks(self) -> None:
        """
        Two nodes whose clocks differ by hours have nothing to mend.
        """
        for offset in (3599, 3700, -3700, 86400 * 30):
            self.setUp()
            ahead = Node("ahead", self.place, offset=offset)
            for _ in range(3):
                ahead.write(by={"n": 1})
                self.one.write(by={"n": 1})
                self.place.now += 10
                self.assertFalse(ahead.repair())
                self.assertFalse(self.one.repair())
            self.assertEqual(self.place.data["n"], 6)

    def test_bareElsewhere(self) -> None:
        """
        A copy without stamps may also descend from one that only another node
        has seen.
        """
        copy = self.foreign()
        self.one.write(mine=1)
        self.two.write(other=1)
        self.place.now += 4
        self.place.stored = {**copy, "h": 1}
        copy = self.foreign()
        self.two.repair()
        self.one.repair()
        self.place.now += 2
        self.ends(copy)
        expected = {"user": "ada", "mine": 1, "other": 1, "h": 1}
        self.assertEqual(self.place.data, expected)

    def test_starved(self) -> None:
        """
        What is to be repaired is not forgotten while others keep this node from
        storing it.
        """
        self.one.write(mine=1)
        copy = self.foreign()
        self.one.write(mine=2, other=1)
        self.two.repair()
        self.place.stored = {**copy, "h": 0}
        for number in range(8):
            self.assertTrue(self.one.look()[1])
            self.two.write(theirs=number)
            self.place.now += 1
        self.one.repair()
        expected = {"user": "ada", "mine": 2, "other": 1, "h": 0, "theirs": 7}
        self.assertEqual(self.place.data, expected)

    def test_forgotten(self) -> None:
        """
        A version is remembered until the window is over since it was replaced;
        then, what descends from it is repaired by each node's own writes.
        """
        self.one.write(x=1)
        copy = self.foreign()
        self.place.now += 60
        self.one.write(x=2)
        self.place.now += 4.9
        self.ends(copy, self.one, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "x": 2, "h": 1})
        self.place.now += 5.1
        self.one.write(z=1)
        self.ends(copy, self.one, h=1)
        self.assertEqual(self.place.data, {"user": "ada", "x": 1, "h": 1, "z": 1})

    # Nodes that are dead.

    def dies(self) -> None:
        """
        One and two change this and that, and nobody but two sees one again.
        """
        self.one.write(by={"n": 1}, mine=1, list=[1])
        self.two.write(by={"n": 1}, other=1)
        copy = self.foreign()
        self.one.write(by={"n": 2}, mine=2, list=[1, 2])
        self.two.write(by={"n": 4}, other=2)
        self.ends(copy, self.two, n=copy["n"], list=[1, 9])

    def test_dead(self) -> None:
        """
        Whoever has seen what a node wrote that is silent puts it in after a
        second: values that the request did not change, counts by their amount.
        """
        self.dies()
        expected = {"user": "ada", "n": 6, "mine": 1, "other": 2, "list": [1, 9]}
        self.assertEqual(self.place.data, expected)
        due = self.two.journal.silent()
        self.assertEqual(due, self.place.now + 1)
        self.place.now += 0.9
        self.assertFalse(self.two.takeOver())
        self.place.now += 0.1
        self.assertFalse(self.two.takeOver())
        self.assertEqual(self.two.journal.silent(), self.place.now + 4)
        self.place.now += 4
        self.assertTrue(self.two.takeOver())
        expected = {"user": "ada", "n": 8, "mine": 2, "other": 2, "list": [1, 9]}
        self.assertEqual(self.place.data, expected)
        self.assertIsNone(self.two.journal.silent())

    def test_deadAtOnce(self) -> None:
        """
        If nothing speaks against it, that takes a second; a node that was only
        slow does not do it again.
        """
        self.one.write(by={"n": 1}, mine=1)
        self.two.write(by={"n": 1})
        copy = self.foreign()
        self.one.write(by={"n": 2}, mine=2)
        self.two.write(by={"n": 4})
        self.ends(copy, self.two, n=copy["n"] + 1)
        self.assertEqual(self.place.data, {"user": "ada", "n": 7, "mine": 1})
        self.place.now += 1
        self.assertTrue(self.two.takeOver())
        self.assertEqual(self.place.data, {"user": "ada", "n": 9, "mine": 2})
        self.assertFalse(self.one.repair())

    def test_deadLate(self) -> None:
        """
        What tells who did what is remembered until that is done.
        """
        self.one.write(by={"n": 1}, list=[1])
        self.two.write(by={"n": 1})
        copy = self.foreign()
        self.one.write(by={"n": 2}, list=[1, 2])
        self.two.write(by={"n": 4})
        self.place.now += 2
        self.ends(copy, self.two, n=copy["n"], list=[1, 9])
        self.place.now += 1
        self.assertFalse(self.two.takeOver())
        self.place.now += 4
        self.assertTrue(self.two.takeOver())
        self.assertEqual(self.place.data["n"], 8)

    def droppedTwice(self) -> None:
        """
        Two counts, and what one counted is dropped before, with nothing of two's
        by the first request, and all by the second, where y is in the way.
        """
        self.one.write(by={"n": 1})
        self.two.write(by={"n": 1})
        self.three.look()
        first = self.foreign()
        self.one.write(z=1)
        self.copies = first, self.foreign()
        self.three.look()
        self.one.write(by={"n": 4}, x=1, y=1)
        self.two.look()

    def overwrites(self, number: int, **values: Any) -> None:
        """
        A request ends, and one sees it first.
        """
        self.place.stored = {**self.copies[number], **values}
        self.one.look()

    def assertTakenOver(self, n: int) -> None:
        """
        The second request drops all, and nobody but one is there.
        """
        self.one.look()
        self.overwrites(1, y=9)
        self.one.repair()
        self.place.now += 1
        self.assertTrue(self.one.takeOver())
        self.assertEqual(self.place.data["n"], n)

    def test_deadAfterRepair(self) -> None:
        """
        What a node put back of others before it died is not put in for it, but
        by these themselves.
        """
        self.droppedTwice()
        self.overwrites(0, h=1)
        self.two.write(by={"n": 2})
        self.assertEqual(self.place.data["n"], 8)
        self.assertTakenOver(8)

    def test_deadAfterItsRepair(self) -> None:
        """
        What it did again is put in once.
        """
        self.droppedTwice()
        self.two.write(by={"n": 2})
        self.overwrites(0, x=8)
        self.two.repair()
        self.one.repair()
        self.assertEqual(self.place.data["n"], 8)
        self.assertTakenOver(8)

    def test_deadAfterMore(self) -> None:
        """
        So it is if it did something new with that.
        """
        self.droppedTwice()
        self.two.write(by={"n": 2})
        self.overwrites(0, x=8)
        self.two.write(by={"n": 3})
        self.one.repair()
        self.assertEqual(self.place.data["n"], 11)
        self.assertTakenOver(11)

    def test_deadOnBranch(self) -> None:
        """
        So is what it did on a branch that was overwritten before it was repaired.
        """
        self.one.write(by={"n": 1})
        self.two.write(by={"n": 1})
        self.one.look()
        self.copies = self.foreign(), self.foreign()
        self.one.write(by={"n": 4}, y=1)
        self.place.stored = {**self.copies[0], "h": 1}
        self.two.write(by={"n": 2}, mine=2)
        self.one.look()
        self.assertTakenOver(8)
        self.assertEqual(self.place.data["mine"], 2)

    def droppedByTwo(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Two is dead, and a request drops what it wrote, where y is in the way.

        @return: What was stored before, and by that request.
        """
        self.one.write(by={"n": 1}, y=1)
        self.two.write(by={"n": 1}, mine=1)
        self.one.look()
        copy = self.foreign()
        # One sees that only together with the next write of two.
        self.place.stored = {**self.foreign(), "f": 1}
        self.two.write(by={"n": 2}, mine=2)
        self.one.write(by={"n": 4}, y=2)
        whole = self.foreign()
        self.place.stored = {**copy, "f": 5, "y": 9}
        return whole, self.foreign()

    def assertBack(self) -> None:
        """
        What two wrote is put in after a second.
        """
        self.one.repair()
        self.assertEqual(self.place.data["mine"], 1)
        self.place.now += 1
        self.assertTrue(self.one.takeOver())
        self.assertEqual(self.place.data["mine"], 2)
        self.assertEqual(self.place.data["n"], 8)

    def test_deadCopied(self) -> None:
        """
        What a dead node wrote is missing in a request that began with another one
        that dropped it.
        """
        whole, branch = self.droppedByTwo()
        self.one.look()
        self.place.stored = {**whole, "h": 1}
        self.one.repair()
        self.place.stored = {**branch, "y": 10}
        self.assertBack()

    def test_deadBetween(self) -> None:
        """
        So it is in a request that began with a repair, before another request
        brought it back.  What requests wrote meanwhile stays.
        """
        whole, _ = self.droppedByTwo()
        self.one.repair()
        branch = self.foreign()
        self.place.stored = {**whole, "h": 1}
        self.one.repair()
        self.assertEqual(self.place.data["mine"], 2)
        self.place.stored = {**branch, "y": 10}
        self.assertBack()
        self.assertEqual(self.place.data["f"], 5)

    def test_twoTakeOver(self) -> None:
        """
        Two nodes that have seen it put it in once.
        """
        self.droppedTwice()
        self.three.write(by={"n": 1})
        self.one.look()
        self.two.write(by={"n": 2})
        self.three.look()
        self.one.look()
        self.overwrites(1, y=9)
        self.three.look()
        self.one.repair()
        self.three.repair()
        self.place.now += 1
        self.assertEqual((self.one.takeOver(), self.three.takeOver()), (True, False))
        self.assertEqual(self.place.data["n"], 9)

    def test_slow(self) -> None:
        """
        A node that sees to its writes in time does so itself.
        """
        self.dies()
        self.one.repair()
        expected = {"user": "ada", "n": 8, "mine": 2, "other": 2, "list": [1, 9, 2]}
        self.assertEqual(self.place.data, expected)
        self.two.repair()
        self.assertIsNone(self.two.journal.silent())

    def test_notDead(self) -> None:
        """
        A node that only repaired something has nothing to see to.
        """
        self.one.write(mine=1)
        copy = self.foreign()
        self.one.write(mine=2)
        self.three.repair()
        self.ends(copy, self.three, h=1)
        self.two.repair()
        self.ends(copy, self.two, mine=3)
        self.assertIsNone(self.two.journal.silent())


class ModelTests(SynchronousTestCase):
    """
    Any order.
    """

    def foreign(self) -> dict[str, Any]:
        return deepcopy(self.place.stored)

    @settings(max_examples=300)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40))
    def test_model(self, steps: list[tuple[int, int]]) -> None:
        """
        Two nodes set keys of their own and count, while requests of the web
        application, that last any time, set keys of theirs: in the end all
        keys are there with their last values, and the counts are right.
        """
        self.place = Place(n=0)
        nodes = [Node("one", self.place), Node("two", self.place)]
        copies: dict[int, dict[str, Any]] = {}
        expected: dict[str, Any] = {"n": 0}
        for turn, (kind, number) in enumerate(steps):
            self.place.now += 0.01
            if kind < 2:
                key = f"node{kind}-{number}"
                nodes[kind].write(by={"n": 1}, **{key: turn})
                expected[key] = turn
                expected["n"] += 1
            elif kind == 2:
                copies[number] = self.foreign()
            elif number in copies:
                copy = copies.pop(number)
                key = f"web{number}"
                # Other requests' keys are lost among themselves.
                theirs = {k: v for k, v in self.place.data.items() if "web" in k}
                self.place.stored = {**copy, **theirs, key: turn}
                expected[key] = turn
                for node in nodes:
                    node.repair()
        for node in nodes:
            node.repair()
        self.assertEqual(self.place.data, expected)
