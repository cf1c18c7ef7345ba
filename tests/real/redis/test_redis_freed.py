"""
Connections to a Redis that are lost leave nothing behind, and nothing waits for
the garbage collector.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import ref

from tests.support.rediscase import RedisCase
from txsessionsock._redis.link import LinkState


_TIMES = 10

# Not twisted.internet: its own connector and client wait for the collector.  Nor
# what tests before this one may have left.
_KINDS = ("txsessionsock._redis.", "txredisapi.", "hiredis.")


def _kinds(found: list[Any]) -> Counter[str]:
    """
    Count what could be left of a connection, by class.
    """
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in found)
    return Counter(name for name in names if name.startswith(_KINDS))


class FreedTests(RedisCase):
    """
    Reconnections.
    """

    def setUp(self) -> None:
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def assertFreed(self, link: Any, lose: Callable[[Any], object]) -> None:
        """
        A link that loses its connection again and again has one.

        @param lose: Has it lose it.
        """
        self.wait(link.ask(b"PING"))
        lost, counted = [], Counter[str]()
        for number in range(_TIMES):
            connection = link._connection
            lost.append(ref(connection))
            lose(link)
            del connection
            self.until(lambda: link.state is LinkState.UP)
            self.wait(link.ask(b"PING"))
            if number == 1:
                counted = _kinds(gc.get_objects())
        self.assertEqual([find() for find in lost if find() is not None], [])
        # The collector is off, so what would wait for it is among these.
        self.assertEqual(_kinds(gc.get_objects()) - counted, Counter())

    def test_dropped(self) -> None:
        """
        We give up a connection.
        """
        self.assertFreed(self.link(), lambda link: link.drop("it is of no use"))

    def test_killed(self) -> None:
        """
        The server closes it.
        """
        server = self.start()

        def kill(link: Any) -> None:
            connection = ref(link._connection)
            server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            self.until(lambda: link._connection is not connection())

        self.assertFreed(self.link(server.url), kill)

    def test_subscribed(self) -> None:
        """
        One that is used to subscribe, and one that tracks what was read.
        """
        for link in self.link(subscribes=True), self.link(tracks=True):
            self.assertFreed(link, lambda link: link.drop("it is of no use"))

    def test_unanswered(self) -> None:
        """
        One on which questions are not answered.
        """

        def lose(link: Any) -> None:
            answers = [link.ask(b"PING") for _ in range(3)]
            link.drop("it is of no use")
            for answer in answers:
                answer.addErrback(lambda _: None)

        self.assertFreed(self.link(), lose)
