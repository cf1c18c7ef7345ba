"""
What is needed to test stores, buses, frameworks and protocols of one's own.
"""

from typing import TYPE_CHECKING

from .browser import ADDRESS, HOST, Browser, MemoryWire, putSession
from .buscontract import BusContract
from .doubles import FlakyStore, UnwatchableStore
from .reactor import PrivateReactor
from .socketio import SocketIOBrowser
from .storecontract import StoreContract
from .watchcontract import WatchableContract


if TYPE_CHECKING:
    from .frameworkcontract import (
        COOKIES,
        JUNK,
        NOW,
        SESSIONS,
        VALUES,
        FrameworkChecks,
        FrameworkContract,
        InBrowserContract,
        StoringContract,
    )


__all__ = [
    "ADDRESS",
    "COOKIES",
    "HOST",
    "JUNK",
    "NOW",
    "SESSIONS",
    "VALUES",
    "Browser",
    "BusContract",
    "FlakyStore",
    "FrameworkChecks",
    "FrameworkContract",
    "InBrowserContract",
    "MemoryWire",
    "PrivateReactor",
    "SocketIOBrowser",
    "StoreContract",
    "StoringContract",
    "UnwatchableStore",
    "WatchableContract",
    "putSession",
]

# Type checkers would take every name for one that this function knows.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # It needs Hypothesis, and the others do not.
        if name in __all__:
            from . import frameworkcontract  # noqa: PLC0415  # on demand

            return getattr(frameworkcontract, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
