"""
Tests for L{txsessionsock._events}: what programs find in the log.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._events import Events


class EventsTests(SynchronousTestCase):
    """
    L{Events}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)
        self.events = Events(self.clock.seconds)

    def test_fields(self) -> None:
        """
        An event has a namespace, a name and fields, beside the line.
        """
        with capturedLogs() as logs:
            self.events.tell(
                "invalid", "no {session}", "late", LogLevel.warn, reason="late"
            )
        (event,) = logs
        self.assertEqual(event["log_namespace"], "sessionsock.events")
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertEqual((event["event"], event["reason"]), ("invalid", "late"))
        self.assertEqual(formatEvent(event), "no {session}")

    def test_seldom(self) -> None:
        """
        One of each name and kind is logged a minute, and then how many there were;
        no name takes the room of another.
        """
        with capturedLogs() as logs:
            for number in range(100):
                self.events.tell("refused", f"number {number}", f"kind {number % 50}")
            self.events.tell("store-failed", "away")
        names = [each["event"] for each in logs]
        self.assertEqual(names, ["refused"] * 20 + ["store-failed"])
        self.clock.advance(61)
        with capturedLogs() as logs:
            self.events.tell("refused", "again", "kind 0")
        left: list[dict[str, Any]] = [e for e in logs if e["event"] == "left-out"]
        self.assertEqual(len(left), 21)
        told = {(e["of"], e["count"]) for e in left}
        self.assertEqual(told, {("refused", 1), ("refused", 60)})
        self.assertEqual({e["log_namespace"] for e in logs[:20]}, {EVENTS})

    def test_end(self) -> None:
        """
        What was left out is not lost with the process.
        """
        with capturedLogs() as logs:
            for _ in range(3):
                self.events.tell("connect", "a socket")
            self.events.end()
        self.assertEqual([e["event"] for e in logs], ["connect", "left-out"])
        self.assertEqual(logs[1]["count"], 2)


EVENTS = "sessionsock.events"
