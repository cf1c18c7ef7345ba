"""
Tests for handlers that may run again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from tests.support.managing import KEY, Recorder
from tests.support.wires import Browser, Recording, SocketCase, count
from txsessionsock.hub import Hub
from txsessionsock.interfaces import (
    NoSuchSession,
    SessionConflict,
    SessionError,
    StoreTimeout,
    StoreUnavailable,
    UnencodableSession,
)
from txsessionsock.limits import Limits, Rate
from txsessionsock.manager.repeats import MOST_CONFLICTS
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.session import Session


STORE_TIMEOUT = 2.0
"""
That of these managers, in seconds.
"""


class Repeatable(Recording):
    """
    A protocol whose handlers may run again.
    """

    repeatable = True


class RepeatableCase(SocketCase):
    """
    A server with such a protocol.
    """

    perMessage = True
    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.manager = self.newManager(
            self.store, storeTimeout=STORE_TIMEOUT, **self.options
        )
        self.put(n=0)
        self.do["smessage"] = count
        self.serve(Repeatable)

    def meddle(self, times: int, meddle: Callable[[], object]) -> None:
        """
        Have somebody be faster, so many times.
        """
        replace = self.store.replace
        left = [None] * times

        def late(*args: Any) -> Any:
            if left:
                left.pop()
                meddle()
            return replace(*args)

        self.replace(late)

    def replace(self, f: Callable[..., Any]) -> None:
        """
        Have the store do that.
        """
        store: Any = self.store
        store.replace = f

    def countElsewhere(self) -> None:
        """
        Another node counts.
        """
        data = self.stored()
        assert data is not None
        self.put(**{**data, "n": data["n"] + 1})

    def say(self, browser: Browser, *messages: Any) -> None:
        """
        Send messages, and wait for what comes.
        """
        browser.send(*messages)
        self.wait()

    def asked(self) -> list[str]:
        """
        What the store was asked since last time.
        """
        asked = [name for name, _ in self.store.calls]
        self.store.calls.clear()
        return asked


class RunTests(RepeatableCase):
    """
    A handler runs in the session's turn to write.
    """

    def test_oneRoundTrip(self) -> None:
        """
        What it changed is stored, and then its answer goes out.  The store is asked
        once.
        """
        browser = self.browse()
        self.asked()
        self.say(browser, "a")
        self.assertEqual((browser.got, self.stored()), ([1], {"n": 1}))
        self.assertEqual(self.asked(), ["replace"])

    def test_share(self) -> None:
        """
        Several messages of one turn of the reactor share one write, in order, also
        those of several clients.
        """
        one, two = self.browse(), self.browse()
        self.asked()
        one.send(*"abc")
        two.send(*"de")
        self.wait()
        self.assertEqual(self.events("smessage"), [*"abcde"])
        self.assertEqual((one.got, two.got), ([1, 2, 3], [4, 5]))
        self.assertEqual(self.asked(), ["replace"])

    def test_nextTurn(self) -> None:
        """
        What comes while a write is under way shares the next one.
        """
        browser = self.browse()
        self.store.hold("replace")
        self.say(browser, "a")
        self.say(browser, "b", "c")
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual(browser.got, [])
        self.store.release()
        self.wait()
        self.assertEqual((browser.got, self.stored()), ([1, 2, 3], {"n": 3}))
        self.assertEqual(self.calls("replace"), 2)
        self.assertNothingLeft()

    def test_unseen(self) -> None:
        """
        Nobody sees the draft before it is stored: no page, no C{schanged}, no frame.
        """
        browser, other = self.browse(), self.browse()
        page = self.open(Recorder())
        page["list"] = [1]
        self.successResultOf(page.save())
        self.do["smessage"] = lambda client, message, session: (
            session["list"].append(2),
            session.update(n=1, new=1),
            session.pop("gone", None),
            client.send(session["list"]),
        )
        self.wait()
        self.seen.clear()
        self.store.hold("replace")
        self.say(browser, "a")
        self.assertEqual(dict(page), {"n": 0, "list": [1]})
        self.assertEqual((self.events("schanged"), browser.got), ([], []))
        self.store.release()
        self.wait()
        self.assertEqual(dict(page), {"n": 1, "list": [1, 2], "new": 1})
        self.assertEqual(browser.got, [[1, 2]])
        self.assertEqual(self.events("schanged"), [("n", "list", "new")])
        self.assertEqual(other.got, [])

    def test_othersWait(self) -> None:
        """
        Other handlers of the session wait until the draft is stored, and see what is
        in it then.
        """
        ordinary = self.factory, self.serve()
        self.do["smessage"] = count
        browser, other = self.browse(ordinary[0]), self.browse(ordinary[1])
        self.store.hold("replace")
        self.say(browser, "a")
        self.say(other, "b")
        late = self.browse(ordinary[1])
        self.wait()
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual(len(self.events("sconnection")), 2)
        self.store.release()
        self.wait()
        self.assertEqual(len(self.events("sconnection")), 3)
        self.assertEqual((browser.got, other.got), ([1], [2]))
        self.assertEqual(self.stored(), {"n": 2})
        late.cut()
        self.assertNothingLeft(ordinary[0])

    def test_othersTurn(self) -> None:
        """
        Those who wait are not overtaken by what comes after them, however many write.
        """
        first, second = self.factory, self.serve()
        browser, other = self.browse(first), self.browse(second)
        self.store.hold("replace")
        self.say(browser, "a")
        self.say(other, "b")
        self.say(browser, "c")
        self.store.release()
        self.wait()
        self.assertEqual(self.events("smessage"), ["a", "b", "c"])
        self.assertEqual(self.stored(), {"n": 3})

    def test_othersAtHand(self) -> None:
        """
        They wait, too, where they would be handled at once otherwise: for the session
        is as fresh as they need it.
        """
        self.manager = self.newManager(self.store, freshness="tracked")
        ordinary, repeatable = self.serve(), self.serve(Repeatable)
        browser, other = self.browse(repeatable), self.browse(ordinary)
        other.send("at once")
        self.assertEqual(self.events("smessage"), ["at once"])
        self.wait()
        self.store.hold("replace")
        self.say(browser, "a")
        self.say(other, "b")
        self.assertEqual(self.events("smessage"), ["at once", "a"])
        self.store.release()
        self.wait()
        self.assertEqual((browser.got, other.got), ([2], [1, 3]))
        self.assertEqual(self.stored(), {"n": 3})
        self.assertNothingLeft(ordinary)

    def test_whileItRuns(self) -> None:
        """
        Nor does one see the draft that comes while it is being made.
        """
        self.manager = self.newManager(self.store, freshness="tracked")
        ordinary, repeatable = self.serve(), self.serve(Repeatable)
        browser, other = self.browse(repeatable), self.browse(ordinary)
        happened: list[Any] = []

        def handler(client: Recording, message: Any, session: Session) -> None:
            happened.append((message, session["n"]))
            count(client, message, session)
            if message == "a":
                other.send("b")
                happened.append("done")

        self.do["smessage"] = handler
        self.say(browser, "a")
        self.assertEqual(happened, [("a", 0), "done", ("b", 1)])
        self.assertEqual((browser.got, other.got), ([1], [2]))

    def test_author(self) -> None:
        """
        C{schanged} comes to those who did not change the key, of each key.
        """
        self.do["smessage"] = lambda client, message, session: session.update(
            {message: 1}
        )
        told: list[tuple[Any, Any]] = []
        self.do["schanged"] = lambda client, session, keys: told.append((client, keys))
        one, two = self.browse(), self.browse()
        one.send("a", "both")
        two.send("b", "both")
        self.wait()
        self.assertEqual(self.calls("replace"), 1)
        self.assertEqual(
            sorted(told, key=str),
            sorted([(one.server, ("b",)), (two.server, ("a", "both"))], key=str),
        )

    def test_increment(self) -> None:
        """
        C{increment} is part of the draft.
        """
        self.do["smessage"] = lambda client, message, session: client.send(
            session.increment("n", 2)
        )
        browser = self.browse()
        self.meddle(1, self.countElsewhere)
        self.say(browser, "a")
        self.assertEqual((browser.got, self.stored()), ([3], {"n": 3}))

    def test_unsavedBefore(self) -> None:
        """
        It runs on what others changed that is not stored yet, and that is stored with
        it.
        """
        browser = self.browse()
        page = self.open(Recorder())
        page["n"] = 5
        browser.send("a")
        self.wait()
        self.assertEqual((browser.got, self.stored()), ([6], {"n": 6}))

    def test_beforeDisconnect(self) -> None:
        """
        A message that came before the disconnect is handled, and then that.
        """
        browser = self.browse()
        browser.send("a", "b")
        browser.cut()
        self.wait()
        self.assertEqual(
            self.seen[1:], [("smessage", "a"), ("smessage", "b"), ("disconnect", 1006)]
        )
        self.assertEqual(self.stored(), {"n": 2})
        self.assertNothingLeft()

    def test_behindConnected(self) -> None:
        """
        Messages wait for the handler of C{sconnection}, which is an ordinary one and
        may receive some.
        """
        got: list[Any] = []

        async def connected(client: Recording, session: Session) -> None:
            got.append(await client.receive())

        self.do["sconnection"] = connected
        browser = self.browse()
        self.say(browser, "a", "b")
        self.assertEqual((got, browser.got), (["a"], [1]))

    def test_listeners(self) -> None:
        """
        All who listen to messages are one handler, which runs again as a whole.
        """
        calls: list[Any] = []
        self.factory.on("smessage", lambda client, m, s: calls.append((m, dict(s))))
        browser = self.browse()
        browser.server.on("smessage", lambda m, s: s.update({m: s["n"]}))
        self.meddle(1, self.countElsewhere)
        self.say(browser, "a")
        self.assertEqual(calls, [("a", {"n": 0}), ("a", {"n": 1})])
        self.assertEqual((self.stored(), browser.got), ({"n": 2, "a": 1}, [2]))

    def test_slow(self) -> None:
        """
        Those who do not have their turn within two milliseconds have it in a later
        write.
        """

        def slow(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            self.clock.rightNow += 0.0015

        self.do["smessage"] = slow
        one, two = self.browse(), self.browse()
        one.send(*range(5))
        two.send(*range(5, 7))
        self.run_(1)
        self.wait()
        self.assertEqual(self.events("smessage"), [*range(7)])
        self.assertEqual((one.got, two.got), ([1, 2, 3, 4, 5], [6, 7]))
        self.assertEqual(self.calls("replace"), 4)
        self.assertNothingLeft()


class AgainTests(RepeatableCase):
    """
    It runs again on what somebody else stored.
    """

    def test_conflict(self) -> None:
        """
        Nothing is lost: plain C{+=} counts what others counted, too, and the answer
        of the first time is dropped.
        """
        browser = self.browse()
        self.meddle(1, self.countElsewhere)
        self.say(browser, "a", "b")
        self.assertEqual(self.events("smessage"), ["a", "b"] * 2)
        self.assertEqual((browser.got, self.stored()), ([2, 3], {"n": 3}))
        self.assertEqual(self.calls("replace"), 2)

    def test_conflicts(self) -> None:
        """
        After each further one, half as many share a write, so that they have their
        turn; the others run after them.
        """
        browser = self.browse()
        self.meddle(3, self.countElsewhere)
        self.say(browser, *range(8))
        self.run_(1)
        self.wait()
        ran = self.events("smessage")
        self.assertEqual(ran[:22], [*range(8), *range(8), *range(4), *range(2)])
        self.assertEqual(ran[22:], [*range(2, 8)])
        self.assertEqual(browser.got, [*range(4, 12)])
        self.assertEqual(self.calls("replace"), 5)
        self.assertNothingLeft()

    def test_message(self) -> None:
        """
        It gets the message as it came, whatever it did to it before.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            session["n"] += message.pop("by") + message["more"].pop()

        self.do["smessage"] = handler
        browser = self.browse()
        self.meddle(2, self.countElsewhere)
        self.say(browser, {"by": 10, "more": [20]})
        self.assertEqual((self.stored(), self.events("serror")), ({"n": 32}, []))

    def test_nodes(self) -> None:
        """
        Handlers of two nodes that write at once have the effect of one after the
        other.
        """
        elsewhere = self.newManager()
        mine = self.factory
        self.manager, manager = elsewhere, self.manager
        theirs = self.serve(Repeatable)
        self.manager = manager
        one, two = self.browse(mine), self.browse(theirs)
        for _ in range(5):
            one.send("a", "b")
            two.send("c")
        self.run_(1)
        self.wait()
        self.assertEqual(self.stored(), {"n": 15})
        self.assertEqual(sorted([*one.got, *two.got]), [*range(1, 16)])

    def test_letsOthers(self) -> None:
        """
        Who has just written lets others go first, where these write, too: the longer,
        the more often it did so and nobody else.
        """
        browser = self.browse()
        self.store.hold("replace")
        self.say(browser, "a")
        self.clock.advance(0.01)
        self.store.release()
        self.wait()
        self.countElsewhere()
        self.wait()
        keeper: Any = browser.server.session.keeper
        longest = 0.0
        for number in range(20):
            before = self.clock.seconds()
            browser.send(number)
            while len(self.events("smessage")) < number + 2:
                self.clock.advance(0.001)
            browser.flush()
            longest = max(longest, self.clock.seconds() - before)
            # So long did the write take.
            keeper.saving.took = 0.01
        self.assertTrue(0.02 < longest <= 0.26, longest)
        self.wait(2)
        self.say(browser, "at once")
        self.assertEqual(self.events("smessage")[-1], "at once")

    def test_announced(self) -> None:
        """
        Who fails twice tells others that somebody is there, by a touch.
        """
        browser = self.browse()
        self.meddle(1, self.countElsewhere)
        self.say(browser, "a")
        self.assertEqual(self.calls("touch"), 0)
        self.meddle(2, self.countElsewhere)
        self.say(browser, "b")
        self.run_(1)
        self.assertEqual((self.calls("touch"), self.stored()), (1, {"n": 5}))

    def test_lists(self) -> None:
        """
        So are lists and deletions.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            session["log"].append(message)
            session.pop("taken", None)

        self.do["smessage"] = handler
        self.put(log=[], taken=1)
        browser = self.browse()
        self.meddle(1, lambda: self.put(log=["theirs"], taken=2))
        self.say(browser, "ours")
        self.assertEqual(self.stored(), {"log": ["theirs", "ours"]})

    def test_readsOnly(self) -> None:
        """
        One that changes nothing costs a fence, and no load.
        """
        self.do["smessage"] = lambda client, m, session: client.send(session["n"])
        browser = self.browse()
        self.asked()
        self.say(browser, "a", "b")
        self.assertEqual((browser.got, self.asked()), ([0, 0], ["fence"]))

    def test_readsAgain(self) -> None:
        """
        It runs again if the fence tells of another version than it ran on.
        """
        self.do["smessage"] = lambda client, m, session: client.send(session["n"])
        browser = self.browse()
        fence = self.store.fence

        def late(key: str) -> Deferred[None]:
            self.store.fence = fence  # type: ignore[method-assign]  # once
            self.put(n=7)
            return fence(key)

        self.store.fence = late  # type: ignore[method-assign]  # in its place
        self.say(browser, "a")
        self.assertEqual((browser.got, self.events("smessage")), ([7], ["a", "a"]))

    def test_readsBlind(self) -> None:
        """
        Where the store sees nothing, a load tells.
        """
        self.do["smessage"] = lambda client, m, session: client.send(session["n"])
        browser = self.browse()
        self.store.fail(StoreUnavailable("blind"), "fence")
        self.put(n=7)
        self.say(browser, "a")
        self.assertEqual((browser.got, self.events("smessage")), ([7], ["a", "a"]))

    def test_beforeItRuns(self) -> None:
        """
        What was stored before the message came is known to the handler, or it runs
        again.
        """
        browser = self.browse()
        self.put(n=41)
        self.say(browser, "a")
        self.assertEqual((browser.got, self.stored()), ([42], {"n": 42}))

    def test_raisesOnOld(self) -> None:
        """
        A failure is one only if what the handler ran on is what is stored.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            client.send(session["later"])

        self.do["smessage"] = handler
        browser = self.browse()
        fence = self.store.fence

        def late(key: str) -> Deferred[None]:
            self.put(later=1)
            return fence(key)

        self.store.fence = late  # type: ignore[method-assign]  # as above
        self.say(browser, "a")
        self.assertEqual((browser.got, self.events("serror")), ([1], []))

    def test_gaveUp(self) -> None:
        """
        After ten conflicts, and as long as the store may take to answer, it is given
        up: nothing is stored, nothing merged, no frame goes out, C{serror} says why,
        and the socket is closed with 1013.
        """
        browser = self.browse()
        self.meddle(1000, self.countElsewhere)
        began = self.clock.seconds()
        browser.send("a")
        while not self.events("serror"):
            self.run_(0.05)
        self.wait()
        timeout = STORE_TIMEOUT
        self.assertTrue(timeout <= self.clock.seconds() - began < timeout + 1)
        (error,) = self.events("serror")
        self.assertIsInstance(error, SessionConflict)
        ran = len(self.events("smessage"))
        self.assertGreater(ran, MOST_CONFLICTS)
        self.assertEqual((self.stored(), browser.got), ({"n": ran}, []))
        self.assertClosed(browser, 1013, "store failed")
        self.assertNothingLeft()

    def test_tenthAtOnce(self) -> None:
        """
        After ten that come sooner it is not: two nodes that both have much to do are
        in each other's way as often.
        """
        browser = self.browse()
        self.meddle(MOST_CONFLICTS, self.countElsewhere)
        self.say(browser, "a")
        self.run_(1)
        self.wait()
        self.assertEqual(browser.got, [MOST_CONFLICTS + 1])
        self.assertEqual(self.events("serror"), [])

    def test_ninth(self) -> None:
        """
        After nine it is not, however long they take.
        """
        browser = self.browse()
        replace = self.store.replace
        left = MOST_CONFLICTS - 1

        def late(*args: Any) -> Any:
            nonlocal left
            if not left:
                return replace(*args)
            left -= 1
            answer: Deferred[Any] = deferLater(self.clock, STORE_TIMEOUT / 2)
            answer.addCallback(lambda _: self.countElsewhere())
            return answer.addCallback(lambda _: replace(*args))

        self.replace(late)
        browser.send("a")
        self.run_(STORE_TIMEOUT * MOST_CONFLICTS)
        self.wait()
        self.assertEqual(browser.got, [MOST_CONFLICTS])
        self.assertEqual(self.events("serror"), [])

    def test_otherHandlers(self) -> None:
        """
        What ordinary handlers changed is merged, as always.
        """
        browser = self.browse()
        page = self.open(Recorder())
        page["page"] = 1
        self.meddle(1, lambda: self.put(n=3, theirs=1))
        self.say(browser, "a")
        self.assertEqual(self.stored(), {"n": 4, "theirs": 1, "page": 1})


