"""
Tests for L{txsessionsock.clients.client}: nothing is answered from a session that has
ended, whoever ends it and whoever waits for what at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.managing import KEY, SID, Recorder, raw
from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.interfaces import NoSuchSession, SessionReplaced
from txsessionsock.session import Session


class EndedTests(SocketCase):
    """
    A handler waits for its session while that ends, and more messages come.
    Another socket has the session open, too.
    """

    perMessage = False
    lifetime = 1000

    def setUp(self) -> None:
        super().setUp()
        self.put(user="ann")
        self.serve()
        self.do["smessage"] = self.respond
        self.do["sdestroyed"] = lambda client, session, reason: self.sendAll("ended")
        self.ways: dict[str, Callable[[Session], Any]] = {
            "update": lambda session: session.update(lambda data: data.update(n=1)),
            "save": self.save,
            "reload": lambda session: session.reload(),
            "receive": lambda session: None,
        }

    def save(self, session: Session) -> Any:
        session["n"] = 1
        return session.save()

    def sendAll(self, value: object) -> None:
        for browser in self.browsers:
            browser.server.send(value)

    async def respond(self, client: Recording, message: Any, session: Session) -> None:
        way = self.ways.get(message)
        if way is None:
            client.send([message, session["user"]])
            return
        try:
            await (client.receive() if message == "receive" else way(session))
        except (NoSuchSession, SessionReplaced):
            self.seen.append(("gone", message))
            self.sendAll("too late")
            raise
        self.seen.append(("went on", message))

    def scene(self, way: str) -> tuple[Browser, Browser]:
        """
        Both sockets wait in some way, for the session's turn if it is for the
        session, and one has sent more.
        """
        one, two = self.browse(), self.browse()
        self.store.hold("load")
        self.session().reload().addErrback(lambda _: None)
        one.send(way)
        if way != "receive":
            one.send("a", "b")
        two.send(way)
        return one, two

    def assertSilent(self, reason: str) -> None:
        """
        Neither got anything but the end, and each was told of it before its
        handlers went on.
        """
        self.wait()
        code = 4307 if reason == "moved" else 4401
        for browser in self.browsers:
            self.assertEqual(browser.got, [])
            self.assertEqual(browser.closed, (code, f"session-{reason}"))
        self.assertEqual(self.events("sdestroyed"), [reason] * 2)
        self.assertEqual(self.events("serror"), [])
        if reason != "moved":
            events = [event for event, *_ in self.seen]
            self.assertLess(events.index("sdestroyed"), events.index("gone"))

    def each(self, end: Callable[[], object], reason: str) -> None:
        """
        Have the session end while handlers wait, in each way.
        """
        for way in self.ways:
            self.put(user="ann")
            self.scene(way)
            end()
            self.store.release()
            self.clock.advance(0)
            self.assertSilent(reason)
            for browser in self.browsers:
                browser.cut()
            del self.browsers[:], self.seen[:]
            self.store.heal()
            self.run_(2)
            self.successResultOf(self.place.destroy(KEY))

    def session(self) -> Session:
        session = self.browsers[0].server.session
        assert isinstance(session, Session)
        return session

    def test_destroyedElsewhere(self) -> None:
        """
        Another node ends it.
        """
        self.each(lambda: self.place.destroy(KEY), "destroyed")

    def test_destroyed(self) -> None:
        """
        We end it.
        """
        self.each(lambda: self.session().destroy(), "destroyed")

    def test_replaced(self) -> None:
        """
        It is somebody else's.
        """
        self.each(lambda: self.putRaw(raw(user="bob")), "replaced")

    def test_expired(self) -> None:
        """
        Its time is up.
        """

        def expire() -> None:
            self.clock.rightNow += self.lifetime + 1

        self.each(expire, "expired")

    def test_moved(self) -> None:
        """
        It goes on under another id: from then on nothing is answered, though
        the sockets are closed only when the browser has the new cookie.
        """
        for way in self.ways:
            self.put(user="ann")
            one, two = self.browse(), self.browse()
            self.store.hold("create")
            moved = self.manager.regenerate(self.session(), Recorder())
            one.send(way)
            two.send(way)
            self.store.release()
            _, tell = self.successResultOf(moved)
            one.send("a", "b")
            two.send("a", "b")
            self.wait()
            self.assertEqual((one.closed, two.closed), (None, None))
            self.assertEqual((one.got, two.got), ([], []))
            self.assertEqual(self.events("smessage"), [way] * 2)
            self.assertEqual(self.events("went on"), [])
            self.assertIsNone(self.successResultOf(self.place.load(KEY)))
            tell()
            self.assertSilent("moved")
            for browser in self.browsers:
                browser.cut()
            del self.browsers[:], self.seen[:]

    def test_movedAwhile(self) -> None:
        """
        Nor is the handler called that waits for the message, nor anything
        counted as sent.
        """
        self.browse()
        moved = self.manager.regenerate(self.session(), Recorder())
        _, tell = self.successResultOf(moved)
        client = self.browsers[0].server
        self.failureResultOf(client.receive(), NoSuchSession)
        self.assertFalse(client._sessionsock.client.isOpen)
        tell()
        self.assertClosed(self.browsers[0], 4307, "session-moved")


class EndedPerMessageTests(EndedTests):
    """
    The same per message.
    """

    perMessage = True


class NobodyToldTests(SocketCase):
    """
    Once more without a second socket, by the store alone.
    """

    def test_updateFails(self) -> None:
        """
        An C{update} fails because the session is gone; what the client sent
        after it is not answered.
        """

        async def handle(client: Recording, message: Any, session: Session) -> None:
            if message == "update":
                await session.update(lambda data: data.update(n=1))
            client.send([message, session["user"]])

        self.do["smessage"] = handle
        self.put(user="ann")
        self.serve()
        browser = self.browse()
        self.store._missed = True
        self.successResultOf(self.place.destroy(f"sess:{SID}"))
        browser.send("update", "a", "b")
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(browser.got, [])
        self.assertEqual(self.events("smessage"), ["update"])
