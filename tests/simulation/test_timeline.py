"""
Tests for histories in words.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from simulation.history import History
from simulation.plan import drawn
from simulation.queue import BEGIN
from simulation.timeline import timeline
from simulation.world import happened


class TimelineTests(SynchronousTestCase):
    """
    Tests for L{timeline}.
    """

    def told(self, *what: tuple[str, str, dict[str, Any]]) -> list[str]:
        """
        @return: What is told of some events, without times.
        """
        history = History(lambda: BEGIN + 1_500_000)
        for word, who, more in what:
            history.note(word, who, **more)
        lines = timeline(history)
        self.assertEqual({line[:10] for line in lines}, {"  1.500000"})
        return [line[12:] for line in lines]

    def test_stored(self) -> None:
        """
        Sessions have letters, stamps the names of those who left them, and sums of
        increments are told apart.
        """
        data = {"a": 100, "n": 3 + 2 * 9, "log": [], "user": "ann", "nest": {}}
        raw = json.dumps(data | {"_sessionsock": {"nXY": [7, 1]}})
        more = {"key": "sess:secret", "data": raw}
        self.assertEqual(
            self.told(
                ("connects", "tab0.1", {"node": "node2", "session": "other"}),
                ("stored", "node1", more),
                ("stored", "node2", more),
                ("deleted", "web1", {"key": "sess:secret", "data": None}),
            ),
            [
                "tab0.1   connects to node2, with session A",
                "node1    stores session B: a 100, n 3**1 + 2 * 3**2; stamps node1 7",
                "node2    stores session B: a 100, n 3**1 + 2 * 3**2; stamps node1 7",
                "web1     deletes session B",
            ],
        )

    def test_changes(self) -> None:
        """
        Of a change it is told who makes it, and what it does.
        """
        change = {"do": "nested", "key": "nest.a", "token": 100, "digit": 2}
        self.assertEqual(
            self.told(
                ("changes", "tab0.1", change),
                ("changes", "tab0.1", change | {"do": "increment"}),
                ("changes", "web1", change | {"do": "write", "key": "of web1"}),
            ),
            [
                "tab0.1   the handler of 100 sets nest.a to 100",
                "tab0.1   the handler of 100 adds 3**2 to n",
                "web1     is done with its work, and writes of web1: 100",
            ],
        )

    def test_unknown(self) -> None:
        """
        What it has no words for is told as it was noted.
        """
        self.assertEqual(
            self.told(("sings", "node1", {"how": "low"}), ("answers", "tab0.1", {})),
            ["node1    sings: how low", "tab0.1   answers"],
        )

    def test_all(self) -> None:
        """
        There is one line for each event, whatever happens.
        """
        for seed in range(20):
            history = happened(drawn(seed)).history
            self.assertEqual(len(timeline(history)), len(history.all))
