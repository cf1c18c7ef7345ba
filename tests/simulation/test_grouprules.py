"""
Tests for the rules of groups, and of nodes that stop.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import History
from simulation.plan import drawn
from simulation.queue import BEGIN, SECOND
from simulation.rules import judged


_PLAN = replace(
    drawn(1),
    kind="watched",
    perMessage=True,
    freshness="strict",
    repair=True,
    offsets=(0.0, 0.0),
    steps=(),
    hub=True,
)
_KEY = "sess:s"


class GroupRuleTests(SynchronousTestCase):
    """
    Tests for L{judged}, with two nodes that know each other, and a socket at each:
    C{tab.1} at C{node1}, C{tab.2} at C{node2}.
    """

    def setUp(self) -> None:
        self.now = BEGIN + 5 * SECOND
        self.history = History(lambda: self.now)
        self.put("created", "web1")
        for number in 1, 2:
            node, tab = f"node{number}", f"tab.{number}"
            self.note("connects", tab, node=node, session="s")
            self.note("connected", tab, node=node)
            self.note("joins", tab, room="all", isIn=True)

    def note(self, what: str, who: str, **more: Any) -> None:
        """
        Have something happen, a little later than the last.
        """
        self.now += SECOND // 1000
        self.history.note(what, who, **more)

    def put(self, what: str, who: str, **data: Any) -> None:
        """
        Have something be stored.
        """
        self.note(what, who, key=_KEY, data=json.dumps({"nest": {}, "log": []} | data))

    def tells(
        self, told: int = 1, do: str = "send", kind: str = "room", value: Any = "all"
    ) -> None:
        """
        Have the first node tell a group something.
        """
        self.note("tells", "node1", told=told, do=do, kind=kind, value=value)

    def gets(self, node: str, count: int, told: int = 1) -> None:
        """
        Have a node get it, and reach so many.
        """
        self.note("gets", node, told=told, by="node1")
        self.note("did", node, told=told, by="node1", count=count)

    def passesOn(self, tab: str, told: int = 1, **more: Any) -> None:
        """
        Have a socket be told.
        """
        self.note("passes on", tab, told=told, by="node1", **more)

    def reached(self, told: int = 1, **nodes: int | None) -> None:
        """
        Have the first node be told who was reached.
        """
        self.note("reached", "node1", told=told, nodes=nodes)

    def changes(self, token: int, key: str = "a", tab: str = "tab.1") -> None:
        """
        Have a handler of the first node change something.
        """
        more = {"do": "set", "key": key, "token": token, "digit": 0, "node": "node1"}
        self.note("changes", tab, **more)
        self.note("done", tab, token=token)

    def page(self) -> None:
        """
        Have a page of the first node give the session another id.
        """
        asked = {"node": "node1", "session": _KEY, "token": 150}
        self.note("asks for page", "page1", do="log in", **asked)
        sees: dict[str, Any] = {"log": []}
        self.note("page reads", "page1", isNew=False, sees=sees, **asked)
        data = json.dumps({"nest": {}, "log": []})
        self.note("created", "node1", key="sess:t", data=data)
        self.note("deleted", "node1", key=_KEY, data=None)
        self.note("moves", "page1", old=_KEY, new="sess:t")

    def assertBroken(self, *rules: str) -> None:
        """
        These rules are broken, and no others.
        """
        breaches = judged(_PLAN, self.history).breaches
        self.assertEqual({breach.rule for breach in breaches}, {*rules})

    def assertKept(self, *rules: str) -> None:
        """
        No rule is broken, and these applied.
        """
        verdict = judged(_PLAN, self.history)
        self.assertEqual(list(map(str, verdict.breaches)), [])
        for name in rules:
            self.assertIn(name, verdict.applied)

    def test_kept(self) -> None:
        """
        Nothing is wrong with a history that is right.
        """
        self.tells()
        self.gets("node1", 1)
        self.passesOn("tab.1")
        self.gets("node2", 1)
        self.passesOn("tab.2")
        self.reached(node1=1, node2=1)
        self.note("parts", "tab.2", room="all", wasIn=True)
        self.tells(2)
        self.gets("node1", 1, 2)
        self.passesOn("tab.1", 2)
        self.gets("node2", 0, 2)
        self.reached(2, node1=1, node2=0)
        self.note("quiet", "world")
        self.assertKept(
            *("hubReachesMembers", "hubReachesNobodyElse", "hubCounts"),
            *("everyNodeAnswers", "onceForEachNode", "roomsAreKept"),
        )

    def test_notTold(self) -> None:
        """
        A member is not told; it may have gone before.
        """
        self.tells()
        self.gets("node1", 1)
        self.note("quiet", "world")
        self.assertBroken("hubReachesMembers")
        self.history.all.pop()
        self.note("lost", "tab.1", code=1006)
        self.note("quiet", "world")
        self.assertKept()

    def test_closedBefore(self) -> None:
        """
        A node that stops closes a socket before it is told what it was to be.
        """
        self.tells()
        self.gets("node1", 1)
        self.note("stops", "node1")
        self.note("closes", "tab.1", node="node1", code=1001, reason="")
        self.assertBroken("hubReachesMembers")

    def test_stranger(self) -> None:
        """
        Somebody is told who is in no room, or has another session.
        """
        for kind, value in (("room", "r"), ("session", "other"), ("seat", 100)):
            self.setUp()
            self.tells(kind=kind, value=value)
            self.gets("node1", 0)
            self.assertKept("hubCounts")
            self.passesOn("tab.1")
            self.assertBroken("hubReachesNobodyElse")

    def test_seats(self) -> None:
        """
        An index follows a handler at once on its own node, and in time on others.
        """
        self.changes(100, "seat")
        self.put("stored", "node1", seat=100)
        self.tells(kind="seat", value=100)
        self.gets("node1", 1)
        self.passesOn("tab.1")
        self.gets("node2", 0)
        self.tells(2, kind="seat", value="nobody")
        self.gets("node1", 0, 2)
        self.gets("node2", 1, 2)
        self.passesOn("tab.2", 2)
        self.assertKept()
        self.now += 30 * SECOND
        self.tells(3, kind="seat", value=100)
        self.gets("node2", 1, 3)
        self.passesOn("tab.2", 3)
        self.assertKept()
        self.tells(4, kind="seat", value="nobody")
        self.gets("node2", 1, 4)
        self.assertBroken("hubCounts")
        self.setUp()
        self.changes(100, "seat")
        self.tells(kind="seat", value="nobody")
        self.gets("node1", 1)
        self.passesOn("tab.1")
        self.assertBroken("hubCounts", "hubReachesNobodyElse")

    def test_closes(self) -> None:
        """
        A hub closes too few sockets, or too many.
        """
        self.note("parts", "tab.2", room="all", wasIn=True)
        self.tells(do="close")
        self.gets("node1", 1)
        self.gets("node2", 0)
        self.note("quiet", "world")
        self.assertBroken("hubCloses")
        self.history.all.pop()
        for tab, node in (("tab.1", "node1"), ("tab.2", "node2")):
            self.note("closes", tab, node=node, code=1012, reason="hub node1 1")
        self.note("quiet", "world")
        self.assertBroken("hubReachesNobodyElse")

    def test_counts(self) -> None:
        """
        A number is wrong: on the node, or on the way; or of members, in the end.
        """
        self.tells()
        self.gets("node1", 2)
        self.passesOn("tab.1")
        self.reached(node1=2, node2=None)
        self.assertBroken("hubCounts", "everyNodeAnswers")
        self.setUp()
        self.tells()
        self.gets("node1", 1)
        self.passesOn("tab.1")
        self.reached(node1=1, node2=1)
        self.assertBroken("hubCounts")
        self.setUp()
        self.note("all is well", "world")
        self.now += 25 * SECOND
        self.tells(do="count")
        self.reached(node1=1, node2=0)
        self.assertBroken("hubCounts")

    def test_cameAfterTheQuestion(self) -> None:
        """
        Who comes after the question need not be counted; who came before has to be.
        """
        for isAfter in True, False:
            self.setUp()
            self.note("all is well", "world")
            self.now += 25 * SECOND
            if isAfter:
                self.tells(do="count", kind="session", value="s")
            self.note("connects", "tab.3", node="node1", session="s")
            self.note("connected", "tab.3", node="node1")
            if not isAfter:
                self.tells(do="count", kind="session", value="s")
            self.reached(node1=1, node2=1)
            self.assertBroken(*[] if isAfter else ["hubCounts"])

    def test_moved(self) -> None:
        """
        A socket whose session got another id on its node does not count, though it
        hears that later; one of another node does until it hears it.
        """
        for count in 0, 1:
            self.setUp()
            self.page()
            self.tells()
            self.gets("node1", count)
            self.gets("node2", 1)
            self.passesOn("tab.2")
            self.assertBroken(*["hubCounts"] * count)

    def test_seatUnderTheNewID(self) -> None:
        """
        A seat that was taken under the id before may not come along; one that is taken
        under the new id counts at once.
        """
        for isLater, value in (False, 100), (False, "nobody"), (True, 100):
            self.setUp()
            if not isLater:
                self.changes(100, "seat")
            self.page()
            self.note("connects", "tab.3", node="node1", session="t")
            self.note("connected", "tab.3", node="node1")
            if isLater:
                self.changes(100, "seat", "tab.3")
            self.tells(kind="seat", value=value)
            self.gets("node1", 0)
            self.gets("node2", int(value == "nobody"))
            self.assertBroken(*["hubCounts"] * isLater)

    def test_heldWhenItsSessionEnds(self) -> None:
        """
        What waits for a change is lost with it, when the session ends; what waits
        for none, or for one that is stored, is not.
        """
        for hasChanged, isStored in ((True, False), (True, True), (False, False)):
            self.setUp()
            if hasChanged:
                self.changes(100)
            if isStored:
                self.put("stored", "node1", a=100)
            self.tells()
            self.gets("node1", 1)
            self.tells(2, do="close")
            self.gets("node1", 1, 2)
            self.note("deleted", "web1", key=_KEY, data=None)
            self.note("sdestroyed", "tab.1", reason="destroyed")
            reason = "hub node1 2"
            self.note("closes", "tab.1", node="node1", code=1012, reason=reason)
            isLost = hasChanged and not isStored
            self.assertBroken(*["hubReachesMembers"] * (not isLost))

    def test_heldWhenItMoves(self) -> None:
        """
        So is what waits for a change that is stored under another id only.
        """
        for isStored in (False, True):
            self.setUp()
            self.changes(100)
            if isStored:
                self.put("stored", "node1", a=100)
            self.tells()
            self.gets("node1", 1)
            self.page()
            data = json.dumps({"nest": {}, "log": [], "a": 100})
            self.note("stored", "node1", key="sess:t", data=data)
            self.note("sdestroyed", "tab.1", reason="moved")
            reason = "server going away"
            self.note("closes", "tab.1", node="node1", code=1001, reason=reason)
            breaches = judged(_PLAN, self.history).breaches
            isBroken = "hubReachesMembers" in {breach.rule for breach in breaches}
            self.assertEqual(isBroken, isStored)

    def test_heldWhileItStandsStill(self) -> None:
        """
        What waits for a change may be dropped when a node goes on that stood still,
        also if its store had been well again long before that.
        """
        for isStill in True, False:
            self.setUp()
            self.changes(100)
            self.note("trouble", "node1", how="mute", seconds=1.0)
            if isStill:
                self.note("pauses", "node1", how=20.0)
            self.note("heals", "node1")
            self.now += 20 * SECOND
            self.tells()
            self.gets("node1", 1)
            self.tells(2, do="close")
            self.gets("node1", 1, 2)
            reason = "hub node1 2"
            self.note("closes", "tab.1", node="node1", code=1012, reason=reason)
            self.assertBroken(*["hubReachesMembers"] * (not isStill))

    def test_answers(self) -> None:
        """
        A node is missing in an answer, while nothing is wrong; or one's own.
        """
        self.note("bus", "node2", how="cut", seconds=1.0)
        self.tells(do="count")
        self.reached(node1=1, node2=None)
        self.assertKept("everyNodeAnswers")
        self.reached(node1=None)
        self.assertBroken("everyNodeAnswers")
        self.history.all.pop()
        self.note("bus heals", "node2")
        self.now += 25 * SECOND
        self.tells(2, do="count")
        self.reached(2, node1=1)
        self.assertBroken("everyNodeAnswers")

    def test_dead(self) -> None:
        """
        A node that is gone is waited for, for longer than it may.
        """
        for what, seconds in (("killed", 15), ("stopped", 1)):
            self.setUp()
            if what == "stopped":
                self.note("stops", "node2")
                self.note("lost", "tab.2", code=1001)
            self.note(what, "node2")
            for number, later in enumerate((seconds, 10)):
                self.now += later * SECOND
                self.tells(number, do="count")
                self.reached(number, node1=1, node2=None)
                if not number:
                    self.assertKept()
            self.assertBroken("theDeadAreForgotten")

    def test_refused(self) -> None:
        """
        Who was told that nothing was sent reads that a node got it; who was told
        that it did not get everywhere did nothing itself.
        """
        self.tells()
        self.note("jumps", "node1", how=1.0)
        self.note("not reached", "node1", told=1, error="StoreUnavailable")
        self.assertKept("refusedReachesNobody")
        self.note("gets", "node2", told=1, by="node1")
        self.assertBroken("refusedReachesNobody")
        self.setUp()
        self.tells()
        self.note("not reached", "node1", told=1, error="StoreTimeout")
        self.assertBroken("refusedReachesNobody", "everyNodeAnswers")
        self.setUp()
        self.note("bus", "node1", how="cut", seconds=1.0)
        self.tells(do="count")
        self.note("not reached", "node1", told=1, error="StoreError")
        self.assertBroken("refusedReachesNobody")

    def test_again(self) -> None:
        """
        A node gets something again.
        """
        self.tells()
        self.gets("node1", 1)
        self.passesOn("tab.1")
        self.note("gets", "node1", told=1, by="node1")
        self.passesOn("tab.1")
        self.assertBroken("onceForEachNode", "hubInOrder")

    def test_held(self) -> None:
        """
        A socket is told before what was changed is stored; on another node that may
        be.
        """
        self.changes(100)
        self.tells()
        self.gets("node1", 1)
        self.gets("node2", 1)
        self.passesOn("tab.2", after=100)
        self.assertKept()
        self.passesOn("tab.1", after=100)
        self.assertBroken("hubHolds")
        self.history.all.pop()
        self.put("stored", "node1", a=100)
        self.passesOn("tab.1", after=100)
        self.assertKept("hubHolds")

    def test_rooms(self) -> None:
        """
        A socket that is gone joins a room, or one was in none where it was.
        """
        self.note("parts", "tab.1", room="all", wasIn=False)
        self.assertBroken("roomsAreKept")
        self.history.all.pop()
        self.note("lost", "tab.1", code=1006)
        self.note("joins", "tab.1", room="r", isIn=False)
        self.assertKept("roomsAreKept")
        self.note("joins", "tab.1", room="r", isIn=True)
        self.assertBroken("roomsAreKept")
