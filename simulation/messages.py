# -*- test-case-name: tests.simulation.test_world -*-
"""
What browsers ask for, and the handlers that do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from twisted.internet.task import deferLater

from txsessionsock.interfaces import SessionError
from txsessionsock.session import Session


if TYPE_CHECKING:
    from .node import Served


__all__ = ["BASE", "HANDLERS", "MOST_INCREMENTS", "Message", "asJSON", "digits", "seen"]

BASE: Final = 3
MOST_INCREMENTS: Final = 30
"""
Each increment adds another power of three: the digits of the sum then say how
often each of them is in it.  Express has numbers up to 2**53.
"""
_WORK: Final = 0.015
"""
How many seconds a handler takes that has much to do.
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


def asJSON(value: object) -> bytes:
    """
    As C{json.dumps} has it, which takes several times as long.
    """
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


def seen(session: Session) -> dict[str, Any]:
    """
    What a handler finds.
    """
    return {key: _copied(value) for key, value in session.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return list(value) if isinstance(value, list) else value


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
    # A web application may have emptied the session.
    if "nest" in session:
        session["nest"][message.key.removeprefix("nest.")] = message.token
        served.changed(message)


def _deep(served: Served, message: Message, session: Session) -> None:
    """
    Change a dictionary in a dictionary.
    """
    if "deep" in session.get("nest", {}):
        session["nest"]["deep"][message.key.removeprefix("nest.deep.")] = message.token
        served.changed(message)


def _list(served: Served, message: Message, session: Session) -> None:
    """
    Change a list where it is.
    """
    if "list" in session.get("nest", {}):
        session["nest"]["list"][0] = message.token
        served.changed(message)


async def _keep(served: Served, message: Message, session: Session) -> None:
    """
    Get a list, wait for so long that it is looked through several times, and change it
    then.
    """
    kept = session.get("nest", {}).get("list")
    if kept is not None:
        await deferLater(served.clock, 3.5)
        kept[0] = message.token
        served.changed(message, do="list")


def _put(served: Served, message: Message, session: Session) -> None:
    """
    Put something in where others take things out.
    """
    session.setdefault(message.key, message.token)
    if session[message.key] == message.token:
        served.told("puts", message)


def _take(served: Served, message: Message, session: Session) -> None:
    removed = session.pop(message.key, None)
    if removed is not None:
        served.told("takes out", message, removed=removed)


def _clear(served: Served, message: Message, session: Session) -> None:
    served.told("clears", message, removed=seen(session))
    session.clear()


def _increment(served: Served, message: Message, session: Session) -> None:
    session.increment("n", BASE**message.digit)
    served.changed(message)


def _twice(served: Served, message: Message, session: Session) -> None:
    """
    Count several times: together that is one.
    """
    session.increment("n", 2 * BASE**message.digit)
    session.increment("n", -(BASE**message.digit))
    served.changed(message, do="increment")


async def _countAndWait(
    served: Served, message: Message, session: Session, seconds: float = 2.5
) -> None:
    """
    Count, and wait, for longer than for a store: another handler's write takes that
    along.
    """
    session.increment("n", BASE**message.digit)
    served.changed(message, do="increment")
    await deferLater(served.clock, seconds)


async def _countAndUpdate(served: Served, message: Message, session: Session) -> None:
    """
    The same for a shorter time, and wait for a write then, for nothing of one's own:
    what became of that other write is found out only now.
    """
    await _countAndWait(served, message, session, 0.4)
    await session.update(lambda data: None)


def _read(served: Served, message: Message, session: Session) -> None:
    """
    What a handler sees is noted for each message.
    """


def _raise(served: Served, message: Message, session: Session) -> None:
    session[message.key] = message.token
    served.changed(message, do="raise")
    raise _Meant


class _Meant(Exception):
    """
    What a handler raises.
    """


async def _update(served: Served, message: Message, session: Session) -> None:
    def append(data: dict[str, Any]) -> None:
        data["log"] = [*data.get("log", ()), message.token]

    served.changed(message)
    await session.update(append)


async def _updateFails(served: Served, message: Message, session: Session) -> None:
    def fail(data: dict[str, Any]) -> None:
        data["log"] = [message.token]
        raise _Meant

    served.told("gives up", message)
    try:
        await session.update(fail)
    except _Meant:
        return


async def _wait(served: Served, message: Message, session: Session) -> None:
    await deferLater(served.clock, 0.4)
    _set(served, message, session)


def _work(served: Served, message: Message, session: Session) -> None:
    """
    Take more time than a slice has.
    """
    served.clock.work(_WORK)
    _set(served, message, session)


async def _raiseLate(served: Served, message: Message, session: Session) -> None:
    await deferLater(served.clock, 0.4)
    _raise(served, message, session)


def _saveUnheard(served: Served, message: Message, session: Session) -> None:
    """
    Store something, and do not wait for that.
    """
    _set(served, message, session)
    session.save().addErrback(lambda failure: failure.trap(SessionError))


async def _regenerate(served: Served, message: Message, session: Session) -> None:
    """
    Try what only a page can do.
    """
    try:
        await session.regenerate()
    except SessionError:
        _set(served, message, session)


async def _ask(served: Served, message: Message, session: Session) -> None:
    """
    Change something, ask the client, and wait for its next message.
    """
    _set(served, message, session)
    served.client.send({"token": message.token, "asks": True})
    served.takes(await served.client.receive())


async def _askTwice(served: Served, message: Message, session: Session) -> None:
    """
    Ask for two answers at once, and then for another.
    """
    served.client.send({"asks": True})
    answer = served.client.receive().addCallback(served.takes)
    other = served.client.receive()
    # It gets one if the first has its answer already.
    other.addCallbacks(served.takes, lambda failure: failure.trap(SessionError))
    await answer
    await _ask(served, message, session)


async def _destroy(served: Served, message: Message, session: Session) -> None:
    await session.destroy()


async def _destroyAndSet(served: Served, message: Message, session: Session) -> None:
    """
    Change a session that has ended.
    """
    await session.destroy()
    session[message.key] = message.token
    served.told("gives up", message)


async def _touch(served: Served, message: Message, session: Session) -> None:
    await session.touch()


HANDLERS: dict[str, Callable[[Any, Message, Session], Any]] = {
    "set": _set,
    "nested": _nested,
    "deep": _deep,
    "list": _list,
    "keep": _keep,
    "put": _put,
    "take": _take,
    "clear": _clear,
    "increment": _increment,
    "twice": _twice,
    "count and wait": _countAndWait,
    "count and update": _countAndUpdate,
    "update": _update,
    "update fails": _updateFails,
    "read": _read,
    "raise": _raise,
    "raise late": _raiseLate,
    "wait": _wait,
    "work": _work,
    "save unheard": _saveUnheard,
    "regenerate": _regenerate,
    "ask": _ask,
    "ask twice": _askTwice,
    "destroy": _destroy,
    "destroy and set": _destroyAndSet,
    "touch": _touch,
}
