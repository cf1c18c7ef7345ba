"""
The clock of objects that were not given one.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IReactorTime

from ._kinds import Clock


__all__ = ["clockOf"]


def clockOf(reactor: Clock | None) -> IReactorTime:
    """
    @return: The reactor that was given, or else the global one, which this
        installs if nobody did.
    """
    if reactor is not None:
        return cast(IReactorTime, reactor)
    # Only here: importing this package must not install a reactor.
    from twisted.internet import reactor as globalReactor  # noqa: PLC0415 - installs it

    return cast(IReactorTime, globalReactor)
