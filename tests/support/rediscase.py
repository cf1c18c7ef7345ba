"""
Stores on a real server for tests that wait.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from functools import cached_property
from itertools import count
from typing import Any, TypeVar

import pytest_twisted  # type: ignore[import-untyped]  # It has no types.
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.managing import leftIn
from tests.support.redisserver import RedisServer, sharedServer
from tests.support.servers import PATIENCE, reactor
from txsessionsock._redis.address import RedisAddress
from txsessionsock._redis.link import Link
from txsessionsock.interfaces import StoreFailure
from txsessionsock.stores.redis import RedisStore


__all__ = ["Ear", "RedisCase"]

_T = TypeVar("_T")

_prefixes = count()


class Ear:
    """
    Hears what a link tells.
    """

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def up(self) -> None:
        self.heard.append("up")

    def down(self) -> None:
        self.heard.append("down")

    def pushed(self, message: list[Any]) -> None:
        self.heard.append(message)


@implementer(ILogObserver)
class _Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        level = event["log_level"]
        if level >= LogLevel.info:
            self.lines.append(f"{level.name}: {formatEvent(event)}")


class RedisCase(SynchronousTestCase):
    """
    Stores and links that are closed in the end, and leave no timer; keys of
    its own on the server of all tests.

    @ivar logged: What anybody said since the beginning of the test.
    """

    def setUp(self) -> None:
        self.prefix = f"case{next(_prefixes)}:"
        log = _Log()
        self.logged = log.lines
        before = {id(call) for call in reactor.getDelayedCalls()}
        self.addCleanup(lambda: self._leaveNothing(before))
        globalLogPublisher.addObserver(log)
        self.addCleanup(globalLogPublisher.removeObserver, log)

    def _leaveNothing(self, before: set[int]) -> None:
        # What was forgotten is reported when it is collected.
        gc.collect()
        self.assertEqual(leftIn(reactor, before), [])

    @cached_property
    def server(self) -> RedisServer:
        """
        The server of all tests, empty.
        """
        return sharedServer()

    @property
    def warnings(self) -> list[str]:
        """
        What of that are warnings.
        """
        return [line[6:] for line in self.logged if line.startswith("warn: ")]

    def start(self, *lines: str, **options: Any) -> RedisServer:
        """
        A server for this test.
        """
        server = RedisServer(*lines, **options)
        self.addCleanup(server.close)
        server.start()
        return server

    def wait(self, answer: Deferred[_T] | Coroutine[Any, Any, _T]) -> _T:
        """
        Wait for an answer.
        """
        if not isinstance(answer, Deferred):
            answer = Deferred.fromCoroutine(answer)
        result: _T = pytest_twisted.blockon(answer.addTimeout(PATIENCE, reactor))
        return result

    def failing(self, answer: Deferred[Any], kind: type[StoreFailure]) -> str:
        """
        Wait for an answer that is to fail, in exactly this way.
        """
        with self.assertRaises(StoreFailure) as caught:
            self.wait(answer)
        self.assertIs(type(caught.exception), kind, caught.exception)
        return str(caught.exception)

    def advance(self, seconds: float = 0.0) -> None:
        """
        Let time pass.
        """
        self.wait(deferLater(reactor, seconds))

    def until(self, condition: Callable[[], Any]) -> None:
        """
        Let time pass until something is so.
        """
        end = reactor.seconds() + PATIENCE
        while not condition():
            self.assertLess(reactor.seconds(), end, "waited in vain")
            self.advance(0.002)

    def open(self, url: str | None = None, timeout: float = 2.0) -> RedisStore:
        """
        A store, as one more process would have it.
        """
        store = RedisStore(
            url or self.server.url, reactor, prefix=self.prefix, timeout=timeout
        )
        self.addCleanup(lambda: self.wait(store.close()))
        return store

    def link(self, url: str | None = None, **options: Any) -> Link:
        """
        A link, and nobody who cares what it tells.
        """
        address = RedisAddress.parse(url or self.server.url)
        link = Link(address, Ear(), reactor, **options)
        self.addCleanup(lambda: self.wait(link.close()))
        return link

    def ear(self, link: Link) -> Ear:
        """
        The owner of a link, which notes what the link tells.
        """
        ear = link.owner
        assert isinstance(ear, Ear)
        return ear
