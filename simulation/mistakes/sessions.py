# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: what is changed in a session, stored, merged and put back.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a list that a handler still has is not looked at any more",
        "session/workingcopy.py",
        "        if self.suspects[key] in _UNTOUCHED and not isReferredTo(self.data, key):\n",
        "        if self.suspects[key] in _UNTOUCHED:\n",
        ("noUpdateIsLost", "changesAreStored", "storedInTime"),
    ),
    Mistake(
        "an update that met a conflict is forgotten",
        "manager/saving.py",
        "            if attempt.pending:\n",
        "            if not attempt:\n",
        (
            "nothingIsLeft",
            "changesAreStored",
        ),
    ),
    Mistake(
        "a conflict is merged before the attempt is given back",
        "manager/saving.py",
        "            live.record.refused(attempt)\n"
        "            await live.absorb(conflict.current)\n",
        "            await live.absorb(conflict.current)\n"
        "            live.record.refused(attempt)\n",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "a write in doubt is taken for done",
        "manager/saving.py",
        "            await self._findOut(error)\n"
        "            if not live.record.hasStored(attempt):\n",
        "            self._succeed(attempt, Stored(attempt.new, None))\n"
        "            if not live.record.hasStored(attempt):\n",
        (
            "noUpdateIsLost",
            "answersAreHeld",
        ),
    ),
    Mistake(
        "save() stores what was looked for, not what was changed",
        "manager/saving.py",
        "        self._live.collect()\n        if not self.isBusy:\n",
        "        if not self.isBusy:\n",
        ("answersAreHeld",),
    ),
    Mistake(
        "save() joins the write that is under way",
        "manager/saving.py",
        "        saved = self.fromNow()\n",
        "        saved = self.after(self.begun - 1) or succeed(None)\n",
        ("answersAreHeld",),
    ),
    Mistake(
        "a session is not let go of when its last write is done",
        "manager/saving.py",
        "            self._timers.stop(_SOON)\n        live.upkeep.dropIfIdle()\n",
        "            self._timers.stop(_SOON)\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "the increments of a write that could not be sent are set",
        "manager/saving.py",
        "        except (StoreFailure, UndecodableSession):\n"
        "            live.record.refused(attempt)\n",
        "        except (StoreFailure, UndecodableSession):\n",
        (
            "noUpdateIsLost",
            "incrementsCountOnce",
        ),
    ),
    Mistake(
        "a frame waits for the change before that of its handler",
        "manager/keeper.py",
        "            self._promised[holder] = copy.number + 1\n"
        "            return copy.number + 1\n",
        "            self._promised[holder] = copy.number\n"
        "            return copy.number\n",
        ("answersAreHeld",),
    ),
    Mistake(
        "what a handler sent before it waits is held until it ends",
        "manager/keeper.py",
        "        self.isHandling = False\n"
        "        if self._promised:\n"
        "            self.live.collect()\n"
        "            self._keepPromises()\n"
        "        if looks",
        "        self.isHandling = False\n        if looks",
        ("nothingIsLeft",),
    ),
    Mistake(
        "what was changed is not looked for before a merge",
        "manager/live.py",
        "            if not self.record.isSettled(current):\n"
        "                self.collect()\n",
        "",
        (
            "changesAreStored",
            "noUpdateIsLost",
        ),
    ),
    Mistake(
        "increments that are given up are added again",
        "session/workingcopy.py",
        "        lost, flight.increments = flight.increments, {}\n",
        "        lost = flight.increments\n",
        ("incrementsCountOnce",),
    ),
    Mistake(
        "update() changes what was collected, and no copy",
        "session/attempt.py",
        "        trial: dict[str, Any] = detached(before)\n"
        "        result = self.f(trial)\n",
        "        trial = before\n        result = self.f(trial)\n",
        (
            "incrementsCountOnce",
            "noUpdateIsLost",
        ),
    ),
    Mistake(
        "nested values are shared with what is stored",
        "session/workingcopy.py",
        "        self.data: dict[str, Any] = detached(stored)\n",
        "        self.data: dict[str, Any] = dict(stored)\n",
        (
            "changesAreStored",
            "answersAreHeld",
            "noUpdateIsLost",
        ),
    ),
    Mistake(
        "a write takes no copy of what was collected",
        "session/workingcopy.py",
        "        origin = dict(self._seen)\n",
        "        origin = self._seen\n",
        (
            "changesAreStored",
            "answersAreHeld",
            "noUpdateIsLost",
        ),
    ),
    Mistake(
        "a merge leaves out keys that only this node has",
        "session/merge.py",
        "    for key in (*theirs, *(key for key in ours if key not in theirs)):\n"
        "        value = _mergeValue(",
        "    for key in theirs:\n        value = _mergeValue(",
        (
            "noUpdateIsLost",
            "changesAreStored",
        ),
    ),
    Mistake(
        "an older value wins over a nested one that was changed on both sides",
        "session/merge.py",
        "        before = was if type(was) is dict else {}\n",
        "        before = yours\n",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "a node leaves its own stamp only",
        "session/journal.py",
        "        return {**stamps, self._node: Stamp(number, int(now), own, bare, empty)}\n",
        "        return {self._node: Stamp(number, int(now), own, bare, empty)}\n",
        (
            "incrementsCountOnce",
            "noUpdateIsLost",
        ),
    ),
    Mistake(
        "the last write that is there is repaired, too",
        "session/writes.py",
        "            if entry.number > last and since - entry.at <= self._window\n",
        "            if entry.number >= last and since - entry.at <= self._window\n",
        ("deletedStaysDeleted", "incrementsCountOnce"),
    ),
    Mistake(
        "a first copy without stamps is taken for a reset",
        "session/journal.py",
        "        isBare = not stamps and since - self._bareUntil > self._window\n",
        "        isBare = not stamps\n",
        ("noUpdateIsLost",),
    ),
    Mistake(
        "versions are forgotten before the window is over",
        "session/journal.py",
        "        while versions and now - versions[0].replaced > self._window:\n",
        "        while versions and now - versions[0].replaced < self._window:\n",
        (
            "noUpdateIsLost",
            "incrementsCountOnce",
        ),
    ),
    Mistake(
        "what an old copy has that a node never saw is taken for the application's",
        "session/writes.py",
        "        return isDoubtful or branch.wasSeen(path, here)\n",
        "        return branch.wasSeen(path, here)\n",
        ("deletedStaysDeleted", "noOldCopyUndoes"),
    ),
)
