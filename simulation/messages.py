# -*- test-case-name: tests.simulation.test_world -*-
"""
What browsers ask for, and the handlers that do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.task import deferLater

from txsessionsock.session import Session


if TYPE_CHECKING:
    from .node import Served


__all__ = ["BASE", "HANDLERS", "MOST_INCREMENTS", "Message", "digits"]

BASE: Final = 3
MOST_INCREMENTS: Final = 30
"""
Each increment adds another power of three: the digits of the sum then say how
often each of them is in it.  Express has numbers up to 2**53.
"""


@lru_cache(1024)
def digits(number: int) -> tuple[int, ...]:
    """
    How often each increment is in a sum.
    """
    found = []
    while number > 0:
        number, digit = divmod(number, BASE)
        found.append(digit)
    return tuple(found)


@dataclass(slots=True)
class Message:
    """
    What a browser sends.

    @ivar token: What tells this from all other messages, and what it writes.

    @ivar digit: The place of an increment among the digits.

    @ivar do: The name of a handler.

    @ivar key: What it changes.

    @ivar waitsToBeSaved: Whether its handler asks that it is stored, and waits.
    """

    token: int
    do: str
    key: str
    digit: int
    waitsToBeSaved: bool


def _set(served: Served, message: Message, session: Session) -> None:
    session[message.key] = message.token
    served.changed(message)


def _nested(served: Served, message: Message, session: Session) -> None:
    session["nest"][message.key.removeprefix("nest.")] = message.token
    served.changed(message)


def _increment(served: Served, message: Message, session: Session) -> None:
    session.increment("n", BASE**message.digit)
    served.changed(message)


def _read(served: Served, message: Message, session: Session) -> None:
    """
    What a handler sees is noted for each message.
    """


def _raise(served: Served, message: Message, session: Session) -> None:
    session[message.key] = message.token
    served.changed(message)
    raise _Meant


class _Meant(Exception):
    """
    What a handler raises.
    """


async def _update(served: Served, message: Message, session: Session) -> None:
    def append(data: dict[str, Any]) -> None:
        data["log"] = [*data["log"], message.token]

    served.changed(message)
    await session.update(append)


async def _wait(served: Served, message: Message, session: Session) -> None:
    await deferLater(served.clock, 0.4)
    _set(served, message, session)


async def _ask(served: Served, message: Message, session: Session) -> None:
    """
    Change something, ask the client, and wait for its next message.
    """
    _set(served, message, session)
    served.client.send({"token": message.token, "asks": True})
    served.takes(await served.client.receive())


async def _destroy(served: Served, message: Message, session: Session) -> None:
    await session.destroy()


async def _touch(served: Served, message: Message, session: Session) -> None:
    await session.touch()


HANDLERS: dict[str, Callable[[Served, Message, Session], Any]] = {
    "set": _set,
    "nested": _nested,
    "increment": _increment,
    "update": _update,
    "read": _read,
    "raise": _raise,
    "wait": _wait,
    "ask": _ask,
    "destroy": _destroy,
    "touch": _touch,
}