class UndoneTests(RepeatableCase):
    """
    A handler that fails has done nothing.
    """

    def test_raises(self) -> None:
        """
        What it changed and sent is dropped; what others did that share its write is
        not.  Its client is told as of any handler.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            session["list"].append(message)
            session["new"] = 1
            if message == "bad":
                del session["list"]
                raise ZeroDivisionError

        self.do["smessage"] = handler
        self.put(n=0, list=[])
        one, two = self.browse(), self.browse()
        one.send("a", "bad")
        two.send("b")
        self.wait()
        self.assertEqual(self.stored(), {"n": 2, "list": ["a", "b"], "new": 1})
        self.assertEqual((one.got, two.got), ([1], [2]))
        self.assertIsInstance(self.events("serror")[0], ZeroDivisionError)
        self.assertClosed(one, 1011, "handler failed")
        self.assertEqual(self.calls("replace"), 1)

    def test_asynchronous(self) -> None:
        """
        One that would wait is refused, whatever it returns, and did nothing.
        """

        async def coroutine(client: Recording, m: Any, session: Session) -> None:
            session["n"] = 99

        def deferred(client: Recording, m: Any, session: Session) -> Deferred[None]:
            session["n"] = 99
            return succeed(None)

        for handler in (coroutine, deferred):
            self.seen.clear()
            self.do["smessage"] = handler
            browser = self.browse()
            self.say(browser, "a")
            (error,) = self.events("serror")
            self.assertIsInstance(error, TypeError)
            self.assertIn("ordinary function", str(error))
            self.assertClosed(browser, 1011, "handler failed")
        self.factory.on("smessage", coroutine)
        self.do["smessage"] = count
        self.say(self.browse(), "a")
        self.assertEqual(self.stored(), {"n": 0})

    def test_refused(self) -> None:
        """
        What cannot be thrown away raises.
        """
        hub = Hub(self.factory.sockets)
        other = self.browse()
        tries: dict[str, Callable[[Recording, Session], object]] = {
            "update": lambda client, session: session.update(lambda data: None),
            "save": lambda client, session: session.save(),
            "reload": lambda client, session: session.reload(),
            "touch": lambda client, session: session.touch(),
            "destroy": lambda client, session: session.destroy(),
            "regenerate": lambda client, session: session.regenerate(),
            "close": lambda client, session: client.close(),
            "sendClose": lambda client, session: client.sendClose(),
            "receive": lambda client, session: client.receive(),
            "hub": lambda client, session: hub.session(session.id).send(1),
            "hub's close": lambda client, session: hub.session(session.id).close(),
            "room": lambda client, session: hub.room("r").add(client),
            "other": lambda client, session: other.server.send(1),
            "other's close": lambda client, session: other.server.close(),
        }
        refused: list[str] = []

        def handler(client: Recording, message: Any, session: Session) -> None:
            try:
                tries[message](client, session)
            except SessionError as error:
                refused.append(message)
                client.send("may run again" in str(error))
            session["n"] += 1

        self.do["smessage"] = handler
        browser = self.browse()
        self.say(browser, *tries)
        self.assertEqual(refused, [*tries])
        self.assertEqual((set(browser.got), other.got), ({True}, []))
        self.assertEqual(self.stored(), {"n": len(tries)})
        # After it, all is as before.
        self.say(browser)
        other.server.send(1)
        self.successResultOf(hub.room("r").send(1))
        self.wait()
        self.assertEqual(other.got, [1])

    def test_unencodable(self) -> None:
        """
        Who puts in what cannot be stored fails alone.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            if message != "fine":
                session["odd"] = {"set": {1}, "object": object()}[message]

        self.do["smessage"] = handler
        browsers = [self.browse() for _ in range(3)]
        for browser, message in zip(browsers, ("set", "fine", "object"), strict=True):
            browser.send(message)
        self.wait()
        self.assertEqual((self.stored(), browsers[1].got), ({"n": 1}, [1]))
        for error in self.events("serror"):
            self.assertIsInstance(error, UnencodableSession)
            self.assertIn("session['odd']", str(error))
        self.assertEqual(len(self.events("serror")), 2)
        for browser in browsers[::2]:
            self.assertClosed(browser, 1011, "handler failed")
        self.assertNothingLeft()

    def test_ended(self) -> None:
        """
        When the session ends, nothing is answered from it, and nothing runs any more.
        """
        browser = self.browse()
        session = self.open(Recorder())
        self.store.hold("replace")
        self.say(browser, "a")
        self.say(browser, "b")
        self.successResultOf(session.destroy())
        self.store.release()
        self.wait()
        self.assertEqual((browser.got, self.events("smessage")), ([], ["a"]))
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertEqual(self.events("serror"), [])
        self.assertNothingLeft()

    def test_gone(self) -> None:
        """
        Never back from the dead.
        """
        browser = self.browse()
        self.meddle(1, lambda: self.successResultOf(self.place.destroy(KEY)))
        self.say(browser, "a")
        self.assertEqual((browser.got, self.stored()), ([], None))
        self.assertClosed(browser, 4401, "session-destroyed")
        self.assertNothingLeft()

    def test_endedBefore(self) -> None:
        """
        What waits for the draft when the session ends is not handled.
        """
        browser = self.browse()
        session = self.open(Recorder())
        browser.send("a")
        self.successResultOf(session.destroy())
        self.wait()
        self.assertEqual((self.events("smessage"), self.stored()), ([], None))
        self.failureResultOf(session.save(), NoSuchSession)
        self.assertNothingLeft()


