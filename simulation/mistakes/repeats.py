# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: handlers that may run again.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "what a handler sent is kept when it runs again",
        "clients/repeating.py",
        "        frames = self._frames = []\n        message",
        "        frames = self._frames\n        message",
        ("inOrder", "haveOneOrder", "freshInTheEnd", "repeatedAreStored"),
    ),
    Mistake(
        "those who run again do so in another order",
        "manager/repeats.py",
        "(*self._ran, *self._left) if not run.isOver]",
        "(*self._left, *self._ran) if not run.isOver]",
        ("inOrder",),
    ),
    Mistake(
        "a draft shares its lists with what is stored",
        "session/draft.py",
        "        copy = self.data[key] = quickCopy(value)\n",
        "        copy = self.data[key] = value\n",
        ("noUpdateIsLost", "listsHaveOneOrder", "draftsAreUnseen"),
    ),
    Mistake(
        "what a handler did before it failed stays in the draft",
        "manager/repeats.py",
        "            draft.undo()\n",
        "            draft.take(_unchecked)\n",
        ("nothingComesOfNothing",),
    ),
    Mistake(
        "who only reads answers without a question",
        "manager/saving.py",
        "        return await self._reading.isUnchanged()\n",
        "        return not self._reading.sight.isStale\n",
        ("freshInTheEnd",),
    ),
    Mistake(
        "what a web application overwrote does not run again",
        "manager/repeats.py",
        "[each.run for each in outcomes if each.keys])",
        "[each.run for each in outcomes if not each.keys])",
        ("noOldCopyUndoes",),
    ),
    Mistake(
        "a message takes the short way while there is a draft",
        "manager/keeper.py",
        "            and (repeats is None or not repeats.isDrafting)\n",
        "",
        ("othersWait", "draftsAreUnseen"),
    ),
    Mistake(
        "a handler begins while there is a draft",
        "clients/conversation.py",
        "        if undrafted is not None:\n",
        "        if undrafted is not None and not self._isPerMessage:\n",
        ("othersWait", "draftsAreUnseen"),
    ),
    Mistake(
        "others wait forever for a draft that was dropped",
        "manager/repeats.py",
        "        self._wake()\n        return draft.data, outcomes\n",
        "        return draft.data, outcomes\n",
        ("nothingIsLeft", "disconnectIsLast"),
    ),
)
