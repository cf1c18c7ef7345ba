# -*- test-case-name: tests.package.test_testing -*-
"""
A reactor of its own for each test.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

from .doubles import T


__all__ = ["PrivateReactor"]


class PrivateReactor(SelectReactor):
    """
    A reactor that is not the global one, runs only while a test waits, and
    whose clock can be put forward.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        super().__init__()

    def seconds(self) -> float:
        return time() + self._ahead

    def advance(self, seconds: float) -> None:
        """
        Put the clock forward, and do what is due then.
        """
        self._ahead += seconds
        self.runUntilCurrent()
        self.doIteration(0)
        self.runUntilCurrent()

    def wait(self, answer: Deferred[T], limit: float = 10.0) -> T:
        """
        Run until there is an answer.

        @raise Exception: What the L{Deferred} failed with.
        """
        results: list[Any] = []
        answer.addBoth(results.append)
        self.waitUntil(lambda: bool(results), limit)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result

    def waitUntil(self, happened: Callable[[], bool], limit: float = 10.0) -> None:
        """
        Run until something has happened.

        @raise AssertionError: It took more than C{limit} seconds.
        """
        end = time() + limit
        self.runUntilCurrent()
        while not happened():
            if time() > end:
                raise AssertionError(f"nothing happened for {limit} seconds")
            timeout = self.timeout()
            self.doIteration(0.05 if timeout is None else min(0.05, timeout))
            self.runUntilCurrent()

    def close(self) -> None:
        """
        Give the file descriptors back.
        """
        for reader in self._internalReaders.copy():
            self.removeReader(reader)
            reader.connectionLost(Failure(ConnectionAbortedError()))
