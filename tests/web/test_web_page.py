"""
Tests for L{txsessionsock.web.page} and L{txsessionsock.web.answer}: the states of a
page and of its answer.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET, Request

from tests.support.pages import Connection, WebTestCase, put
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.web import sessionOf
from txsessionsock.web.page import _NEXT, PageState


class PageStateTests(WebTestCase):
    """
    L{PageState}
    """

    def test_forward(self) -> None:
        """
        From each state a page can only go on, and in the end it is over.
        """
        order = list(TopologicalSorter(_NEXT).static_order())
        self.assertEqual(set(order), set(PageState))
        self.assertEqual((order[0], order[-1]), (PageState.OVER, PageState.WORKING))

    def states(self, browser: Connection, request: Request) -> list[PageState]:
        """
        @return: The states of a page from now on.
        """
        page = sessionOf(request).page
        states = [page.state]
        goTo = page._goTo

        def going(state: PageState) -> bool:
            hasGone = goTo(state)
            if hasGone:
                states.append(state)
            return hasGone

        self.patch(page, "_goTo", going)
        return states

    def ask(self) -> tuple[Connection, Request, list[PageState], list[object]]:
        """
        Ask for a page that waits.

        @return: Also its states, and who let go of a session.
        """
        requests: list[Request] = []
        released: list[object] = []
        release = self.world.manager.release

        def releasing(session: Any, holder: Any) -> Any:
            released.append(holder)
            return release(session, holder)

        self.patch(self.world.manager, "release", releasing)

        def page(request: Request) -> int:
            requests.append(request)
            return NOT_DONE_YET

        cookie, _ = self.login()
        del released[:]
        browser = self.serve(page)
        browser.send(cookie=cookie)
        states = self.states(browser, requests[0])
        return browser, requests[0], states, released

    def test_answered(self) -> None:
        """
        A page works, answers, is done, and over when its answer is out; then it
        lets go of its session, once.
        """
        browser, request, states, released = self.ask()
        put(request)
        self.world.store.hold("replace")
        request.write(b"a")
        request.finish()
        self.assertEqual(states[-1], PageState.DONE)
        self.assertEqual(released, [])
        self.world.store.release()
        self.assertEqual(
            states,
            [
                PageState.WORKING,
                PageState.ANSWERING,
                PageState.DONE,
                PageState.OVER,
            ],
        )
        self.assertEqual(len(released), 1)
        self.assertTrue(browser.answers()[0].isWhole)

    def test_leftWhileHeld(self) -> None:
        """
        One that is done when its client leaves is over when all is stored: it
        lets go of its session once, and is not looked after.
        """
        browser, request, states, released = self.ask()
        put(request)
        self.world.store.hold("replace")
        request.write(b"a")
        request.finish()
        browser.leave()
        self.assertEqual(states[-1], PageState.DONE)
        self.world.store.release()
        self.assertEqual(states[-1], PageState.OVER)
        del request
        self.world.clock.advance(5)
        self.assertEqual(len(released), 1)
        self.assertIdle()

    def test_left(self) -> None:
        """
        One whose client leaves before goes on, and is over when nobody has its
        session any more.
        """
        browser, request, states, released = self.ask()
        browser.leave()
        self.assertEqual(states, [PageState.WORKING, PageState.LEFT])
        self.world.clock.advance(1)
        self.successResultOf(sessionOf(request).destroy())
        self.world.clock.advance(1)
        self.assertEqual(states[-1], PageState.OVER)
        self.world.clock.advance(5)
        self.assertEqual(len(released), 1)

    def test_finishedWhileMoving(self) -> None:
        """
        A page that does not wait for its new id before it is done has it
        nevertheless: its answer waits, and the sockets of the old one are told
        when it is out.
        """
        browser, request, states, _ = self.ask()
        session = sessionOf(request)
        _, socket = self.hold(session.id)
        self.world.store.hold("create")
        moving = session.regenerate()
        request.write(b"a")
        request.finish()
        self.assertNoResult(moving)
        self.assertEqual(browser.wire.value(), b"")
        told: list[tuple[object, bool]] = []

        def ended(reason: object) -> None:
            told.append((reason, browser.wire.value().endswith(b"0\r\n\r\n")))

        self.patch(socket, "ended", ended)
        self.world.store.release()
        self.successResultOf(moving)
        self.assertEqual(told, [("moved", True)])
        (answer,) = browser.answers()
        self.assertEqual(self.idIn(answer.cookie()), session.id)
        self.assertEqual(states[-1], PageState.OVER)
        del session, request, moving
        self.world.clock.advance(2)
        self.assertIdle()

    def test_refusedWhileAtWork(self) -> None:
        """
        A page whose answer was refused may go on, and what it writes goes
        nowhere; it is over when it says so.
        """
        browser, request, states, released = self.ask()
        self.world.store.fail(StoreUnavailable(), "replace")
        put(request)
        request.write(b"a")
        (answer,) = browser.answers()
        self.assertEqual((answer.code, answer.isWhole), (503, True))
        self.assertEqual(states[-1], PageState.ANSWERING)
        sent = browser.wire.value()
        request.write(b"b")
        request.finish()
        self.assertEqual(browser.wire.value(), sent)
        self.assertEqual(states[-1], PageState.OVER)
        self.assertEqual(len(released), 1)

    def test_writtenWhileAsked(self) -> None:
        """
        What is written while it is asked whether all is stored waits for the
        next time that is asked.
        """
        browser, request, _, _ = self.ask()
        page = sessionOf(request).page
        settled, gates = page.settled, [Deferred[None]() for _ in "ab"]
        asked: list[Deferred[None]] = []

        async def settling() -> None:
            if len(asked) < len(gates):
                asked.append(gates[len(asked)])
                if len(asked) == 1:
                    request.write(b"c")
                await asked[-1]
            await settled()

        request.write(b"a")
        self.patch(page, "settled", settling)
        request.write(b"b")
        self.assertEqual(len(asked), 1)
        gates[0].callback(None)
        self.assertEqual(browser.answers()[0].body, b"ab")
        self.assertEqual(len(asked), 2)
        gates[1].callback(None)
        self.assertEqual(browser.answers()[0].body, b"abc")
        request.finish()
