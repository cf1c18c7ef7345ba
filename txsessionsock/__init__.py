# -*- test-case-name: tests.package.test_face -*-
"""
Use your web sessions on your WebSockets.

The names with which a first program is written can be imported from here.  A
module is loaded when the first of its names is asked for: importing this
package alone loads neither a reactor nor what an extra is for.
"""

from importlib import import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .frameworks.express import Express
    from .manager import SessionManager
    from .protocol import SessionSocketFactory, SessionSocketProtocol, enable
    from .stores.memory import MemoryStore
    from .stores.sqlite import SQLiteStore
    from .web import (
        BoundedSite,
        ClientScript,
        SessionedResource,
        SessionSocketResource,
        sessionOf,
    )


__all__ = [
    "BoundedSite",
    "ClientScript",
    "Express",
    "MemoryStore",
    "SQLiteStore",
    "SessionManager",
    "SessionSocketFactory",
    "SessionSocketProtocol",
    "SessionSocketResource",
    "SessionedResource",
    "enable",
    "sessionOf",
]

_HOMES = {
    "BoundedSite": ".web",
    "ClientScript": ".web",
    "Express": ".frameworks.express",
    "MemoryStore": ".stores.memory",
    "SQLiteStore": ".stores.sqlite",
    "SessionManager": ".manager",
    "SessionSocketFactory": ".protocol",
    "SessionSocketProtocol": ".protocol",
    "SessionSocketResource": ".web",
    "SessionedResource": ".web",
    "enable": ".protocol",
    "sessionOf": ".web",
}
"""
The module that each name comes from.
"""

# Type checkers would take every name for one that this function knows.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(home, __name__), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
