"""
Tests for the rules that are about sockets: each says so when it is broken.
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
    steps=(),
    sockets=("text",),
)
_KEY = "sess:s"
_NEW = json.dumps({"nest": {}, "log": []})


class SocketRuleTests(SynchronousTestCase):
    """
    Tests for L{judged}.
    """

    def setUp(self) -> None:
        self.now = BEGIN
        self.history = History(lambda: self.now)
        self.note("created", "web1", key=_KEY, data=_NEW)
        self.note("connects", "tab.1", node="node1", session="s")
        self.note("connected", "tab.1", node="node1")

    def note(self, what: str, who: str = "tab.1", **more: Any) -> None:
        """
        Have something happen, a little later than the last.
        """
        self.now += SECOND // 1000
        self.history.note(what, who, **more)

    def sends(self, *tokens: int) -> None:
        """
        Have messages be sent, and come.
        """
        for token in tokens:
            self.note("sends", token=token, do="read")
        for token in tokens:
            self.note("arrives", token=token)

    def handles(self, token: int) -> None:
        """
        Have one be handled.
        """
        self.note("handles", token=token, sees={"log": []})

    def assertBroken(self, *rules: str) -> None:
        """
        These are broken, and no others.
        """
        breaches = judged(_PLAN, self.history).breaches
        found = list(dict.fromkeys(breach.rule for breach in breaches))
        self.assertEqual(found, list(rules))

    def assertKept(self, rule: str) -> None:
        """
        None is, and this one applied.
        """
        self.assertBroken()
        self.assertIn(rule, judged(_PLAN, self.history).applied)

    def test_handled(self) -> None:
        """
        A message that came is not handled before the end of its socket.
        """
        self.sends(1, 2)
        self.handles(1)
        self.note("lost", code=1006)
        self.note("disconnect", code=1006)
        self.assertBroken("whatCameIsHandled")
        self.setUp()
        self.sends(1)
        self.note("sends", token=2, do="read")
        self.handles(1)
        self.note("lost", code=1006)
        self.note("disconnect", code=1006)
        self.assertKept("whatCameIsHandled")

    def test_notHandled(self) -> None:
        """
        It need not be if we closed the socket, if it failed or its session ended.
        """
        for what, who, more in (
            ("closes", "tab.1", {"code": 1011, "reason": ""}),
            ("serror", "tab.1", {"error": "StoreFailure"}),
            ("deleted", "web1", {"key": _KEY, "data": None}),
        ):
            self.setUp()
            self.sends(1)
            self.note(what, who, **more)
            self.note("lost", code=1006)
            self.note("disconnect", code=1006)
            self.assertBroken()

    def test_toldBack(self) -> None:
        """
        What a handler finds when its client has answered is not what was stored
        before.
        """
        for sees in ({}, {"a": 1}):
            self.setUp()
            self.note("sends", token=1, do="set")
            self.handles(1)
            self.note(*("changes", "tab.1"), do="set", key="a", token=1, node="node1")
            data = json.dumps({"nest": {}, "log": [], "a": 1})
            self.note("stored", "node1", key=_KEY, data=data)
            self.note("answers", node="node1", token=1)
            self.note("hears", token=1)
            self.note("replies", token=2)
            self.note("is told", token=2, sees={"log": [], **sees})
            if sees:
                self.assertKept("answersToUsAreFresh")
            else:
                self.assertBroken("answersToUsAreFresh")

    def test_acknowledged(self) -> None:
        """
        An acknowledgement is another event's, comes twice or not at all.
        """
        for acks, isRight in (
            ([7], True),
            ([8], False),
            ([7, 7], False),
            ([None], False),
        ):
            self.setUp()
            self.note("sends", token=1, do="read", ack=7)
            self.handles(1)
            for ack in acks:
                more: dict[str, Any] = {} if ack is None else {"ack": ack}
                self.note("answers", node="node1", token=1, **more)
            if isRight:
                self.assertKept("acknowledgedOnce")
            else:
                breaches = judged(_PLAN, self.history).breaches
                self.assertIn("acknowledgedOnce", {each.rule for each in breaches})

    def test_closed(self) -> None:
        """
        Who was closed is gone too late, or never.
        """
        for seconds, isRight in ((8, True), (10, False)):
            self.setUp()
            self.note("closes", code=1011, reason="")
            self.now += seconds * SECOND
            self.note("lost", code=1011)
            if isRight:
                self.assertKept("closedInTime")
            else:
                self.assertBroken("closedInTime")
        self.setUp()
        self.note("closes", code=1011, reason="")
        self.now += 10 * SECOND
        self.note("quiet", "world")
        self.assertBroken("closedInTime")

    def comes(self, name: str, sid: str, *, recovered: bool = False) -> None:
        """
        Have a client of Socket.IO come.
        """
        self.note("connects", name, node="node1", session="s")
        self.note("connected", name, node="node1", sid=sid, recovered=recovered)
        self.note("is in", name, sid=sid)

    def test_second(self) -> None:
        """
        Two namespaces of a connection have two sessions.
        """
        self.comes("tab.2/1", "one")
        self.comes("tab.2/b2", "two")
        self.assertKept("oneSession")
        self.note("created", "web1", key="sess:t", data=_NEW)
        self.note("connects", "tab.2/b3", node="node1", session="t")
        more = {"sid": "three", "recovered": False}
        self.note("connected", "tab.2/b3", node="node1", **more)
        self.assertBroken("oneSession")

    def hears(self, name: str, *numbers: int) -> None:
        """
        Have somebody hear what was said in a room.
        """
        for number in numbers:
            self.note("overhears", name, number=number, by="node1")

    def recovers(self, *numbers: int) -> None:
        """
        Have a client be lost and come back, and hear these of four.
        """
        self.setUp()
        self.comes("tab.2/1", "one")
        for number in (1, 2, 3, 4):
            self.note("shouts", "node1", number=number, room="/")
            self.note("shouted", "node1", number=number)
        self.hears("tab.2/1", 1)
        self.note("lost", "tab.2/1", code=1006)
        self.comes("tab.3/2", "one", recovered=True)
        self.hears("tab.3/2", *numbers)

    def test_recovered(self) -> None:
        """
        A client that came back hears something twice, out of order or not at all.
        """
        self.recovers(2, 3, 4)
        self.assertKept("recoveredOnce")
        for numbers in ((1, 2, 3), (2, 4, 3), (3, 4)):
            self.recovers(*numbers)
            self.assertBroken("recoveredOnce")
        self.recovers(2)
        self.note("sends", "tab.3/2", token=100, do="read")
        self.note("hears", "tab.3/2", token=100)
        self.assertKept("recoveredOnce")
        self.note("hears", "tab.3/2", token=100)
        self.assertBroken("recoveredOnce")

    def test_notRecovered(self) -> None:
        """
        A client comes back while it is there, to another session, or to none.
        """
        self.comes("tab.2/1", "one")
        self.comes("tab.3/2", "one", recovered=True)
        self.assertBroken("recoveredOnce")
        self.setUp()
        self.comes("tab.2/1", "one")
        self.note("lost", "tab.2/1", code=1006)
        self.note("deleted", "web1", key=_KEY, data=None)
        self.comes("tab.3/2", "one", recovered=True)
        self.assertBroken("onlyWithASession", "recoveredOnce")

    def test_recoveredUntold(self) -> None:
        """
        Where reports are trusted, none need have come of what has just ended.
        """
        for seconds in 1, 4:
            self.setUp()
            self.comes("tab.2/1", "one")
            self.note("lost", "tab.2/1", code=1006)
            self.note("deleted", "web1", key=_KEY, data=None)
            self.now += seconds * SECOND
            self.comes("tab.3/2", "one", recovered=True)
            plan = replace(_PLAN, freshness="tracked")
            found = {each.rule for each in judged(plan, self.history).breaches}
            self.assertEqual("recoveredOnce" in found, seconds == 4)

    def test_writtenAgain(self) -> None:
        """
        A client comes back to a session that was gone: before it came first, or for
        so short that nobody had to know, or for long.
        """
        for seconds, isLost in ((0, False), (0, True), (20, True)):
            self.setUp()
            if isLost:
                self.comes("tab.2/1", "one")
                self.note("lost", "tab.2/1", code=1006)
            self.note("deleted", "web1", key=_KEY, data=None)
            self.note("sdestroyed", "tab.1", reason="destroyed")
            self.note("closes", code=4401, reason="")
            self.now += seconds * SECOND
            self.note("created", "web1", key=_KEY, data=_NEW)
            if not isLost:
                self.comes("tab.2/1", "one")
                self.note("lost", "tab.2/1", code=1006)
            self.comes("tab.3/2", "one", recovered=True)
            if seconds:
                self.assertBroken("recoveredOnce")
            else:
                self.assertKept("recoveredOnce")

    def changes(self, who: str, node: str) -> None:
        """
        Have a handler change something.
        """
        more = {"do": "set", "key": "a", "token": 100, "digit": -1, "node": node}
        self.note("sends", who, token=100, do="set")
        self.note("changes", who, **more)

    def shouts(self, number: int) -> None:
        """
        Have something be sent to a room.
        """
        self.note("shouts", "node1", number=number, room="/")
        self.note("shouted", "node1", number=number)

    def test_news(self) -> None:
        """
        What many are sent goes out before all is stored that was changed before.
        """
        for isStored in (True, False):
            self.setUp()
            self.comes("tab.2/1", "one")
            self.shouts(1)
            self.changes("tab.2/1", "node1")
            self.note("carries", "tab.2/1", number=1, by="node1")
            self.shouts(2)
            if isStored:
                data = json.dumps({"a": 100, "nest": {}, "log": []})
                self.note("stored", "node1", key=_KEY, data=data)
            self.note("carries", "tab.2/1", number=2, by="node1")
            if isStored:
                self.assertKept("newsIsHeld")
            else:
                self.assertBroken("newsIsHeld")

    def test_missedNews(self) -> None:
        """
        So does what a client missed, when it comes to another node.
        """
        for isStored in (True, False):
            self.setUp()
            self.comes("tab.2/1", "one")
            self.changes("tab.2/1", "node1")
            self.note("lost", "tab.2/1", code=1006)
            self.shouts(1)
            self.note("connects", "tab.3/2", node="node2", session="s")
            if isStored:
                data = json.dumps({"a": 100, "nest": {}, "log": []})
                self.note("stored", "node1", key=_KEY, data=data)
            self.note("carries", "tab.3/2", number=1, by="node1")
            more = {"sid": "one", "recovered": True}
            self.note("connected", "tab.3/2", node="node2", **more)
            if isStored:
                self.assertKept("newsIsHeld")
            else:
                self.assertBroken("newsIsHeld")

    def test_waits(self) -> None:
        """
        Somebody waits when all is well again.
        """
        for isLeft in (True, False):
            self.setUp()
            self.sends(1)
            if isLeft:
                self.note("leaves")
            self.note("quiet", "world")
            self.assertBroken(*["nobodyWaits"] * (not isLeft))
        for isAnswered in (True, False):
            self.setUp()
            self.sends(1)
            self.handles(1)
            self.note("done", token=1)
            if isAnswered:
                self.note("answers", node="node1", token=1)
            self.note("quiet", "world")
            self.assertBroken(*["nobodyWaits"] * (not isAnswered))
