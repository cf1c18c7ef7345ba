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
    drawn(1), kind="watched", perMessage=True, freshness="strict", repair=True, steps=()
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
