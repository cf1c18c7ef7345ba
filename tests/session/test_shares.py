"""
Tests for L{txsessionsock.session.shares}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock.session.branches import Stamp
from txsessionsock.session.merge import same
from txsessionsock.session.shares import Shares
from txsessionsock.session.versions import Version


def version(n: Any, **numbers: int) -> Version:
    """
    What was stored, and how much each node had written by then.
    """
    stamps = {node: Stamp(number, 0, number) for node, number in numbers.items()}
    return Version(stamps, {"n": n})


class SharesTests(SynchronousTestCase):
    """
    L{Shares}
    """

    def assertAdded(
        self, expected: Any, since: int, until: int, *versions: Version
    ) -> None:
        """
        Look what the node C{two} did from one of its writes to another.
        """
        here: Any = [] if type(expected[0]) is list else 0
        shares = Shares(versions, same)
        self.assertEqual(shares.added("two", ("n",), since, until, here), expected)

    def test_step(self) -> None:
        """
        Two versions in which all others have written as much tell.
        """
        self.assertAdded(
            (2, True),
            *(1, 2),
            version(5, one=1, two=1),
            version(7, one=1, two=2),
            version(9, one=2, two=2),
        )

    def test_putBack(self) -> None:
        """
        What a node put back of another one is not its own.
        """
        self.assertAdded(
            (1, True),
            *(1, 2),
            version(5, one=4, two=1),
            version(2, one=1, two=1),
            version(6, one=4, two=2),
        )

    def test_again(self) -> None:
        """
        What it did again, with more of its own or without, counts once.
        """
        self.assertAdded(
            (4, True),
            *(1, 4),
            version(5, one=1, two=1),
            version(6, one=1, two=2),
            version(5, one=1, two=1),
            version(6, one=1, two=3),
            version(9, one=1, two=4),
        )

    def test_chain(self) -> None:
        """
        Steps are put together, also where another node wrote in between.
        """
        self.assertAdded(
            (3, True),
            *(0, 2),
            version(5, one=1),
            version(6, one=1, two=1),
            version(9, one=2, two=1),
            version(11, one=2, two=2),
        )

    def test_part(self) -> None:
        """
        Of what it did again, a part may be there already.
        """
        versions = [
            version(5, one=1, two=1),
            version(6, one=1, two=2),
            version(5, one=1, two=1),
            version(9, one=1, two=4),
        ]
        self.assertAdded((3, True), 2, 4, *versions)
        versions = [version([9], one=1, two=1), version([9, 6], one=1, two=2)]
        versions += [version([9], one=1, two=1), version([9, 6, 7], one=1, two=4)]
        self.assertAdded(([7], True), 2, 4, *versions)

    def test_unknown(self) -> None:
        """
        Where two wrote before anybody looked, nobody can tell who did what; the
        rest is known.
        """
        self.assertAdded(
            (4, False),
            *(1, 3),
            version(5, one=1, two=1),
            version(8, one=2, two=2),
            version(12, one=2, two=3),
        )
        self.assertAdded((0, False), 1, 2, version(5, one=1, two=1))
        self.assertAdded(
            (0, False), 1, 2, version(5, one=1, two=1), version("5", one=1, two=2)
        )

    def test_forgotten(self) -> None:
        """
        What is remembered no longer tells nothing.
        """
        old, new = version(5, one=1, two=1), version(8, one=1, two=2)
        old.data = None
        self.assertAdded((0, False), 1, 2, old, new)

    def test_list(self) -> None:
        """
        What was appended is in a list, wherever; there may be none before.
        """
        versions = [version([], one=1), version(["a", "x"], one=2)]
        versions += [version(["x"], one=2, two=1), version(["x", "b", "b"], two=2)]
        self.assertAdded(([], False), 0, 1, *versions[:3])
        none = version(None, one=2)
        none.data = {}
        versions = [none, version(["b", "x", "b"], one=2, two=2)]
        self.assertAdded((["b", "x", "b"], True), 0, 2, *versions)
        versions = [version(["a", "b"], one=2), version(["x", "b", "a"], one=2, two=2)]
        self.assertAdded((["x"], True), 0, 2, *versions)

    def test_foreign(self) -> None:
        """
        Where foreign writers change something, too, two versions tell of which
        one was stored right after the other.
        """
        known = version(5, one=1, two=1), version(7, one=1, two=2)
        foreign = version(6, one=1, two=1)
        self.assertAdded((2, True), 1, 2, *known, foreign)
        late = version(7, one=1, two=3)
        self.assertAdded((0, False), 1, 3, known[0], late, foreign)
        self.assertAdded((1, True), 1, 2, known[0], foreign, known[1])
