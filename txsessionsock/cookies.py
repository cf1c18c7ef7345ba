# -*- test-case-name: tests.package.test_cookies -*-
"""
The C{Cookie} header, read the way browsers write it; C{Set-Cookie}; and
cookie signatures as the C{cookie-signature} package for Node.js makes them.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from http.cookies import SimpleCookie
from math import ceil
from typing import Any

from ._arguments import Number, checked
from .interfaces import CookieAttributes


__all__ = [
    "MAX_COOKIE",
    "cookieAttributes",
    "cookieNamed",
    "isToken",
    "parseCookies",
    "quoted",
    "setCookie",
    "sign",
    "storedAttributes",
    "unquoted",
    "unsign",
    "whichCookie",
    "whyDropped",
]


MAX_COOKIE = 4096
"""
How many bytes of a cookie browsers keep (RFC 6265, section 6.1).
"""


_BLANKS = " \t"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN = re.compile(r"[!#-+\--:<-\[\]-~]*")
_COOKIE_VALUE = re.compile(_PLAIN.pattern + r'|"(?:[ !#-+\--:<-\[\]-~]|\\[!-:<-~])*"')
_ATTRIBUTE_VALUE = re.compile(r"[ -:<-~]*")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"\.?{_LABEL}(?:\.{_LABEL})*")


@checked
def parseCookies(*headers: str) -> Iterator[tuple[str, str]]:
    """
    Split C{Cookie} headers into names and values, in order.

    L{http.cookies.SimpleCookie} gives up on the whole header because of one
    odd cookie, be it ours or another application's.

    @param headers: The value of each C{Cookie} header of one request.  Pass
        them one by one.  Once they are joined with C{","}, it is unknown where
        a value ends, since values have commas too.

    @return: Pairs of name and value, as they came.  Quotes around a value are
        left out; a name may come more than once.
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

    @param firstWins: Whether to take the first or the last of several cookies
        of that name.  It has to be the one that the web application takes, or
        a user is somebody else for the sockets.

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
def quoted(value: str, charset: str = "latin-1") -> str:
    """
    Write a value as L{http.cookies} does: as it is, if a cookie can hold it.
    Otherwise between quotes, with three digits behind a backslash for each byte
    that a cookie cannot hold.

    @param charset: The charset in which characters become bytes: Werkzeug has
        C{"utf-8"}, Django, Starlette and aiohttp C{"latin-1"}.

    @raise ValueError: The value has characters that are not in this charset.
    """
    if _PLAIN.fullmatch(value):
        return value
    return SimpleCookie().value_encode(value.encode(charset).decode("latin-1"))[1]


@checked
def unquoted(value: str, charset: str = "latin-1") -> str:
    """
    Read what L{quoted} wrote.

    @param value: The value of the cookie, without quotes around it.

    @raise ValueError: Its bytes are no text in this charset.
    """
    read = SimpleCookie().value_decode(f'"{value}"')[0] if "\\" in value else value
    return read.encode("latin-1").decode(charset)


@checked
def isToken(name: str) -> bool:
    """
    Whether a cookie can have that name (RFC 6265, section 4.1.1).
    """
    return _TOKEN.fullmatch(name) is not None


@checked
def cookieAttributes(name: str, options: Mapping[str, object]) -> CookieAttributes:
    """
    Read the options of a cookie.

    @param name: The cookie's name.

    @param options: Their values, by the names of L{CookieAttributes}, which are
        those of C{express-session}.  L{None}, false or empty is no such
        attribute.

    @raise ValueError: There is no such option, it cannot have that value, or
        browsers would drop such a cookie.  The error says what is right.
    """
    read: dict[str, Any] = {}
    for option, value in options.items():
        if option not in _READERS:
            right = ", ".join(_READERS)
            raise ValueError(f"cookie has no {option!r} here; it has {right}")
        read[option] = _READERS[option](value)
    attributes = CookieAttributes(**read)
    if attributes.secure is False and _needsSecure(name, attributes):
        raise ValueError(
            "a cookie is secure if its name begins with __Host- or __Secure-, if it"
            " is partitioned, or if sameSite is none: browsers drop it otherwise"
        )
    if _isHostOnly(name) and (attributes.domain or attributes.path != "/"):
        raise ValueError(
            "a cookie whose name begins with __Host- has no domain, and the path /:"
            " browsers drop it otherwise"
        )
    return attributes


