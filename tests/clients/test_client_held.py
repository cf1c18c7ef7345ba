"""
Tests for what is held back: per message, no client sees an answer that a
crash could take back.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.support.managing import raw
from tests.support.wires import Browser, Recording, SocketCase, count
from txsessionsock.session import Session


class HeldTests(SocketCase):
    """
    Frames wait for the store.
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve()

    def holdWrites(self) -> Browser:
        """
        Connect, and have writes not answered.
        """
        browser = self.browse()
        self.store.hold("replace")
        return browser

    def release(self) -> None:
        self.store.release()
        self.wait()

    def test_atOnce(self) -> None:
        """
        With nothing unsaved, nothing waits: no reactor turn passes.
        """
        self.do["smessage"] = lambda client, message, session: client.send(message)
        browser = self.holdWrites()
        browser.send("a")
        self.assertEqual(browser.got, ["a"])

    def test_stored(self) -> None:
        """
        An answer goes out when what its handler did is stored, and what was
        sent after it goes out after it.
        """
        self.do["smessage"] = count
        browser = self.holdWrites()
        browser.send("a", "b")
        self.wait()
        self.assertEqual(browser.got, [])
        self.assertEqual(self.events("smessage"), ["a", "b"])
        self.store.release()
        self.assertEqual(self.stored(), {"n": 2})
        self.wait()
        self.assertEqual(browser.got, [1, 2])

    def test_asItWas(self) -> None:
        """
        A value goes out as it was when it was sent, whatever becomes of it.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            session["list"] = [1]
            client.send(session["list"])
            session["list"].append(2)

        self.do["smessage"] = handler
        browser = self.holdWrites()
        browser.send("a")
        self.release()
        self.assertEqual(browser.got, [[1]])

    def test_otherSockets(self) -> None:
        """
        What other sockets of the session send is held too, if it was sent
        after the change; what was sent before it, or by sockets of other
        sessions, is not.
        """
        self.successResultOf(self.place.create("sess:other", raw(), 99.0))
        self.do["smessage"] = lambda c, m, s: (
            count(c, m, s) if m == "count" else c.send(s.get("n"))
        )
        reader, other = self.browse(), self.browse(cookie=self.cookie("other"))
        browser = self.holdWrites()
        reader.send("read")
        self.assertEqual(reader.got, [None])
        browser.send("count")
        reader.send("read")
        other.send("read")
        self.wait()
        self.assertEqual((browser.got, reader.got, other.got), ([], [None], [None]))
        self.release()
        self.assertEqual((browser.got, reader.got), ([1], [None, 1]))

    def test_midHandler(self) -> None:
        """
        A handler that only reads, while another socket's handler has changed
        something and is not done, waits for the store and not for it.
        """
        gate: Deferred[None] = Deferred()

        async def change(session: Session) -> None:
            session["n"] = 1
            await gate

        self.do["smessage"] = lambda c, m, s: (
            change(s) if m == "change" else c.send(s.get("n"))
        )
        reader, browser = self.browse(), self.holdWrites()
        browser.send("change")
        reader.send("read")
        self.wait()
        self.assertEqual(reader.got, [])
        self.assertEqual(self.calls("replace"), 1)
        self.release()
        self.assertEqual(reader.got, [1])
        gate.callback(None)
        self.wait()
        self.assertEqual(self.calls("replace"), 1)

    def test_question(self) -> None:
        """
        A handler may change the session, ask its client something, await the
        answer and answer in turn.
        """

        async def ask(client: Recording, message: Any, session: Session) -> None:
            session["asked"] = True
            client.send("really?")
            session["answer"] = await client.receive()
            client.send("thanks")

        self.do["smessage"] = ask
        browser = self.holdWrites()
        browser.send("delete")
        self.wait()
        self.assertEqual(browser.got, [])
        self.store.release()
        self.wait()
        self.assertEqual(browser.got, ["really?"])
        self.assertEqual(self.stored(), {"asked": True})
        browser.send("yes")
        self.wait()
        self.assertEqual(browser.got, ["really?", "thanks"])
        self.assertEqual(self.stored(), {"asked": True, "answer": "yes"})
        self.assertEqual(self.events("smessage"), ["delete"])

    def test_answerWaits(self) -> None:
        """
        Messages that came before a handler asked are its answers, in order.
        """

        async def ask(client: Recording, message: Any, session: Session) -> None:
            await gate
            session["sum"] = [await client.receive(), await client.receive()]

        gate: Deferred[None] = Deferred()
        self.do["smessage"] = ask
        browser = self.browse()
        browser.send("add", 1, 2)
        gate.callback(None)
        self.clock.advance(0)
        self.assertEqual(self.stored(), {"sum": [1, 2]})
        self.assertEqual(self.events("smessage"), ["add"])

    def test_answerIsFresh(self) -> None:
        """
        The session is as fresh for an answer as for a message.
        """
        seen: list[object] = []

        async def ask(client: Recording, message: Any, session: Session) -> None:
            client.send("?")
            await client.receive()
            seen.append(session["other"])

        self.do["smessage"] = ask
        browser = self.browse()
        browser.send("a")
        self.put(other="x")
        browser.send("b")
        self.assertEqual(seen, ["x"])

    def test_twoReceivers(self) -> None:
        """
        Only one can wait for the next message.
        """
        browser = self.browse()
        first = browser.server.receive()
        self.failureResultOf(browser.server.receive())
        browser.send("a")
        self.assertEqual(self.successResultOf(first), "a")

    def test_receiveTimeout(self) -> None:
        """
        Who gives up waiting leaves the message to the handlers.
        """
        browser = self.browse()
        waiting = browser.server.receive().addTimeout(1, self.clock)
        self.wait(1)
        self.failureResultOf(waiting)
        browser.send("a")
        self.assertEqual(self.events("smessage"), ["a"])

    def test_save(self) -> None:
        """
        A handler may await C{session.save()}; what it sends then goes at once.
        """

        async def save(client: Recording, message: Any, session: Session) -> None:
            session["n"] = 1
            client.send("saving")
            await session.save()
            client.send("saved")

        self.do["smessage"] = save
        browser = self.holdWrites()
        browser.send("a")
        self.wait()
        self.assertEqual(browser.got, [])
        self.release()
        self.assertEqual(browser.got, ["saving", "saved"])

    def test_outsideHandlers(self) -> None:
        """
        What is changed and sent outside of a handler is held as well, and
        stored at the end of the turn.
        """
        browser = self.holdWrites()
        browser.server.session["n"] = 1
        browser.server.send(1)
        self.wait()
        self.assertEqual((self.calls("replace"), browser.got), (1, []))
        self.release()
        self.assertEqual(browser.got, [1])

    def test_closeBehind(self) -> None:
        """
        C{close} waits for what was sent before, and the first code wins.
        """

        def leave(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            client.close(4000, "first")
            client.close(4001, "second")
            client.send("too late")

        self.do["smessage"] = leave
        browser = self.holdWrites()
        browser.send("a")
        self.wait()
        self.assertIsNone(browser.closed)
        self.release()
        self.assertEqual(browser.got, [1])
        self.assertClosed(browser, 4000, "first")
        self.assertNothingLeft()

    def test_goAway(self) -> None:
        """
        A server that goes away sends what is held first.
        """
        self.do["smessage"] = count
        browser = self.holdWrites()
        browser.send("a")
        gone = self.factory.sockets.goAway()
        self.wait()
        self.assertIsNone(browser.closed)
        self.assertNoResult(gone)
        self.release()
        self.assertEqual(browser.got, [1])
        self.assertClosed(browser, 1001, "server going away")
        self.successResultOf(gone)
        self.assertNothingLeft()

    def test_goAwayInOutage(self) -> None:
        """
        It does not wait for a store that does not answer, nor for one that
        refuses, and the code is still its own.
        """
        self.do["smessage"] = count
        browser = self.holdWrites()
        self.store.hold("load")
        browser.send("a")
        gone = self.factory.sockets.goAway()
        self.wait(6)
        self.assertEqual(browser.got, [])
        self.assertClosed(browser, 1001, "server going away")
        self.wait(6)
        self.successResultOf(gone)
        self.store.heal()
        self.wait(12)
        self.assertEqual(self.stored(), {"n": 1})

    def test_gone(self) -> None:
        """
        When the client is gone, what is held for it is dropped, and what its
        messages did is stored.
        """
        self.do["smessage"] = count
        browser = self.holdWrites()
        browser.send("a", "b")
        browser.cut()
        self.release()
        self.assertEqual(browser.got, [])
        self.assertEqual(self.stored(), {"n": 2})
        self.assertNothingLeft()

    def test_goneSession(self) -> None:
        """
        So is what is held when the session ends.
        """
        self.do["smessage"] = count
        browser = self.holdWrites()
        browser.send("a")
        self.successResultOf(browser.server.session.destroy())
        self.release()
        self.assertEqual(browser.got, [])
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(self.events("serror"), [])
        self.assertNothingLeft()