class OutageTests(RepeatableCase):
    """
    The store fails.
    """

    def test_unavailable(self) -> None:
        """
        Nothing was stored, and nothing is later: C{serror}, and 1013.
        """
        browser = self.browse()
        self.store.fail(StoreUnavailable("down"))
        self.say(browser, "a", "b")
        self.assertIsInstance(self.events("serror")[0], StoreUnavailable)
        self.assertEqual(len(self.events("serror")), 1)
        self.assertClosed(browser, 1013, "store failed")
        self.store.heal()
        self.run_(5)
        self.assertEqual((self.stored(), browser.got), ({"n": 0}, []))
        self.assertNothingLeft()

    def test_hangs(self) -> None:
        """
        Whoever waits hears of it within one time-out, also who waits behind others.
        """
        one, two = self.browse(), self.browse()
        self.store.hold()
        self.say(one, "a")
        self.say(two, "b")
        self.wait(2.5)
        self.assertEqual(
            [type(error) for error in self.events("serror")], [StoreTimeout] * 2
        )
        self.assertClosed(one, 1013, "store failed")
        self.assertClosed(two, 1013, "store failed")
        self.assertEqual(self.events("smessage"), ["a"])
        self.store.heal()
        self.run_(5)
        self.wait()
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertNothingLeft()

    def test_tooLate(self) -> None:
        """
        One whose client was told so does not run again, and others do not wait for it
        any more.
        """
        browser = self.browse()
        self.do["smessage"] = lambda client, message, session: client.send(1)
        self.store.hold("fence", "load")
        self.say(browser, "a")
        self.put(n=7)
        self.wait(2.25)
        self.assertClosed(browser, 1013, "store failed")
        browser.cut()
        # The store answers at last, before it is given up.
        self.store.heal()
        self.run_(10)
        self.assertEqual((self.events("smessage"), browser.got), (["a"], []))
        self.assertEqual(self.events("disconnect"), [1013])
        self.assertNothingLeft()

    def test_unknown(self) -> None:
        """
        Without stamps nobody can tell whether a write was done that was not answered:
        it does not run again.
        """
        browser = self.browse()
        self.store.lose("replace")
        browser.send("a")
        self.run_(5)
        self.wait()
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual(self.stored(), {"n": 1})
        self.assertIsInstance(self.events("serror")[0], StoreTimeout)
        self.assertClosed(browser, 1013, "store failed")
        self.store.heal()
        self.run_(10)
        self.assertEqual(self.stored(), {"n": 1})
        self.assertNothingLeft()


