"""
Tests for the rules: each says so when it is broken, and does not when it is kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from simulation.plan import SHORT
from simulation.queue import SECOND
from simulation.rules import RULES, judged
from simulation.state import tokenIn
from tests.simulation.histories import KEY, PLAN, HistoryTestCase


class RuleTests(HistoryTestCase):
    """
    Tests for L{judged}.
    """

    def test_kept(self) -> None:
        """
        Nothing is wrong with a history that is right.
        """
        self.does(100)
        self.sends(101)
        self.handles(101, a=100)
        self.note("done", "tab.1", token=101)
        self.note("answers", "tab.1", node="node1", token=101)
        self.note("quiet", "world")
        self.note("disconnect", "tab.1", code=1001)
        self.note("end", "world")
        self.assertKept(
            ("noUpdateIsLost", "fresh", "answersAreHeld", "inOrder", "nothingIsLeft")
        )

    def test_lost(self) -> None:
        """
        What somebody was told is done is not in a later version.
        """
        for later in ({}, {"a": 99}):
            self.setUp()
            self.sends(99)
            self.handles(99)
            self.changes(99)
            self.put("stored", "node1", a=99)
            self.answers(99)
            self.sends(100)
            self.handles(100, a=99)
            self.changes(100)
            self.put("stored", "node1", a=100)
            self.answers(100)
            self.put("stored", "node2", **later)
            self.assertEqual(self.broken(), ["noUpdateIsLost"])

    def test_concurrent(self) -> None:
        """
        Of two assignments at once either may win.
        """
        for winner in (100, 101):
            self.setUp()
            self.sends(100)
            self.handles(100)
            self.changes(100)
            self.opens("tab.2", "node2")
            self.sends(101, who="tab.2")
            self.handles(101, "tab.2")
            self.changes(101, who="tab.2", node="node2")
            self.put("stored", "node1", a=100)
            self.put("stored", "node2", a=101)
            self.answers(100)
            self.answers(101, "tab.2")
            self.put("stored", "node1", a=winner)
            self.assertKept(["noUpdateIsLost"])

    def test_increments(self) -> None:
        """
        An increment is lost, or counts twice.
        """
        for n, rule in ((0, "noUpdateIsLost"), (2 * 3**4, "incrementsCountOnce")):
            self.setUp()
            self.sends(100)
            self.handles(100)
            self.changes(100, "increment", "n", 4)
            self.put("stored", "node1", n=3**4)
            self.answers(100)
            self.put("stored", "node2", n=n)
            self.assertEqual(self.broken(), [rule])

    def test_updates(self) -> None:
        """
        So is what C{update} did, or is done twice.
        """
        for log, rule in (
            ([], "noUpdateIsLost"),
            ([100, 100], "incrementsCountOnce"),
        ):
            self.setUp()
            self.sends(100)
            self.handles(100)
            self.changes(100, "update", "log")
            self.put("stored", "node1", log=[100])
            self.answers(100)
            self.put("stored", "node2", log=log)
            self.assertEqual(self.broken(), [rule])

    def test_stale(self) -> None:
        """
        A message does not see what was answered before it was sent.
        """
        self.does(100)
        self.opens("other.1", "node2")
        self.sends(101, who="other.1")
        self.handles(101, "other.1")
        self.assertBroken("fresh")
        self.setUp()
        self.does(100)
        self.opens("other.1", "node2")
        self.sends(101, who="other.1")
        self.handles(101, "other.1", a=100)
        self.assertKept(["fresh"])

    def test_notHeld(self) -> None:
        """
        An answer goes out before what it tells is stored.
        """
        self.sends(100)
        self.handles(100)
        self.changes(100)
        self.note("asks", "tab.1", node="node1", token=100)
        self.answers(100)
        breaches = judged(self.plan, self.history).breaches
        self.assertEqual([each.rule for each in breaches], ["answersAreHeld"] * 2)

    def test_neverStored(self) -> None:
        """
        What a handler changed is never stored; of a node that was killed it need
        not be.
        """
        self.sends(100)
        self.handles(100)
        self.changes(100, "raise")
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["changesAreStored"])
        self.history.all.pop()
        self.note("killed", "node1")
        self.note("quiet", "world")
        self.assertKept([])

    def test_order(self) -> None:
        """
        Messages are handled, or answered, in another order.
        """
        self.sends(100, 101)
        self.handles(101)
        self.assertEqual(self.broken(), ["inOrder"])
        self.setUp()
        self.sends(100, 101)
        self.handles(100)
        self.note("done", "tab.1", token=100)
        self.handles(101)
        self.answers(101)
        self.answers(100)
        self.assertEqual(self.broken(), ["inOrder"])

    def test_hub(self) -> None:
        """
        A hub's messages come twice, or in another order.
        """
        for numbers in ((1, 1), (2, 1)):
            self.setUp()
            for number in numbers:
                self.note("passes on", "tab.1", told=number, by="node2")
            self.assertEqual(self.broken(), ["hubInOrder"])
        self.setUp()
        self.note("passes on", "tab.1", told=2, by="node2")
        self.note("passes on", "tab.1", told=1, by="node1")
        self.assertKept(["hubInOrder"])

    def test_afterTheEnd(self) -> None:
        """
        Something is answered after the end, or that is told twice.
        """
        self.sends(100)
        self.note("deleted", "web1", key=KEY, data=None)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.answers(100)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.assertEqual(self.broken(), ["theEndIsFinal", "toldOnce"])

    def test_back(self) -> None:
        """
        A node creates a session that was deleted.
        """
        self.note("deleted", "web1", key=KEY, data=None)
        self.put("created", "node1")
        self.assertEqual(self.broken(), ["neverBack"])

    def test_backWhenNobodyHadIt(self) -> None:
        """
        One that it began, and the store lost before anybody had its id, is none.
        """
        for by, isKnown in ("store", False), ("store", True), ("web1", False):
            self.setUp()
            new = {"key": "sess:new", "data": "{}"}
            self.note("created", "node1", **new)
            if isKnown:
                self.note("asks for page", "page", node="node1", session=KEY, do="set")
                self.note("cookie", "page", session="sess:new", code=200)
            self.note("deleted", by, **new | {"data": None})
            self.note("created", "node1", **new)
            if by == "store" and not isKnown:
                why = "a session that was lost before anybody had its id"
                self.assertKept([f"excepted: {why}"])
            else:
                self.assertBroken("neverBack")

    def test_open(self) -> None:
        """
        A socket of a session that ended stays open, or is closed late.
        """
        self.note("deleted", "web1", key=KEY, data=None)
        self.now += 10 * SECOND
        self.note("quiet", "world")
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.note("closes", "tab.1", code=4401)
        breaches = judged(self.plan, self.history).breaches
        self.assertEqual([each.rule for each in breaches], ["logoutMeansLogout"] * 2)
        self.assertIn("too late", str(breaches[1]))

    def test_outage(self) -> None:
        """
        A client is told that it has no session, and has one.
        """
        self.note("sinvalid", "tab.1", reason="unknown")
        self.assertEqual(self.broken(), ["anOutageIsNoLogout"])
        self.setUp()
        self.note("deleted", "web1", key=KEY, data=None)
        self.note("sinvalid", "tab.1", reason="unknown")
        self.assertKept(["anOutageIsNoLogout"])

    def test_left(self) -> None:
        """
        Something is left, fails or does not end.
        """
        self.note("left", "node1", text="1 sessions")
        self.note("error", "log", text="ValueError()")
        self.note("endless", "world")
        self.assertEqual(self.broken(), ["nothingIsLeft", "nothingUnexpected"])

    def test_excepted(self) -> None:
        """
        What a web application dropped may be missing for a while, and in the end
        only if who stored it was killed, or the copy was older by its clock.
        """
        self.does(100)
        self.put("stored", "web1")
        self.put("stored", "node2", b=1)
        self.assertKept(["noUpdateIsLost"])
        self.note("quiet", "world")
        self.assertBroken("noOldCopyUndoes")
        for what, more in (("killed", {}), ("jumps", {"how": 2.0})):
            del self.history.all[-1:]
            self.note(what, "node1", **more)
            self.note("quiet", "world")
            self.assertKept(["excepted: what an old copy dropped"])
            del self.history.all[-1:]

    def test_causes(self) -> None:
        """
        A client is told of an outage while there is none: C{failuresHaveCauses}.
        """
        closes = {"node": "node1", "code": 1013, "reason": "store failed"}
        self.note("closes", "tab.1", **closes)
        self.assertBroken("failuresHaveCauses")
        self.setUp()
        self.note(
            "closes", "tab.1", **closes | {"code": 1011, "reason": "session failed"}
        )
        self.assertBroken("failuresHaveCauses")
        for error, isKept in (("StoreTimeout", False), ("ValueError", True)):
            self.setUp()
            self.note("fails", "tab.1", token=100, error=error)
            because = {"code": 1011, "reason": "handler failed"}
            self.note("closes", "tab.1", **closes | because)
            if isKept:
                self.assertKept(["failuresHaveCauses"])
            else:
                self.assertBroken("failuresHaveCauses")
        self.setUp()
        self.note("trouble", "node1", how="mute", seconds=1.0)
        self.note("serror", "tab.1", error="StoreTimeout")
        self.note("heals", "node1")
        self.note("closes", "tab.1", **closes)
        self.assertKept(["failuresHaveCauses"])
        self.note("spoiled", "web1", key=KEY, data=None)
        self.note("serror", "tab.1", error="UndecodableSession")
        self.note(
            "closes", "tab.1", **closes | {"code": 1011, "reason": "session failed"}
        )
        self.now += 20 * SECOND
        self.note("restarts", "store", seconds=1.0, isEmpty=False)
        self.note("serror", "tab.1", error="StoreUnavailable")
        self.assertKept(["failuresHaveCauses"])
        self.now += 20 * SECOND
        self.note("serror", "tab.1", error="StoreUnavailable")
        self.assertBroken("failuresHaveCauses")

    def test_newToASession(self) -> None:
        """
        What a node assigned is not put back, and it had not got the session yet
        when the old copy was taken, whether that was to be changed or not.
        """
        for what in "changes", "rewrites":
            for later in -SECOND, 0, 1:
                self.setUp()
                read = self.now + later
                self.does(100)
                more = {"session": KEY, "read": read, "copy": "young", "does": "reads"}
                if what == "changes":
                    more |= {"do": "write", "key": "of web1"}
                self.note(what, "web1", token=101, **more)
                own = {"of web1": 101} if what == "changes" else {}
                self.put("stored", "web1", **own)
                self.note("wrote", "web1", token=101)
                self.note("quiet", "world")
                if later <= 0:
                    self.assertKept(
                        ["excepted: what a node assigned that was new to a session"]
                    )
                else:
                    self.assertBroken("noOldCopyUndoes")

    def test_newAgain(self) -> None:
        """
        A node whose sockets of a session had left is new to it again, unless it
        guards what it stored.
        """
        for elapsed, isNew in (None, True), (4, False), (6, True):
            self.setUp()
            before = {} if elapsed is None else {"a": 99}
            if before:
                self.does(99)
            self.note("lost", "tab.1", code=1006)
            read = self.now
            self.now += (elapsed or 0) * SECOND
            self.opens("tab.2")
            self.sends(100, who="tab.2")
            self.handles(100, who="tab.2", **before)
            self.changes(100, who="tab.2")
            self.put("stored", "node1", a=100)
            self.answers(100, who="tab.2")
            self.rewrites(read, 101, **before)
            self.assertNew(isNew)

    def test_newByAPage(self) -> None:
        """
        A node that has a session only for a page is new to it, unless a socket or
        another page of it had that before.
        """
        for first, isNew in (None, True), ("over", True), ("at work", False):
            self.setUp()
            if first is not None:
                self.reads("page1", 100)
            if first == "over":
                self.note("page answers", "page1", token=100, code=200)
            read = self.now + 1
            self.reads("page2", 101)
            told = {"do": "set", "key": "a", "token": 101, "digit": 0}
            self.note("changes", "page2", node="node2", session=KEY, **told)
            self.put("stored", "node2", a=101)
            self.note("page answers", "page2", token=101, code=200)
            self.note("page comes", "page2", token=101, code=200)
            self.rewrites(read, 102)
            self.assertNew(isNew)

    def rewrites(self, read: int, token: int, **data: object) -> None:
        """
        Have a request write what it read before, and nothing happen any more.
        """
        more = {"session": KEY, "read": read, "copy": "young", "does": "reads"}
        self.note("rewrites", "web1", token=token, **more)
        self.put("stored", "web1", **data)
        self.note("quiet", "world")

    def assertNew(self, isNew: bool) -> None:
        """
        What a node assigned need not be put back if it was new to the session, and
        otherwise must.
        """
        if isNew:
            self.assertKept(
                ["excepted: what a node assigned that was new to a session"]
            )
        else:
            self.assertBroken("noOldCopyUndoes")

    def reads(self, name: str, token: int) -> None:
        """
        Have a page of another node find its session.
        """
        more = {"node": "node2", "session": KEY, "token": token}
        self.note("asks for page", name, do="set", **more)
        self.note("page reads", name, isNew=False, sees={"log": []}, **more)

    def test_copyThatIsNotWritten(self) -> None:
        """
        But not if that old copy was not written, because its row was gone, nor if it
        was no copy, but what was changed outside of a handler.
        """
        outside = {"do": "set", "key": "out", "digit": -1, "isOutside": True}
        for what in "written", "gone", "outside":
            self.setUp()
            older = self.now - SECOND
            self.does(100)
            more = {"session": KEY, "copy": "young", "does": "reads"}
            if what == "outside":
                self.note("changes", "node1", session=KEY, token=101, **outside)
                self.put("stored", "node1", a=100, out=101)
            else:
                self.note("rewrites", "web1", token=101, read=older, **more)
            if what == "written":
                self.put("stored", "web1", a=100)
            self.note("wrote", "web1", token=101)
            self.note("rewrites", "web1", token=102, read=self.now, **more)
            self.put("stored", "web1")
            self.note("wrote", "web1", token=102)
            self.put("stored", "node1", out=101)
            self.note("quiet", "world")
            if what == "written":
                self.assertKept(
                    ["excepted: what a node assigned that was new to a session"]
                )
            else:
                self.assertBroken("noOldCopyUndoes")

    def test_copyOfAnOldCopy(self) -> None:
        """
        So it is if the copy is one of what such an old copy left, but not if it was
        taken when the node had put that back.
        """
        for isPutBack in False, True:
            self.setUp()
            older = self.now - SECOND
            self.does(100)
            more = {"session": KEY, "copy": "young", "does": "reads"}
            self.note("rewrites", "web1", token=101, read=older, **more)
            self.put("stored", "web1")
            left = self.now
            self.put("stored", "node1", a=100)
            read = self.now + 1 if isPutBack else left
            self.does(102)
            self.note("rewrites", "web1", token=103, read=read, **more)
            self.put("stored", "web1")
            self.note("quiet", "world")
            if isPutBack:
                self.assertBroken("noOldCopyUndoes")
            else:
                self.assertKept(
                    ["excepted: what a node assigned that was new to a session"]
                )

    def test_longCopyOfAnOldCopy(self) -> None:
        """
        A copy of what an old copy has just left is as old as that one: what it drops
        after the window is not put back.
        """
        for seconds in 3, 6:
            self.setUp()
            self.now += SECOND // 100
            older = self.now
            self.does(100)
            more = {"session": KEY, "copy": "young", "does": "reads"}
            self.note("rewrites", "web1", token=101, read=older, **more)
            self.put("stored", "web1")
            self.note("wrote", "web1", token=101)
            read = self.now
            self.now += seconds * SECOND
            self.note("rewrites", "web1", token=102, read=read, **more)
            self.put("stored", "web1")
            self.note("quiet", "world")
            if seconds == 3:
                self.assertBroken("noOldCopyUndoes")
            else:
                self.assertKept(["excepted: what an old copy dropped"])

    def test_sameMoment(self) -> None:
        """
        Who reads a session in the moment in which two write it may have what either
        left.
        """
        more = {"session": KEY, "copy": "young", "does": "reads"}
        older = self.now - SECOND
        self.does(100)
        young, read = self.now, self.now + SECOND
        for token, web, taken in (101, "web1", older), (102, "web2", young):
            self.note("rewrites", web, token=token, read=taken, **more)
            self.now = read - SECOND // 1000
            self.put("stored", web)
            self.note("wrote", web, token=token)
        self.does(103)
        self.note("rewrites", "web1", token=104, read=read, **more)
        self.put("stored", "web1")
        self.note("quiet", "world")
        self.assertKept(["excepted: what a node assigned that was new to a session"])

    def test_ofSomebodyBefore(self) -> None:
        """
        What a handler changes whose session became somebody else's while it was at
        work need not be stored, also if it is the first one's again by then.
        """
        for users in ("bob",), ("bob", "ann"), ():
            self.setUp()
            self.put("stored", "web1", user="ann")
            self.sends(100)
            self.handles(100, user="ann")
            self.note("lost", "tab.1", code=1006)
            for user in users:
                self.put("stored", "web1", user=user)
            self.changes(100)
            self.note("done", "tab.1", token=100)
            self.note("disconnect", "tab.1", code=1006)
            self.note("quiet", "world")
            self.assertEqual(self.broken(), [] if users else ["changesAreStored"])

    def test_inPlaceOfWhatIsNew(self) -> None:
        """
        So is what that took the place of, also if nobody was told of that.
        """
        for isLater in True, False:
            self.setUp()
            self.sends(100)
            self.handles(100)
            read = self.now
            self.changes(100)
            self.opens("tab.2", "node2")
            self.changes(101, who="tab.2", node="node2")
            stored = (100, 101) if isLater else (101, 100)
            for node, token in zip(("node1", "node2"), stored, strict=True):
                self.put("stored", node, a=token)
            self.answers(100)
            self.rewrites(read, 102)
            self.assertNew(isLater)

    def test_writtenAsItEnds(self) -> None:
        """
        What a node stored that ended is not put back: of a copy that was taken before
        it was told to stop, or written so early that it had time for that, or could
        have guarded that for longer.
        """
        for took, reads, early, isKept in (
            (9, 5, 0, True),
            (9, 5, SECOND // 10, True),
            (9, 5, 2 * SECOND, False),
            (9, -0.001, SECOND // 10, False),
            (5, 1, 0, False),
        ):
            self.setUp()
            self.plan = replace(PLAN, latency=0.2)
            self.does(100)
            told = self.now
            self.note("stops", "node1")
            self.note("closes", "tab.1", code=1001, reason="server going away")
            self.note("lost", "tab.1", code=1001)
            more = {"do": "write", "key": "of web1", "session": KEY}
            self.now += took * SECOND
            read = told + round(reads * SECOND)
            self.note("changes", "web1", token=101, read=read, **more)
            self.put("stored", "web1", **{"of web1": 101})
            self.now += early
            self.note("stopped", "node1")
            self.note("quiet", "world")
            if isKept:
                self.assertKept(["excepted: a copy that was read while its node ended"])
            else:
                self.assertBroken("noOldCopyUndoes")

    def test_putOff(self) -> None:
        """
        A session expires soon after a message: C{messagesPutOffTheEnd}.
        """
        for seconds, isKept in ((6, True), (3, False)):
            self.setUp()
            self.plan = replace(PLAN, ttl=SHORT, offsets=(0.0,))
            self.sends(100)
            self.handles(100)
            self.now += seconds * SECOND
            self.note("expired", "time", key=KEY, data=None)
            if isKept:
                self.assertKept(["messagesPutOffTheEnd"])
            else:
                self.assertIn("messagesPutOffTheEnd", self.broken())

    def test_putOffUnread(self) -> None:
        """
        No message puts off the end of a session that cannot be read, until it can.
        """
        for isMended in False, True:
            self.setUp()
            self.plan = replace(PLAN, ttl=SHORT, offsets=(0.0,))
            self.does(99)
            self.note("spoiled", "web2", key=KEY, data="x")
            self.now += 3 * SECOND
            if isMended:
                self.put("stored", "web2", a=99)
            self.sends(100)
            self.handles(100, a=99)
            self.now += 3 * SECOND
            self.note("expired", "time", key=KEY, data=None)
            if isMended:
                self.assertIn("messagesPutOffTheEnd", self.broken())
            else:
                self.assertKept(["messagesPutOffTheEnd"])

    def test_emptiedList(self) -> None:
        """
        A list of which a merge left nothing has nothing of anybody: what was in it is
        missing.
        """
        for isDoubled in False, True:
            self.assertIsNone(tokenIn([], isDoubled=isDoubled))
            self.assertIsNone(tokenIn([0], isDoubled=isDoubled))
            self.assertEqual(tokenIn([100], isDoubled=isDoubled), 100)
        self.sends(100)
        self.handles(100)
        self.changes(100, "list", "nest.list")
        self.put("stored", "node1", nest={"list": [100]})
        self.answers(100)
        self.assertKept(["noUpdateIsLost"])
        self.put("stored", "node1", nest={"list": []})
        self.assertBroken("noUpdateIsLost")

    def test_names(self) -> None:
        """
        Each rule says in its docstring what it promises, and has a test.
        """
        tests = "".join(
            path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")
        )
        for name, rule in RULES.items():
            self.assertTrue(rule.says.__doc__)
            self.assertIn(f'"{name}"', tests)
