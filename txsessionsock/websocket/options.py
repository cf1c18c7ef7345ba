"""
The options of Autobahn that are ours to check.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


__all__ = ["Timer"]


class Timer:
    """
    Takes the place of Autobahn's, which goes by the global reactor, whichever
    its factory was given, and by whole seconds.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def call_later(self, delay: float, f: Callable[..., object]) -> IDelayedCall:
        return self._reactor.callLater(delay, f)
