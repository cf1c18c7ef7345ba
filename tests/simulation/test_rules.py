"""
Tests for the rules: each says so when it is broken, and does not when it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import History
from simulation.plan import Plan, drawn
from simulation.queue import BEGIN, SECOND
from simulation.rules import RULES, judged


_PLAN = replace(
    drawn(1), kind="watched", perMessage=True, freshness="strict", repair=True, steps=()
)
_KEY = "sess:s"


class RuleTests(SynchronousTestCase):
    """
    Tests for L{judged}.
    """

    def setUp(self) -> None:
        self.now = BEGIN
        self.history = History(lambda: self.now)
        self.plan: Plan = _PLAN
        self.put("created", "web1")
        self.note("connects", "tab.1", node="node1", session="s")
        self.note("connected", "tab.1", node="node1")

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

    def sends(self, *tokens: int) -> None:
        """
        Have the tab send messages.
        """
        for token in tokens:
            self.note("sends", "tab.1", token=token, do="set")

    def handles(self, token: int, **sees: Any) -> None:
        """
        Have a message be handled.
        """
        self.note("handles", "tab.1", token=token, sees={"log": []} | sees)

    def changes(self, token: int, do: str = "set", key: str = "a", n: int = 0) -> None:
        """
        Have its handler change something.
        """
        more = {"do": do, "key": key, "token": token, "digit": n, "node": "node1"}
        self.note("changes", "tab.1", **more)

    def answers(self, token: int) -> None:
        """
        Have it be answered, and the answer be heard.
        """
        self.note("answers", "tab.1", node="node1", token=token)
        self.note("hears", "tab.1", token=token)

    def does(self, token: int, **stored: Any) -> None:
        """
        Have all that happen which is right.
        """
        self.sends(token)
        self.handles(token)
        self.changes(token)
        self.put("stored", "node1", **{"a": token} | stored)
        self.answers(token)

    def broken(self) -> list[str]:
        """
        @return: Which rules are.
        """
        breaches = judged(self.plan, self.history).breaches
        return list(dict.fromkeys(breach.rule for breach in breaches))

    def assertKept(self, names: Iterable[str]) -> None:
        """
        No rule is broken, and these applied.
        """
        verdict = judged(self.plan, self.history)
        self.assertEqual(list(map(str, verdict.breaches)), [])
        for name in names:
            self.assertIn(name, verdict.applied)

    def test_kept(self) -> None:
        """
        Nothing is wrong with a history that is right.
        """
        self.does(100)
        self.sends(101)
        self.handles(101, a=100)
        self.note("quiet", "world")
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
            self.sends(100, 101)
            self.handles(100)
            self.changes(100)
            self.handles(101)
            self.changes(101)
            self.put("stored", "node1", a=100)
            self.put("stored", "node1", a=101)
            self.answers(100)
            self.answers(101)
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
        self.sends(101)
        self.handles(101)
        self.assertEqual(self.broken(), ["fresh"])

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
        self.note("deleted", "web1", key=_KEY, data=None)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.answers(100)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.assertEqual(self.broken(), ["inOrder", "theEndIsFinal", "toldOnce"])

    def test_back(self) -> None:
        """
        A node creates a session that was deleted.
        """
        self.note("deleted", "web1", key=_KEY, data=None)
        self.put("created", "node1")
        self.assertEqual(self.broken(), ["neverBack"])

    def test_open(self) -> None:
        """
        A socket of a session that ended stays open, or is closed late.
        """
        self.note("deleted", "web1", key=_KEY, data=None)
        self.now += 10 * SECOND
        self.note("quiet", "world")
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
        self.note("deleted", "web1", key=_KEY, data=None)
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
        only if who stored it was killed.
        """
        self.does(100)
        self.put("stored", "web1")
        self.put("stored", "node2", b=1)
        self.assertKept(["noUpdateIsLost"])
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["noUpdateIsLost"])
        self.history.all.pop()
        self.note("killed", "node1")
        self.note("quiet", "world")
        self.assertKept(["excepted"])

    # New ids, what is emptied, and pages.

    def move(self, **taken: Any) -> None:
        """
        Have a page give the session a new id.
        """
        self.page("page1", "log in", 150, a=100)
        more = {"key": "sess:t", "data": json.dumps({"nest": {}, "log": []} | taken)}
        self.note("created", "node1", **more)
        self.note("deleted", "node1", key=_KEY, data=None)
        self.note("moves", "page1", old=_KEY, new="sess:t")

    def page(self, name: str, do: str, token: int, **sees: Any) -> None:
        """
        Have a browser ask for a page, and that find its session.
        """
        more = {"node": "node1", "session": _KEY, "token": token}
        self.note("asks for page", name, do=do, **more)
        self.note("page reads", name, isNew=False, sees={"log": []} | sees, **more)

    def rewrites(self, does: str, **more: Any) -> None:
        """
        Have the web application do something else with a session than write.
        """
        told = {"does": does, "copy": "young", "stamp": "ours", "read": self.now}
        self.note("rewrites", "web1", session=_KEY, token=90, **told | more)

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
        self.assertEqual(self.broken(), ["oldIdOpensNothing"])

    def test_deleted(self) -> None:
        """
        What a request or a handler deleted is back.
        """
        for isHandlers in (False, True):
            self.setUp()
            self.sends(100, 101)
            self.handles(100)
            self.note("puts", "tab.1", session=_KEY, key="d", token=100)
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

    def test_broughtBack(self) -> None:
        """
        What a web application's old copy brought back is out in the end.
        """
        self.sends(100, 101)
        self.handles(100)
        self.note("puts", "tab.1", session=_KEY, key="d", token=100)
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

    def test_void(self) -> None:
        """
        What a function did that failed is stored.
        """
        self.note("gives up", "tab.1", session=_KEY, key="log", token=100)
        self.put("stored", "node1", log=[])
        self.assertKept(["nothingComesOfNothing"])
        self.put("stored", "node1", log=[100])
        self.assertEqual(self.broken(), ["nothingComesOfNothing"])

    def test_writtenAgain(self) -> None:
        """
        A socket stays open until a slow request writes its session again.
        """
        self.note("deleted", "web1", key=_KEY, data=None)
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

    def test_outside(self) -> None:
        """
        A change outside of a handler is stored late, or never.
        """
        more = {"do": "set", "key": "out", "token": 100, "digit": -1}
        self.note("changes", "node1", session=_KEY, isOutside=True, **more)
        self.note("quiet", "world")
        self.assertEqual(self.broken(), ["changesAreStored", "outsideIsStored"])
        self.history.all.pop()
        self.now += 5 * SECOND
        self.put("stored", "node1", out=100)
        self.assertEqual(self.broken(), ["outsideIsStored"])

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
        self.note("changes", "page1", session=_KEY, **more)
        self.note("page answers", "page1", token=101, code=503)
        self.assertKept(["pagesAreFresh", "anOutageLogsNoBrowserOut"])
        self.note("page answers", "page1", token=101, code=200)
        self.assertEqual(self.broken(), ["pagesAreHeld"])

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
        more = {"node": "node1", "session": _KEY, "token": 100}
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

    def test_names(self) -> None:
        """
        Each rule says in its docstring what it promises.
        """
        for rule in RULES.values():
            self.assertTrue(rule.__doc__)
