# -*- test-case-name: tests.frameworks.test_django -*-
"""
What the sessions of all of Django's backends have in common.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from secrets import choice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from txsessionsock.interfaces import KEEP, TTL, Document, SessionID

from ._base import CookieOptions, Identity, Sessions


__all__ = ["TWO_WEEKS", "DjangoSessions", "whoIsLoggedIn"]


TWO_WEEKS = 14 * 86400
_IN_NEW_IDS = string.ascii_lowercase + string.digits
_EXPIRY = "_session_expiry"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def whoIsLoggedIn(data: dict[str, Any]) -> object:
    """
    Who is logged in, by C{django.contrib.auth}.  The hash of the password's
    hash is a part of that, as it is for Django: who has a new password has to
    log in again.
    """
    user = data.get("_auth_user_id")
    if user is None:
        return None
    return user, data.get("_auth_user_backend"), data.get("_auth_user_hash")


class DjangoSessions(Sessions):
    """
    The cookie and the lifetime of Django's sessions.

    @ivar timeZone: What dates mean that have no time zone.
    """

    shortestID = 8  # As SessionBase of Django 5.2 has it.

    def __init__(
        self,
        *,
        cookieName: str,
        cookieAge: int,
        expireAtBrowserClose: bool,
        saveEveryRequest: bool,
        timeZone: str,
        identity: Identity | None,
        cookie: CookieOptions | None = None,
    ) -> None:
        super().__init__(cookieName, identity or whoIsLoggedIn, cookie)
        self._cookieAge = cookieAge
        self._expireAtBrowserClose = expireAtBrowserClose
        self.rolling = saveEveryRequest
        self.timeZone = _zone(timeZone)

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        expiry = document.data.get(_EXPIRY)
        untilClosed = self._expireAtBrowserClose if expiry is None else expiry == 0
        return None if untilClosed else max(0.0, self._age(document.data, now))

    def newSessionID(self) -> SessionID:
        return SessionID("".join(choice(_IN_NEW_IDS) for _ in range(32)))

    def lifetime(self, document: Document, now: float) -> TTL:
        return max(0, int(self._age(document.data, now)))

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return self.lifetime(document, now) if self.rolling else KEEP

    def _age(self, data: dict[str, Any], now: float) -> float:
        """
        For how many seconds a session lives that is stored now; what
        C{set_expiry} never leaves behind counts as nothing.
        """
        expiry = data.get(_EXPIRY)
        if isinstance(expiry, str):
            try:
                expiry = datetime.fromisoformat(expiry)
            except ValueError:
                return self._cookieAge
        if isinstance(expiry, datetime):
            if expiry.tzinfo is None:
                expiry = expiry.replace(tzinfo=self.timeZone)
            # C{timestamp()} fails at both ends of the calendar.
            seconds: float = (expiry - _EPOCH) / timedelta(seconds=1)
            return seconds - now
        if isinstance(expiry, (int, float)) and _isSeconds(expiry):
            return float(expiry)
        return self._cookieAge


def _zone(name: str) -> tzinfo:
    # This one is there, also where the system has no time zones.
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        problem = f"timeZone is a name such as Europe/Berlin, not {name!r}"
    raise ValueError(problem)


def _isSeconds(expiry: int | float) -> bool:
    """
    Whether that is a number of seconds that can be stored.  0 is not: it is
    Django's word for "until the browser is closed".
    """
    return (
        not isinstance(expiry, bool)
        and expiry != 0
        and abs(expiry) < 1000 * 366 * 86400
        and isfinite(expiry)
    )
