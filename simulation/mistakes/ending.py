# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: how a process ends.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a node that ends does not guard once more what it had to put back",
        "manager/manager.py",
        "            until = min(end, self._overwrittenUntil()) if end < inf else last\n",
        "            until = last\n",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "a node that ends while its store is away does not try again",
        "manager/manager.py",
        "            if not isAgain:\n                break\n",
        "            break\n",
        ("stopsWell", "changesAreStored", "noUpdateIsLost", "doubtsAreTold"),
    ),
    Mistake(
        "a node that stops guards nothing",
        "manager/manager.py",
        "        for moment in last - _BEFORE, last:\n",
        "        for moment in (0.0,):\n",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "what was overwritten as a node stopped is not put back",
        "manager/manager.py",
        "            await self._each(self._guarded(), _putBack, end)\n",
        "",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "a node that stops looks no more for what overwrote its writes",
        "manager/manager.py",
        "            or keeper.guardedFor() > 0\n",
        "",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "a node that stops waits for no answer of its store",
        "manager/manager.py",
        "            or keeper.reading.isRechecking\n",
        "",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "a node that stops forgets what it guards at once",
        "manager/manager.py",
        "        self._isStopping = True\n        return",
        "        self._isStopping = self._registry.isOver = True\n        return",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "clients are not waited for at the end",
        "manager/shutdown.py",
        "            for leaving in [guest.goAway() for guest in list(self._guests)]:\n"
        "                await leaving\n"
        "            # Clients may have come while others left: wait for them, too.\n"
        "            if not any(len(guest) for guest in self._guests):\n"
        "                break\n",
        "            for leaving in [guest.goAway() for guest in list(self._guests)]:\n"
        "                await leaving\n"
        "                return\n"
        "            break\n",
        (
            "changesAreStored",
            "stopsWell",
        ),
    ),
    Mistake(
        "handlers begin when it is too late to store what they change",
        "manager/shutdown.py",
        "                guest.hurry()\n",
        "                pass\n",
        ("stopsWell", "disconnectIsLast"),
    ),
    Mistake(
        "the end does not wait for handlers that are still at work",
        "manager/shutdown.py",
        "        if isStored and not hasLeft:\n",
        "        if not hasLeft and not isStored:\n",
        ("disconnectIsLast", "stopsWell"),
    ),
    Mistake(
        "sessions are not waited for at the end",
        "manager/shutdown.py",
        '        isStored = await until(_STORED_BY, storing, "storing sessions")\n',
        "        isStored = False\n        storing.addErrback(lambda failure: None)\n",
        (
            "changesAreStored",
            "stopsWell",
        ),
    ),
    Mistake(
        "a node that ends deletes copies only once",
        "stores/cached.py",
        "        if keys:\n",
        "        if keys and self._isFailing:\n",
        ("noCopyDiffers",),
    ),
    Mistake(
        "a copy that is being deleted when the node ends is not deleted once more",
        "stores/cached.py",
        "        keys = {**timers, **self._deleting}\n",
        "        keys = timers\n",
        ("noCopyDiffers",),
    ),
)
