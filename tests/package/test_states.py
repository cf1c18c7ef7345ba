"""
Tests for what has a state of one enum: a state that cannot follow is refused, also
where Python leaves out C{assert}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsessionsock._redis.link import Link, LinkState
from txsessionsock.bus.pubsub import PubSub, PubSubState
from txsessionsock.clients.life import Life, Phase
from txsessionsock.service.workers import Workers, _WorkersState
from txsessionsock.socketio.engineconnection import EngineConnection, Stage


class StatesTests(SynchronousTestCase):
    """
    Tests for the tables of what may follow what.
    """

    def refused(self, kind: Any, name: str, method: str, last: Any, next_: Any) -> None:
        """
        Check that a state is refused, and that the one before is kept.
        """
        machine = kind.__new__(kind)
        setattr(machine, name, last)
        with self.assertRaisesRegex(RuntimeError, next_.name):
            getattr(machine, method)(next_)
        self.assertIs(getattr(machine, name), last)

    def test_refused(self) -> None:
        """
        After the last state comes no other.
        """
        self.refused(Link, "state", "_become", LinkState.CLOSED, LinkState.UP)
        closed: Any
        closed, ready = PubSubState.CLOSED, PubSubState.READY
        self.refused(PubSub, "state", "_become", closed, ready)
        ending, serving = _WorkersState.ENDING, _WorkersState.SERVING
        self.refused(Workers, "_state", "_become", ending, serving)
        self.refused(Life, "phase", "goOn", Phase.OVER, Phase.OPEN)
        closed, polling = Stage.CLOSED, Stage.POLLING
        self.refused(EngineConnection, "stage", "_become", closed, polling)
