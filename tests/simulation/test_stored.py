"""
Tests for the rules of what is stored.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

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


class CopyTests(HistoryTestCase):
    """
    Tests for what is said of copies in a cache.
    """

    def setUp(self) -> None:
        super().setUp()
        self.plan = replace(self.plan, kind="cached")

    def copied(self, **data: Any) -> None:
        """
        Have a copy be stored.
        """
        raw = json.dumps({"nest": {}, "log": []} | data)
        self.note("copied", "web1", key=KEY, data=raw)

    def test_old(self) -> None:
        """
        A change is answered while an older copy is in the cache: C{"noOldCopy"}.
        """
        for isDeleted in (True, False):
            self.setUp()
            self.sends(100)
            self.handles(100)
            self.changes(100)
            self.copied()
            self.put("stored", "node1", a=100)
            if isDeleted:
                self.note("uncopied", "node1", key=KEY, data=None)
                self.copied()
            self.answers(100)
            self.assertBroken(*["noOldCopy"] * (not isDeleted))

    def test_differs(self) -> None:
        """
        What is in the cache in the end is not what a node stored, or is left of what
        it ended: C{"noCopyDiffers"}.
        """
        for copy, isBroken in ((100, False), (99, True)):
            self.setUp()
            self.does(100)
            self.copied(a=copy)
            self.note("quiet", "world")
            self.assertBroken(*["noCopyDiffers"] * isBroken)
        self.setUp()
        self.copied()
        self.note("deleted", "node1", key=KEY, data=None)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.note("closes", "tab.1", code=4401)
        self.note("quiet", "world")
        self.assertBroken("noCopyDiffers")

    def test_killed(self) -> None:
        """
        A node that was killed could not delete a copy any more that came just before,
        or later; one that had come earlier, it could: C{"noCopyDiffers"}.
        """
        for seconds, isBroken in ((-1, False), (0, False), (1, True)):
            self.setUp()
            self.does(100)
            if seconds < 0:
                self.note("killed", "node1")
            self.copied(a=99)
            self.now += max(seconds, 0) * SECOND
            if seconds >= 0:
                self.note("killed", "node1")
            self.note("quiet", "world")
            self.assertBroken(*["noCopyDiffers"] * isBroken)

    def test_killedWhileTroubled(self) -> None:
        """
        Nor could one that was killed before the cache was there again.
        """
        for isWell, isBroken in ((False, False), (True, True)):
            self.setUp()
            self.does(100)
            self.note("trouble", "node1")
            self.copied(a=99)
            if isWell:
                self.note("heals", "node1")
            self.now += 10 * SECOND
            self.note("killed", "node1")
            self.note("quiet", "world")
            self.assertBroken(*["noCopyDiffers"] * isBroken)

    def test_theWebApplicationsOwn(self) -> None:
        """
        What web applications do to each other is nothing of ours.
        """
        self.copied(a=1)
        self.put("stored", "web2")
        self.note("quiet", "world")
        self.assertBroken()


class RestTests(HistoryTestCase):
    """
    Tests for what is said of nodes that nobody asks anything.
    """

    def test_writes(self) -> None:
        """
        A node goes on to write: C{"comesToRest"}.
        """
        for seconds, isBroken in ((10, False), (21, True)):
            self.setUp()
            self.note("all is well", "world")
            self.now += seconds * SECOND
            self.put("stored", "node1")
            self.note("quiet", "world")
            self.assertBroken(*["comesToRest"] * isBroken)
        self.plan = replace(self.plan, offsets=(0.0, 7200.0))
        self.history.all.pop(-2)
        self.assertKept(["comesToRest"])
