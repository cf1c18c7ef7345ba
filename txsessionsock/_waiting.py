# -*- test-case-name: tests.clients.test_waiting -*-
"""
Results of users' functions that have to be waited for: coroutines, generators
and Deferreds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from concurrent.futures import Future
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from twisted.internet.defer import Deferred

from ._repeatable import NOW


__all__ = ["refuseAsync", "refuseNoFunction", "refuseToWait", "waitable"]

_ORDINARY = "{} wants an ordinary function, which does not wait"

_Steps = Coroutine[Any, Any, Any] | Generator[Any, Any, Any]

_PLAIN = frozenset({type(None), bool, bytes, dict, float, int, list, str, tuple})
"""
What nobody waits for: to ask abstract classes takes longer than many handlers.
"""


def waitable(result: object) -> object:
    """
    Begin what a function left to be done.

    @param result: What it returned.  Generators are run as by
        C{inlineCallbacks}.

    @return: A L{Deferred} if it is to be waited for, else the result itself.

    @raise TypeError: It would have to be waited for, and Twisted cannot.
    """
    if type(result) in _PLAIN:
        return result
    if NOW.run is not None:
        refuseToWait(result, "repeatable")
    if isinstance(result, Deferred):
        return result
    if isinstance(result, (Coroutine, Generator)):
        return Deferred.fromCoroutine(_checked(result))
    if isinstance(result, (AsyncGenerator, Awaitable, Future)):
        raise TypeError(
            f"Twisted cannot wait for this {type(result).__name__}; right is async"
            " def with await, a generator with yield, or a Deferred, such as"
            " Deferred.fromFuture(future) of an asyncio Future"
        )
    return result


def _checked(steps: _Steps) -> Generator[Any, Any, Any]:
    """
    Run a coroutine or generator, and look at what it waits for: Twisted would
    not wait for a Future, and go on.
    """
    resume, value = steps.send, None
    while True:
        try:
            waited = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            value = yield waitable(waited)
            resume = steps.send
        except GeneratorExit:
            # Nobody waits for it any more.  It may have been collected before.
            steps.close()
            raise
        except BaseException as error:
            resume, value = steps.throw, error


def refuseToWait(result: object, what: str) -> None:
    """
    @param what: What the function is for.

    @raise TypeError: A function would go on after it returned.
    """
    if isinstance(result, (AsyncGenerator, Awaitable, Generator, Future)):
        if isinstance(result, (Coroutine, Generator)):
            result.close()
        raise TypeError(_ORDINARY.format(what))


def refuseAsync(function: object, what: str) -> None:
    """
    The same before it is called, where that can be seen.

    @raise TypeError: So it is, or this is no function at all.
    """
    refuseNoFunction(function, what)
    kinds = isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
    if any(isKind(function) for isKind in kinds):
        raise TypeError(_ORDINARY.format(what))


def refuseNoFunction(function: object, what: str) -> None:
    """
    @raise TypeError: This cannot be called.
    """
    if not callable(function):
        raise TypeError(f"{what} wants a function, not a {type(function).__name__}")
