# -*- test-case-name: tests.frameworks.test_php -*-
"""
PHP: the sessions that C{phpredis} stores.
"""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from math import isfinite
from secrets import token_hex
from typing import Any, Literal
from urllib.parse import quote, unquote

from zope.interface import implementer

from txsessionsock._arguments import checked
from txsessionsock._foreign import Foreign, Notation
from txsessionsock.cookies import MAX_COOKIE
from txsessionsock.interfaces import (
    TTL,
    Document,
    IFramework,
    InvalidCredential,
    SessionID,
    UndecodableSession,
)

from ._base import CookieOptions, Identity, Prefixed, loggedInBy
from ._encodings import Encoding, encode
from ._same import sameInPHP


__all__ = ["PHP", "whoIsLoggedIn"]


whoIsLoggedIn = loggedInBy("user_id", "userid", "uid", "user")
"""
Who is logged in, by the names that applications commonly use.
"""

_SESSION_ID = re.compile(r"""[^\0-\x20\x7f-\x9f<>'"\\]+""")
_DEPTH = 100
_INTEGERS = range(-(2**63), 2**63)
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER = rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?INF|NAN"
_TOKEN = re.compile(
    rb"N;|b:[01];|i:[+-]?[0-9]{1,19};|d:(?:" + _NUMBER + rb");"
    rb'|s:(?P<length>[0-9]{1,10}):"|a:[0-9]{1,10}:(?P<begin>\{)|(?P<end>\})'
)
_PLAIN = range(-4, 17)
"""
The powers of ten of numbers that PHP writes without an exponent.
"""


@checked
@implementer(IFramework)
class PHP(Prefixed):
    """
    Sessions that are shared with a PHP application.

    What PHP has: arrays whose keys are 0, 1, 2 and so on are lists here, the
    empty one too, and all others dictionaries, whose keys are text, also
    where PHP makes them numbers.  Bytes that are no UTF-8 are what C{os.fsdecode}
    makes of them.
    """

    firstCookieWins = True
    same = staticmethod(sameInPHP)

    def __init__(
        self,
        *,
        handler: Literal["php", "php_serialize"] = "php",
        cookieName: str = "PHPSESSID",
        prefix: str = "PHPREDIS_SESSION:",
        maxLifetime: int = 1440,
        maxAge: float | None = None,
        cookie: CookieOptions | None = None,
        identity: Identity | None = None,
    ) -> None:
        """
        @param handler: C{session.serialize_handler}.

        @param cookieName: C{session.name}.

        @param prefix: The C{prefix} in C{session.save_path}.

        @param maxLifetime: C{session.gc_maxlifetime}: how many seconds a
            session lives from each visit on.

        @param maxAge: C{session.cookie_lifetime}, L{None} for its 0: how many
            seconds the browser keeps a cookie that we set.

        @param cookie: C{session.cookie_domain} and the like, by
            the names of L{CookieAttributes
            <txsessionsock.interfaces.CookieAttributes>}, such as
            C{{"domain": "example.com"}}.

        @param identity: Tells from a session's data who is logged in;
            L{whoIsLoggedIn} unless given.

        @raise ImportError: The library for PHP's format is not installed.
        """
        try:
            import phpserialize  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra without types
        except ImportError:
            command = 'pip install "txsessionsock[php]"'
            message = f"the sessions of PHP need phpserialize: {command}"
            raise ImportError(message) from None
        super().__init__(cookieName, prefix, identity or whoIsLoggedIn, cookie)
        self._php = phpserialize
        self._isSplit = handler == "php"
        self._maxLifetime = maxLifetime
        self._maxAge = maxAge
        self._encoding = Encoding("PHP values", self._find, self._encoded)

    def sessionID(self, cookieValue: str, now: float) -> SessionID:
        """
        Take the cookie for the id itself, which is not signed.  What
        C{session_id()} may be is for the save handler to say: C{files} takes
        letters, digits, commas and hyphens, C{phpredis} 5.3 takes anything
        that PHP 8.2 lets pass, which is text without blanks, quotes, angle
        brackets and backslashes.

        @raise InvalidCredential: C{malformed} if PHP would not take it either,
            and if it is not UTF-8 or has control characters in it.
        """
        sessionID = ""
        if cookieValue.isascii() and len(cookieValue) <= MAX_COOKIE:
            with suppress(ValueError):
                sessionID = unquote(cookieValue, errors="strict")
        if not _SESSION_ID.fullmatch(sessionID):
            raise InvalidCredential("malformed")
        return SessionID(sessionID)

    def cookieValue(self, sessionID: SessionID) -> str:
        return quote(sessionID, safe="")

    def cookieLifetime(self, document: Document, now: float) -> float | None:
        return self._maxAge

    def newSessionID(self) -> SessionID:
        return SessionID(token_hex(16))

    def loads(self, raw: bytes, now: float) -> Document:
        problem: str | None
        try:
            data = self._decoded(raw)
            found = self._find(data)
            problem = None if found is None else found.what
        except _RefusedValue as error:
            problem = str(error)
        except RecursionError:
            problem = "nested too deeply"
        except (OverflowError, TypeError, ValueError):
            handler = "php" if self._isSplit else "php_serialize"
            problem = f"not what the handler {handler} writes; is it PHP's?"
        # Out here, what quotes the input is not the context.
        if problem is not None:
            raise UndecodableSession(f"the stored session is refused: {problem}")
        return Document(data, {})

    def dumps(self, document: Document, now: float) -> bytes:
        return encode(self._encoding, document.data)

    def lifetime(self, document: Document, now: float) -> TTL:
        return self._maxLifetime

    def touchLifetime(self, document: Document, now: float) -> TTL:
        return self._maxLifetime

    # Encoding.

    def _decoded(self, raw: bytes) -> dict[str, Any]:
        """
        @return: The session, in which something may be that L{_find} finds.

        @raise _RefusedValue: The session is not for us.

        @raise Exception: It is no session.
        """
        if not raw:
            return {}
        if not self._isSplit:
            if _endOf(raw, 0) != len(raw) or not raw.startswith(b"a:"):
                raise ValueError
            value = self._value(raw)
            # Those keys are numbers to PHP.
            return dict(_numbered(value)) if isinstance(value, list) else value
        data: dict[str, Any] = {}
        at = 0
        while at < len(raw):
            bar = raw.index(b"|", at)
            name = raw[at:bar].decode("utf-8", "surrogateescape")
            if name in data:
                raise ValueError
            at = _endOf(raw, bar + 1)
            data[name] = self._value(raw[bar + 1 : at])
        return data

    def _value(self, raw: bytes) -> Any:
        return self._php.loads(
            raw,
            errors="surrogateescape",
            decode_strings=True,
            array_hook=_array,
        )

    def _encoded(self, data: dict[str, Any]) -> bytes:
        if not self._isSplit:
            return self._serialized(data)
        return b"".join(
            name.encode("utf-8", "surrogateescape") + b"|" + self._serialized(value)
            for name, value in data.items()
        )

    def _serialized(self, value: Any) -> bytes:
        raw: bytes = self._php.dumps(_forPHP(value), errors="surrogateescape")
        return raw

    def _find(self, value: Any, *, isThorough: bool = False) -> Foreign | None:
        """
        Find what PHP would not read back the same.
        """
        if self._isSplit:
            for name in value:
                found = _findInName(name)
                if found is not None:
                    return found.within(name)
        return _VALUES.find(value, isThorough=isThorough)


