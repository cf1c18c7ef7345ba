"""
Tests for L{txsessionsock.socketio.recovery} and
L{txsessionsock.socketio.handover}: clients that are lost and come back to any node, at
any time.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.socketio.test_recovery_nodes import NodesCase
from tests.support.managing import turn
from tests.support.socketio import Page
from txsessionsock.socketio.packets import MSGPACK, TEXT, Kind, Parser


class Wanderer:
    """
    A client, as the official one is.

    @ivar name: Its C{sid} and C{pid}, from which it knows whether it was recovered.

    @ivar got: The events that came, each with its node and number.

    @ivar expected: Those that are to come.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.name: Any = page.of(Kind.CONNECT)[0]
        self.isAway = False
        self.got: list[tuple[str, int]] = []
        self.expected: list[tuple[str, int]] = []
        self._offset: Any = None
        self._read = 0

    @property
    def isNew(self) -> bool:
        """
        Whether it is somebody else since it came last.
        """
        names = self.page.of(Kind.CONNECT)
        return bool(names) and names[0] != self.name

    def read(self, unread: int = 0) -> None:
        """
        Get what came.

        @param unread: How many of the last are lost on their way.
        """
        events = self.page.events
        for name, number, offset in events[self._read : len(events) - unread]:
            self._read += 1
            self.got.append((name, number))
            self._offset = offset

    def beginAnew(self) -> None:
        """
        Be somebody else, who gets what is sent from now on.
        """
        self.name = self.page.of(Kind.CONNECT)[0]
        self.got, self._read = [], 0
        self.read()
        self.expected = list(self.got)

    def comeBack(self, page: Page) -> None:
        """
        Connect again.
        """
        self.page, self.isAway, self._read = page, False, 0
        offset = {} if self._offset is None else {"offset": self._offset}
        page.connect("/", {"pid": self.name["pid"], **offset})


class WalkTests(NodesCase):
    """
    What all of three nodes send comes once, and from each node in order, to whoever
    is recovered.
    """

    def setUp(self) -> None:
        super().setUp()
        self.nodes = [self.here, self.there, self.node()]
        self.do["sconnection"] = lambda socket, session: (
            socket.recovered or socket.join("news")
        )
        self.number = 0

    def start(self, random: Random) -> Wanderer:
        self.at(random.choice(self.nodes))
        parsers: list[Parser] = [TEXT, MSGPACK]
        return Wanderer(self.come(random.choice(parsers)))

    def returns(self, one: Wanderer, random: Random) -> None:
        self.at(random.choice(self.nodes))
        one.comeBack(self.browse(parser=one.page.parser, connects=False))

    def step(self, ones: list[Wanderer], random: Random) -> None:
        """
        Do anything.
        """
        one, node = random.choice(ones), random.choice(self.nodes)
        what = random.choice(["emit"] * 3 + ["lose", "return"] * 3 + ["turn"] * 4)
        if what == "emit":
            self.number += 1
            sent = str(self.nodes.index(node)), self.number
            node[0].to("news").emit(*sent)
            for each in ones:
                each.expected.append(sent)
        elif what == "turn":
            for _ in range(random.choice([1, 1, 2, 5, 100])):
                turn(self.clock)
        elif what == "lose" and not one.isAway:
            self.settle(one, random.choice([0, 0, 1, 3]))
            one.page.lose()
            one.isAway = True
        elif what == "return" and one.isAway:
            self.returns(one, random)

    def settle(self, one: Wanderer, unread: int = 0) -> None:
        if one.isNew:
            self.wait(1)
            one.beginAnew()
        else:
            one.read(min(unread, len(one.page.events) - one._read))

    def assertCounted(self) -> None:
        """
        The budget of each node is what is kept there.
        """
        for io, *_ in self.nodes:
            ghosts = io.ghosts
            away = list(ghosts._ghosts.values())
            kept = [f for trail in ghosts._trails for f in trail._frames]
            kept += [frame for ghost in away for frame in ghost.trail._frames]
            kept += [frame for ghost in away for _, frame in ghost._held]
            sizes = {id(frame): frame.size for frame in kept}
            self.assertEqual(ghosts._budget.used, sum(sizes.values()) + 16 * len(kept))

    def walk(self, random: Random) -> int:
        """
        @return: How many were recovered at the end.
        """
        ones = [self.start(random) for _ in range(random.randint(1, 3))]
        for _ in range(random.randint(5, 50)):
            self.step(ones, random)
            self.assertCounted()
        self.wait(4)
        for one in ones:
            if not one.isAway:
                self.settle(one)
            else:
                self.returns(one, random)
        self.wait(4)
        recovered = 0
        for one in ones:
            if not one.isNew:
                recovered += 1
                one.read()
                for each in "012":
                    came = [number for name, number in one.got if name == each]
                    sent = [number for name, number in one.expected if name == each]
                    self.assertEqual(came, sent)
            one.page.lose()
        self.wait(1)
        return recovered

    def test_walks(self) -> None:
        """
        In any order.
        """
        recovered = 0
        for seed in range(60):
            try:
                recovered += self.walk(Random(seed))
            except Exception as error:
                error.add_note(f"walk {seed}")
                raise
        self.assertGreater(recovered, 60)
        self.assertNothingLeft()
