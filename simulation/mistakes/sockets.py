# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: sockets of both kinds, and how clients of Socket.IO come back.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a second namespace may have another session",
        "socketio/connection.py",
        "        return known is not None and known != sessionID\n",
        "        return False\n",
        ("oneSession",),
    ),
    Mistake(
        "an event is acknowledged twice",
        "socketio/carrier.py",
        "        asked.number = None\n        self.client.sendFrame(frame)\n",
        "        self.client.sendFrame(frame)\n",
        (
            "toWhoAsked",
            "acknowledgedOnce",
        ),
    ),
    Mistake(
        "an acknowledgement is not held",
        "socketio/carrier.py",
        "        asked.number = None\n        self.client.sendFrame(frame)\n",
        "        asked.number = None\n        self._connection.send(frame)\n",
        ("answersAreHeld",),
    ),
    Mistake(
        "what a handler finds after call() may be old",
        "clients/conversation.py",
        "        arrival = self._keeper.arrival()\n"
        "        fresh = self._keeper.fresh(arrival) if self._isPerMessage else None\n",
        "        fresh = None\n",
        ("answersToUsAreFresh",),
    ),
    Mistake(
        "what came before the disconnect is dropped",
        "clients/conversation.py",
        "        self._changedKeys = ()\n"
        '        self._failReceiver(ClientGone("the client is gone"))\n',
        "        self._inbox.clear()\n"
        '        self._failReceiver(ClientGone("the client is gone"))\n',
        (
            "whatCameIsHandled",
            "handledBeforeDisconnect",
        ),
    ),
    Mistake(
        "a client that was missed gets its last event again",
        "socketio/trail.py",
        "                return frames[number + 1 :]\n",
        "                return frames[number:]\n",
        ("recoveredOnce",),
    ),
    Mistake(
        "a client that comes back misses one event",
        "socketio/trail.py",
        "                return frames[number + 1 :]\n",
        "                return frames[number + 2 :]\n",
        ("recoveredOnce",),
    ),
    Mistake(
        "who comes back with another session is recovered",
        "socketio/recovery.py",
        "        isOwn = ghost.session is session and ghost.isSame\n",
        "        isOwn = ghost.isSame\n",
        ("recoveredOnce",),
    ),
    Mistake(
        "questions to a client that is gone stay open",
        "socketio/carrier.py",
        "        while self._calls:\n"
        "            asked = self._calls.pop(next(iter(self._calls)))\n",
        "        while False:\n"
        "            asked = self._calls.pop(next(iter(self._calls)))\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "an engine that is over is not forgotten",
        "socketio/engineconnection.py",
        "        self._engine.forget(self.sid)\n",
        "",
        ("nothingIsLeft",),
    ),
    Mistake(
        "who answers no ping is not dropped",
        "socketio/heartbeat.py",
        "        elif owner.mayHavePonged:\n",
        "        elif owner.mayHavePonged or not owner.unsent:\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "a namespace that is about to be closed has no session any more",
        "socketio/connection.py",
        "                if client.isOpen or client.life.phase is Phase.CLOSING:\n",
        "                if client.isOpen:\n",
        ("oneSession",),
    ),
    Mistake(
        "what waits here is kept beside what another node hands over",
        "socketio/ghost.py",
        "        self.trail.restart(offset)\n        self._letGo()\n",
        "        self.trail.restart(offset)\n",
        ("recoveredOnce",),
    ),
)
