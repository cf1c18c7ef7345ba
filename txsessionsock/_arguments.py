# -*- test-case-name: tests.package.test_arguments -*-
"""
Refusing, at once, arguments of a wrong kind: what a parameter's annotation says
is what is checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from itertools import chain, repeat
from math import inf
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from twisted.internet.interfaces import IReactorTime
from zope.interface.interface import InterfaceClass


__all__ = ["AboveZero", "Kind", "Number", "Size", "checked"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Kind:
    """
    What an argument has to be.

    @ivar right: That, in words.

    @ivar isRight: Whether one is.

    @ivar types: Of what type it is if only its value is wrong.

    @ivar isShown: Whether a text in its place may be shown.
    """

    right: str
    isRight: Callable[[Any], bool]
    types: tuple[type, ...] = ()
    isShown: bool = False

    def refuse(self, name: str, value: object) -> None:
        """
        @raise TypeError: This is no such argument, or

        @raise ValueError: not one of the right value.
        """
        isType = isinstance(value, self.types) and not isinstance(value, bool)
        error = ValueError if isType else TypeError
        shown = _shown(value)
        if self.isShown and isinstance(value, str):
            shown = repr(value[:40])
        raise error(f"{name} is {self.right}, not {shown}")


def _shown(value: object) -> str:
    """
    A wrong argument as an error shows it.  Texts may be secrets, or have a
    password in them.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return _one(type(value).__name__)


def _one(name: str) -> str:
    return f"a{'n' * (name.lstrip('_')[:1].lower() in 'aeio')} {name}"


