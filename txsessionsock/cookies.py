# -*- test-case-name: tests.test_cookies -*-
"""
The C{Cookie} header, read the way browsers write it; C{Set-Cookie}; and
cookie signatures as the C{cookie-signature} package for Node.js makes them.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Literal

from ._arguments import Number, checked


__all__ = ["cookieNamed", "isToken", "parseCookies", "setCookie", "sign", "unsign"]


_BLANKS = " \t"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
_ATTRIBUTE_VALUE = re.compile(r"[ -:<-~]*")


@checked
def parseCookies(*headers: str) -> Iterator[tuple[str, str]]:
    """
    Split C{Cookie} headers into names and values, in order.

    L{http.cookies.SimpleCookie} gives up on the whole header because of one
    odd cookie, which need not even be ours.

    @param headers: The value of each C{Cookie} header of one request.  Pass
        them one by one: when they were joined with C{","}, nobody can tell
        any longer where a value ends, since commas are common in values.

    @return: Pairs of name and value, as they came, without the quotes around
        them; a name may come more than once.
    """
    for header in headers:
        for part in header.split(";"):
            name, equals, value = part.partition("=")
            if equals:
                value = value.strip(_BLANKS)
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                yield name.strip(_BLANKS), value


@checked
def cookieNamed(
    headers: str | Iterable[str], name: str, firstWins: bool = True
) -> str | None:
    """
    Find one cookie.

    @param headers: The value of the C{Cookie} header, or of each of them.

    @param firstWins: Which of several cookies of that name to take: the same
        one as the web application takes, or it and its sockets disagree on
        who somebody is.

    @return: The value, or L{None} if there is no such cookie.
    """
    found = None
    for key, value in parseCookies(
        *([headers] if isinstance(headers, str) else headers)
    ):
        if key == name:
            if firstWins:
                return value
            found = value
    return found


@checked
def isToken(name: str) -> bool:
    """
    Whether a cookie can have that name (RFC 6265, section 4.1.1).
    """
    return _TOKEN.fullmatch(name) is not None


@checked
def setCookie(
    name: str,
    value: str,
    *,
    maxAge: Number | None,
    secure: bool,
    path: str = "/",
    httpOnly: bool = True,
    sameSite: Literal["Strict", "Lax", "None"] = "Lax",
) -> bytes:
    """
    Build the value of a C{Set-Cookie} header.

    @param value: The cookie's value, encoded already where that is needed.

    @param maxAge: For how many seconds the browser shall keep the cookie;
        L{None} until it is closed, 0 to make the browser drop it now.

    @raise ValueError: Something holds a character that does not belong there,
        or a browser would not take such a cookie.
    """
    if not isToken(name):
        raise ValueError("not the name of a cookie")
    if not _COOKIE_VALUE.fullmatch(value):
        raise ValueError("the cookie's value needs encoding")
    if not path.startswith("/") or not _ATTRIBUTE_VALUE.fullmatch(path):
        raise ValueError("not a path for a cookie")
    if sameSite not in ("Strict", "Lax", "None"):
        raise ValueError("sameSite is Strict, Lax or None")
    if sameSite == "None" and not secure:
        raise ValueError("SameSite=None is for secure cookies only")
    parts = [f"{name}={value}", f"Path={path}"]
    if maxAge is not None:
        parts.append(f"Max-Age={max(0, ceil(maxAge))}")
    if secure:
        parts.append("Secure")
    if httpOnly:
        parts.append("HttpOnly")
    parts.append(f"SameSite={sameSite}")
    return "; ".join(parts).encode("ascii")


def _signature(value: bytes, secret: str) -> bytes:
    digest = hmac.digest(secret.encode("utf-8"), value, "sha256")
    return b64encode(digest).rstrip(b"=")


@checked
def sign(value: str, secret: str) -> str:
    """
    Append a signature to a value, after a dot.
    """
    return f"{value}.{_signature(value.encode('utf-8'), secret).decode('ascii')}"


@checked
def unsign(signed: str, secrets: Sequence[str]) -> str | None:
    """
    Verify what L{sign} made.

    @param secrets: The secrets any of which may have signed it.

    @return: The value without its signature, or L{None} if none of them has.
    """
    value, dot, signature = signed.rpartition(".")
    try:
        signedBytes, given = value.encode("utf-8"), signature.encode("utf-8")
    except UnicodeEncodeError:
        return None
    if dot:
        for secret in secrets:
            if hmac.compare_digest(_signature(signedBytes, secret), given):
                return value
    return None
