# -*- test-case-name: tests.frameworks.test_django -*-
"""
Django: the sessions of C{django.contrib.sessions}, wherever its backends keep
them.  Django itself is not needed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from zope.interface import implementer

from txsessionsock import _json
from txsessionsock._arguments import checked
from txsessionsock.interfaces import (
    Document,
    IFramework,
    InvalidCredential,
    InvalidReason,
    ISignedCookies,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, InBrowser, Secrets, secretsFrom
from ._django import TWO_WEEKS, DjangoSessions, whoIsLoggedIn
from ._djangosigning import BadSignature, asciiJSON, signed, unsigned
from ._encodings import PICKLE, Encoding, decodeJSON, decodePickle, encode
from ._same import same, sameInJSON


__all__ = ["Django", "DjangoDatabase", "DjangoSignedCookies", "whoIsLoggedIn"]


_JSON = Encoding("JSON", _json.PYTHON.find, asciiJSON)


@checked
@implementer(IFramework)
class Django(DjangoSessions):
    """
    Sessions in Django's cache (C{backends.cache}) on Redis, by Django's own
    C{RedisCache} or by C{django-redis}.
    """

    def __init__(
        self,
        *,
        keyPrefix: str = "",
        version: int = 1,
        pickled: bool = False,
        cookieName: str = "sessionid",
        cookieAge: int = TWO_WEEKS,
        expireAtBrowserClose: bool = False,
        saveEveryRequest: bool = False,
        timeZone: str = "UTC",
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param keyPrefix: C{KEY_PREFIX} of the cache.

        @param version: C{VERSION} of the cache.

        @param pickled: Sessions are pickled, as they are unless the cache's
            C{OPTIONS} name a serializer that writes JSON.  They are read
            without doing what a pickle may ask for, so only those can be read
            that consist of plain values, dates, decimals and UUIDs; and
            written, as pickles of these.

        @param cookieName: C{SESSION_COOKIE_NAME}.

        @param cookieAge: C{SESSION_COOKIE_AGE}: how many seconds a session
            lives that was not told otherwise by C{set_expiry}.

        @param expireAtBrowserClose: C{SESSION_EXPIRE_AT_BROWSER_CLOSE}.

        @param saveEveryRequest: C{SESSION_SAVE_EVERY_REQUEST}: visits that
            change nothing extend a session's life too.

        @param timeZone: C{TIME_ZONE}, if C{USE_TZ} is off: what the dates
            given to C{set_expiry} mean.  Deadlines in a table of SQLite mean
            the same: C{replace(DJANGO, deadline=ZoneInfo(TIME_ZONE))}.

        @param cookie: C{SESSION_COOKIE_DOMAIN} and the like, by
            the names of L{CookieAttributes
            <txsessionsock.interfaces.CookieAttributes>}, such as
            C{{"domain": "example.com"}}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.
        """
        super().__init__(
            cookieName=cookieName,
            cookieAge=cookieAge,
            expireAtBrowserClose=expireAtBrowserClose,
            saveEveryRequest=saveEveryRequest,
            timeZone=timeZone,
            identity=identity,
            cookie=cookie,
        )
        self._prefix = f"{keyPrefix}:{version}:django.contrib.sessions.cache"
        self._pickled = pickled
        self.same = same if pickled else sameInJSON

    def key(self, sessionID: SessionID) -> str:
        return self._prefix + sessionID

    def loads(self, raw: bytes, now: float) -> Document:
        if self._pickled:
            return Document(decodePickle(raw), {})
        if raw.startswith(b"\x80"):
            raise UndecodableSession(
                "the stored session is a pickle: say pickled=True (to twistd,"
                " pickled=yes) to have those read, or have the cache write JSON"
            )
        return Document(decodeJSON(raw), {})

    def dumps(self, document: Document, now: float) -> bytes:
        how = PICKLE if self._pickled else _JSON
        return encode(how, document.data)


class _SignedSessions(DjangoSessions):
    """
    Sessions that Django signs.
    """

    same = staticmethod(sameInJSON)
    _salt: str
    _secrets: tuple[bytes, ...]

    def loads(self, raw: bytes, now: float) -> Document:
        return Document(self._opened(raw)[0], {})

    def _opened(self, raw: bytes) -> tuple[dict[str, Any], int]:
        """
        @return: The session, and when it was signed.

        @raise UndecodableSession: It was not, or is none; L{_BadlySigned} if
            somebody else did.
        """
        problem, kind = None, UndecodableSession
        try:
            plain, moment = unsigned(raw, self._secrets, self._salt)
        except BadSignature as error:
            problem = f"{error}; right is the application's SECRET_KEY"
            kind = _BadlySigned
        except ValueError as error:
            problem = str(error)
        # Out here, what quotes the bytes is not this one's context.
        if problem is not None:
            raise kind(f"the stored session is {problem}")
        return decodeJSON(plain), moment


