"""
Tests for L{txsessionsock.journal}.
"""

from __future__ import annotations

from copy import deepcopy
from math import inf, nan
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.journal import STAMP, Journal, stampsIn


class Node:
    """
    A node that writes a session, with compare-and-set, and repairs it.
    """

    def __init__(self, name: str, place: Place, **options: Any) -> None:
        self.journal = Journal(name, **options)
        self._place = place

    def look(self) -> dict[str, Any]:
        """
        @return: What should be stored.
        """
        raw = deepcopy(self._place.stored)
        stamps = stampsIn(raw)
        return self.journal.repaired(raw, stamps, self._place.now)

    def write(self, by: dict[str, int] | None = None, **values: Any) -> None:
        """
        Set keys, or delete those that are C{None}, and add to others.
        """
        now, before = self._place.now, self.look()
        after = {k: v for k, v in {**before, **values}.items() if v is not None}
        for key, number in (by or {}).items():
            after[key] = after.get(key, 0) + number
        self._put(before, after, by or {}, now)

    def repair(self) -> None:
        """
        Store what is missing.
        """
        raw = deepcopy(self._place.stored)
        stamps = stampsIn(raw)
        repaired = self.journal.repaired(raw, stamps, self._place.now)
        if repaired is not raw:
            self._put(repaired, repaired, {}, self._place.now)

    def _put(
        self,
        before: dict[str, Any],
        after: dict[str, Any],
        by: dict[str, int],
        now: float,
    ) -> None:
        number = self.journal.begin()
        self._place.stored = deepcopy(self.journal.stamped(after, number, now))
        self.journal.wrote(number, before, deepcopy(after), by, now)


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
        self.assertEqual(len(self.node.journal._entries), 1)

    def test_bare(self) -> None:
        """
        A copy from before there were any stamps is just old, whichever node
        left the first one.
        """
        copy = self.foreign()
        other = Node("two", self.place, now=self.place.now)
        self.node.look()
        other.write(theirs=1)
        self.node.write(mine=1)
        self.place.stored = copy
        # Who did not wait for the other node to see to what is its own.
        self.node.write(more=1)
        other.repair()
        expected = {"user": "ada", "n": 1, "theirs": 1, "mine": 1, "more": 1}
        self.assertEqual(self.place.data, expected)

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

    def test_otherPerson(self) -> None:
        """
        Nor with what is written after somebody logged in or out.
        """
        copy = self.foreign()
        self.node.write(mine=1)
        self.place.stored = {**copy, "user": "eve"}
        self.node.journal.seen(stampsIn(self.foreign()))
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
        self.node = Node("one", self.place, now=self.place.now)
        self.node.journal.seen(stampsIn(self.foreign()))
        self.node.write(mine=1)
        self.ends(copy)
        self.assertEqual(self.place.data, {"user": "ada", "n": 1, "mine": 1})

    def test_stamps(self) -> None:
        """
        Other nodes' stamps are kept for an hour, since their clocks may differ;
        what makes no sense is dropped, and nothing of it is seen by the
        application.
        """
        now = self.place.now
        stamps = {"young": [7, now - 3599], "ahead": [7, now + 3599]}
        self.place.stored[STAMP] = {
            **stamps,
            "old": [7, now - 3601],
            "far": [7, now + 3601],
            "odd": [None, 1],
            "odder": 5,
            "oddest": ["1", "2"],
            "true": [1],
        }
        self.node.write(mine=1)
        self.assertEqual(self.place.stored[STAMP], {**stamps, "one": [1, now]})
        self.assertIs(type(self.place.stored[STAMP]["one"][1]), int)
        again = self.node.journal.stamped({}, 2, now)
        self.assertEqual(again, {STAMP: {**stamps, "one": [2, now]}})
        odds: list[Any] = [5, [], "x", None, {1: [1, 1]}]
        for odd in odds:
            data = {STAMP: odd, "a": 1}
            self.assertEqual((stampsIn(data), data), ({}, {"a": 1}))
        numbers = True, 0, -1, 1.5, 2**53, 10**400
        times = True, -1, 2**53, 10**400, 1e308, inf, -inf, nan
        for number, at in [(n, 1.0) for n in numbers] + [(1, at) for at in times]:
            self.assertEqual(stampsIn({STAMP: {"x": [number, at]}}), {}, (number, at))

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
        self.assertEqual(self.node.journal.last({"other": (9, 1.0)}), 0)
        self.assertIsNone(self.node.journal.last({}))

    def test_unchanged(self) -> None:
        """
        With nothing to repair, what is stored is given back itself.
        """
        self.node.write(mine=1)
        data = self.foreign()
        stamps = stampsIn(data)
        self.assertIs(self.node.journal.repaired(data, stamps, self.place.now), data)

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
