"""
Tests for L{txsessionsock.session.silence}: what becomes of it is in
L{tests.session.test_journal}, here is when.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session.branches import Stamp, Stamps
from txsessionsock.session.merge import MISSING, same
from txsessionsock.session.silence import Silence
from txsessionsock.session.versions import Version


class SilenceTests(SynchronousTestCase):
    """
    L{Silence}
    """

    def setUp(self) -> None:
        self.silence = Silence("me", same, 5.0)
        self.branch = Version({}, {"n": 0, "user": "ada"})
        self.versions = [self.branch]

    def find(self, *nodes: str, isAll: bool = True, isSeen: bool = True) -> None:
        """
        Each of some nodes has added one, and set a key of its own.
        """
        versions = []
        stamps: dict[str, Stamp] = {}
        data = self.branch.data or {}
        for count, node in enumerate(nodes):
            stamps = {**stamps, node: Stamp(3, 0, 3)}
            data = {**data, "n": count + 1, node: 1}
            places = {("n",): (count, count + 1), (node,): (None, 1)}
            writers = frozenset({node})
            versions.append(Version(stamps, data, writers=writers, places=places))
        self.versions += [*versions, self.branch]
        self.silence.find(
            self.branch,
            versions,
            lambda path, value: isSeen,
            isAll=isAll,
        )

    def takenOver(
        self, latest: Version, now: float
    ) -> tuple[dict[str, object], Stamps] | None:
        """
        See to what is missing; this node counts, too.
        """
        versions = [*self.versions, latest]
        return self.silence.takenOver(versions, now, lambda path: path == ("n",))

    def test_nobody(self) -> None:
        """
        What this node wrote is its own to see to.
        """
        self.find("me")
        self.silence.stored({}, 100.0)
        self.assertIsNone(self.silence.due())
        self.assertIsNone(self.takenOver(self.branch, 200.0))

    def test_due(self) -> None:
        """
        It is time a second after the last node was found silent; those that are
        heard do not count.
        """
        self.find("one", "two")
        self.silence.stored({}, 100.0)
        self.silence.stored({"one": Stamp(3, 0, 3)}, 100.5)
        self.silence.stored({}, 100.6)
        self.assertEqual(self.silence.due(), 101.6)
        self.silence.stored({"one": Stamp(4, 0, 3)}, 100.7)
        self.assertEqual(self.silence.due(), 101.0)
        self.silence.stored({"one": Stamp(4, 0, 3), "two": Stamp(9, 0, 8)}, 100.8)
        self.assertIsNone(self.silence.due())

    def test_takenOver(self) -> None:
        """
        What is missing is put in, with the stamps of those who are silent.
        """
        self.find("one", "two")
        mine = {"me": Stamp(1, 0, 1), "two": Stamp(3, 0, 3)}
        self.silence.stored(mine, 100.0)
        latest = Version(mine, {"n": 7, "user": "ada", "two": 1})
        self.assertIsNone(self.takenOver(latest, 100.9))
        found = self.takenOver(latest, 101.0)
        assert found is not None
        data, stamps = found
        self.assertEqual(data, {"n": 8, "user": "ada", "two": 1, "one": 1})
        self.assertEqual(stamps, {**mine, "one": Stamp(3, 0, 3)})

    def test_notAll(self) -> None:
        """
        If not all can be put in, or not all is known, a node that is slow has
        until the window is over; then, what is possible is done.
        """
        for isAll, isSeen in (False, True), (True, False):
            self.setUp()
            self.find("one", isAll=isAll, isSeen=isSeen)
            self.silence.stored({}, 100.0)
            self.assertIsNone(self.takenOver(self.branch, 101.0))
            self.assertEqual(self.silence.due(), 105.0)
            found = self.takenOver(self.branch, 105.0)
            assert found is not None
            self.assertEqual(found[0]["n"], 1)
            self.assertEqual("one" in found[0], isSeen)

    def test_superseded(self) -> None:
        """
        Where somebody assigned something else, nothing is put in.
        """
        self.find("one")
        self.silence.stored({}, 100.0)
        self.silence.superseded(("one",))
        self.silence.superseded(("n",))
        self.assertIsNone(self.takenOver(self.branch, 101.0))
        self.assertIsNone(self.silence.due())

    def test_again(self) -> None:
        """
        What was missing in a branch still is in the next one that never had it.
        """
        self.find("one")
        self.silence.stored({}, 100.0)
        self.find("two")
        self.silence.stored({}, 100.5)
        found = self.takenOver(self.branch, 101.5)
        assert found is not None
        self.assertEqual(found[0], {"n": 2, "user": "ada", "one": 1, "two": 1})

    def test_otherBranch(self) -> None:
        """
        What others stored there without it is not what it was.
        """
        self.find("one")
        later = Version(
            {"two": Stamp(7, 0, 7)},
            {"n": 0, "one": 0},
            writers=frozenset({"two"}),
            places={("one",): (1, 0)},
        )
        versions = [*self.versions[1:-1], later]
        branch = Version(later.stamps, {"n": 0, "user": "ada"})
        self.silence.find(branch, versions, lambda path, value: True, isAll=True)
        self.silence.stored(branch.stamps, 100.0)
        found = self.takenOver(branch, 101.0)
        assert found is not None
        self.assertEqual(found[0], {"n": 1, "user": "ada", "one": 1})

    def test_earlier(self) -> None:
        """
        What was stored before the version that a branch descends from is put in
        where there is what one of these writes replaced: not the first, if that
        only put back what is there.
        """

        def wrote(number: int, *values: int) -> Version:
            old, new = values
            stamps = {"one": Stamp(number, 0, number)}
            places = {("one",): (old, new), ("f",): (old, new)}
            data = {"one": new, "f": new}
            return Version(stamps, data, writers=frozenset({"one"}), places=places)

        branch = Version({"one": Stamp(2, 0, 2)}, {"one": 1, "f": 5})
        self.silence.find(
            branch,
            [],
            lambda path, value: True,
            isAll=True,
            earlier=[wrote(3, 0, 1), wrote(4, 1, 2)],
        )
        self.silence.stored(branch.stamps, 100.0)
        found = self.takenOver(branch, 101.0)
        assert found is not None
        self.assertEqual(found[0], {"one": 2, "f": 5})

    def test_aboveMine(self) -> None:
        """
        So is what a node assigned above what this one had assigned, if neither is
        there, and nothing else.
        """
        mine = {"me": Stamp(3, 0, 3)}
        both = {**mine, "one": Stamp(3, 0, 3)}
        versions = [
            Version(
                stamps,
                {"k": new, "f": new},
                writers=frozenset({node}),
                places={("k",): (old, new), ("f",): (old, new)},
            )
            for stamps, node, old, new in (
                (mine, "me", MISSING, 1),
                (both, "one", 1, 2),
            )
        ]
        branch = Version({}, {"f": 5})
        self.silence.find(
            branch, [], lambda path, value: True, isAll=True, earlier=versions
        )
        self.silence.stored({}, 100.0)
        found = self.takenOver(branch, 101.0)
        assert found is not None
        self.assertEqual(found[0], {"f": 5, "k": 2})

    def test_stillThere(self) -> None:
        """
        So is what the node did again, which is put in once.
        """
        self.find("one")
        self.silence.stored({}, 100.0)
        later = Version(
            {"one": Stamp(4, 0, 4)},
            {"n": 1, "user": "ada", "one": 1},
            writers=frozenset({"one"}),
            places={("one",): (None, 1)},
        )
        self.versions.append(later)
        self.silence.find(self.branch, [later], lambda path, value: True, isAll=True)
        self.silence.stored({}, 100.5)
        found = self.takenOver(self.branch, 101.0)
        assert found is not None
        self.assertEqual(found[0], {"n": 1, "user": "ada", "one": 1})

    def test_partOfIt(self) -> None:
        """
        If it is not known of all that a node did there, it is time later.
        """
        self.find("one")
        self.silence.stored({}, 100.0)
        # Somebody counted there before anybody looked.
        mine = {"me": Stamp(1, 0, 1)}
        later = Version(
            {"one": Stamp(4, 0, 4), **mine},
            {"n": 3, "user": "ada", "one": 1},
            writers=frozenset({"one", "me"}),
            places={("n",): (1, 3)},
        )
        self.versions.append(later)
        self.silence.find(self.branch, [later], lambda path, value: True, isAll=True)
        self.silence.stored(mine, 100.0)
        latest = Version(mine, {"n": 1, "user": "ada", "one": 1})
        self.assertIsNone(self.takenOver(latest, 101.0))
        found = self.takenOver(latest, 105.0)
        assert found is not None
        self.assertEqual(found[0]["n"], 2)

    def test_partIsThere(self) -> None:
        """
        What is there of a silent node's is left alone, whatever became of it; so
        is what a node only put back that is heard.
        """
        stored = []
        for key, stamps in (
            ("a", {"one": Stamp(3, 0, 3)}),
            ("b", {"one": Stamp(5, 0, 5)}),
            ("c", {"one": Stamp(5, 0, 5), "two": Stamp(3, 0, 3)}),
            ("d", {"one": Stamp(5, 0, 5), "two": Stamp(4, 0, 3)}),
        ):
            writers = frozenset({"one" if key in "ab" else "two"})
            data = {**(self.versions[-1].data or {}), key: 1}
            places = {(key,): (MISSING, 1)}
            stored.append(Version(stamps, data, writers=writers, places=places))
            self.versions.append(stored[-1])
        self.silence.find(self.branch, stored, lambda path, value: True, isAll=True)
        heard = {"one": Stamp(3, 0, 3), "two": Stamp(3, 0, 3)}
        self.silence.stored(heard, 100.0)
        found = self.takenOver(Version(heard, {"a": 7, "c": 1}), 101.0)
        assert found is not None
        self.assertEqual(found[0], {"a": 7, "b": 1, "c": 1})
