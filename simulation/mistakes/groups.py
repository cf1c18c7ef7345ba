# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: hubs, buses, and nodes that stop.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a room that nobody is in any more is kept",
        "hub/members.py",
        "        if not group:\n            del self._groups[label]\n",
        "",
        ("nothingIsLeft",),
    ),
    Mistake(
        "a client of which the hub hears that it is gone stays in its rooms",
        "hub/hub.py",
        "        self._byFace.pop(id(client.handlers.face), None)\n"
        "        self._members.drop(client)\n",
        "        self._byFace.pop(id(client.handlers.face), None)\n"
        "        self._members.remove(client, next(iter(self.groupsOf(client))))\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "an index keeps a client at its old place too",
        "hub/members.py",
        "                self.remove(member, other)\n        if label is not None:\n",
        "                pass\n        if label is not None:\n",
        ("hubReachesNobodyElse", "hubCounts"),
    ),
    Mistake(
        "an index is made when a client comes, and follows no change",
        "hub/hub.py",
        "        self._manager.watch(self._changed)\n",
        "",
        ("hubReachesMembers", "hubReachesNobodyElse", "hubCounts", "hubCloses"),
    ),
    Mistake(
        "an index follows for the first client of a session only",
        "hub/hub.py",
        "            for name in self._indexes:\n"
        "                self._index(client, name)\n\n"
        "    def _index",
        "            for name in self._indexes:\n"
        "                self._index(client, name)\n"
        "            break\n\n"
        "    def _index",
        ("hubReachesMembers", "hubReachesNobodyElse", "hubCounts", "hubCloses"),
    ),
    Mistake(
        "who is closed already is counted",
        "hub/orders.py",
        "            isDone = member.isOpen and do(member)\n",
        "            isDone = do(member)\n",
        ("hubCounts",),
    ),
    Mistake(
        "a message for a group goes to the first member only",
        "hub/orders.py",
        "            reached += isDone and isinstance(member, Client)\n",
        "            reached += isDone and isinstance(member, Client)\n"
        "            if reached > 1:\n                break\n",
        ("hubReachesMembers", "hubCounts", "hubCloses"),
    ),
    Mistake(
        "a client that is gone can be put in a room",
        "hub/hub.py",
        "        if client is None or not client.isOpen:\n"
        "            return False\n"
        "        self._members.add(client, label)\n",
        "        client = getattr(face, 'client', client)\n"
        "        if client is None:\n"
        "            return False\n"
        "        self._members.add(client, label)\n",
        ("roomsAreKept", "nothingIsLeft"),
    ),
    Mistake(
        "a message for a group overtakes what is held",
        "clients/client.py",
        "            self._outbox.send(message.frameFor(self._carrier))\n",
        "            self._carrier.write(message.frameFor(self._carrier))\n",
        ("hubHolds", "hubReachesMembers", "newsIsHeld"),
    ),
    Mistake(
        "a group is closed before it is told what it was to be",
        "clients/outbox.py",
        "            self.decide(code, reason)\n            self._put(_END)\n",
        "            self.decide(code, reason)\n            self._write(_END)\n",
        ("hubReachesMembers",),
    ),
    Mistake(
        "a node's own command comes back from the bus",
        "bus/redis.py",
        "        if envelope.node == self.node or self._part is _Part.CLOSED:\n",
        "        if self._part is _Part.CLOSED:\n",
        ("onceForEachNode", "hubInOrder", "hubCounts"),
    ),
    Mistake(
        "what comes again is done again",
        "bus/redis.py",
        "            if not self._nodes.asks(envelope.node, envelope.number):\n"
        "                return\n",
        "",
        ("onceForEachNode", "hubInOrder"),
    ),
    Mistake(
        "an answer is complete when one is missing",
        "bus/requests.py",
        "        if len(self.answers) > self.reached:\n",
        "        if len(self.answers) >= self.reached > 1:\n",
        ("everyNodeAnswers",),
    ),
    Mistake(
        "a node is expected for ever",
        "bus/presence.py",
        "            if until <= certain:\n",
        "            if until <= 0:\n",
        ("theDeadAreForgotten",),
    ),
    Mistake(
        "a node says no goodbye",
        "bus/redis.py",
        "                    self._publish(self._all, Bye(self.node))"
        ".addErrback(_ignore)\n",
        "",
        ("theDeadAreForgotten",),
    ),
    Mistake(
        "a node that is closed while it joins is expected",
        "bus/redis.py",
        "                if isSeen:\n",
        "                if wasIn:\n",
        ("theDeadAreForgotten",),
    ),
    Mistake(
        "a node says goodbye before it is off the list",
        "bus/redis.py",
        "                    withdrawing = Deferred.fromCoroutine"
        "(self._presence.withdraw())\n"
        "                    self._publish(self._all, Bye(self.node))"
        ".addErrback(_ignore)\n"
        "                    await withdrawing\n",
        "                    self._publish(self._all, Bye(self.node))"
        ".addErrback(_ignore)\n"
        "                    await self._presence.withdraw()\n",
        ("theDeadAreForgotten",),
    ),
    Mistake(
        "a hub is not closed in the end",
        "hub/hub.py",
        "        self._manager.closeAtEnd(self.close)\n",
        "",
        ("theDeadAreForgotten",),
    ),
    Mistake(
        "a node that lost its connection takes part as before",
        "bus/redis.py",
        "            self._part = _Part.OUT\n            self._lostAt",
        "            self._lostAt",
        ("refusedReachesNobody", "everyNodeAnswers", "nothingUnexpected"),
    ),
    Mistake(
        "a node that was out is not back after its next beat",
        "bus/redis.py",
        "            if generation == self._generation and self._part is _Part.OUT:\n"
        "                self._joined()\n",
        "            if not self._lostAt and self._part is _Part.OUT:\n"
        "                self._joined()\n",
        ("everyNodeAnswers", "hubCounts", "nothingUnexpected"),
    ),
    Mistake(
        "what only this node got is told as refused",
        "bus/requests.py",
        "        if failure.check(StoreUnavailable):\n",
        "        if failure is None:\n",
        ("refusedReachesNobody",),
    ),
    Mistake(
        "sockets that come while a node stops stay",
        "clients/sockets.py",
        "        if self._isGoingAway:\n            client.goAway()\n",
        "",
        ("stopsWell",),
    ),
    Mistake(
        "a node that stops closes its sockets as if all were done",
        "clients/client.py",
        '        self.close(Code.GOING_AWAY, "server going away")\n',
        '        self.close(Code.NORMAL, "server going away")\n',
        ("stopsWell",),
    ),
    Mistake(
        "a node that stops drops what its sockets were to be told",
        "clients/client.py",
        '        self.close(Code.GOING_AWAY, "server going away")\n',
        '        self.closeNow(Code.GOING_AWAY, "server going away")\n',
        ("hubReachesMembers",),
    ),
    Mistake(
        "a client counts as gone before its session is stored",
        "clients/client.py",
        "            self._registry.lost(self)\n"
        "            self._conversation.clientGone(code, self._release)\n",
        "            self._registry.lost(self)\n"
        "            self._registry.removed(self)\n"
        "            self._conversation.clientGone(code, self._release)\n",
        ("disconnectIsLast", "stopsWell", "changesAreStored", "nothingIsLeft"),
    ),
)