class StampedTests(RepeatableCase):
    """
    Stamps tell what became of a write.
    """

    options: ClassVar[dict[str, Any]] = {"repair": True}

    def stored(self, key: str = KEY) -> dict[str, Any] | None:
        data = super().stored(key)
        if data is not None:
            data.pop("_sessionsock", None)
        return data

    def test_late(self) -> None:
        """
        A write whose answer was lost, and that was done, is done once, and answered.
        """
        browser = self.browse()
        self.store.lose("replace")
        self.say(browser, "a")
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual((browser.got, self.stored()), ([1], {"n": 1}))
        self.assertEqual(self.events("serror"), [])

    def test_lateAndOverwritten(self) -> None:
        """
        Also if another node has written since, with that in its copy.
        """
        browser = self.browse()
        replace = self.store.replace

        def lost(*args: Any) -> Any:
            self.replace(replace)

            def lose(_: object) -> None:
                data = super(StampedTests, self).stored()
                assert data is not None
                self.put(**{**data, "n": data["n"] + 1})
                raise StoreTimeout("the answer was lost")

            return replace(*args).addCallback(lose)

        self.replace(lost)
        self.say(browser, "a")
        self.run_(1)
        self.wait()
        self.assertEqual(self.events("smessage"), ["a"])
        self.assertEqual((browser.got, self.stored()), ([1], {"n": 2}))

    def test_notDone(self) -> None:
        """
        When the stamp shows that nothing was stored, it runs again.
        """
        browser = self.browse()
        replace = self.store.replace

        def never(*args: Any) -> Any:
            self.replace(replace)
            raise StoreTimeout("it never came")

        self.replace(never)
        browser.send("a")
        self.run_(1)
        self.wait()
        self.assertEqual(self.events("smessage"), ["a", "a"])
        self.assertEqual((browser.got, self.stored()), ([1], {"n": 1}))

    def test_overwritten(self) -> None:
        """
        When a web application overwrites it, it is done once more, and sends nothing;
        also when its client is gone.
        """
        browser = self.browse()
        self.say(browser, "a")
        before = super().stored()
        assert before is not None
        self.say(browser, "b", "c")
        # A request that began before, and counts, too.
        self.put(**{**before, "n": 11})
        self.run_(2)
        self.wait()
        self.assertEqual(self.stored(), {"n": 13})
        self.assertEqual(browser.got, [1, 2, 3])
        browser.cut()
        self.wait()
        self.put(**{**before, "n": 21})
        self.run_(2)
        self.assertEqual(self.stored(), {"n": 23})
        self.assertEqual(self.events("smessage"), [*"abc", *"bc", *"bc"])
        self.run_(10)
        self.assertNothingLeft()


