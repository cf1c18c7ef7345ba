# -*- test-case-name: tests.manager.test_doubts -*-
"""
Hints in the log, while no socket has found a session yet.
"""

from __future__ import annotations

from twisted.logger import Logger, LogLevel

from txsessionsock.interfaces import IFramework, InvalidReason, ISessionStore, SessionID
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.stores.sqlite import SQLiteStore


__all__ = ["Doubts"]


class Doubts:
    """
    Logs once for each reason what is probably set up wrongly.  When a first
    socket has found its session, the set-up is right: nothing is logged any more.
    """

    _log = Logger()

    def __init__(self, store: ISessionStore, framework: IFramework) -> None:
        self._store = store
        self._framework = framework
        self._isOver = False
        self._said: set[InvalidReason] = set()

    def found(self) -> None:
        """
        A socket has a session.
        """
        self._isOver = True

    def refused(self, reason: InvalidReason) -> None:
        """
        A socket has none.
        """
        if self._isOver or reason in self._said:
            return
        self._said.add(reason)
        why = self._why(reason)
        if why is not None:
            # A visitor may have no session yet.
            level = LogLevel.info if reason == "missing" else LogLevel.warn
            self._log.emit(level, "{why}", why=why)

    def _why(self, reason: InvalidReason) -> str | None:
        """
        What to say, in the words of Python and of C{twistd}.
        """
        name = type(self._framework).__name__
        cookie = f"the cookie {self._framework.cookieName!r}"
        reasons: dict[InvalidReason, str] = {
            "missing": f"a socket came without {cookie}; if the page has it, is it of"
            " the same host, and is that its name (cookieName, --cookie)?",
            "malformed": f"{cookie} of a socket is none of {name}; is that what the"
            " application is (--framework), and is it the application's (cookieName,"
            " --cookie)?",
            "bad-signature": f"{cookie} of a socket is not signed by our secret; right"
            " is the application's (secrets, --secret-file)",
            "unknown": f"{cookie} of a socket names a session that is not in the store,"
            f" a {type(self._store).__name__}{self._unknown()}",
        }
        return reasons.get(reason)

    def _unknown(self) -> str:
        framework = self._framework
        key = framework.key(SessionID("…"))
        where = f", where it would be {key}: are the store (--store) and the settings"
        where += " of the framework (--framework-option) right?"
        if type(framework).__name__ == "FlaskSession":
            where += " Or are ids signed there (signed=True, signed=yes)?"
        if isinstance(self._store, MemoryStore):
            where += " It was empty when this process started, and no other process"
            where += " puts a session there"
        elif isinstance(self._store, SQLiteStore):
            where += " Applications of other frameworks have no sessions there"
        return where