class _RefusedValue(ValueError):
    """
    The session holds something that we do not read.
    """


def _endOf(raw: bytes, at: int) -> int:
    """
    Find the end of a value, one of the kinds that are read here.  The library
    is more lenient: what it makes of the rest, PHP would not.

    @raise _RefusedValue: It is another kind of value, or nested too deeply.

    @raise ValueError: It is no value.
    """
    depth = 0
    while True:
        token = _TOKEN.match(raw, at)
        if token is None:
            if raw[at : at + 1] in (b"O", b"C", b"E", b"R", b"r"):
                raise _RefusedValue("it holds an object or a reference")
            raise ValueError
        at = token.end()
        if token["length"] is not None:
            at += int(token["length"]) + 2
            if raw[at - 2 : at] != b'";':
                raise ValueError
        elif token["begin"] is not None:
            depth += 1
        elif token["end"] is not None:
            depth -= 1
        if not 0 <= depth <= _DEPTH:
            raise _RefusedValue("nested too deeply")
        if not depth:
            return at


def _array(pairs: list[tuple[Any, Any]]) -> Any:
    array = {}
    for key, value in pairs:
        if type(key) not in (int, str):
            raise ValueError
        array[str(key)] = value
    if len(array) != len(pairs):
        raise ValueError
    if all(str(n) == key for n, key in enumerate(array)):
        return list(array.values())
    return array


def _numbered(values: list[Any]) -> list[tuple[str, Any]]:
    return [(str(n), value) for n, value in enumerate(values)]


def _isNumber(key: str) -> bool:
    """
    Whether PHP makes that a number, when it is the key of an array.
    """
    return _DECIMAL.fullmatch(key) is not None and int(key) in _INTEGERS


def _forPHP(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            int(key) if _isNumber(key) else key: _forPHP(item)
            for key, item in value.items()
        }
    if isinstance(value, float):
        return _Float(value)
    return [*map(_forPHP, value)] if isinstance(value, (list, tuple)) else value


class _Float(float):
    """
    A number that is shown as PHP does, which takes a session for changed if it
    would write it otherwise.
    """

    def __str__(self) -> str:
        if not isfinite(self):
            # NAN, INF, -INF
            return repr(float(self)).upper()
        exact = Decimal(repr(float(self)))
        power = exact.adjusted()
        if not exact or power in _PLAIN:
            return format(exact.normalize(), "f")
        digits = exact.scaleb(-power).normalize()
        point = "" if digits % 1 else ".0"
        return f"{digits:f}{point}E{power:+d}"


def _findInName(name: object) -> Foreign | None:
    if type(name) is str and "|" in name:
        return Foreign(
            "a bar in its name, for which PHP would drop the session",
            "it by another name",
        )
    if type(name) is str and _isNumber(name):
        return Foreign(
            "a number for a name, under which PHP would not find it",
            "it by another name",
        )
    return None


def _isLong(value: int) -> Foreign | None:
    if value in _INTEGERS:
        return None
    return Foreign("int of more than 64 bits", "a float or its str()")


def _isText(value: str) -> Foreign | None:
    """
    Whether a text is the same after a way through bytes.
    """
    if value.isascii():
        return None
    try:
        raw = value.encode("utf-8", "surrogateescape")
        if raw.decode("utf-8", "surrogateescape") == value:
            return None
    except UnicodeEncodeError:
        pass
    return Foreign("text with half a character in it", "it without that")


_VALUES = Notation({int: _isLong, str: _isText}, plain={float})
