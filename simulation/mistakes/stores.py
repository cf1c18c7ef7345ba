# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: how the store is asked, and what it tells is heeded.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a store that tells nothing is not read for each message",
        "manager/reading.py",
        "            return Deferred.fromCoroutine(self.read(always=True))\n"
        "        self.watch()\n",
        "            return Deferred.fromCoroutine(self.read(always=not self._live.isLoaded))\n"
        "        self.watch()\n",
        ("fresh",),
    ),
    Mistake(
        "a session is not read when its fence failed",
        "manager/reading.py",
        "        always = not sight.isSeeing or not live.isLoaded\n",
        "        always = not live.isLoaded\n",
        ("fresh",),
    ),
    Mistake(
        "what is reported while reports are missed does not count",
        "manager/sight.py",
        "        self.reports += 1\n",
        "        if self.isSeeing:\n            self.reports += 1\n",
        ("fresh",),
    ),
    Mistake(
        "a report waits for the next message",
        "manager/reading.py",
        "        self._storage.pace.do(self._recheck)\n",
        "        self._storage.pace.do(self.expectNothing)\n",
        ("logoutMeansLogout",),
    ),
    Mistake(
        "a session ends when its time is up, whatever the store says",
        "manager/expiry.py",
        "        reading = Deferred.fromCoroutine(self._reading.read(always=True))\n"
        "        reading.addErrback(failed)",
        "        self._live.endGone()\n"
        "        reading = Deferred.fromCoroutine(self._reading.read(always=True))\n"
        "        reading.addErrback(failed)",
        (
            "anOutageIsNoLogout",
            "anOutageIsNoLogout",
        ),
    ),
    Mistake(
        "a message does not put the end of its session off",
        "clients/conversation.py",
        "        # Not before the session was loaded, which may bring another lifetime.\n"
        "        self._keeper.clientActed(isFresh=self._isPerMessage)\n",
        "        # Not before the session was loaded, which may bring another lifetime.\n",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a session is touched when its touch is not due",
        "manager/expiry.py",
        "        return due <= now\n",
        "        return due > now\n",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "who waits for a store that is busy is told of an outage",
        "manager/asking.py",
        "        if answeredAt is None or answeredAt + storage.timeout <= now:\n",
        "        if answeredAt is None or answeredAt <= now:\n",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a session is let go of while somebody opens it",
        "manager/keeper.py",
        "        return bool(self.live.holders) or self.opening > 0\n",
        "        return bool(self.live.holders)\n",
        ("nothingUnexpected",),
    ),
    Mistake(
        "a session is not guarded when nobody holds it",
        "manager/keeper.py",
        "        if guarded > 0:\n",
        "        if guarded > 0 and isBusy:\n",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "a guarded session is let go of while its store is asked",
        "manager/keeper.py",
        "        elif self.reading.isRechecking and not self._owner.isOver:\n",
        "        elif False and self.reading.isRechecking:\n",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "what is overwritten is forgotten while the store answers that",
        "manager/live.py",
        "            since = asking.since if isTold else asking.sinceLastButOne\n",
        "            since = now\n",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "what nobody told is as old as the look that finds it",
        "manager/live.py",
        "            since = asking.since if isTold else asking.sinceLastButOne\n",
        "            since = asking.since\n",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "what could not be stored is given up with its last holder",
        "manager/keeper.py",
        "        elif not isBusy or (self.saving.isFailing and not self._owner.keeps(self)):\n",
        "        elif not isBusy or self.saving.isFailing:\n",
        ("changesAreStored",),
    ),
)
