# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: small changes of the library, each of which somebody could make.
World and checker are to see them all.
"""

from __future__ import annotations

from typing import Final

from . import (
    applications,
    clients,
    ending,
    groups,
    repeats,
    sessions,
    sockets,
    stored,
    stores,
    told,
)
from .mistake import ROOT, Mistake


__all__ = ["MISTAKES", "ROOT", "Mistake"]

MISTAKES: Final = (
    *stores.MISTAKES,
    *sessions.MISTAKES,
    *clients.MISTAKES,
    *ending.MISTAKES,
    *sockets.MISTAKES,
    *stored.MISTAKES,
    *groups.MISTAKES,
    *told.MISTAKES,
    *applications.MISTAKES,
    *repeats.MISTAKES,
    Mistake(
        "a fence not waited for",
        "manager/storage.py",
        "        fence = self._ask(self._store.fence, key, isFence=True)\n",
        "        fence = succeed(None)\n",
        ("fresh",),
    ),
    Mistake(
        "a fence that failed is taken for passed",
        "manager/reading.py",
        "            fenced.trap(StoreFailure)\n            self.sight.lost()\n",
        "            fenced.trap(StoreFailure)\n",
        ("fresh",),
    ),
    Mistake(
        "a report during a load is taken for heeded",
        "manager/reading.py",
        "            await live.absorb(await answer)\n"
        "            self.sight.heeded(reports)\n",
        "            await live.absorb(await answer)\n"
        "            self.sight.heeded(self.sight.reports)\n",
        ("fresh", "logoutMeansLogout"),
    ),
    Mistake(
        "a deleted session is created again",
        "manager/saving.py",
        "        except NoSuchSession:\n"
        "            live.endGone()\n"
        "            raise\n"
        "        except StoreRefusal",
        "        except NoSuchSession:\n"
        "            await self._storage.create(live.key, attempt.new, 86400.0)\n"
        "            stored = Stored(attempt.new, None)\n"
        "        except StoreRefusal",
        ("neverBack",),
    ),
    Mistake(
        "an answer is not held",
        "clients/outbox.py",
        "        number = self._client.unsaved() if self._holds else None\n",
        "        number = None\n",
        ("answersAreHeld", "noUpdateIsLost"),
    ),
    Mistake(
        "a held answer goes out when something earlier is stored",
        "clients/outbox.py",
        "self._held[0][0] <= number:\n",
        "self._held[0][0] <= number + 1:\n",
        ("answersAreHeld", "noUpdateIsLost"),
    ),
    Mistake(
        "a write in doubt is taken for not done",
        "manager/saving.py",
        "            live.record.timedOut(attempt, error)\n"
        "            await self._findOut(error)\n"
        "            if not live.record.hasStored(attempt):\n",
        "            live.record.refused(attempt)\n            if True:\n",
        ("incrementsCountOnce",),
    ),
    Mistake(
        "the socket of a session that ended stays open",
        "clients/client.py",
        '            self._notify("sdestroyed", conversation.session, reason)\n'
        '            self.closeNow(code, f"session-{reason}")\n',
        '            self._notify("sdestroyed", conversation.session, reason)\n',
        ("logoutMeansLogout",),
    ),
    Mistake(
        "an outage is told as a session that is missing",
        "clients/client.py",
        "        if failure.check(NoSuchSession, SessionReplaced):\n"
        "            identification =",
        "        if failure.check(NoSuchSession, SessionReplaced, StoreFailure):\n"
        "            identification =",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a session that nobody holds is watched for ever",
        "manager/reading.py",
        "        self._unwatch()\n        self.sight.unwatched()\n",
        "        self.sight.unwatched()\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "the latest message is handled first",
        "clients/inbox.py",
        "        waiting = self._waiting.popleft()\n",
        "        waiting = self._waiting.pop()\n",
        ("inOrder",),
    ),
    Mistake(
        "nested values are not merged",
        "session/merge.py",
        "    if type(mine) is dict and type(yours) is dict:\n        before = was",
        "    if False:\n        before = was",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "a change beats what others changed since, though it is what was stored",
        "session/merge.py",
        "    if same(mine, was):\n        return yours\n",
        "    if same(mine, was) and was is MISSING:\n        return yours\n",
        ("noUpdateIsLost", "fresh"),
    ),
    Mistake(
        "an increment merges as an assignment",
        "session/workingcopy.py",
        "        elif key in self._counted and key not in self._plain:\n",
        "        elif False:\n",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "the increments of a write that was refused are added no more",
        "session/workingcopy.py",
        "            self._increments[key] = self._increments.get(key, 0) + by\n"
        "        for key in self._plain:\n",
        "            pass\n        for key in self._plain:\n",
        ("noUpdateIsLost", "answersAreHeld"),
    ),
    Mistake(
        "a store that tells nothing is not looked at again",
        "manager/reading.py",
        "        if self.sight.isToldInTime:\n            return\n",
        "        if self.sight is not None:\n            return\n",
        ("logoutMeansLogout",),
    ),
    Mistake(
        "a message is served by a fence that was asked before it came",
        "manager/rounds.py",
        "        elif self.begun > arrival:\n",
        "        elif self.begun >= arrival:\n",
        ("fresh", "answersAreHeld"),
    ),
    Mistake(
        "a message is served by a fence that was answered before it came",
        "manager/rounds.py",
        "        if self.succeeded > arrival:\n"
        "            return None\n"
        "        waiter: Deferred[None] = Deferred()\n",
        "        if self.succeeded >= arrival > 0:\n"
        "            return None\n"
        "        waiter: Deferred[None] = Deferred()\n",
        ("fresh", "answersAreHeld"),
    ),
    Mistake(
        "a write that failed is not tried again",
        "manager/saving.py",
        "        if not self._live.isClosed and not self._timers.isRunning(_RETRY_WRITE):\n",
        "        if self._live is None:\n",
        ("changesAreStored", "nothingIsLeft"),
    ),
    Mistake(
        "what a web application overwrote is not put back",
        "manager/saving.py",
        "        if self._live.record.isRepairing:\n            self.atEndOfTurn()\n",
        "",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "the stamp of a write in doubt is not recognized",
        "session/record.py",
        "            if attempt.number == last:\n",
        "            if attempt.number == last + 1:\n",
        ("incrementsCountOnce", "changesAreStored", "noUpdateIsLost"),
    ),
    Mistake(
        "a session that was found to be stored is not let go of",
        "manager/reading.py",
        "        self._live.upkeep.dropIfIdle()\n",
        "",
        ("nothingIsLeft",),
    ),
    Mistake(
        "save() does not tell what was given up",
        "manager/saving.py",
        "        if self._live.givenUp > givenUp:\n",
        "        if False:\n",
        ("savesAreTrue", "noUpdateIsLost"),
    ),
    Mistake(
        "what is behind a dropped answer is handled",
        "clients/conversation.py",
        "            self._notFresh(failure)\n"
        "            self._failReceiver(failure)\n",
        "            self._failReceiver(failure)\n"
        "            self._notFresh(failure)\n",
        ("inOrder",),
    ),
)
