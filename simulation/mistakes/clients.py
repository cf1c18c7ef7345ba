# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: messages, handlers, answers and closes of one client.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "an answer that is not held overtakes those that are",
        "clients/outbox.py",
        "        elif self._held:\n            self._hold(0, frame)\n        else:\n",
        "        else:\n",
        (
            "inOrder",
            "hubInOrder",
        ),
    ),
    Mistake(
        "a message takes the short way before those that wait",
        "clients/short.py",
        "            or not self._isQuiet\n",
        "",
        ("inOrder",),
    ),
    Mistake(
        "a message takes the short way without a question to the store",
        "clients/short.py",
        "        since = _THIS_MOMENT if self._isPerMessage else None\n",
        "        since = None\n",
        ("fresh",),
    ),
    Mistake(
        "a message for which the store failed is left out",
        "clients/conversation.py",
        "        if not failure.check(NoSuchSession, SessionReplaced):\n",
        "        if not failure.check(NoSuchSession, SessionReplaced, SessionError):\n",
        ("inOrder",),
    ),
    Mistake(
        "a handler that asked who is gone waits for ever",
        "clients/conversation.py",
        "        self._changedKeys = ()\n"
        '        self._failReceiver(ClientGone("the client is gone"))\n',
        "        self._changedKeys = ()\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "a handler whose save failed is taken for a broken one",
        "clients/client.py",
        "        if failure.check(StoreFailure):\n"
        '            self.close(Code.TRY_AGAIN_LATER, "store failed")\n',
        "        if failure.check(StoreFailure) and not self._shared.perMessage:\n"
        '            self.close(Code.TRY_AGAIN_LATER, "store failed")\n',
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a message whose session ended while it waited is handled",
        "clients/conversation.py",
        "        if self._isOver:\n"
        "            return None\n"
        "        if self._slices.hasTime():\n",
        "        if self._slices.hasTime():\n",
        ("theEndIsFinal",),
    ),
    Mistake(
        "an answer that nobody waits for is thrown away",
        "clients/conversation.py",
        "        elif not self._isOver:\n            self._inbox.putBack(waiting)\n",
        "        elif self._isOver:\n            self._inbox.putBack(waiting)\n",
        ("inOrder",),
    ),
    Mistake(
        "the next message is begun before a handler has been waited for",
        "clients/conversation.py",
        "        isDone = isFired(running)\n",
        "        isDone = isFired(running) or self._isPerMessage\n",
        (
            "inOrder",
            "nothingUnexpected",
        ),
    ),
    Mistake(
        "the hub keeps who is gone",
        "clients/client.py",
        "            self._registry.lost(self)\n",
        "",
        ("nothingIsLeft",),
    ),
    Mistake(
        "the carrier is closed before its session's end is told",
        "clients/client.py",
        '            self._outbox.decide(code, f"session-{reason}")\n'
        "            self._outbox.clear()\n",
        '            self._outbox.close(code, f"session-{reason}")\n',
        (
            "theEndIsFinal",
            "toldOnce",
        ),
    ),
    Mistake(
        "a failing write closes sockets per connection, too",
        "clients/client.py",
        "        if failure.check(StoreFailure) and not self._shared.perMessage:\n"
        "            if not",
        "        if failure.check(StoreFailure) and self._shared.perMessage:\n"
        "            if not",
        ("failuresHaveCauses",),
    ),
)
