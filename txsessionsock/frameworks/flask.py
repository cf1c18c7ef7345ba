# -*- test-case-name: tests.frameworks.test_flask -*-
"""
Flask: the sessions of C{Flask-Session}, and Flask's own, which are signed
cookies.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from secrets import token_urlsafe
from types import NoneType
from typing import Any, Literal
from uuid import UUID

import msgspec
from zope.interface import implementer

from txsessionsock import _json
from txsessionsock._arguments import checked
from txsessionsock._foreign import Foreign, Notation, isText
from txsessionsock.interfaces import (
    KEEP,
    TTL,
    Document,
    IFramework,
    InvalidCredential,
    ISignedCookies,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, Prefixed, Secrets, loggedInBy, secretsFrom
from ._encodings import PICKLE, Encoding, decodeJSON, decodePickle, encode
from ._itsdangerous import SignedCookies, signer
from ._same import same, sameInJSON, sameInMsgpack


__all__ = ["Flask", "FlaskSession", "whoIsLoggedIn"]


_A_MONTH = 31 * 86400
_PERMANENT = "_permanent"
_MAX_JSON = 2**20

whoIsLoggedIn = loggedInBy("_user_id", "user_id", "user", "username")
"""
Who is logged in, by the names that Flask applications commonly use: that of
C{Flask-Login}, else C{user_id}, C{user} or C{username}.
"""


@checked
@implementer(IFramework)
class FlaskSession(Prefixed):
    """
    Sessions that are shared with a Flask application that has C{Flask-Session}
    0.7 or later with Redis, or an older one that pickles.

    Beside what JSON has, C{msgpack} knows L{bytes}, NaN and the infinities,
    points in time (L{datetime}s with a time zone, which come back in UTC), and
    keys that are any of these, L{None} or tuples of them.
    """

    firstCookieWins = True
    charset = "utf-8"

    def __init__(
        self,
        *,
        cookieName: str = "session",
        prefix: str = "session:",
        lifetime: float = _A_MONTH,
        format: Literal["msgpack", "json"] = "msgpack",
        pickled: bool = False,
        secrets: Secrets | None = None,
        permanent: bool = True,
        refreshEachRequest: bool = True,
        sidLength: int = 32,
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param cookieName: C{SESSION_COOKIE_NAME}.

        @param prefix: C{SESSION_KEY_PREFIX}.

        @param lifetime: C{PERMANENT_SESSION_LIFETIME}, in seconds.

        @param format: C{SESSION_SERIALIZATION_FORMAT}; both are read, where this
            one can hold what is there.

        @param pickled: Sessions are pickled, as C{Flask-Session} did before
            0.7, which begins a new session where it finds anything else.  They
            are read without doing what a pickle may ask for, so only those can
            be read that consist of plain values, dates, decimals and UUIDs;
            and written, as pickles of these.

        @param secrets: With C{SESSION_USE_SIGNER}, the application's
            C{SECRET_KEY}, or several: the first signs, all verify.

        @param permanent: C{SESSION_PERMANENT}: whether the cookies of new
            sessions outlive the browser.

        @param refreshEachRequest: C{SESSION_REFRESH_EACH_REQUEST}: whether
            visits extend a session's life.

        @param sidLength: C{SESSION_ID_LENGTH}, in bytes.

        @param cookie: C{SESSION_COOKIE_DOMAIN} and the like, by
            the names of L{CookieAttributes
            <txsessionsock.interfaces.CookieAttributes>}, such as
            C{{"domain": "example.com"}}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.
        """
        super().__init__(cookieName, prefix, identity or whoIsLoggedIn, cookie)
        self._lifetime = lifetime
        self._encoding = PICKLE if pickled else _ENCODINGS[format]
        self.same = same if pickled else _SAME[format]
        self._pickled = pickled
        others = [name for name in _DECODERS if name != format]
        self._decoders = [_DECODERS[name] for name in (format, *others)]
        self._signer = None
        if secrets is not None:
            known = secretsFrom(secrets)
            self._signer = signer(
                "flask", False, known, salt="flask-session", key_derivation="hmac"
            )
        self._permanent = permanent
        self.rolling = refreshEachRequest
        self._sidLength = sidLength

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Take the value of a session cookie, and verify it if it is signed.

        @raise InvalidCredential: C{malformed} if there is no session id in
            it, C{bad-signature} if it is to be signed and is not.
        """
        plain = super().sessionID(cookieValue, now)
        if self._signer is None:
            return plain
        claimed, dot, _ = plain.rpartition(".")
        if dot and not claimed:
            raise InvalidCredential("malformed")
        if not dot or not self._signer.validate(plain):
            raise InvalidCredential("bad-signature")
        return SessionID(claimed)

    def cookieValue(self, sessionID: SessionID) -> str:
        if self._signer is None:
            return super().cookieValue(sessionID)
        signed: bytes = self._signer.sign(sessionID)
        return super().cookieValue(SessionID(signed.decode("utf-8")))

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._lifetime if document.data.get(_PERMANENT) else None

    def newSessionID(self) -> SessionID:
        return SessionID(token_urlsafe(self._sidLength))

    def newDocument(self, now: float, like: Document | None = None) -> Document:
        return Document({_PERMANENT: True} if self._permanent else {}, {})

    def loads(self, raw: bytes, now: float) -> Document:
        if self._pickled:
            return Document(decodePickle(raw), {})
        try:
            data, problem = self._decoded(raw)
        except RecursionError:
            data, problem = None, "nested too deeply"
        # Out here, what quotes the bytes is not this one's context.
        if problem is not None:
            raise UndecodableSession(f"the stored session is {problem}")
        if type(data) is not dict:
            raise UndecodableSession("the stored session is no dictionary")
        return Document(data, {})

    def _decoded(self, raw: bytes) -> tuple[Any, str | None]:
        """
        @return: A value, or else what is wrong.
        """
        for decode in self._decoders:
            try:
                value = decode(raw)
            except (msgspec.MsgspecError, OverflowError, ValueError):
                continue
            found = self._encoding.find(value)
            return value, None if found is None else f"with a {found.what} in it"
        if raw[:1] in _PICKLES and raw[-1:] == b".":
            return None, (
                "a pickle, as Flask-Session wrote them before 0.7: say pickled=True"
                " (to twistd, pickled=yes) to have those read"
            )
        return None, "neither msgpack nor JSON"

    def dumps(self, document: Document, now: float) -> bytes:
        return encode(self._encoding, document.data)

    def lifetime(self, document: Document, now: float) -> TTL:
        return self._lifetime

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return self._lifetime if self.rolling else KEEP

    def isEnded(self, data: dict[str, Any]) -> bool:
        # Before 0.6 it kept one with this key, and where there is none began
        # the same one under the same id.
        return data.keys() <= {_PERMANENT}


def _isWide(value: int) -> Foreign | None:
    if -(2**63) <= value < 2**64:
        return None
    return Foreign("int of more than 64 bits", "a float or its str()")


def _isInUTC(value: datetime) -> Foreign | None:
    if value.tzinfo is None:
        return Foreign("datetime without a time zone", "one with, or its isoformat()")
    try:
        value.astimezone(UTC)
    except OverflowError:
        return Foreign("datetime before year 1 or after 9999 in UTC", "another")
    return None


_MSGPACK = Notation(
    {str: isText, int: _isWide, datetime: _isInUTC},
    plain={bytes, float, int, str},
    keys={bool, bytes, datetime, float, int, str, tuple, NoneType},
)
_MSGSPEC_JSON = Notation(
    {str: isText, **_json.CHECKS},
    plain={int, str},
)

# Flask-Session reads its sessions by msgspec alone, without our way out for
# what that refuses.
_ENCODINGS = {
    "msgpack": Encoding("msgpack", _MSGPACK.find, msgspec.msgpack.Encoder().encode),
    "json": Encoding("JSON", _MSGSPEC_JSON.find, msgspec.json.Encoder().encode),
}
_SAME = {"msgpack": sameInMsgpack, "json": sameInJSON}
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "msgpack": msgspec.msgpack.Decoder().decode,
    "json": msgspec.json.Decoder().decode,
}
_PICKLES = (b"\x80", b"(", b"}", b"c")
"""
How pickles of dictionaries begin, and those that call something.
"""


@checked
@implementer(ISignedCookies)
class Flask(SignedCookies):
    """
    The sessions that Flask itself has: signed cookies, which sockets can read
    and not change.  C{Markup} in them comes as the L{str} that it is.
    """

    firstCookieWins = True

    def __init__(
        self,
        secrets: Secrets,
        *,
        cookieName: str = "session",
        lifetime: float = _A_MONTH,
        salt: str | bytes = "cookie-session",
        identity: Identity | None = None,
    ) -> None:
        """
        @param secrets: The application's C{SECRET_KEY}, and after it those of
            C{SECRET_KEY_FALLBACKS}.

        @param cookieName: C{SESSION_COOKIE_NAME}.

        @param lifetime: C{PERMANENT_SESSION_LIFETIME}, in seconds.

        @param salt: That of the application's C{SecureCookieSessionInterface}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.

        @raise ImportError: C{itsdangerous} is not installed.
        """
        super().__init__(
            signer(
                "flask",
                True,
                secretsFrom(secrets),
                salt=salt,
                key_derivation="hmac",
            ),
            cookieName,
            lifetime,
            identity or whoIsLoggedIn,
        )

    def loads(self, raw: bytes, now: float) -> Document:
        text = _inflated(self.payload(raw))
        if text is None:
            raise UndecodableSession("the session cookie is damaged or too large")
        problem = None
        tagged = decodeJSON(text)
        try:
            data = _untagged(tagged)
        except (AttributeError, IndexError, OverflowError, TypeError, ValueError):
            problem = "with a tag on something else than it is for"
        if problem is not None:
            raise UndecodableSession(f"the session is {problem}")
        if type(data) is not dict:
            raise UndecodableSession("the session is no dictionary")
        return Document(data, {})

    def isEnded(self, data: dict[str, Any]) -> bool:
        return not data


def _inflated(payload: bytes) -> bytes | None:
    """
    @return: L{None} if it cannot be decoded, or is a bomb.
    """
    text = payload.removeprefix(b".")
    try:
        raw = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        if text is payload or text == payload:
            return raw
        inflater = zlib.decompressobj()
        inflated = inflater.decompress(raw, _MAX_JSON)
    except (ValueError, zlib.error):
        return None
    return inflated if inflater.eof else None


def _untagged(value: Any) -> Any:
    """
    Undo what Flask's C{TaggedJSONSerializer} does to have more types than
    JSON has.
    """
    if type(value) is list:
        return [_untagged(item) for item in value]
    if type(value) is not dict:
        return value
    value = {key: _untagged(item) for key, item in value.items()}
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag in _TAGS:
            return _TAGS[tag](content)
    return value


def _asDict(content: dict[str, Any]) -> dict[str, Any]:
    ((key, value),) = content.items()
    return {key[:-2]: value}


def _asTuple(content: Any) -> tuple[Any, ...]:
    if type(content) is not list:
        raise TypeError
    return tuple(content)


def _asText(content: Any) -> str:
    if type(content) is not str:
        raise TypeError
    return content


def _asTime(content: str) -> datetime:
    time = parsedate_to_datetime(content)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_TAGS: dict[str, Callable[[Any], Any]] = {
    " di": _asDict,
    " t": _asTuple,
    " b": b64decode,
    " m": _asText,
    " u": UUID,
    " d": _asTime,
}