@checked
def storedAttributes(stored: Mapping[str, Any]) -> CookieAttributes:
    """
    Read what C{express-session} stores of a cookie in its session.  Values that
    no cookie can have are left out.
    """
    read: dict[str, Any] = {}
    for option in _READERS.keys() & stored.keys():
        with suppress(ValueError):
            read[option] = _READERS[option](stored[option])
    return CookieAttributes(**read)


@checked
def whichCookie(attributes: CookieAttributes) -> dict[str, str | bool | None]:
    """
    @return: The attributes that tell a cookie from others of its name (RFC
        6265bis, section 5.7).
    """
    return {
        "domain": _host(attributes),
        "path": attributes.path,
        "partitioned": attributes.partitioned,
    }


def _host(attributes: CookieAttributes) -> str | None:
    # Browsers ignore a dot in front of a domain.
    domain = attributes.domain
    return None if domain is None else domain.lower().removeprefix(".")


def _flag(name: str) -> Callable[[object], bool]:
    def flag(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"cookie: {name} is True or False, not {value!r}")
        return value

    return flag


def _secure(value: object) -> bool | None:
    if value is None or value == "auto":
        return None
    return _flag("secure")(value)


def _word(name: str, *words: str) -> Callable[[object], str | None]:
    def word(value: object) -> str | None:
        if value is None or value is False or value == "":
            return None
        found = value.capitalize() if isinstance(value, str) else None
        if found not in words:
            raise ValueError(f"cookie: {name} is {', '.join(words)}, not {value!r}")
        return found

    return word


def _sameSite(value: object) -> str | None:
    word = _word("sameSite", "Strict", "Lax", "None")
    return word("Strict" if value is True else value)


def _domain(value: object) -> str | None:
    if value is None or value is False or value == "":
        return None
    if not isinstance(value, str) or not _DOMAIN.fullmatch(value):
        raise ValueError(
            f"cookie: domain is a host such as example.com (xn--..., where it is not"
            f" ASCII), not {value!r}"
        )
    return value


def _path(value: object) -> str | None:
    if value is None or value is False or value == "":
        return None
    isPath = isinstance(value, str) and value.startswith("/")
    if not isPath or not _ATTRIBUTE_VALUE.fullmatch(str(value)):
        raise ValueError(f"cookie: path begins with / and has no ;, not {value!r}")
    return str(value)


_READERS: dict[str, Callable[[object], object]] = {
    "domain": _domain,
    "path": _path,
    "secure": _secure,
    "httpOnly": _flag("httpOnly"),
    "sameSite": _sameSite,
    "partitioned": _flag("partitioned"),
    "priority": _word("priority", "Low", "Medium", "High"),
}


def _isHostOnly(name: str) -> bool:
    # To browsers, upper and lower case are the same here (RFC 6265bis, section
    # 5.7).
    return name.lower().startswith("__host-")


def _needsSecure(name: str, attributes: CookieAttributes) -> bool:
    """
    Whether browsers drop a cookie if it is not C{Secure}.
    """
    isPrefixed = _isHostOnly(name) or name.lower().startswith("__secure-")
    return isPrefixed or attributes.partitioned or attributes.sameSite == "None"


def _isSecure(name: str, attributes: CookieAttributes, isHTTPS: bool) -> bool:
    """
    Whether to make a cookie C{Secure}.
    """
    if attributes.secure is None:
        return isHTTPS or _needsSecure(name, attributes)
    return attributes.secure or _needsSecure(name, attributes)


