# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: what clients and those who save are told.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "nobody is told that increments are given up",
        "session/record.py",
        "            self.problem = StoreTimeout(_UNKNOWN)\n"
        "            self.copy.forget(self._open.flight)\n",
        "            self.copy.forget(self._open.flight)\n",
        ("doubtsAreTold", "savesAreTrue", "answersAreHeld", "noUpdateIsLost"),
    ),
    Mistake(
        "who saves after an update does not hear of what was given up before it",
        "manager/saving.py",
        "            return fail(problem) if isinstance(problem, StoreTimeout) else"
        " succeed(None)\n",
        "            return succeed(None)\n",
        ("savesAreTrue",),
    ),
    Mistake(
        "a client is not told what is given up while its handler waits",
        "clients/client.py",
        "        self._notStored(failure, isMine=isMine)\n",
        "        self._notStored(failure)\n",
        ("answersAreHeld", "doubtsAreTold"),
    ),
    Mistake(
        "a frame does not wait until all are told what is given up",
        "manager/keeper.py",
        "        return None if record.problem is None else record.copy.number\n",
        "        return None\n",
        ("answersAreHeld",),
    ),
    Mistake(
        "who has a session is not told that it ended",
        "clients/client.py",
        '            self._notify("sdestroyed", conversation.session, reason)\n',
        "",
        ("toldOnce",),
    ),
    Mistake(
        "what came before the client left is dropped",
        "clients/conversation.py",
        "        self._last = partial(self._handleDisconnect, code, release)\n"
        "        self._changedKeys = ()\n",
        "        self._last = partial(self._handleDisconnect, code, release)\n"
        "        self.drop()\n",
        ("handledBeforeDisconnect",),
    ),
    Mistake(
        "a client whose session ended is let go of without its disconnect",
        "clients/client.py",
        "        self._stopLooking()\n        if self._conversation is None:\n",
        "        self._stopLooking()\n"
        "        if self._conversation is None or self._isOver:\n",
        ("disconnectIsLast", "nothingIsLeft"),
    ),
    Mistake(
        "a session that is held is read a second time for who comes",
        "manager/manager.py",
        "        if keeper is None:\n            if isTicketKey(",
        "        if keeper is None or not keeper.opening:\n            if isTicketKey(",
        ("onASharedObject",),
    ),
)
