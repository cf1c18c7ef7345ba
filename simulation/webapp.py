# -*- test-case-name: tests.simulation.test_world -*-
"""
A web application that knows nothing of us: it reads a whole session, thinks, and
writes it whole.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from msgspec.json import decode

from txsessionsock.interfaces import NoSuchSession, SessionID

from .history import History
from .messages import asJSON
from .queue import SECOND, Queue
from .store import Place


__all__ = ["NEW", "WebApp"]

NEW: Final = {
    "cookie": {"originalMaxAge": None},
    "user": "ann",
    "nest": {"deep": {}, "list": [0]},
    "log": [],
}
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
        self,
        name: str,
        queue: Queue,
        history: History,
        place: Place,
        ttl: float,
        *,
        anonymous: bool = False,
    ) -> None:
        """
        @param anonymous: Whether its sessions are nobody's at first.
        """
        self._new = {n: v for n, v in NEW.items() if not (anonymous and n == "user")}
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
        raw = asJSON(self._new)
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

    def renew(
        self, sessionID: SessionID, newID: SessionID, how: str, seconds: float
    ) -> None:
        """
        Give a session another id at a login, and take its data along.

        @param how: In which order: C{"first deleted"}, as Express and Flask, or
            C{"first created"}, as Django, with nothing in it at first.
        """
        stored = self._place.get(_key(sessionID))
        if stored is None:
            self._history.note("found nothing", self.name)
            return
        new = _key(newID)
        self._history.note("renews", self.name, old=_key(sessionID), new=new, how=how)
        if how == "first created":
            raw = asJSON({"cookie": NEW["cookie"]})
            self._place.create(new, raw, self._ttl, self.name, None)
        self._place.destroy(_key(sessionID), None, self.name, None)

        def write() -> None:
            if not self._place.create(new, stored.raw, self._ttl, self.name, None):
                self._place.put(new, stored.raw, self._ttl, self.name)

        self._queue.after(seconds, write)

    def request(
        self,
        sessionID: SessionID,
        token: int,
        stamp: str,
        seconds: float,
        does: str = "writes",
        *,
        revives: bool = False,
    ) -> None:
        """
        Read, think for some seconds, and write.

        @param stamp: With which stamp of ours: C{"ours"}; C{"old"}: that of an
            earlier request, with all that was in it; C{"none"}.

        @param does: What becomes of the copy: C{"writes"}; C{"reads"}: nothing,
            and it is written nevertheless; C{"deletes KEY"}; C{"empties"};
            C{"replaces"}: somebody else logs in.

        @param revives: Whether a session that is gone meanwhile is written again.
        """
        key = _key(sessionID)
        stored = self._place.get(key)
        if stored is None:
            self._history.note("found nothing", self.name)
            return
        data: dict[str, Any] = decode(stored.raw)
        copy = self._queue.now, data
        before, self._old[key] = self._old.get(key, copy), copy
        read, data = before if stamp == "old" else copy
        data = decode(asJSON(data))
        isStripped = stamp == "none" and data.pop(_STAMP, None) is not None
        self._history.note("reads", self.name, key=key, stamp=stamp)
        isOld = read < self._queue.now - (_LONGEST - seconds) * SECOND
        age = "stripped" if isStripped else "old" if isOld else "young"
        more = {"does": does, "stamp": stamp, "copy": age, "read": read}
        if does.startswith("deletes"):
            more["removed"] = data.get(does.removeprefix("deletes "))
        write = partial(self._write, key, data, token, more, revives=revives)
        self._queue.after(seconds, write)

    def _write(
        self,
        key: str,
        data: dict[str, Any],
        token: int,
        more: dict[str, Any],
        *,
        revives: bool,
    ) -> None:
        isGone = self._place.get(key) is None
        if isGone and (not revives or self._place.isSpoiled(key)):
            self._history.note("found nothing", self.name)
            return
        does = more["does"]
        note = self._history.note
        more |= {"session": key, "token": token}
        if does == "writes":
            mine = f"of {self.name}"
            note("changes", self.name, do="write", key=mine, **more)
            data[mine] = token
        else:
            note("rewrites", self.name, **more)
        if does == "empties":
            data = {name: data[name] for name in ("cookie", _STAMP) if name in data}
        elif does == "replaces":
            data["user"] = f"user{token}"
        elif does.startswith("deletes"):
            data.pop(does.removeprefix("deletes "), None)
        raw = asJSON(data)
        if isGone:
            self._place.create(key, raw, self._ttl, self.name, None)
        else:
            self._place.put(key, raw, self._ttl, self.name)
        self._history.note("wrote", self.name, token=token)


def _key(sessionID: SessionID) -> str:
    return f"sess:{sessionID}"
