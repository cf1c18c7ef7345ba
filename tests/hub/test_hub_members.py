"""
Tests for L{txsessionsock.hub}: who comes, goes and changes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from tests.support.hubbing import HubCase
from tests.support.managing import KEY, SID
from txsessionsock.hub import Hub
from txsessionsock.session import Session


class MembershipTests(HubCase):
    """
    Tests for who comes, goes and changes.
    """

    def setUp(self) -> None:
        super().setUp()
        self.news = self.hub.room("news")

    def assertNobody(self) -> None:
        """
        The hub keeps nothing of anybody.
        """
        self.assertEqual(len(self.hub._members), 0)
        self.assertEqual(self.hub._members._labels, {})
        self.assertEqual(self.hub._byFace, {})

    def test_gone(self) -> None:
        """
        Who disconnects is in no group any more at once, while its handler is
        still at work, and cannot be put into one.
        """
        gate: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *_: gate
        browser = self.browse()
        self.news.add(browser.server)
        browser.send("wait")
        browser.cut()
        self.assertEqual(self.reached(self.news.count()), 0)
        self.assertEqual(self.count(42), 0)
        self.assertFalse(self.news.add(browser.server))
        self.assertNobody()
        gate.callback(None)
        self.assertNothingLeft()

    def test_disconnectHandler(self) -> None:
        """
        The handler of the disconnection can join nothing.
        """
        joined: list[bool] = []
        self.do["disconnect"] = lambda client, session, code: joined.append(
            self.news.add(client)
        )
        self.browse().close()
        self.wait()
        self.assertEqual(joined, [False])
        self.assertNobody()

    def test_noClient(self) -> None:
        """
        What is no client, or has no session, is in no room.
        """
        added: list[bool] = []
        self.do["sinvalid"] = lambda client, reason: added.append(self.news.add(client))
        self.browse(cookie=None)
        self.assertFalse(self.news.add(object()))
        self.assertEqual(added, [False])
        self.wait()
        self.assertNobody()

    def test_closing(self) -> None:
        """
        Whom we closed is not reached any more, even if it has not gone yet.
        """
        gate: Deferred[None] = Deferred()
        self.do["smessage"] = lambda *_: gate
        browser = self.browse()
        self.news.add(browser.server)
        browser.server.close()
        self.assertEqual(self.successResultOf(self.news.count())[self.hub.node], 0)
        self.assertFalse(self.hub.room("more").add(browser.server))

    def test_sessionEnds(self) -> None:
        """
        The end of a session takes its sockets out of every group.
        """
        browser = self.browse()
        self.news.add(browser.server)
        self.successResultOf(self.place.destroy(KEY))
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertNobody()

    def test_login(self) -> None:
        """
        What a handler changes in its session counts when the handler is done:
        login, another user, logout.
        """
        self.put()
        self.do["smessage"] = lambda client, message, session: session.update(
            user=message
        )
        browser = self.browse()
        for user in 7, "bob", None:
            browser.send(user)
            for known in 7, "bob", "ann":
                self.assertEqual(self.count(known), int(known == user))

    def test_loginElsewhere(self) -> None:
        """
        What another process or a page changes counts when it is seen, for all
        sockets of the session.
        """
        self.put()
        browsers = [self.browse() for _ in range(3)]
        self.assertEqual(self.count(7), 0)
        self.put(user=7)
        self.wait(1)
        self.assertEqual(self.count(7), 3)
        self.assertEqual(self.reached(self.hub.by("user", 7).send("hi")), 3)
        for browser in browsers:
            self.assertEqual(browser.got, ["hi"])

    def test_update(self) -> None:
        """
        So does what C{update} changes, and what is put back because it cannot
        be stored.
        """
        browser = self.browse()
        session = browser.server.session
        session.update(lambda data: data.update(user="bob"))
        self.wait(1)
        self.assertEqual(self.count("bob"), 1)
        session["user"] = object()
        self.failureResultOf(session.save())
        self.assertEqual(self.count("bob"), 1)

    def test_untouched(self) -> None:
        """
        A session is looked at when its client comes, and when it changed; not
        for messages that change nothing, and not without indexes.
        """
        looked: list[str] = []
        self.hub.index("looks", lambda session: looked.append("looked"))
        browser = self.browse()
        browser.send(1, 2, 3)
        self.assertEqual(looked, ["looked"])
        self.put(user=42, n=1)
        self.wait(1)
        self.assertEqual(len(looked), 2)

    def test_indexLater(self) -> None:
        """
        An index finds clients that were there before, and a hub too.
        """
        browser = self.browse()
        factory = self.serve()
        self.browse(factory)
        self.browse(factory, cookie=None)
        hub = Hub(factory.sockets)
        hub.index("user", lambda session: session.get("user"))
        self.assertEqual(
            self.successResultOf(hub.by("user", 42).count()), {hub.node: 1}
        )
        self.assertEqual(self.successResultOf(hub.session(SID).count()), {hub.node: 1})
        self.hub.index("twice", lambda session: session["user"] * 2)
        self.assertEqual(self.reached(self.hub.by("twice", 84).count()), 1)
        browser.close()

    def test_indexFails(self) -> None:
        """
        An index that fails, or gives what is no value, finds nobody, and says
        so; whoever was found before is not found by the old value.
        """
        self.hub.index("team", lambda session: session["team"])

        def count() -> int | None:
            return self.reached(self.hub.by("team", 1).count())

        with capturedLogs() as events:
            browser = self.browse()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        (failed,) = [each for each in events if "log_failure" in each]
        self.assertIn("cannot be found by 'team'", formatEvent(failed))
        self.assertNotIn(SID, repr(events))
        self.put(user=42, team=1)
        self.wait(1)
        self.assertEqual(count(), 1)
        self.put(user=42, team=[1])
        self.wait(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(count(), 0)
        self.assertIsNone(browser.closed)

    def test_manyGo(self) -> None:
        """
        When all are gone nothing is left.
        """
        for n in range(20):
            browser = self.browse()
            for room in range(n % 4):
                self.hub.room(f"room {room}").add(browser.server)
        self.hub.room("room 1").close()
        self.wait()
        self.assertNothingLeft()
        self.assertNobody()


class PerMessageTests(HubCase):
    """
    Tests for what is held until changes are stored.
    """

    perMessage = True

    def test_held(self) -> None:
        """
        What is sent to a session with unsaved changes is held until these are
        stored, as any other frame; what is sent to others is not.
        """
        self.store.hold("replace")

        def handle(client: Any, message: Any, session: Session) -> None:
            session["n"] = 1
            self.hub.room("all").send("n is 1")

        self.do["smessage"] = handle
        one, other = self.browse(), self.other()
        for browser in one, other:
            self.hub.room("all").add(browser.server)
        one.send("go")
        self.wait()
        self.assertEqual([one.got, other.got], [[], ["n is 1"]])
        self.store.release()
        self.wait()
        self.assertEqual(one.got, ["n is 1"])

    def test_nested(self) -> None:
        """
        Who is told of a change in the middle of a delivery, and sends to all,
        does so behind it: everybody gets both in the same order.
        """
        self.do["schanged"] = lambda *_: self.hub.room("all").send("second")

        def handle(client: Any, message: Any, session: Session) -> None:
            session["n"] = 1
            self.hub.room("all").send("first")

        self.do["smessage"] = handle
        browsers = [self.browse(), self.browse(), self.other()]
        for browser in browsers:
            self.hub.room("all").add(browser.server)
        browsers[0].send("go")
        self.wait(1)
        for browser in browsers:
            self.assertEqual(browser.got, ["first", "second"])
