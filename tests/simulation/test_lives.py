"""
Tests for the rules of new ids, of what is emptied or somebody else's, and of pages.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from simulation.lives import everything
from simulation.queue import SECOND
from tests.simulation.histories import KEY, PLAN, HistoryTestCase


class LifeTests(HistoryTestCase):
    """
    Tests for L{judged<simulation.rules.judged>}.
    """

    def move(self, deletes: str = "node1", **taken: Any) -> None:
        """
        Have a page give the session a new id.

        @param deletes: Who deletes the old one.
        """
        self.page("page1", "log in", 150, a=100)
        more = {"key": "sess:t", "data": json.dumps({"nest": {}, "log": []} | taken)}
        self.note("created", "node1", **more)
        self.note("deleted", deletes, key=KEY, data=None)
        self.note("moves", "page1", old=KEY, new="sess:t")

    def page(self, name: str, do: str, token: int, **sees: Any) -> None:
        """
        Have a browser ask for a page, and that find its session.
        """
        more = {"node": "node1", "session": KEY, "token": token}
        self.note("asks for page", name, do=do, **more)
        self.note("page reads", name, isNew=False, sees={"log": []} | sees, **more)

    def rewrites(self, does: str, **more: Any) -> None:
        """
        Have the web application do something else with a session than write.
        """
        told = {"does": does, "copy": "young", "stamp": "ours", "read": self.now}
        self.note("rewrites", "web1", session=KEY, token=90, **told | more)

    def test_newID(self) -> None:
        """
        A new id drops what was acknowledged, or leaves the old one.
        """
        self.does(100)
        self.move()
        self.assertEqual(self.broken(), ["newIdTakesAlong"])
        self.history.all = [e for e in self.history.all if e.what != "deleted"]
        self.assertEqual(self.broken(), ["newIdTakesAlong"])
        self.setUp()
        self.does(100)
        self.move(a=100)
        self.note("sdestroyed", "tab.1", reason="moved")
        self.note("closes", "tab.1", code=4307)
        self.assertKept(["newIdTakesAlong", "movedIsTold"])

    def test_begunAgain(self) -> None:
        """
        A session that a slow request begins anew under the old id has none.
        """
        for isAnother in (True, False):
            self.setUp()
            self.does(100)
            self.move(a=100)
            if isAnother:
                self.put("created", "web1")
            self.opens("tab.2")
            self.note("sdestroyed", "tab.2", reason="destroyed")
            self.assertEqual("movedIsTold" not in self.broken(), isAnother)

    def test_deletedByAnother(self) -> None:
        """
        But not if somebody else deleted the old one, while the node of the new one may
        not have heard of its store.
        """
        for isWell, who in (False, "web1"), (True, "web1"), (False, "node1"):
            self.setUp()
            self.does(100)
            if not isWell:
                self.note("trouble", "node1", how="mute", seconds=1.0)
                self.note("heals", "node1")
            self.move(deletes=who)
            if who == "web1" and not isWell:
                name = "excepted: what somebody else deleted just before a new id"
                self.assertKept([name])
            else:
                self.assertEqual(self.broken(), ["newIdTakesAlong"])

    def test_lostUnderTheNewID(self) -> None:
        """
        What was acknowledged under the old id is lost under the new one.
        """
        self.does(100)
        self.move(a=100)
        data = json.dumps({"nest": {}, "log": []})
        self.note("stored", "node1", key="sess:t", data=data)
        self.assertEqual(self.broken(), ["noUpdateIsLost"])

    def test_movedAsEnded(self) -> None:
        """
        Sockets of the old id are told something else.
        """
        self.move()
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.assertEqual(self.broken(), ["movedIsTold"])

    def test_oldID(self) -> None:
        """
        A socket with the old id has a session.
        """
        self.move()
        self.note("closes", "tab.1", code=4307)
        self.note("connects", "tab.2", node="node2", session="s")
        self.note("connected", "tab.2", node="node2")
        self.assertEqual(self.broken(), ["onlyWithASession"])

    def test_deleted(self) -> None:
        """
        What a request or a handler deleted is back.
        """
        for isHandlers in (False, True):
            self.setUp()
            self.sends(100, 101)
            self.handles(100)
            self.note("puts", "tab.1", session=KEY, key="d", token=100)
            self.put("stored", "node1", d=100)
            self.answers(100)
            self.handles(101, d=100)
            if isHandlers:
                self.note(
                    "takes out", "tab.1", session="", key="d", token=101, removed=100
                )
                self.put("stored", "node1")
            else:
                self.rewrites("deletes d", removed=100)
                self.put("stored", "web1")
            self.answers(101)
            self.assertKept([])
            self.put("stored", "node2", d=100)
            self.assertEqual(self.broken(), ["deletedStaysDeleted"])

    def test_deletedUnseen(self) -> None:
        """
        What a request deleted may be back if another one overwrites that with a copy
        of before, or of the same moment; not with one of after.
        """
        for later in -1, 0, 1:
            self.setUp()
            self.sends(100)
            self.handles(100)
            self.note("puts", "tab.1", session=KEY, key="d", token=100)
            self.put("stored", "node1", d=100)
            self.answers(100)
            self.rewrites("deletes d", removed=100)
            self.put("stored", "web1")
            self.rewrites("reads", read=self.now + later)
            self.put("stored", "web1")
            self.put("stored", "node1", d=100)
            if later > 0:
                self.assertEqual(self.broken(), ["deletedStaysDeleted"])
            else:
                what = "what was taken out, and another request wrote over that"
                self.assertKept([f"excepted: {what}"])

    def test_backInDoubt(self) -> None:
        """
        What is taken out before anybody was told that it is stored may be stored
        again where there are no stamps.
        """
        for hasStamps, isHeard in (False, False), (False, True), (True, False):
            self.setUp()
            self.plan = replace(PLAN, repair=hasStamps)
            self.sends(100, 101)
            self.handles(100)
            self.note("puts", "tab.1", session=KEY, key="d", token=100)
            if isHeard:
                self.answers(100)
            self.note("done", "tab.1", token=100)
            self.handles(101, d=100)
            more = {"session": "", "key": "d", "token": 101, "removed": 100}
            self.note("takes out", "tab.1", **more)
            self.put("stored", "node1")
            self.answers(101)
            self.put("stored", "node2", d=100)
            isBroken = hasStamps or isHeard
            self.assertEqual(self.broken(), ["deletedStaysDeleted"] * isBroken)

    def test_broughtBack(self) -> None:
        """
        What a web application's old copy brought back is out in the end.
        """
        self.sends(100, 101)
        self.handles(100)
        self.note("puts", "tab.1", session=KEY, key="d", token=100)
        self.answers(100)
        self.handles(101, d=100)
        self.note("takes out", "tab.1", session="", key="d", token=101, removed=100)
        self.put("stored", "node1")
        self.answers(101)
        self.put("stored", "web1", d=100)
        self.put("stored", "node1", d=100, a=1)
        self.assertKept([])
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["deletedStaysDeleted"])

    def test_emptied(self) -> None:
        """
        A session that was emptied is filled again with what was in it.
        """
        self.does(100)
        self.rewrites("empties")
        self.put("stored", "web1")
        self.put("stored", "node2", b=1)
        self.assertKept(["emptiedStaysEmpty"])
        self.put("stored", "node2", a=100)
        self.assertEqual(self.broken(), ["emptiedStaysEmpty"])

    def test_emptiedUnseen(self) -> None:
        """
        What was in it may be back if another request overwrites that with a copy of
        before, or of the same moment; not with one of after.
        """
        for later in -1, 0, 1:
            self.setUp()
            self.does(100)
            self.rewrites("empties")
            self.put("stored", "web1")
            read = self.now + later
            self.put("stored", "node1")
            self.rewrites("reads", read=read)
            self.put("stored", "web1")
            self.put("stored", "node1", a=100)
            self.assertEqual(self.broken(), ["emptiedStaysEmpty"] * (later > 0))

    def test_void(self) -> None:
        """
        What a function did that failed is stored.
        """
        self.note("gives up", "tab.1", session=KEY, key="log", token=100)
        self.put("stored", "node1", log=[])
        self.assertKept(["nothingComesOfNothing"])
        self.put("stored", "node1", log=[100])
        self.assertEqual(self.broken(), ["nothingComesOfNothing"])

    def test_writtenAgain(self) -> None:
        """
        A socket stays open until a slow request writes its session again.
        """
        self.note("deleted", "web1", key=KEY, data=None)
        self.put("created", "web2")
        self.assertKept(["slowRequestsOpenNothing"])
        self.history.all.pop()
        self.now += 10 * SECOND
        self.put("created", "web2")
        self.assertEqual(self.broken(), ["slowRequestsOpenNothing"])

    def test_somebodyElses(self) -> None:
        """
        A session is somebody else's, and the socket of before stays open, or what it
        changed is put into it.
        """
        self.put("stored", "web1", user="ann")
        self.note("connects", "tab.2", node="node1", session="s")
        self.note("connected", "tab.2", node="node1")
        self.put("stored", "web1", user="bob")
        more = {"do": "set", "key": "a", "token": 100, "digit": 0, "node": "node1"}
        self.note("changes", "tab.2", **more)
        self.put("stored", "node1", user="bob", a=100)
        self.assertEqual(self.broken(), ["othersSessionsAreTheirs"])
        self.history.all.pop()
        self.now += 10 * SECOND
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["othersSessionsAreTheirs"])

    def test_ofSomebodyElse(self) -> None:
        """
        What a page changes that found a session to be that of somebody who has it no
        more need not be stored, if its node cannot have heard of that, or that happened
        meanwhile, also if it is that person's again.  It is counted apart.  What one
        changes who has it, again or since, is to be stored; so is what one changes who
        never had it.
        """
        excepted = "what was changed for somebody who had the session no more"
        for before, seconds, user, between, isKept in (
            ("bob", 1, "ann", (), True),
            ("bob", 30, "ann", (), False),
            ("bob", 1, "ann", ("ann",), True),
            ("", 1, "ann", ("bob",), True),
            ("", 1, "ann", ("bob", "ann"), True),
            ("", 1, "ann", (), False),
            ("bob", 1, "bob", (), False),
            ("bob", 1, "eve", (), False),
            ("bob ann", 1, "ann", (), False),
            ("bob ann", 1, "bob", (), True),
            ("bob ann", 30, "bob", (), False),
        ):
            self.setUp()
            self.note("lost", "tab.1", code=1001)
            self.note("disconnect", "tab.1", code=1001)
            self.put("stored", "web1", user="ann")
            for each in before.split():
                self.put("stored", "web1", user=each)
            self.now += seconds * SECOND
            self.page("page1", "set", 101, user=user)
            for each in between:
                self.put("stored", "web1", user=each)
            more = {"do": "set", "key": "a", "token": 101, "digit": 0, "node": "node1"}
            self.note("changes", "page1", session=KEY, **more)
            self.note("page answers", "page1", token=101, code=200)
            if isKept:
                self.assertKept([f"excepted: {excepted}"])
            else:
                self.assertEqual(self.broken(), ["pagesAreHeld"])

    def test_ofThePersonBefore(self) -> None:
        """
        What a handler changes for who has the session is to be stored, also if that
        is since somebody else had it.
        """
        for users, user in ((), "ann"), (("bob",), "bob"), (("bob", "ann"), "ann"):
            self.setUp()
            self.put("stored", "web1", user="ann")
            for each in users:
                self.put("stored", "web1", user=each)
            self.opens("tab.2")
            self.sends(100, who="tab.2")
            self.handles(100, "tab.2", user=user)
            self.changes(100, who="tab.2")
            self.note("done", "tab.2", token=100)
            self.note("quiet", "world")
            self.assertIn("changesAreStored", self.broken())

    def test_somebodyElsesMeanwhile(self) -> None:
        """
        Who had no session yet when it became somebody else's may have either's, but
        no third one's.
        """
        for user in "ann", "bob", "eve":
            self.setUp()
            self.put("stored", "web1", user="ann")
            self.opens("tab.2", connected=False)
            self.put("stored", "web1", user="bob")
            self.note("connected", "tab.2", node="node1")
            self.put("stored", "web1", user="dan")
            self.put("stored", "web1", user=user)
            self.now += 10 * SECOND
            self.note("quiet", "world")
            expected = ["othersSessionsAreTheirs"] * (user == "eve")
            self.assertEqual(self.broken(), expected)

    def test_somebodyElsesAfterNobodys(self) -> None:
        """
        It ends also if it was nobody's meanwhile, but for who was nobody from the
        beginning, and for who is back.
        """
        for first, last in ("ann", "bob"), ("ann", "ann"), (None, "bob"):
            self.setUp()
            self.put("stored", "web1", **({"user": first} if first else {}))
            self.opens("tab.2")
            self.put("stored", "web1", n=1)
            self.put("stored", "web1", user=last)
            self.now += 10 * SECOND
            self.note("quiet", "world")
            expected = ["othersSessionsAreTheirs"] * (first == "ann" != last)
            self.assertEqual(self.broken(), expected)

    def test_sumAsMark(self) -> None:
        """
        A sum that is the same number as a mark does not hide it.
        """
        self.assertEqual(everything({"n": 108, "out": 108}), {108, -4, -5})
        self.assertEqual(everything({"n": 108}), {-4, -5})

    def test_outside(self) -> None:
        """
        A change outside of a handler is stored late, or never.
        """
        more = {"do": "set", "key": "out", "token": 100, "digit": -1}
        self.note("changes", "node1", session=KEY, isOutside=True, **more)
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["changesAreStored", "outsideIsStored"])
        self.history.all.pop()
        self.now += 5 * SECOND
        self.put("stored", "node1", out=100)
        self.assertEqual(self.broken(), ["outsideIsStored"])

    def test_outsideAndOvertaken(self) -> None:
        """
        One is stored later if others stored something meanwhile.
        """
        more = {"do": "set", "key": "out", "token": 100, "digit": -1}
        for by in "node1", "node2":
            self.setUp()
            self.plan = replace(PLAN, latency=0.2)
            self.note("changes", "node1", session=KEY, isOutside=True, **more)
            for _ in range(2):
                self.now += 2 * SECOND
                self.put("stored", by)
            self.now += SECOND
            self.put("stored", "node1", out=100)
            expected = ["outsideIsStored"] * (by == "node1")
            self.assertEqual(self.broken(), expected)

    def test_outsideAndKilled(self) -> None:
        """
        One of a node that was killed is none any more when another takes its place.
        """
        more = {"do": "set", "key": "out", "digit": -1, "session": KEY}
        for what in "killed", "heals":
            self.setUp()
            self.opens("tab.2", "node2")
            self.note("changes", "node1", isOutside=True, token=100, **more)
            self.note(what, "node1")
            self.now += 16 * SECOND
            self.note("changes", "node2", isOutside=True, token=101, **more)
            self.put("stored", "node2", out=101)
            expected = ["outsideIsStored"] * (what == "heals")
            self.assertEqual(self.broken(), expected)

    def test_outsideAndEmptied(self) -> None:
        """
        One of a session that is emptied since need not be stored.
        """
        more = {"do": "set", "key": "out", "digit": -1, "session": KEY}
        self.note("changes", "node1", isOutside=True, token=100, **more)
        self.sends(101)
        self.handles(101)
        self.note("clears", "tab.1", token=101, removed={"out": 100})
        self.put("stored", "node1")
        self.now += 10 * SECOND
        self.note("changes", "node1", isOutside=True, token=102, **more)
        self.now += SECOND
        self.put("stored", "node1", out=102)
        self.assertKept(["outsideIsStored"])

    def test_outsideAndInDoubt(self) -> None:
        """
        A count whose answer was lost may be given up where a copy without its stamp
        was put over it.
        """
        more = {"do": "increment", "key": "n", "token": 100, "digit": 0}
        for copy in "young", "old", "stripped":
            self.setUp()
            self.plan = replace(PLAN, repair=True)
            self.note("changes", "node1", session=KEY, isOutside=True, **more)
            self.note("trouble", "node1", how="mute", seconds=1.0)
            self.note("heals", "node1")
            self.rewrites("reads", copy=copy)
            self.now += 20 * SECOND
            self.note("quiet", "world")
            isBroken = "outsideIsStored" in self.broken()
            self.assertEqual(isBroken, copy == "young", copy)

    def test_outsideAfterAnOutage(self) -> None:
        """
        One that was made when a node still waited for what was lost in an outage
        is stored later.
        """
        more = {"do": "set", "key": "out", "token": 100, "digit": -1}
        for seconds in 1, 3:
            self.setUp()
            self.note("trouble", "node1", how="deaf", seconds=1.0)
            self.note("heals", "node1")
            self.now += seconds * SECOND
            self.note("changes", "node1", session=KEY, isOutside=True, **more)
            self.now += 10 * SECOND
            self.put("stored", "node1", out=100)
            expected = [] if seconds == 1 else ["outsideIsStored"]
            self.assertEqual(self.broken(), expected)

    def test_pages(self) -> None:
        """
        A page is not fresh, or is answered before its change is stored.
        """
        self.does(100)
        self.page("page1", "set", 101)
        self.assertEqual(self.broken(), ["pagesAreFresh"])
        self.setUp()
        self.page("page1", "set", 101)
        more = {"do": "set", "key": "a", "token": 101, "digit": 0, "node": "node1"}
        self.note("changes", "page1", session=KEY, **more)
        self.note("page answers", "page1", token=101, code=503)
        self.assertKept(["pagesAreFresh", "anOutageLogsNoBrowserOut"])
        self.note("page answers", "page1", token=101, code=200)
        self.assertEqual(self.broken(), ["pagesAreHeld"])

    def test_endedForAPage(self) -> None:
        """
        What a page changes whose session had ended, and was written again, need not
        be stored; what one changes that is asked for since is to be.
        """
        for isAfter in False, True:
            self.setUp()
            if not isAfter:
                self.page("page1", "wait", 101)
            self.note("deleted", "web1", key=KEY, data=None)
            self.note("sdestroyed", "tab.1", reason="destroyed")
            self.note("closes", "tab.1", code=4401)
            self.put("created", "web2")
            if isAfter:
                self.page("page1", "wait", 101)
            more = {"do": "wait", "key": "b", "token": 101, "digit": 0}
            self.note("changes", "page1", session=KEY, node="node1", **more)
            self.note("page answers", "page1", token=101, code=409)
            self.note("quiet", "world")
            if isAfter:
                self.assertEqual(self.broken(), ["changesAreStored"])
            else:
                self.assertKept(
                    ["excepted: what a page changed whose session had ended"]
                )

    def test_loggedOutByAPage(self) -> None:
        """
        A page that logs out is answered while the session is there.
        """
        self.page("page1", "log out", 101)
        self.note("logs out", "page1", token=101)
        self.note("page answers", "page1", token=101, code=200)
        self.assertEqual(self.broken(), ["pagesAreHeld"])

    def test_outageOfPages(self) -> None:
        """
        A page begins a session though there is one, is refused for no reason, or
        takes the cookie away.
        """
        more = {"node": "node1", "session": KEY, "token": 100}
        self.note("asks for page", "page1", do="set", **more)
        before = list(self.history.all)
        for event in (
            ("page reads", {"isNew": True, "sees": {"log": []}} | more),
            ("page answers", {"token": 100, "code": 409}),
            ("cookie", {"session": None, "code": 503}),
            ("cookie", {"session": "sess:new", "code": 200}),
        ):
            self.history.all = list(before)
            self.note(event[0], "page1", **event[1])
            self.assertEqual(self.broken(), ["anOutageLogsNoBrowserOut"])
