"""
Tests for the rules on handlers that may run again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulation.queue import SECOND
from tests.simulation.histories import KEY, PLAN, HistoryTestCase


class SerialTests(HistoryTestCase):
    """
    Two sockets on two nodes, whose handlers may run again.
    """

    def setUp(self) -> None:
        super().setUp()
        self.plan = replace(PLAN, repeating=2)
        self.opens("tab.2", "node2")

    def runs(
        self, token: int, who: str = "tab.1", *, again: bool = False, **finds: Any
    ) -> None:
        """
        Have the handler of a message run.
        """
        if not again:
            self.sends(token, who=who)
        word = "runs again" if again else "runs"
        self.note(word, who, token=token, finds={"log": []} | finds)

    def draft(self, *tokens: int, word: str = "runs") -> None:
        """
        Have several run in one draft.
        """
        if word == "runs":
            self.sends(*tokens)
        self.now += SECOND
        for token in tokens:
            self.history.note(word, "tab.1", token=token, finds={"log": []})

    def counts(self, token: int, digit: int, who: str = "tab.1", **finds: Any) -> None:
        """
        Have it run and count.
        """
        self.runs(token, who, **finds)
        node = "node1" if who == "tab.1" else "node2"
        self.changes(token, "increment", "n", digit, who=who, node=node)

    def appends(self, token: int, who: str = "tab.1", **finds: Any) -> None:
        """
        Have it run and append to the list.
        """
        self.runs(token, who, **finds)
        self.changes(token, "update", "log", who=who)

    def answered(
        self, token: int, who: str = "tab.1", took: int | None = None, **found: Any
    ) -> None:
        """
        Have it be answered.
        """
        found = {"log": []} | found
        more = {"token": token, "found": found, "took": took}
        self.note("answers", who, node="node1", **more)
        self.note("hears", who, **more)

    def test_order(self) -> None:
        """
        Of two that count, one has found the other's count.
        """
        for n, broken in ((3**0, []), (0, ["haveOneOrder", "noUpdateIsLost"])):
            self.setUp()
            self.counts(100, 0)
            self.counts(101, 1, "tab.2", n=0)
            self.put("stored", "node1", n=1)
            self.runs(101, "tab.2", again=True, n=n)
            self.put("stored", "node2", n=n + 3)
            self.answered(100)
            self.answered(101, "tab.2", n=n)
            if broken:
                self.assertIn("haveOneOrder", self.broken())
            else:
                self.assertKept(["haveOneOrder"])

    def test_bothFound(self) -> None:
        """
        Nor have both found the other's.
        """
        self.counts(100, 0)
        self.counts(101, 1, "tab.2")
        self.put("stored", "node1", n=4)
        self.answered(100, n=3)
        self.answered(101, "tab.2", n=1)
        self.assertBroken("haveOneOrder")

    def test_own(self) -> None:
        """
        Nor has one found its own.
        """
        self.counts(100, 0)
        self.put("stored", "node1", n=1)
        self.answered(100, n=1)
        self.assertBroken("haveOneOrder")

    def test_lists(self) -> None:
        """
        What is appended is behind all that was found.
        """
        for log in ([99, 100], [100, 99]):
            self.setUp()
            self.put("stored", "node1", log=[99])
            self.appends(100, log=[99])
            self.put("stored", "node1", log=log)
            self.answered(100, log=[99])
            if log[0] == 99:
                self.assertKept(["listsHaveOneOrder"])
            else:
                self.assertIn("listsHaveOneOrder", self.broken())

    def test_taken(self) -> None:
        """
        Two have taken out the same.
        """
        for other in (8, 7):
            self.setUp()
            self.runs(100, queue=[7, 8])
            self.answered(100, took=7)
            self.runs(101, "tab.2", queue=[7, 8])
            self.answered(101, "tab.2", took=other)
            if other == 8:
                self.assertKept(["takenOnce"])
            else:
                self.assertBroken("takenOnce")

    def test_fresh(self) -> None:
        """
        What was answered before the message was sent has to be found in the end, if
        not the first time.
        """
        for n in (1, 0):
            self.setUp()
            self.counts(100, 0)
            self.put("stored", "node1", n=1)
            self.answered(100)
            self.runs(101, "tab.2", n=0)
            self.answered(101, "tab.2", n=n)
            if n:
                self.assertKept(["freshInTheEnd"])
            else:
                self.assertBroken("freshInTheEnd")

    def test_unseen(self) -> None:
        """
        Others find what is stored.
        """
        for isStored in (True, False):
            self.setUp()
            self.opens("other.1")
            self.counts(100, 0)
            if isStored:
                self.put("stored", "node1", n=1)
                self.answered(100)
            self.sends(101, who="other.1")
            self.handles(101, "other.1", n=1)
            if isStored:
                self.assertKept(["draftsAreUnseen"])
            else:
                self.assertBroken("draftsAreUnseen", "othersWait")

    def test_others(self) -> None:
        """
        Another handler begins at the same node when they are answered, or were closed,
        or wait for the next draft.
        """
        for ends, isKept in (
            (["answered 100", "answered 101"], True),
            (["lost"], True),
            (["again", "answered 100"], True),
            (["answered 100"], False),
            (["again"], False),
            ([], False),
        ):
            self.setUp()
            self.opens("other.1")
            self.draft(100, 101)
            for end in ends:
                if end == "again":
                    self.draft(100, word="runs again")
                elif end == "lost":
                    self.note("lost", "tab.1")
                else:
                    self.answered(int(end.split()[1]))
            self.sends(102, who="other.1")
            self.handles(102, "other.1")
            self.assertEqual("othersWait" not in self.broken(), isKept, ends)

    def test_othersWhenOneFails(self) -> None:
        """
        That one of a draft failed, its client is told when the rest is stored.
        """
        for isTold in (True, False):
            self.setUp()
            self.opens("other.1")
            self.draft(100, 101)
            self.now -= SECOND // 1000
            self.note("fails", "tab.1", token=100, error="_Meant")
            if isTold:
                self.note("serror", "tab.1", error="_Meant")
            self.sends(102, who="other.1")
            self.handles(102, "other.1")
            self.assertEqual("othersWait" not in self.broken(), isTold)

    def test_otherNode(self) -> None:
        """
        At another node it begins at any time.
        """
        self.opens("other.1", "node2")
        self.runs(100)
        self.sends(101, who="other.1")
        self.handles(101, "other.1")
        self.assertNotIn("othersWait", self.broken())

    def test_inOrder(self) -> None:
        """
        They run in the order in which they came.
        """
        self.sends(100, 101)
        self.note("runs", "tab.1", token=101, finds={})
        self.note("runs", "tab.1", token=100, finds={})
        self.assertIn("runInOrder", self.broken())

    def test_end(self) -> None:
        """
        None begins when the session has ended.
        """
        self.note("deleted", "web1", key=KEY)
        self.note("sdestroyed", "tab.1", reason="destroyed")
        self.runs(100)
        self.assertIn("notAfterTheEnd", self.broken())

    def test_stored(self) -> None:
        """
        What was found was stored when it is answered.
        """
        for isStored in (True, False):
            self.setUp()
            self.counts(100, 0)
            self.runs(101, n=1)
            if isStored:
                self.put("stored", "node1", n=1)
            self.answered(100)
            self.answered(101, n=1)
            if isStored:
                self.assertKept(["repeatedAreStored"])
            else:
                self.assertIn("repeatedAreStored", self.broken())
