"""
Histories by hand, for the tests of rules.
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
from simulation.rules import judged


__all__ = ["KEY", "PLAN", "HistoryTestCase"]

PLAN = replace(
    drawn(1),
    kind="watched",
    perMessage=True,
    freshness="strict",
    repair=True,
    steps=(),
    hub=False,
)
KEY = "sess:s"


class HistoryTestCase(SynchronousTestCase):
    """
    A history that is written by hand.
    """

    def setUp(self) -> None:
        self.now = BEGIN
        self.history = History(lambda: self.now)
        self.plan: Plan = PLAN
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
        self.note(what, who, key=KEY, data=json.dumps({"nest": {}, "log": []} | data))

    def opens(self, who: str, node: str = "node1", *, connected: bool = True) -> None:
        """
        Have another socket open.
        """
        self.note("connects", who, node=node, session="s")
        if connected:
            self.note("connected", who, node=node)

    def sends(self, *tokens: int, who: str = "tab.1") -> None:
        """
        Have the tab send messages.
        """
        for token in tokens:
            self.note("sends", who, token=token, do="set")

    def handles(self, token: int, who: str = "tab.1", **sees: Any) -> None:
        """
        Have a message be handled.
        """
        self.note("handles", who, token=token, sees={"log": []} | sees)

    def changes(
        self,
        token: int,
        do: str = "set",
        key: str = "a",
        n: int = 0,
        *,
        who: str = "tab.1",
        node: str = "node1",
    ) -> None:
        """
        Have its handler change something.
        """
        more = {"do": do, "key": key, "token": token, "digit": n, "node": node}
        self.note("changes", who, **more)

    def answers(self, token: int, who: str = "tab.1") -> None:
        """
        Have its handler be done, it be answered, and the answer be heard.
        """
        self.note("done", who, token=token)
        self.note("answers", who, node="node1", token=token)
        self.note("hears", who, token=token)

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

    def assertBroken(self, *names: str) -> None:
        """
        These rules are broken, and no other.
        """
        self.assertEqual(sorted(self.broken()), sorted(names))
