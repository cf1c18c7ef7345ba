"""
Tests for L{txsessionsock.web}: pages that produce as much as the client takes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.filepath import FilePath
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import File
from zope.interface import implementer

from tests.support.pages import (
    Connection,
    WebTestCase,
    put,
)


@implementer(IPushProducer)
class Pushing:
    """
    A producer that produces until it is told not to.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class ProducerTests(WebTestCase):
    """
    Pages that produce as much as the client takes.
    """

    def pushing(self) -> tuple[Connection, Pushing, Request]:
        """
        A page with a push producer.
        """
        producer = Pushing()
        requests: list[Request] = []

        def page(request: Request) -> int:
            requests.append(request)
            request.registerProducer(producer, True)
            put(request)
            request.write(b"data")
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send()
        return browser, producer, requests[0]

    def test_pausedWhileHeld(self) -> None:
        """
        A producer is paused while the output waits, and goes on after it.
        """
        browser, producer, request = self.pushing()
        self.assertEqual(producer.told, ["pause"])
        self.world.store.release()
        self.assertEqual(producer.told, ["pause", "resume"])
        request.unregisterProducer()
        request.finish()
        self.assertEqual(browser.answers()[0].body, b"data")

    def test_pausedTwice(self) -> None:
        """
        A producer goes on only when both the store and the client are ready.
        """
        browser, producer, request = self.pushing()
        browser.protocol._channel.pauseProducing()
        self.world.store.release()
        self.assertEqual(producer.told, ["pause"])
        browser.protocol._channel.resumeProducing()
        self.assertEqual(producer.told, ["pause", "resume"])
        browser.protocol._channel.pauseProducing()
        self.assertEqual(producer.told, ["pause", "resume", "pause"])
        request.unregisterProducer()
        request.finish()

    def test_registeredWhileHeld(self) -> None:
        """
        A producer that is registered while the output waits, waits too.
        """
        producer = Pushing()

        def page(request: Request) -> int:
            put(request)
            request.write(b"data")
            request.registerProducer(producer, True)
            return NOT_DONE_YET

        browser = self.serve(page)
        self.world.store.hold("create")
        browser.send()
        self.assertEqual(producer.told, ["pause"])
        self.world.store.release()
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_stopped(self) -> None:
        """
        A producer is stopped with its connection.
        """
        browser, producer, _ = self.pushing()
        browser.protocol._channel.stopProducing()
        self.assertEqual(producer.told, ["pause", "stop"])

    def test_file(self) -> None:
        """
        A file, which is asked for its data piece by piece, is not asked while
        the output waits.
        """
        content = b"0123456789" * 50_000
        path = FilePath(self.mktemp())
        path.setContent(content)
        file = File(path.path)

        class Visited(Resource):
            isLeaf = True

            def render_GET(self, request: Request) -> Any:
                put(request)
                return file.render_GET(request)

        browser = self.serve(Visited())
        self.world.store.hold("create")
        browser.send()
        self.world.clock.pump([0] * 20)
        self.assertEqual(browser.wire.value(), b"")
        self.world.store.release()
        browser.protocol._channel.pauseProducing()
        before = len(browser.wire.value())
        self.assertGreater(before, 0)
        self.world.clock.pump([0] * 20)
        self.assertEqual(len(browser.wire.value()), before)
        browser.protocol._channel.resumeProducing()
        self.world.clock.pump([0] * 20)
        (answer,) = browser.answers()
        self.assertEqual((answer.body == content, answer.isWhole), (True, True))
        self.assertIsNotNone(answer.cookie())
        self.assertIdle()

    def test_unregistered(self) -> None:
        """
        A producer that was taken away is not asked any more.
        """
        producer = Pushing()

        def page(request: Request) -> bytes:
            request.registerProducer(producer, False)
            request.unregisterProducer()
            return b"done"

        self.assertEqual(self.get(page).body, b"done")
        self.world.clock.advance(1)
        self.assertEqual(producer.told, [])

    def test_failing(self) -> None:
        """
        A producer that raises ends the connection rather than keep the client
        waiting.
        """

        class Broken(Pushing):
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

        def page(request: Request) -> int:
            request.registerProducer(Broken(), False)
            return NOT_DONE_YET

        browser = self.serve(page)
        browser.send()
        self.world.clock.advance(0)
        self.assertTrue(browser.wire.isAborted)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
