"""
Tests for rounds of steps: what each is for comes about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import Happening
from simulation.plan import inRounds
from simulation.queue import SECOND
from simulation.rounds import COPIES, EMPTIES, LOGINS, ROLLS, Round
from simulation.world import happened


Found = Callable[[Sequence[Happening]], Iterator[Happening]]


class RoundTests(SynchronousTestCase):
    """
    Tests for L{simulation.rounds}.
    """

    def assertComesAbout(self, some: Round, find: Found) -> None:
        """
        In most histories something is found.
        """
        found = 0
        for seed in range(10):
            plan = inRounds(Random(f"test {seed}"), seed, 50, some)
            found += any(find(happened(plan).history.all))
        self.assertGreater(found, 5)

    def test_copies(self) -> None:
        """
        A node loses a connection when it has just changed a session of which there is
        an older copy.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            isCopied, stored = False, 0
            for each in history:
                if each.what in ("copied", "uncopied"):
                    isCopied = each.what == "copied"
                elif each.what == "stored" and each.who.startswith("node"):
                    stored = each.at if isCopied else 0
                elif each.what == "cut off" and each.at - stored < SECOND:
                    yield each

        self.assertComesAbout(COPIES, find)

    def test_rolls(self) -> None:
        """
        A node is told to stop when something has just come to it for a group, and
        groups are counted two seconds after it has stopped.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            got: dict[str, int] = {}
            stopped = -1
            for each in history:
                if each.what == "gets":
                    got[each.who] = each.at
                elif each.what == "stops" and each.at - got.get(each.who, 0) < SECOND:
                    stopped = 0
                elif each.what == "stopped" and not stopped:
                    stopped = each.at
                elif each.what == "tells" and 0 < stopped < each.at - 2 * SECOND:
                    yield each

        self.assertComesAbout(ROLLS, find)

    def test_logins(self) -> None:
        """
        Another node stores a session that is about to get another id.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            asked: dict[str, str] = {}
            stored: set[tuple[str, str]] = set()
            for each in history:
                if each.what == "asks for page":
                    asked[each.who] = each.more["node"]
                    stored.clear()
                elif each.what == "stored":
                    stored.add((each.who, each.more["key"]))
                elif each.what == "moves":
                    old = {who for who, key in stored if key == each.more["old"]}
                    if old - {asked[each.who]}:
                        yield each

        self.assertComesAbout(LOGINS, find)

    def test_empties(self) -> None:
        """
        A node stores a session between a request's reading it and emptying it, and a
        node does so after that.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored, isEmptied = 0, False
            for each in history:
                if each.what == "rewrites":
                    isEmptied = each.more["read"] < stored
                elif each.what == "stored" and each.who.startswith("node"):
                    stored = each.at
                    if isEmptied:
                        yield each

        self.assertComesAbout(EMPTIES, find)