@checked
def whyDropped(
    name: str, attributes: CookieAttributes, *, isHTTPS: bool, host: str
) -> tuple[str, str] | None:
    """
    Find out why a browser does not keep a cookie (RFC 6265bis, section 5.7).

    @param isHTTPS: Whether the browser speaks TLS.

    @param host: The host for which it asked, without port; empty if unknown.

    @return: The attribute at fault and a sentence; L{None} if browsers keep the
        cookie.
    """
    domain = _host(attributes)
    if _isHostOnly(name) and (domain or attributes.path != "/"):
        return "prefix", (
            "its name begins with __Host-, and it has a Domain, or a Path that is not /"
        )
    if domain and host and not f".{host.lower()}".endswith(f".{domain}"):
        return "domain", (
            f"its Domain is {domain}, and the page came from {host!r}; if that is not"
            " what the browser asked for, have the proxy pass on Host"
        )
    if _isSecure(name, attributes, isHTTPS) and not (isHTTPS or _isLoopback(host)):
        return "secure", (
            "it has to be Secure, and the page came by http; if a proxy made that of"
            " https, say trustProxy=True (twistd: --trust-proxy, or --trusted-network"
            " with its network), and have the proxy set X-Forwarded-Proto"
        )
    return None


def _isLoopback(host: str) -> bool:
    """
    Whether browsers keep C{Secure} cookies of a host also without TLS.
    """
    name = host.lower()
    return f".{name}".endswith(".localhost") or name == "::1" or name[:4] == "127."


@checked
def setCookie(
    name: str,
    value: str,
    attributes: CookieAttributes = CookieAttributes(),  # noqa: B008 - it is frozen
    *,
    maxAge: Number | None,
    isHTTPS: bool,
) -> bytes:
    """
    Build the value of a C{Set-Cookie} header.

    @param value: The cookie's value.  Characters that a cookie cannot hold are
        encoded already.

    @param maxAge: For how many seconds the browser shall keep the cookie;
        L{None} until it is closed, 0 to make the browser drop it now.

    @param isHTTPS: Whether the browser speaks TLS.

    @raise ValueError: The name, the value or an attribute has a character that
        it cannot have.
    """
    if not isToken(name):
        raise ValueError("not the name of a cookie")
    if not _COOKIE_VALUE.fullmatch(value):
        raise ValueError("the cookie's value needs encoding")
    isSecure = _isSecure(name, attributes, isHTTPS)
    parts = [f"{name}={value}", *_written(attributes, maxAge, isSecure)]
    return "; ".join(parts).encode("ascii")


def _written(
    attributes: CookieAttributes, maxAge: float | None, isSecure: bool
) -> Iterator[str]:
    if attributes.domain is not None:
        yield f"Domain={_domain(attributes.domain)}"
    if attributes.path is not None:
        yield f"Path={_path(attributes.path)}"
    if maxAge is not None:
        yield f"Max-Age={max(0, ceil(maxAge))}"
    if isSecure:
        yield "Secure"
    if attributes.httpOnly:
        yield "HttpOnly"
    if attributes.sameSite is not None:
        yield f"SameSite={_sameSite(attributes.sameSite)}"
    if attributes.partitioned:
        yield "Partitioned"
    if attributes.priority is not None:
        yield f"Priority={_READERS['priority'](attributes.priority)}"


def _signature(value: bytes, secret: str | bytes) -> bytes:
    key = secret.encode("utf-8") if isinstance(secret, str) else secret
    digest = hmac.digest(key, value, "sha256")
    return b64encode(digest).rstrip(b"=")


@checked
def sign(value: str, secret: str | bytes) -> str:
    """
    Append a signature to a value, after a dot.
    """
    return f"{value}.{_signature(value.encode('utf-8'), secret).decode('ascii')}"


@checked
def unsign(signed: str, secrets: Sequence[str | bytes]) -> str | None:
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
