"""
Tests for L{txsessionsock.clients.life}: in which order the phases of a client
come.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.support.wires import Recording, SocketCase
from txsessionsock.clients.life import Life, Phase
from txsessionsock.clients.short import Turn
from txsessionsock.limits import Limits


def lived(*phases: Phase) -> Life:
    """
    A life that went through phases.
    """
    life = Life()
    for phase in phases:
        life.goOn(phase)
    return life


class LifeTests(SynchronousTestCase):
    """
    Tests for L{Life} alone.
    """

    def test_ways(self) -> None:
        """
        The ways that a life can take.
        """
        for way in (
            [Phase.WAITING, Phase.ASKING, Phase.OPENING, Phase.OPEN],
            [Phase.WAITING, Phase.ASKING, Phase.WAITING, Phase.ASKING, Phase.REFUSED],
            [Phase.CLOSING, Phase.CLOSED],
            [Phase.WAITING, Phase.CLOSING, Phase.CLOSED],
        ):
            ending = [] if Phase.CLOSED in way else [Phase.CLOSING, Phase.CLOSED]
            self.assertTrue(lived(*way, *ending).wasClosed)
            life = lived(*way, *ending, Phase.LEAVING, Phase.OVER)
            self.assertEqual((life.phase, life.wasClosed), (Phase.OVER, True))
            cut = lived(*way, Phase.LEAVING, Phase.OVER)
            self.assertEqual(cut.wasClosed, Phase.CLOSED in way)

    def test_impossible(self) -> None:
        """
        No phase comes twice in a row, and but for two none comes after a later
        one; the first and the last are so for good.
        """
        for before, after in pairwise(Phase):
            life = Life()
            life.phase = before
            self.assertRaises(RuntimeError, life.goOn, before)
            self.assertEqual(life.phase, before)
            for earlier in Phase:
                life.phase = after
                allowed = (after, earlier) in (
                    (Phase.ASKING, Phase.WAITING),
                    (Phase.OPENING, Phase.ASKING),
                )
                if earlier < after and not allowed:
                    with self.assertRaisesRegex(RuntimeError, f"{after.name} cannot"):
                        life.goOn(earlier)
        for phase in Phase:
            over = lived(Phase.LEAVING, Phase.OVER)
            self.assertRaises(RuntimeError, over.goOn, phase)
        for phase in Phase.OPENING, Phase.OPEN, Phase.CLOSED, Phase.OVER:
            self.assertRaises(RuntimeError, Life().goOn, phase)


class PhaseTests(SocketCase):
    """
    Tests for the phases of a socket.
    """

    def setUp(self) -> None:
        super().setUp()
        self.put()

    def phase(self, browser: Any) -> Phase:
        phase: Phase = browser.server._sessionsock.client.life.phase
        return phase

    def test_phases(self) -> None:
        """
        A socket goes through its phases.
        """
        self.serve()
        self.store.hold("load")
        browser = self.browse()
        self.assertEqual(self.phase(browser), Phase.OPENING)
        self.store.release()
        self.wait()
        self.assertEqual(self.phase(browser), Phase.OPEN)
        browser.server.session["n"] = 1
        self.store.hold("replace")
        browser.close()
        self.assertEqual(self.phase(browser), Phase.OVER)
        self.assertEqual(len(self.factory.sockets), 1)
        self.store.release()
        self.assertNothingLeft()

    def test_closedByHandshake(self) -> None:
        """
        A socket that C{onConnect} closes is closed, as soon as it can be, and
        has no session.
        """

        class Closing(Recording):
            def onConnect(self, request: Any) -> None:
                self.close(4000, "not you")

        for perMessage in False, True:
            self.serve(Closing, perMessage=perMessage)
            browser = self.browse()
            self.assertClosed(browser, 4000, "not you")
            self.assertEqual(self.seen, [])
            self.assertNothingLeft()

    def test_goneDuringHandshake(self) -> None:
        """
        A client that goes while C{onConnect} waits is gone: what C{onConnect}
        answers afterwards opens nothing.
        """
        gate: Deferred[None]

        class Slow(Recording):
            def onConnect(self, request: Any) -> Any:
                return gate

        for isLate in False, True:
            gate = Deferred()
            self.serve(Slow, limits=Limits(handshakeTimeout=2.0))
            browser = self.browse()
            if isLate:
                self.wait(2)
                self.assertTrue(browser.wire.isAborted)
            else:
                browser.cut()
            gate.callback(None)
            self.wait(60)
            self.assertEqual(self.phase(browser), Phase.OVER)
            self.assertEqual(self.seen, [])
            self.assertNothingLeft()

    def test_turns(self) -> None:
        """
        The turns of handlers follow each other in one way only, too.
        """
        self.serve()
        gate: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *_: gate
        browser = self.browse()
        conversation = browser.server._sessionsock.client._conversation
        for turn in "COLLECTING", "HANDLED", "OVER", "NOBODY":
            with self.assertRaisesRegex(RuntimeError, f"after NOBODY comes no {turn}"):
                conversation._turnTo(Turn[turn])
        browser.send("x")
        for turn in "HANDLED", "OVER", "HANDLER":
            with self.assertRaisesRegex(RuntimeError, f"after HANDLER comes no {turn}"):
                conversation._turnTo(Turn[turn])
        browser.cut()
        gate.callback(None)
        self.wait()
        self.assertIs(conversation._turn, Turn.OVER)
        for each in Turn:
            self.assertRaises(RuntimeError, conversation._turnTo, each)
        self.assertNothingLeft()
