"""
What pydoctor does not know by itself: where the names of others are documented,
without asking the network, and how to leave out what is private.  A name that nobody
has is a warning.
"""

from __future__ import annotations

import builtins
import sys
from functools import cache
from importlib import import_module
from typing import Any

from pydoctor import model


_PYTHON = "https://docs.python.org/3/library"
_TWISTED = "https://docs.twisted.org/en/stable/api"

_CALLED = {"bool", "complex", "float", "int", "object", "property", "super", "type"}
"""
Types that Python documents as functions.
"""


class Others:
    """
    In place of inventories that would be fetched.
    """

    def getLink(self, name: str) -> str | None:
        """
        @return: The address of the documentation of a name, if it is one of Python
            or Twisted.
        """
        return linked(name)

    def update(self, *_: object) -> None:
        """
        There are none to read.
        """


@cache
def linked(name: str) -> str | None:
    """
    @return: See L{Others.getLink}.
    """
    root = name.partition(".")[0]
    if hasattr(builtins, name):
        return f"{_PYTHON}/{_pageOf(name)}.html#{name}"
    if root == "twisted" or root in sys.stdlib_module_names:
        module, rest = _found(name)
        if module is None:
            return None
        if root != "twisted":
            return f"{_PYTHON}/{module}.html#{name if rest else f'module-{name}'}"
        thing = getattr(sys.modules[module], rest, None)
        if not rest or isinstance(thing, type) or rest.startswith("I"):
            return f"{_TWISTED}/{name}.html"
        return f"{_TWISTED}/{module}.html#{rest}"
    return None


def _pageOf(name: str) -> str:
    """
    @return: On which page Python documents a name that is built in.
    """
    value = getattr(builtins, name)
    if value is None or isinstance(value, bool) or name in {"Ellipsis"}:
        return "constants"
    if isinstance(value, type) and issubclass(value, BaseException):
        return "exceptions"
    isData = isinstance(value, type) and name not in _CALLED
    return "stdtypes" if isData else "functions"


def _found(name: str) -> tuple[str | None, str]:
    """
    @return: The module of a name, and the rest of it.
    """
    module, rest = name, ""
    while module:
        try:
            thing: Any = import_module(module)
        except ImportError:
            module, _, last = module.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
            continue
        for each in rest.split(".") if rest else ():
            thing = getattr(thing, each, None) or _declared(thing, each)
        return (module, rest) if thing is not None else (None, "")
    return None, ""


def _declared(interface: Any, name: str) -> object:
    """
    @return: What an interface of zope.interface says of a name.
    """
    declared = getattr(interface, "get", None)
    return declared(name) if callable(declared) else None


class System(model.System):
    """
    That of the API reference.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.intersphinx: Any = Others()

    def handleDuplicate(self, obj: model.Documentable) -> None:
        """
        A property that the docstring of its class tells of is one thing.
        """
        name = obj.fullName()
        told = self.allobjects[name]
        self._remove(told)
        obj.parsed_docstring = told.parsed_docstring
        self.allobjects[name] = obj


_ofVisible = model.Documentable.url


def _url(self: model.Documentable) -> str:
    """
    What is private has no page, and links to it lead to what it is part of.
    """
    shown: Any = self
    while not shown.isVisible:
        shown = shown.parent
    found: str = _ofVisible.fget(shown)
    return found


model.Documentable.url = property(_url)