def _isNumber(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _has(value: object, *members: str) -> bool:
    """
    Whether an object has these, rather than a class for its objects.
    """
    return not isinstance(value, type) and all(hasattr(value, m) for m in members)


_ANY = Kind("anything", lambda value: True)

_PLAIN: dict[Any, Kind] = {
    Any: _ANY,
    object: _ANY,
    NoneType: Kind("None", lambda value: value is None),
    bool: Kind("True or False", lambda value: isinstance(value, bool), isShown=True),
    int: Kind(
        "a whole number, from 0",
        lambda value: _isNumber(value, int) and value >= 0,
        (int,),
    ),
    float: Kind(
        "a number, from 0",
        lambda value: _isNumber(value, int, float) and 0 <= value < inf,
        (int, float),
    ),
    os.PathLike: Kind("a Path", lambda value: isinstance(value, os.PathLike)),
    # What users write for their tests declares seldom what it is.
    IReactorTime: Kind(
        "a reactor, or a Clock", lambda value: _has(value, "callLater", "seconds")
    ),
}
"""
What annotations mean that are no such classes.  No argument in this library is
negative.
"""

_INTERFACES = {
    "IBus": "such as RedisBus(url)",
    "IFramework": "such as Express(secrets=[…])",
    "IRequest": "a request of twisted.web",
    "IResource": "a resource of twisted.web",
    "ISessionStore": "such as RedisStore(url)",
    "ISignedCookies": "a framework whose sessions are in cookies, such as Flask",
    "IWatchableStore": "such as MemoryStore()",
}
"""
What provides an interface, in words.
"""

Number = Annotated[
    float, Kind("a number", lambda value: _isNumber(value, int, float), (int, float))
]
"""
One that may be negative.
"""

AboveZero = Annotated[
    float,
    Kind(
        "a number, above 0",
        lambda value: _isNumber(value, int, float) and 0 < value < inf,
        (int, float),
    ),
]
"""
Such as a number of seconds that something has to have.
"""

Size = Annotated[
    int,
    Kind(
        "a whole number, above 0",
        lambda value: _isNumber(value, int) and value > 0,
        (int,),
    ),
]
"""
Such as a number of bytes, or of sockets.
"""


def checked(target: _T) -> _T:
    """
    Have a function, or the constructor of a class, refuse arguments that are
    not what its annotations say.  For a dataclass, it comes before that.

    @return: The class itself, or a function that looks like the given one;
        both raise L{TypeError}, or L{ValueError} for a wrong value of the right
        type, with a sentence that says what would be right.
    """
    if isinstance(target, type):
        constructor: Any = target.__init__  # type: ignore[misc]  # Its own, not a subclass's.
        target.__init__ = _checking(constructor, target.__name__)  # type: ignore[misc]  # So.
        return target
    function: Any = target
    checking: _T = _checking(function, function.__name__)
    return checking


def _checking(function: Callable[..., Any], name: str) -> Any:
    parameters = signature(function).parameters.values()
    variable = [p.name for p in parameters if p.kind is Parameter.VAR_POSITIONAL]
    positional = [
        p.name
        for p in parameters
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    kinds: dict[str, Kind] = {}
    isConstructor = function.__name__ == "__init__"

    @wraps(function)
    def checking(*args: Any, **named: Any) -> Any:
        # Now, since an annotation may name what comes later in its module.
        if not kinds:
            hints = get_type_hints(function, include_extras=True)
            if isConstructor:
                # Those have a check of their own, which shows nothing of them.
                hints.pop("secrets", None)
            kinds.update({each: kindOf(hint) for each, hint in hints.items()})
        # Handshakes and pages come through here: as little as possible is made.
        names = chain(positional, repeat(variable[0])) if variable else positional
        given: Iterable[tuple[str, Any]] = zip(names, args, strict=False)
        for each, value in chain(given, named.items()) if named else given:
            kind = kinds.get(each)
            if kind is not None and not kind.isRight(value):
                call = ", ".join(n for n in positional if n != "self")
                kind.refuse(f"{name}({call}): {each}", value)
        return function(*args, **named)

    return checking


def kindOf(hint: Any) -> Kind:
    """
    What an annotation asks for.
    """
    origin, inner = get_origin(hint), get_args(hint)
    plain = hint if origin is None else origin
    if plain in _PLAIN:
        return _PLAIN[plain]
    if isinstance(hint, InterfaceClass):
        words = _INTERFACES.get(hint.__name__)
        right = f"what provides {hint.__name__}" + (f", {words}" if words else "")
        return Kind(right, hint.providedBy)
    if origin is Annotated:
        # What is said beside the type is what is meant.
        said = hint.__metadata__[0]
        return said if isinstance(said, Kind) else kindOf(said)
    return _generic(origin, inner) or _ofClass(hint if origin is None else origin)


def _generic(origin: Any, inner: tuple[Any, ...]) -> Kind | None:
    if origin in (Union, UnionType):
        return _union([kindOf(each) for each in inner])
    if origin is Literal:
        right, types = " or ".join(map(repr, inner)), tuple(map(type, inner))
        return Kind(right, lambda value: value in inner, types, isShown=True)
    if origin is type:
        return Kind(
            f"a class: {inner[0].__name__}, or a subclass",
            lambda value: isinstance(value, type) and issubclass(value, inner[0]),
        )
    if origin is tuple:
        return _tuple([kindOf(each) for each in inner])
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _several(origin, [kindOf(each) for each in inner])
    return None


def _ofClass(wanted: Any) -> Kind:
    if wanted is Callable:
        return Kind("a function", callable)
    if getattr(wanted, "_is_protocol", False):
        return _protocol(wanted)
    if not isinstance(wanted, type):
        # A type that is new by its name only, or a variable.
        return kindOf(getattr(wanted, "__supertype__", Any))
    return Kind(_one(wanted.__name__), lambda value: isinstance(value, wanted))


def _protocol(wanted: type) -> Kind:
    named = {**getattr(wanted, "__annotations__", {}), **vars(wanted)}
    members = sorted(name for name in named if not name.startswith("_"))
    return Kind(
        f"{_one(wanted.__name__)}, with {', '.join(members)}",
        lambda value: _has(value, *members),
    )


def _union(kinds: list[Kind]) -> Kind:
    return Kind(
        " or ".join(dict.fromkeys(kind.right for kind in kinds)),
        lambda value: any(kind.isRight(value) for kind in kinds),
        tuple(each for kind in kinds for each in kind.types),
        isShown=all(kind.isShown for kind in kinds),
    )


def _tuple(inner: list[Kind]) -> Kind:
    return Kind(
        f"a tuple ({', '.join(kind.right for kind in inner)})",
        lambda value: (
            isinstance(value, tuple)
            and len(value) == len(inner)
            and all(kind.isRight(each) for kind, each in zip(inner, value, strict=True))
        ),
    )


def _several(wanted: Any, inner: list[Kind]) -> Kind:
    """
    What is in a list, a dictionary or the like.
    """
    isMapping = issubclass(wanted, Mapping)
    usual = dict if isMapping else list

    def isRight(value: Any) -> bool:
        if type(value) is not usual:
            # Each character of a text would pass for a text.
            if isinstance(value, (str, bytes)) or not isinstance(value, wanted):
                return False
            # An iterator can be walked through only once, by the function that
            # gets it: do not look at what is in it.
            if not isinstance(value, Collection):
                return True
        if isMapping and not all(map(inner[1].isRight, value.values())):
            return False
        return all(map(inner[0].isRight, value))

    if isMapping:
        return Kind(f"a dictionary with {inner[1].right} for {inner[0].right}", isRight)
    return Kind(f"a list, each in it {inner[0].right}", isRight)
