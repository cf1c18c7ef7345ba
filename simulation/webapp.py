# -*- test-case-name: tests.simulation.test_world -*-
"""
A web application that knows nothing of us: it reads a whole session, thinks, and
writes it whole.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from txsessionsock.interfaces import NoSuchSession, SessionID

from .history import History
from .queue import SECOND, Queue
from .store import Place


__all__ = ["NEW", "WebApp"]

NEW: Final = {"cookie": {"originalMaxAge": None}, "user": "ann", "nest": {}, "log": []}
"""
A session as a login leaves it.
"""

_STAMP = "_sessionsock"
_LONGEST = 4.0
"""
After how many seconds a copy is too old to be repaired for certain.
"""


class WebApp:
    """
    One process of it.
    """

    def __init__(
        self, name: str, queue: Queue, history: History, place: Place, ttl: float
    ) -> None:
        self.name = name
        self._queue = queue
        self._history = history
        self._place = place
        self._ttl = ttl
        self._old: dict[str, tuple[int, dict[str, Any]]] = {}

    def logIn(self, sessionID: SessionID) -> None:
        """
        Begin a session.
        """
        raw = json.dumps(NEW).encode()
        self._place.create(_key(sessionID), raw, self._ttl, self.name, None)

    def logOut(self, sessionID: SessionID) -> None:
        """
        End one.
        """
        self._place.destroy(_key(sessionID), None, self.name, None)

    def touch(self, sessionID: SessionID) -> None:
        """
        Put the end of one off.
        """
        try:
            self._place.touch(_key(sessionID), self._ttl, self.name, None)
        except NoSuchSession:
            self._history.note("found nothing", self.name)

    def request(
        self, sessionID: SessionID, stamp: str, token: int, seconds: float
    ) -> None:
        """
        Read, think for some seconds, and write.

        @param stamp: With which stamp of ours: C{"ours"}; C{"old"}: that of an
            earlier request, with all that was in it; C{"none"}.
        """
        key = _key(sessionID)
        stored = self._place.get(key)
        if stored is None:
            self._history.note("found nothing", self.name)
            return
        data: dict[str, Any] = json.loads(stored.raw)
        copy = self._queue.now, data
        before, self._old[key] = self._old.get(key, copy), copy
        read, data = before if stamp == "old" else copy
        data = dict(data)
        isStripped = stamp == "none" and data.pop(_STAMP, None) is not None
        self._history.note("reads", self.name, key=key, stamp=stamp)
        write = partial(self._write, key, read, data, token, isStripped=isStripped)
        self._queue.after(seconds, write)

    def _write(
        self, key: str, read: int, data: dict[str, Any], token: int, *, isStripped: bool
    ) -> None:
        # A session that is gone is not begun again: what comes of that is another
        # question, which is not asked yet.
        if self._place.get(key) is None:
            self._history.note("found nothing", self.name)
            return
        mine = f"of {self.name}"
        isOld = self._queue.now - read > _LONGEST * SECOND
        self._history.note(
            "changes",
            self.name,
            do="write",
            key=mine,
            token=token,
            session=key,
            copy="stripped" if isStripped else "old" if isOld else "young",
        )
        data[mine] = token
        self._place.put(key, json.dumps(data).encode(), self._ttl, self.name)
        self._history.note("wrote", self.name, token=token)


def _key(sessionID: SessionID) -> str:
    return f"sess:{sessionID}"