@checked
@implementer(IFramework)
class DjangoDatabase(_SignedSessions):
    """
    Sessions in Django's database (C{backends.db}), with a copy in its cache
    or without (C{backends.cached_db}): the text in C{session_data}, under the
    C{session_key}.
    """

    _salt = "django.contrib.sessions.SessionStore"

    def __init__(
        self,
        secrets: Secrets,
        *,
        keyPrefix: str = "",
        version: int = 1,
        cookieName: str = "sessionid",
        cookieAge: int = TWO_WEEKS,
        expireAtBrowserClose: bool = False,
        saveEveryRequest: bool = False,
        timeZone: str = "UTC",
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param secrets: C{SECRET_KEY}, or several: it, and then those of
            C{SECRET_KEY_FALLBACKS}.  The first signs, all verify.

        @param keyPrefix: C{KEY_PREFIX} of the cache of C{cached_db}.

        @param version: C{VERSION} of that cache.

        The others are those of L{Django}.
        """
        super().__init__(
            cookieName=cookieName,
            cookieAge=cookieAge,
            expireAtBrowserClose=expireAtBrowserClose,
            saveEveryRequest=saveEveryRequest,
            timeZone=timeZone,
            identity=identity,
            cookie=cookie,
        )
        self._secrets = secretsFrom(secrets)
        self._prefix = f"{keyPrefix}:{version}:django.contrib.sessions.cached_db"

    def key(self, sessionID: SessionID) -> str:
        return sessionID

    def cacheKey(self, key: str) -> str:
        """
        Under which key the cache of C{cached_db} has its copy, which is to be
        deleted after a write, so that Django reads what was written.
        """
        return self._prefix + key

    def signedAt(self, raw: bytes) -> int:
        """
        When a session was written, in seconds since the epoch.

        @raise UndecodableSession: It was not, with our secret.
        """
        return self._opened(raw)[1]

    def dumps(self, document: Document, now: float) -> bytes:
        sign = partial(signed, secret=self._secrets[0], salt=self._salt, now=now)
        how = Encoding("JSON", _json.PYTHON.find, sign)
        return encode(how, document.data, known=document.known)


@checked
@implementer(ISignedCookies)
class DjangoSignedCookies(InBrowser, _SignedSessions):
    """
    Sessions in the browser's cookie (C{backends.signed_cookies}), where no
    socket can change them, and nobody can end them before their time.
    """

    _salt = "django.contrib.sessions.backends.signed_cookies"

    def __init__(
        self,
        secrets: Secrets,
        *,
        cookieName: str = "sessionid",
        cookieAge: int = TWO_WEEKS,
        expireAtBrowserClose: bool = False,
        timeZone: str = "UTC",
        identity: Identity | None = None,
    ) -> None:
        """
        The arguments that are not told here are those of L{Django}.

        @param secrets: C{SECRET_KEY}, or several: it, and then those of
            C{SECRET_KEY_FALLBACKS}.
        """
        super().__init__(
            cookieName=cookieName,
            cookieAge=cookieAge,
            expireAtBrowserClose=expireAtBrowserClose,
            saveEveryRequest=False,
            timeZone=timeZone,
            identity=identity,
        )
        self._secrets = secretsFrom(secrets)

    def _times(self, cookie: str) -> tuple[float, float]:
        """
        Django takes a cookie for C{cookieAge} seconds; where C{set_expiry}
        said less, it has the browser drop it then.
        """
        reason: InvalidReason
        try:
            data, signed = self._opened(cookie.encode("ascii"))
            # Whole seconds count, and one that is as old as it may be is good.
            age = min(self._cookieAge, self._age(data, signed)) + 1
            return signed, signed + age
        except _BadlySigned:
            reason = "bad-signature"
        except (UndecodableSession, UnicodeEncodeError):
            reason = "malformed"
        raise InvalidCredential(reason)


class _BadlySigned(UndecodableSession):
    """
    The session is signed, and not by us.
    """
