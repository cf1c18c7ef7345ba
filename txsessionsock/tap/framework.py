# -*- test-case-name: tests.tap.test_tap_frameworks -*-
"""
The web framework that C{--framework} names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from inspect import Parameter, signature
from math import inf
from typing import Any

from twisted.python.reflect import namedAny

from txsessionsock.interfaces import CookieAttributes, IFramework

from .options import refuse


__all__ = ["NAMES", "frameworkFor", "takesSecrets"]

_CLASSES = {
    "express": "express.Express",
    "django": "django.Django",
    "django-db": "django.DjangoDatabase",
    "django-cached-db": "django.DjangoDatabase",
    "django-signed-cookies": "django.DjangoSignedCookies",
    "flask": "flask.Flask",
    "flask-session": "flask.FlaskSession",
    "starlette": "starlette.Starlette",
    "starsessions": "starlette.Starsessions",
    "aiohttp": "aiohttp.Aiohttp",
    "php": "php.PHP",
}

NAMES = tuple(_CLASSES)
"""
What can be named.
"""

_ABOUT_CACHES = {"keyPrefix", "version"}
"""
The options of Django that are about its cache.
"""

_SIGNED = "signed"
"""
The option of frameworks that sign session ids if they are told to.
"""

_COOKIE = "cookie"
_ABOUT_COOKIES = {
    f"{_COOKIE}.{field.name}": "bool" if "bool" in str(field.type) else "str"
    for field in fields(CookieAttributes)
}
"""
The options that say what the web application sets on its session cookie, and
what they are; empty text is for no such attribute.
"""

_BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False}
_BOOLEANS["0"] = False


def takesSecrets(name: str, given: Sequence[str]) -> bool:
    """
    Whether a framework signs something.

    @param given: Its options, as C{name=value}.

    @raise SystemExit: There is no such framework; with one line that says so.
    """
    if name not in NAMES:
        refuse(f"--framework is one of {', '.join(NAMES)}, not {name}")
    secrets = _parameters(name).get("secrets")
    if secrets is None:
        return False
    return secrets.default is Parameter.empty or _isSigned(given)


def frameworkFor(
    name: str, given: Sequence[str], cookie: str | None, secrets: Sequence[str | bytes]
) -> IFramework:
    """
    Make it.

    @param given: Its options, as C{name=value}.

    @param cookie: The name of its cookie, if it has not the usual one.

    @raise SystemExit: It cannot be made; with one line that says why.
    """
    parameters = _parameters(name)
    hidden = {"secrets", "identity", _COOKIE}
    if name == "django-db":
        hidden |= _ABOUT_CACHES
    known = {
        option: str(parameter.annotation)
        for option, parameter in parameters.items()
        if option not in hidden
    }
    if _COOKIE in parameters:
        known |= _ABOUT_COOKIES
    values: dict[str, Any] = {"cookieName": cookie} if cookie else {}
    canBeSigned = "secrets" in parameters
    canBeSigned &= not canBeSigned or parameters["secrets"].default is None
    for text in given:
        option, equals, value = text.partition("=")
        if option == _SIGNED and canBeSigned and equals:
            continue
        if option not in known or not equals:
            right = ", ".join([*known, *([_SIGNED] if canBeSigned else [])])
            refuse(
                f"--framework-option {text}: right is name=value, and for {name}"
                f" the names are {right}"
            )
        made = _value(text, known[option], value)
        if option in _ABOUT_COOKIES:
            values.setdefault(_COOKIE, {})[option.partition(".")[2]] = made
        else:
            values[option] = made
    if takesSecrets(name, given):
        values["secrets"] = list(secrets)
    try:
        framework: IFramework = _class(name)(**values)
    except (ValueError, TypeError, ImportError) as error:
        isCookie = bool(cookie) and "name of a cookie" in str(error)
        refuse(f"--{'cookie' if isCookie else f'framework {name}'}: {error}")
    return framework


def _class(name: str) -> Callable[..., IFramework]:
    found: Callable[..., IFramework] = namedAny(
        f"txsessionsock.frameworks.{_CLASSES[name]}"
    )
    return found


def _parameters(name: str) -> dict[str, Parameter]:
    return dict(signature(_class(name)).parameters)


def _isSigned(given: Sequence[str]) -> bool:
    signed = [text for text in given if text.partition("=")[0] == _SIGNED]
    return bool(signed) and bool(_value(signed[-1], "bool", signed[-1][7:]))


def _value(text: str, kind: str, value: str) -> Any:
    """
    What is meant by the value of an option.

    @param kind: The annotation of the parameter.
    """
    kinds = [each.strip() for each in kind.split("|")]
    if value == "none" and "None" in kinds:
        return None
    if "bool" in kinds:
        if value.lower() not in _BOOLEANS:
            refuse(f"--framework-option {text}: right is yes or no")
        return _BOOLEANS[value.lower()]
    for number, make in ("int", int), ("float", float):
        if number in kinds:
            try:
                made = make(value)
            except ValueError:
                made = -1
            if not 0 <= made < inf:
                refuse(f"--framework-option {text}: right is a number, from 0")
            return made
    return value
