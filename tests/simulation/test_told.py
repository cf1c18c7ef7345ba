"""
Tests for the rules on what clients and those who save are told: each says so when it
is broken, and does not when it is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simulation.plan import LONG
from simulation.queue import SECOND
from simulation.rules import judged
from tests.simulation.histories import KEY, PLAN, HistoryTestCase


class ToldTests(HistoryTestCase):
    """
    Tests for L{judged}.
    """

    def again(self) -> None:
        """
        Begin another history, of the same kind.
        """
        plan = self.plan
        self.setUp()
        self.plan = plan

    def increments(self, token: int, who: str = "tab.1") -> None:
        """
        Have a handler count, and be at work on it.
        """
        self.sends(token, who=who)
        self.handles(token, who)
        self.changes(token, "increment", "n", 4, who=who)

    def test_backwards(self) -> None:
        """
        What a client saw is not there for its later socket, though nobody was told
        that it is done: a key, a count, an entry.
        """
        later: dict[str, Any]
        for later in ({"a": 99}, {"n": 0}, {"log": []}, {}):
            self.again()
            self.does(99)
            self.sends(100)
            self.handles(100, a=99)
            for do, key in (("raise", "a"), ("increment", "n"), ("update", "log")):
                self.changes(100, do, key, 4)
            there = {"a": 100, "n": 3**4, "log": [100]}
            self.put("stored", "node1", **there)
            self.opens("other.1", "node2")
            self.sends(102, who="other.1")
            self.handles(102, "other.1", **there)
            self.answers(102, "other.1")
            self.opens("other.2", "node3")
            self.sends(103, who="other.2")
            self.handles(103, "other.2", **there | later)
            if later:
                self.assertBroken("neverBackwards")
            else:
                self.assertKept(["neverBackwards"])

    def test_shared(self) -> None:
        """
        A handler does not find what another one on its node assigned.
        """
        for sees in ({}, {"a": 99}, {"a": 100}):
            self.again()
            self.plan = replace(PLAN, freshness="tracked")
            self.does(99)
            self.sends(100)
            self.handles(100, a=99)
            self.changes(100)
            self.opens("other.1")
            self.sends(101, who="other.1")
            self.handles(101, "other.1", **sees)
            if sees.get("a") == 100:
                self.assertKept(["onASharedObject"])
            else:
                self.assertBroken("onASharedObject")

    def test_another(self) -> None:
        """
        An answer goes to another socket.
        """
        self.opens("other.1")
        self.does(100)
        self.assertKept(["toWhoAsked"])
        self.note("hears", "other.1", token=100)
        self.assertBroken("toWhoAsked")

    def test_atATime(self) -> None:
        """
        A handler begins while another one of its socket is at work.
        """
        self.sends(100, 101)
        self.handles(100)
        self.handles(101)
        self.assertBroken("oneAtATime")
        self.again()
        self.sends(100, 101)
        self.handles(100)
        self.note("fails", "tab.1", token=100, error="ValueError")
        self.handles(101)
        self.assertKept(["oneAtATime"])

    def test_before(self) -> None:
        """
        A message is handled before the session is there.
        """
        for isEarly in (True, False):
            self.again()
            self.opens("other.1", connected=False)
            self.sends(100, who="other.1")
            if not isEarly:
                self.note("connected", "other.1", node="node1")
            self.handles(100, "other.1")
            if isEarly:
                self.assertBroken("notBeforeTheSession")
            else:
                self.assertKept(["notBeforeTheSession"])

    def test_disconnect(self) -> None:
        """
        The end of a connection is told never, twice, or not last.
        """
        self.note("disconnect", "tab.1", code=1001)
        self.note("end", "world")
        self.assertKept(["disconnectIsLast"])
        self.note("disconnect", "tab.1", code=1001)
        self.assertBroken("disconnectIsLast")
        self.again()
        self.note("end", "world")
        self.assertBroken("disconnectIsLast")
        self.again()
        self.note("disconnect", "tab.1", code=1001)
        self.note("schanged", "tab.1", keys=["a"])
        self.assertBroken("disconnectIsLast")

    def test_handledBefore(self) -> None:
        """
        What came before the client left is not handled; that is right if it was cut
        off before.
        """
        for isHandled, isCut in (True, False), (False, True), (False, False):
            self.again()
            self.sends(100)
            if isHandled:
                self.handles(100)
            if isCut:
                self.note("cuts", "tab.1", why="it was sent more than may wait")
            self.note("leaves", "tab.1")
            self.note("disconnect", "tab.1", code=1001)
            if isHandled or isCut:
                self.assertKept(["handledBeforeDisconnect"] * isHandled)
            else:
                self.assertBroken("handledBeforeDisconnect")

    def test_saves(self) -> None:
        """
        C{save()} fires, and what it was asked for is not stored: its own change, or
        that of another handler of the node.
        """
        self.opens("other.1")
        self.increments(100)
        self.sends(101, who="other.1")
        self.handles(101, "other.1")
        self.note("saves", "other.1", token=101)
        self.put("stored", "node1", n=3**4)
        self.note("done", "other.1", token=101)
        self.note("saves", "tab.1", token=100)
        self.note("done", "tab.1", token=100)
        self.assertKept(["savesAreTrue"])
        for change in self.history.all:
            if change.what == "stored":
                self.history.all.remove(change)
                break
        self.assertBroken("savesAreTrue")
        self.again()
        self.sends(100)
        self.handles(100)
        self.changes(100, "update", "log")
        self.note("done", "tab.1", token=100)
        self.assertBroken("savesAreTrue")

    def test_savesGivenUp(self) -> None:
        """
        Who had heard that its increment is given up need not find that stored when
        C{save()} fires, but all that others had changed before.
        """
        self.plan = replace(PLAN, ttl=LONG)
        for isStored in (True, False):
            self.again()
            self.opens("other.1")
            self.sends(101, who="other.1")
            self.handles(101, "other.1")
            self.changes(101, who="other.1")
            self.sends(100)
            self.handles(100, a=101)
            self.changes(100, "increment", "n", 4)
            self.note("cut off", "node1")
            self.note("serror", "tab.1", error="StoreTimeout")
            self.note("saves", "tab.1", token=100)
            if isStored:
                self.put("stored", "node1", a=101)
            self.note("done", "tab.1", token=100)
            if isStored:
                what = "an increment that was given up before it was to be saved"
                self.assertKept([f"excepted: {what}", "savesAreTrue"])
            else:
                self.assertBroken("savesAreTrue")

    def test_savesDoubled(self) -> None:
        """
        A node appends to a list once more than it should, which only a web
        application can make it do that takes out the stamp.
        """
        for copy in ("young", "stripped"):
            self.again()
            more = {"session": KEY, "token": 99, "do": "write", "key": "of web1"}
            self.note("changes", "web1", copy=copy, **more)
            self.put("stored", "web1", nest={"list": [0]})
            self.sends(100)
            self.handles(100)
            self.changes(100, "list", "nest.list")
            self.note("saves", "tab.1", token=100)
            self.put("stored", "node1", nest={"list": [100, 0]})
            self.note("done", "tab.1", token=100)
            if copy == "young":
                self.assertBroken("savesAreTrue")
            else:
                self.assertKept(["savesAreTrue"])
                counted = judged(self.plan, self.history).applied
                self.assertEqual(
                    counted["excepted: what was appended twice to a list"], 1
                )

    def test_doubts(self) -> None:
        """
        An increment was given up, and nobody was told.
        """
        self.increments(100)
        self.note("quiet", "world")
        self.assertBroken("doubtsAreTold")
        self.again()
        self.increments(100)
        self.note("cut off", "node1")
        self.note("serror", "tab.1", error="StoreUnavailable")
        self.note("quiet", "world")
        self.assertBroken("doubtsAreTold")
        self.again()
        self.increments(100)
        self.note("cut off", "node1")
        self.note("serror", "tab.1", error="StoreTimeout")
        self.note("quiet", "world")
        self.assertKept(["doubtsAreTold"])
        self.again()
        self.increments(100)
        self.put("stored", "node1", n=3**4)
        self.note("quiet", "world")
        self.assertKept(["doubtsAreTold"])

    def test_staysOpen(self) -> None:
        """
        Per connection, a socket is closed because the store fails.
        """
        self.plan = replace(PLAN, perMessage=False)
        self.note("cut off", "node1")
        self.note("closes", "tab.1", code=1013)
        self.assertBroken("staysOpen")
        self.again()
        self.sends(100)
        self.handles(100)
        self.note("fails", "tab.1", token=100, error="StoreTimeout")
        self.note("cut off", "node1")
        self.note("closes", "tab.1", code=1013)
        self.assertKept(["staysOpen"])

    def test_stops(self) -> None:
        """
        A node stops, and leaves a socket open, closes it with another code, or does
        not store what was changed.
        """
        for code, isStored in ((1001, True), (0, True), (1000, True), (1001, False)):
            self.again()
            self.sends(100)
            self.handles(100)
            self.changes(100, "raise")
            self.note("stops", "node1")
            if code:
                self.note("closes", "tab.1", code=code)
            if isStored:
                self.put("stored", "node1", a=100)
            self.note("stopped", "node1")
            if code == 1001 and isStored:
                self.assertKept(["stopsWell"])
            else:
                self.assertBroken("stopsWell")

    def test_endsInTime(self) -> None:
        """
        A node ends late, or never.
        """
        self.note("closes", "tab.1", code=1001)
        self.note("disconnect", "tab.1", code=1001)
        self.note("stops", "node1")
        self.note("stopped", "node1")
        self.note("end", "world")
        self.assertKept(["endsInTime"])
        self.history.all[-2:] = []
        self.note("end", "world")
        self.assertBroken("endsInTime")
        self.history.all.pop()
        self.now += 20 * SECOND
        self.note("stopped", "node1")
        self.assertBroken("endsInTime")

    def test_madeUp(self) -> None:
        """
        A socket opens without a session.
        """
        self.note("deleted", "web1", key=KEY, data=None)
        self.opens("other.1")
        self.assertBroken("onlyWithASession")
        self.again()
        self.opens("other.1", connected=False)
        self.note("deleted", "web1", key=KEY, data=None)
        self.note("connected", "other.1", node="node1")
        self.assertKept(["onlyWithASession"])

    def test_inTime(self) -> None:
        """
        Per connection, something is stored late.
        """
        self.plan = replace(PLAN, perMessage=False)
        for seconds in (1, 20):
            self.again()
            self.sends(100)
            self.handles(100)
            self.changes(100)
            self.now += seconds * SECOND
            self.put("stored", "node1", a=100)
            if seconds == 1:
                self.assertKept(["storedInTime"])
            else:
                self.assertBroken("storedInTime")
        # It became somebody else's.
        self.again()
        self.put("stored", "web1", user="ann")
        self.opens("tab.2")
        self.put("stored", "web1", user="bob")
        self.sends(100, who="tab.2")
        self.handles(100, who="tab.2")
        self.changes(100, who="tab.2")
        self.note("sdestroyed", "tab.2", reason="replaced")
        self.note("closes", "tab.2", code=4401)
        self.now += 20 * SECOND
        self.opens("tab.3")
        self.sends(101, who="tab.3")
        self.handles(101, who="tab.3")
        self.changes(101, who="tab.3")
        self.put("stored", "node1", user="bob", a=101)
        self.assertNotIn("storedInTime", self.broken())

    def test_stamp(self) -> None:
        """
        A handler sees a stamp.
        """
        self.sends(100, 101)
        self.handles(100, _sessionsock={})
        self.assertBroken("stampsAreHidden")
        self.again()
        self.sends(100)
        self.handles(100, b=1)
        self.assertKept(["stampsAreHidden"])

    def test_madeUpValues(self) -> None:
        """
        What is stored was never assigned.
        """
        self.does(100)
        self.assertKept(["valuesAreWhole"])
        self.put("stored", "node1", a=77)
        self.assertBroken("noUpdateIsLost", "valuesAreWhole")

    def test_killed(self) -> None:
        """
        What a node that was killed had told is gone.
        """
        for there in ({"a": 100}, {}):
            self.again()
            self.does(100)
            self.note("killed", "node1")
            self.put("stored", "node2", **there)
            self.note("quiet", "world")
            if there:
                self.assertKept(["theKilledTakeNothingBack"])
            else:
                self.assertBroken("noUpdateIsLost", "theKilledTakeNothingBack")

    def test_notTold(self) -> None:
        """
        A socket is closed because its session ended, and its application was not
        told.
        """
        for isTold in (True, False):
            self.again()
            self.note("deleted", "web1", key=KEY, data=None)
            if isTold:
                self.note("sdestroyed", "tab.1", reason="destroyed")
            self.note("closes", "tab.1", code=4401)
            if isTold:
                self.assertKept(["toldOnce"])
            else:
                self.assertBroken("toldOnce")
