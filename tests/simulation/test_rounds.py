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
from simulation.rounds import (
    ASKS,
    COPIES,
    EMPTIES,
    EMPTIES_TWICE,
    ENDS,
    GIVES_UP,
    GIVES_UP_LATER,
    KEEPS,
    LEAVES,
    LOGINS,
    OVERWRITES,
    REPLACES,
    RETURNS,
    ROLLS,
    STOPS,
    UNSEEN,
    WAITS,
    Round,
)
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
        for seed in range(20):
            plan = inRounds(Random(f"test {seed}"), seed, 50, some)
            found += any(find(happened(plan).history.all))
        self.assertGreater(found, 10)

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

    def test_emptiesTwice(self) -> None:
        """
        A node changes a session that a web application has read empty, and then
        another node does when that was written.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored: dict[str, tuple[str, int]] = {}
            emptied: dict[str, str] = {}
            for each in history:
                if each.what == "rewrites":
                    who, at = stored.get(each.more["session"], ("", 0))
                    if at > each.more["read"]:
                        emptied[each.more["session"]] = who
                elif each.what == "stored" and each.who.startswith("node"):
                    key = each.more["key"]
                    stored[key] = each.who, each.at
                    if emptied.get(key, each.who) != each.who:
                        yield each

        self.assertComesAbout(EMPTIES_TWICE, find)

    def test_stops(self) -> None:
        """
        A node that was told to stop handles messages for seven seconds.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            told: dict[str, int] = {}
            for each in history:
                if each.what == "stops":
                    told[each.who] = each.at
                elif each.what == "changes":
                    since = each.at - told.get(each.more["node"], each.at)
                    if since > 7 * SECOND:
                        yield each

        self.assertComesAbout(STOPS, find)

    def test_ends(self) -> None:
        """
        A copy is stored while a node stops that has just changed the session.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored, isStopping = 0, False
            for each in history:
                if each.what in ("stops", "stopped"):
                    isStopping = each.what == "stops"
                elif each.what == "stored" and each.who.startswith("node"):
                    stored = each.at
                isSoon = each.at - stored < SECOND
                if each.what == "copied" and isStopping and isSoon:
                    yield each

        self.assertComesAbout(ENDS, find)

    def test_replaces(self) -> None:
        """
        A socket that is open changes a session that somebody else logs in with then,
        and hears that it is replaced.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            changed: set[str] = set()
            for each in history:
                if each.what == "changes":
                    changed.add(each.who)
                elif each.more.get("reason") == "replaced" and each.who in changed:
                    yield each

        self.assertComesAbout(REPLACES, find)

    def test_waits(self) -> None:
        """
        A request that has taken for longer than two seconds overwrites what a node
        stored, and nobody asks that node for the session.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored: dict[str, int] = {}
            for each in history:
                if each.what == "stored" and each.who.startswith("node"):
                    stored[each.more["key"]] = each.at
                elif each.what == "rewrites":
                    at = stored.get(each.more["session"], 0)
                    if each.more["read"] < at < each.at - 2 * SECOND:
                        yield each

        self.assertComesAbout(WAITS, find)

    def test_overwrites(self) -> None:
        """
        A request that read a session before a node stored it writes it after that node
        was told to stop.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored: dict[str, int] = {}
            isStopping = False
            for each in history:
                if each.what == "stored" and each.who.startswith("node"):
                    stored[each.more["key"]] = each.at
                elif each.what in ("stops", "stopped"):
                    isStopping = each.what == "stops"
                elif each.what == "rewrites":
                    last = stored.get(each.more["session"], 0)
                    if isStopping and each.more["read"] < last:
                        yield each

        self.assertComesAbout(OVERWRITES, find)

    def test_givesUp(self) -> None:
        """
        Of an increment nobody knows whether it was stored, and its handler hears of
        that only when it waits for a write.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            counting = {
                each.more["token"]
                for each in history
                if each.what == "sends" and each.more["do"] == "count and update"
            }
            for each in history:
                isUnknown = each.what == "serror" and "Timeout" in each.more["error"]
                if isUnknown or (
                    each.what == "fails" and each.more["token"] in counting
                ):
                    yield each

        for some in GIVES_UP, GIVES_UP_LATER:
            self.assertComesAbout(some, find)

    def test_unseen(self) -> None:
        """
        A request overwrites what two nodes stored one after the other since it read
        the session.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            stored: dict[str, list[tuple[str, int]]] = {}
            for each in history:
                if each.what == "stored" and each.who.startswith("node"):
                    stored.setdefault(each.more["key"], []).append((each.who, each.at))
                elif each.what in ("rewrites", "changes") and "read" in each.more:
                    last = stored.get(each.more["session"], [])[-2:]
                    isSince = all(at > each.more["read"] for _, at in last)
                    if isSince and len({who for who, _ in last}) == 2:
                        yield each

        self.assertComesAbout(UNSEEN, find)

    def test_keeps(self) -> None:
        """
        A handler changes a list more than three seconds after it got it, and it is
        stored.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            sent: dict[int, int] = {}
            for each in history:
                if each.what == "sends":
                    sent[each.more["token"]] = each.at
                    continue
                isLate = (
                    each.at - sent.get(each.more.get("token", 0), each.at) > 3 * SECOND
                )
                if isLate and each.what == "changes" and each.more["do"] == "list":
                    yield each

        self.assertComesAbout(KEEPS, find)

    def test_asks(self) -> None:
        """
        A handler that has asked its client fails because the store does.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            asking = {
                each.more["token"]
                for each in history
                if each.what == "sends" and each.more["do"].startswith("ask")
            }
            for each in history:
                isLost = each.what == "fails" and each.more["error"].startswith("Store")
                if isLost and each.more["token"] in asking:
                    yield each

        self.assertComesAbout(ASKS, find)

    def test_returns(self) -> None:
        """
        A client of Socket.IO goes on at another node, where the session was changed
        shortly before.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            nodes: dict[str, str] = {}
            changed: dict[str, int] = {}
            for each in history:
                if each.what == "changes":
                    changed[each.more["node"]] = each.at
                elif each.what == "connected" and "sid" in each.more:
                    sid, node = each.more["sid"], each.more["node"]
                    isElsewhere = nodes.get(sid, node) != node
                    if isElsewhere and each.at - changed.get(node, 0) < 2 * SECOND:
                        yield each
                    nodes[sid] = node

        self.assertComesAbout(RETURNS, find)

    def test_leaves(self) -> None:
        """
        A client of Socket.IO that has named a second session is closed.
        """

        def find(history: Sequence[Happening]) -> Iterator[Happening]:
            named: dict[str, set[str]] = {}
            for each in history:
                wire, isMore, _ = each.who.partition("/")
                if each.what == "connects" and isMore:
                    named.setdefault(wire, set()).add(each.more["session"])
                elif each.what == "closes" and len(named.get(wire, ())) > 1:
                    yield each

        self.assertComesAbout(LEAVES, find)
