"""
Very many clients come, or go, at once, while somebody is there.
"""

from __future__ import annotations

from typing import Any

from tests.support.managing import turn
from tests.support.wires import Browser, Recording, SocketCase
from txsessionsock.session import Session
from txsessionsock.testing import putSession


_MANY = 100

_MOST = 0.025
"""
For how many seconds a turn of the reactor may be at work, if each thing that there is
to do takes 1 ms.
"""


class Slow(Recording):
    """
    A protocol whose handshake takes a while.
    """

    def onConnect(self, request: Any) -> Any:
        self.factory.reactor.rightNow += 0.001
        return super().onConnect(request)


class StormTests(SocketCase):
    """
    Each handshake and each handler takes 1 ms.  Somebody is there, and says something
    in each turn of the reactor.
    """

    protocol: type[Slow] = Slow

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.serve(self.protocol)
        self.do.update(sconnection=self.work, smessage=self.answer)
        self.do["disconnect"] = self.work
        self.cookies = [
            putSession(self.store, self.manager.framework, self.clock, {})
            for _ in range(_MANY)
        ]
        self.quiet = self.browse()
        self.said = 0
        for _ in range(3):
            self.say()
            self.go(1)

    def work(self, *_: object) -> None:
        """
        Handle something.
        """
        self.clock.rightNow += 0.001

    def answer(self, client: Recording, message: Any, session: Session) -> None:
        """
        Handle a message.
        """
        self.work()
        if message == "change":
            session["x"] = 1
        client.send(message)

    def come(self) -> list[Browser]:
        """
        Have many come.
        """
        return [self.browse(cookie=cookie) for cookie in self.cookies]

    def say(self) -> None:
        """
        Have the one that is there say something.
        """
        self.said += 1
        self.quiet.send(self.said)

    def go(self, most: int = 1000) -> int:
        """
        Let the reactor go round until there is nothing to do.  The one that is there
        says something before each turn, and is answered in that or the next one.

        @return: How many turns that took.
        """
        for count in range(most):
            self.say()
            self.clock.rightNow += 0.01
            began = self.clock.seconds()
            turn(self.clock)
            elapsed = self.clock.seconds() - began
            self.assertLess(elapsed, _MOST)
            for browser in self.browsers:
                browser.flush()
            self.assertGreaterEqual(self.quiet.got[-1], self.said - 1)
            if not any(
                call.getTime() <= self.clock.seconds()
                for call in self.clock.getDelayedCalls()
            ):
                return count
        return most

    def test_messages(self) -> None:
        """
        Many come, each says something, and all are answered.
        """
        began = self.clock.seconds()
        browsers = self.come()
        # A few of them are handled as they come.
        self.assertLess(self.clock.seconds() - began, _MOST)
        self.go()
        for number, browser in enumerate(browsers):
            browser.send(number)
        self.go()
        self.assertEqual([each.got for each in browsers], [[n] for n in range(_MANY)])

    def test_settled(self) -> None:
        """
        Whoever had a message handled is there, whichever way that took; before, it
        comes.
        """
        kinds: list[bool] = []
        later = self.manager.slices.later

        def note(who: object, work: Any, *, isBulk: bool = False) -> None:
            kinds.append(isBulk)
            later(who, work, isBulk=isBulk)

        comes = self.browse(cookie=self.cookies[0])
        self.go()
        self.patch(self.manager.slices, "later", note)
        self.manager.slices.worked(1.0)
        comes.send("x")
        self.say()
        self.assertEqual(kinds, [True, False])
        self.go()
        kinds.clear()
        self.manager.slices.worked(1.0)
        comes.send("x")
        self.assertEqual(kinds, [False])

    def test_loaded(self) -> None:
        """
        A store answers for many at once.
        """
        self.store.hold("load")
        self.come()
        self.go(100)
        self.assertEqual(len(self.events("sconnection")), 1)
        began = self.clock.seconds()
        self.store.release()
        self.assertLess(self.clock.seconds() - began, _MOST)
        self.assertGreater(self.go(), 3)
        self.assertEqual(len(self.events("sconnection")), _MANY + 1)

    def test_opened(self) -> None:
        """
        What the library does for each of them counts, too.
        """
        opened = self.factory.sockets.opened

        def open(client: Any) -> None:
            self.work()
            opened(client)

        self.patch(self.factory.sockets, "opened", open)
        del self.do["sconnection"]
        self.test_loaded()

    def test_loadedAndGone(self) -> None:
        """
        One that goes, or whose session ends, while it waits for its turn then, is
        forgotten.
        """
        self.store.hold("load")
        gone, *_, ended = self.come()
        self.go(100)
        self.manager.slices.worked(1.0)
        self.store.release()
        gone.cut()
        keys = [key for name, key in self.store.calls if name == "create"]
        self.successResultOf(self.place.destroy(keys[-1]))
        self.go()
        self.assertClosed(ended, 4401, "session-unknown")
        self.assertEqual(len(self.events("sconnection")), _MANY - 1)
        self.assertEqual(len(self.factory.sockets), _MANY - 1)
        self.do.clear()
        self.assertNothingLeft()

    def test_cut(self) -> None:
        """
        Many are cut off.
        """
        browsers = self.come()
        self.go()
        began = self.clock.seconds()
        for browser in browsers:
            browser.cut()
        self.assertLess(self.clock.seconds() - began, _MOST)
        self.assertGreater(self.go(), 3)
        self.assertEqual(len(self.events("disconnect")), _MANY)
        self.assertEqual(len(self.factory.sockets), 1)

    def test_disconnected(self) -> None:
        """
        Many are cut off when there is no time for their handlers, who do not come
        before what is said.
        """
        browsers = self.come()
        self.go()
        for number, browser in enumerate(browsers):
            browser.send(number)
            self.go(1)
        self.manager.slices.worked(1.0)
        for browser in browsers:
            browser.cut()
        self.assertEqual(self.events("disconnect"), [])
        self.assertGreater(self.go(), 3)
        self.assertEqual(len(self.events("disconnect")), _MANY)

    def test_stored(self) -> None:
        """
        What many have changed is stored.
        """
        browsers = self.come()
        self.go()
        for browser in browsers:
            browser.send("change")
            self.go(1)
        replace = self.store.replace

        def slow(*args: Any) -> Any:
            self.work()
            return replace(*args)

        self.patch(self.store, "replace", slow)
        self.clock.rightNow += 2
        self.go()
        calls = [key for name, key in self.store.calls if name == "replace"]
        self.assertEqual(len(set(calls)), _MANY)


class PerMessageStormTests(StormTests):
    """
    The same where the session is fresh for each message.
    """

    perMessage = True


class Repeatable(Slow):
    """
    The same, with handlers that may run again.
    """

    repeatable = True


class RepeatableStormTests(PerMessageStormTests):
    """
    The same where handlers may run again.
    """

    protocol = Repeatable
