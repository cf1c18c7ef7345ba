"""
Tests for the rules of what is stored.
"""

from __future__ import annotations

import json

from simulation.queue import SECOND
from tests.simulation.histories import KEY, HistoryTestCase


class UndecodableTests(HistoryTestCase):
    """
    Tests for what is said of sessions that cannot be read.
    """

    def test_overwritten(self) -> None:
        """
        A node writes over what cannot be read, or ends it by itself.
        """
        for what, who, isBroken in (
            ("stored", "node1", True),
            ("deleted", "node1", True),
            ("stored", "web1", False),
            ("deleted", "web1", False),
        ):
            self.setUp()
            self.note("spoiled", "web1", key=KEY, data=None)
            self.put(what, who)
            self.assertBroken(*["undecodableIsLeftAlone"] * isBroken)
        self.setUp()
        self.note("sends", "tab.1", token=100, do="destroy")
        self.note("spoiled", "web1", key=KEY, data=None)
        self.put("deleted", "node1")
        self.assertBroken()

    def test_notTold(self) -> None:
        """
        A socket stays open, and nobody says that its session cannot be read.
        """
        self.note("spoiled", "web1", key=KEY, data=None)
        self.now += 20 * SECOND
        self.note("quiet", "world")
        self.assertBroken("undecodableIsReported")

    def test_told(self) -> None:
        """
        It was said.
        """
        self.note("spoiled", "web1", key=KEY, data=None)
        self.note("serror", "tab.1", error="UndecodableSession")
        self.now += 20 * SECOND
        self.note("quiet", "world")
        self.assertKept(("undecodableIsReported", "undecodableIsLeftAlone"))


class LifeTests(HistoryTestCase):
    """
    Tests for what is said of the ends of sessions.
    """

    def test_shorter(self) -> None:
        """
        A write of ours brings the end of a session forward; that of a web
        application may.
        """
        raw = json.dumps({"nest": {}, "log": []})
        for who, isBroken in (("node1", True), ("web1", False)):
            for what in ("stored", "touched"):
                self.setUp()
                self.note("stored", "web1", key=KEY, data=raw, until=9)
                self.note(what, who, key=KEY, data=raw, until=8)
                self.assertBroken(*["noShorterLife"] * isBroken)
