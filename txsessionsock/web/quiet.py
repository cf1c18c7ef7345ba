# -*- test-case-name: tests.web.test_web_quiet -*-
"""
What is logged of requests: not one traceback for each that fails, as Twisted has
it, and no line as long as a client likes.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from twisted.web.http import combinedLogFormatter
from twisted.web.iweb import IAccessLogFormatter
from twisted.web.server import Request
from zope.interface import provider

from txsessionsock._seldom import Seldom
from txsessionsock.websocket import Quiet


__all__ = ["QuietRequest", "Quietly", "accessLine", "endQuiet", "quietOf"]

_LONGEST = 200

_seldoms: WeakKeyDictionary[Any, Quiet] = WeakKeyDictionary()


def quietOf(request: Any) -> Quiet:
    """
    @param request: Or its channel.

    @return: What logs of each kind of trouble once in a while, for all requests
        to a site.
    """
    site = request.channel.site if request.site is None else request.site
    quiet = _seldoms.get(site)
    if quiet is None:
        quiet = _seldoms[site] = Quiet(Seldom(site.reactor), site.reactor)
    return quiet


def endQuiet(site: Any) -> None:
    """
    The site serves no longer: say what was left out.
    """
    quiet = _seldoms.pop(site, None)
    if quiet is not None:
        quiet.end()


class Quietly:
    """
    The attribute of a request, or a channel, by which Twisted logs.
    """

    def __get__(self, its: Any, owner: type) -> Any:
        return self if its is None else quietOf(its)


class QuietRequest(Request):
    """
    A request that logs seldom.

    @ivar isUnlogged: Whether there is to be no line about it.
    """

    isUnlogged = False

    _log = Quietly()


class _Short:
    """
    The parts of a request that go into the line about it.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.method = request.method[:_LONGEST]
        self.uri = _short(request.uri)
        self.clientproto = request.clientproto[:_LONGEST]
        self.code = request.code
        self.sentLength = request.sentLength
        self.getClientAddress = request.getClientAddress

    def getHeader(self, name: bytes) -> bytes | None:
        value: Any = self._request.getHeader(name)
        return None if value is None else _short(value)


def _short(text: bytes) -> bytes:
    # A query may hold a secret, also that of the page before.
    text, mark, _ = text.partition(b"?")
    return text[:_LONGEST] + (b"?..." if mark else b"")


@provider(IAccessLogFormatter)
def accessLine(timestamp: str, request: Request) -> str:
    """
    @return: The line about a request, without its query.
    """
    short: Any = _Short(request)
    line: str = combinedLogFormatter(timestamp, short)
    return line