class GivenUpTests(RepeatableCase):
    """
    What an ordinary handler of the client changed before is given up by the write that
    stores what runs again.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ordinary = self.serve()
        self.factory = self.serve(Repeatable)
        self.do["sconnection"] = lambda client, session: session.increment("m")

    def doubt(self, browser: Browser) -> None:
        """
        Have nobody know whether a change was stored, and a message come before that is
        told.
        """
        self.store.fail(StoreTimeout(), "replace")
        self.clock.advance(0)
        self.store.heal()
        browser.send("a")

    def test_mine(self) -> None:
        """
        Its client is told, and closed, and is not answered before.
        """
        browser = self.browse()
        self.doubt(browser)
        self.wait(12)
        self.assertIsInstance(self.events("serror")[0], StoreTimeout)
        self.assertClosed(browser, 1013, "store failed")
        self.assertEqual((browser.got, self.stored()), ([], {"n": 1}))
        self.assertNothingLeft()

    def test_others(self) -> None:
        """
        Others are answered.
        """
        del self.do["sconnection"]
        browser, other = self.browse(), self.browse(self.ordinary)
        self.do["smessage"] = lambda client, message, session: (
            session.increment("m")
            if message == "b"
            else count(client, message, session)
        )
        other.send("b")
        self.doubt(browser)
        self.wait(12)
        self.assertClosed(other, 1013, "store failed")
        self.assertEqual((browser.got, self.stored()), ([1], {"n": 1}))
        self.assertNothingLeft(self.ordinary)


class EndingTests(RepeatableCase):
    """
    The server ends.
    """

    def setUp(self) -> None:
        super().setUp()

        async def connected(client: Recording, session: Session) -> None:
            await deferLater(self.clock, 6.5)

        self.do["sconnection"] = connected

    def end(self, *messages: Any) -> None:
        """
        End it, with messages that come to run shortly before no handler begins any
        more, and are stored only after that.
        """
        browser = self.browse()
        browser.send(*messages)
        ended = self.manager.end(drain=10.0)
        self.clock.advance(6.4)
        self.store.hold("replace")
        self.wait(1.1)
        self.store.release()
        self.wait(2)
        self.successResultOf(ended)
        self.assertEqual(self.events("disconnect"), [1001])

    def test_stored(self) -> None:
        """
        What ran before no handler begins any more is stored.
        """
        self.end("a", "b")
        self.assertEqual(
            (self.events("smessage"), self.stored()), (["a", "b"], {"n": 2})
        )

    def test_again(self) -> None:
        """
        Also if it has to run again after that: it had begun.
        """
        self.meddle(1, self.countElsewhere)
        self.end("a")
        self.assertEqual(
            (self.events("smessage"), self.stored()), (["a", "a"], {"n": 2})
        )

    def test_notBegun(self) -> None:
        """
        What did not run before that does not run.
        """

        def slow(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            self.clock.rightNow += 0.0015

        self.do["smessage"] = slow
        self.end(*range(5))
        self.assertEqual((self.events("smessage"), self.stored()), ([0, 1], {"n": 2}))


class LimitTests(RepeatableCase):
    """
    What one client may take.
    """

    def test_rate(self) -> None:
        """
        Each message is paid for.
        """
        self.serve(Repeatable, limits=Limits(sessionRate=Rate(1, 2)))
        browser = self.browse()
        self.say(browser, *"abcd")
        self.assertEqual(self.events("smessage"), [*"ab"])
        self.run_(1.1)
        self.wait()
        self.assertEqual(self.events("smessage"), [*"abc"])
        self.run_(2)
        self.wait()
        self.assertEqual(self.stored(), {"n": 4})
        self.assertNothingLeft()

    def test_unread(self) -> None:
        """
        When a client is sent much, its next messages wait for the next write.
        """

        def handler(client: Recording, message: Any, session: Session) -> None:
            count(client, message, session)
            client.send("x" * 600)

        self.do["smessage"] = handler
        self.serve(Repeatable, limits=Limits(unsentBytes=1000))
        browser = self.browse()
        self.say(browser, *"abcdef")
        self.run_(1)
        self.wait()
        self.assertEqual(browser.got[::2], [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.calls("replace"), 3)
        self.assertNothingLeft()


class SetUpTests(SocketCase):
    """
    Where it cannot be had, that is said before anybody connects.
    """

    def test_perConnection(self) -> None:
        """
        Per connection, an answer goes out before anybody asks the store.
        """
        factory = self.serve(perMessage=False)
        with self.assertRaisesRegex(ValueError, "perMessage=True"):
            factory.protocol = Repeatable

    def test_kind(self) -> None:
        """
        It is said with C{True}.
        """

        class Odd(SessionSocketProtocol):
            repeatable = "yes"  # type: ignore[assignment]  # as users may

        with self.assertRaisesRegex(TypeError, "'yes'"):
            self.serve(perMessage=True).protocol = Odd

    def test_made(self) -> None:
        """
        A protocol that a function makes is looked at when it is made.
        """
        factory = self.serve(perMessage=False)
        factory.protocol = partial(Repeatable)
        self.assertIsNone(factory.buildProtocol(None))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
