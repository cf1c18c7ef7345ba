"""
Tests for L{txsessionsock.clients.short}: whatever happens, messages that take the short
way come to the same as on the long one, in the same order.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from tests.support.frames import factor
from tests.support.managing import KEY, timers
from tests.support.wires import Recording, SocketCase
from txsessionsock import _deferreds
from txsessionsock._collector import COLLECTIONS
from txsessionsock.clients.short import ShortWay
from txsessionsock.interfaces import StoreError
from txsessionsock.limits import Limits, Rate
from txsessionsock.session import Session


HANDLERS: dict[str, Callable[[ShortCase, Any, Any, Session], object]] = {}
"""
What a message may have its handler do.
"""


def handler(f: Any) -> Any:
    """
    Have messages with the name of a function call it.
    """
    HANDLERS[f.__name__] = f
    return f


@handler
def read(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.send([number, session.get("n")])


@handler
def count(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session["n"] = session.get("n", 0) + 1
    client.send({"number": number, "n": session["n"]})


@handler
def both(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.send([number, "before"])
    session["n"] = number
    client.send([number, "after"])


@handler
def increment(case: ShortCase, client: Any, number: int, session: Session) -> int:
    client.send([number, session.increment("m")])
    return number


@handler
def push(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session.setdefault("list", []).append(number)
    client.send(session["list"])


@handler
def same(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session["n"] = session.get("n", 0)
    client.send(number)


@handler
async def later(case: ShortCase, client: Any, number: int, session: Session) -> None:
    gate: Deferred[None] = Deferred()
    case.gates.append(gate)
    session["n"] = number
    client.send([number, "asked"])
    await gate
    client.send([number, session.get("n")])


@handler
def waits(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    case.gates.append(Deferred())
    return case.gates[-1]


@handler
def steps(
    case: ShortCase, client: Any, number: int, session: Session
) -> Iterator[Deferred[int]]:
    client.send([number, (yield succeed(number))])


@handler
def fired(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    client.send(number)
    return succeed(None)


@handler
def failed(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    return fail(ZeroDivisionError(number))


@handler
def raises(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session["n"] = number
    client.send(number)
    raise ZeroDivisionError(number)


@handler
def exits(case: ShortCase, client: Any, number: int, session: Session) -> None:
    raise SystemExit(number)


@handler
def noMessage(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.send({number})


@handler
def unencodable(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session["bad"] = object()
    client.send(number)


@handler
def closes(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.send(number)
    client.close(4000, "bye")
    client.send("nobody hears")


@handler
def drops(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.dropConnection(abort=True)


@handler
async def asks(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.send([number, "asks"])
    client.send([number, await client.receive()])


@handler
def saves(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    session["n"] = number
    return session.save()


@handler
def updates(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    client.send(number)
    return session.update(lambda data: data.update(n=number))


@handler
def destroys(case: ShortCase, client: Any, number: int, session: Session) -> Any:
    return session.destroy()


@handler
def tells(case: ShortCase, client: Any, number: int, session: Session) -> None:
    session["n"] = number
    for browser in case.browsers:
        browser.server.send([number, "told"])


@handler
def listens(case: ShortCase, client: Any, number: int, session: Session) -> None:
    add = client.once if number % 2 else client.on
    add("smessage", lambda message, session: client.send("heard"))


@handler
def waitsForListener(
    case: ShortCase, client: Any, number: int, session: Session
) -> None:
    client.once("smessage", lambda *_: waits(case, client, number, session))


@handler
def listensToAll(case: ShortCase, client: Any, number: int, session: Session) -> None:
    case.factory.once("smessage", lambda client, *_: client.send("heard by all"))


@handler
def forgets(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.off("smessage")


@handler
def takesTime(case: ShortCase, client: Any, number: int, session: Session) -> None:
    case.clock.rightNow += 0.004 * (1 + number % 3)
    session["n"] = number
    client.send(number)


@handler
def replaces(case: ShortCase, client: Any, number: int, session: Session) -> None:
    client.sessionMessageReceived = lambda message, session: client.send("replaced")


class ShortCase(SocketCase):
    """
    Servers whose clients send what makes their handlers do all sorts of things.

    @ivar gates: What handlers wait for.

    @ivar ways: How many messages took the short way, and how many did not.
    """

    def setUp(self) -> None:
        super().setUp()
        self.gates: list[Deferred[None]] = []
        self.do["smessage"] = self.work

    def work(self, client: Recording, message: Any, session: Session) -> object:
        """
        Do what a message says.
        """
        if not isinstance(message, dict):
            return None
        return HANDLERS[message["do"]](self, client, message["number"], session)


class BothWaysTests(ShortCase):
    """
    The same happens on both.
    """

    def setUp(self) -> None:
        # Nothing is left to chance but what the plan says: neither how long to wait
        # before something is tried again, nor when the garbage collector comes, whose
        # time is on nobody's account.
        self.patch(_deferreds, "_uniform", lambda least, most: most)
        gc.callbacks.remove(COLLECTIONS)
        self.addCleanup(gc.callbacks.append, COLLECTIONS)
        self.ways = {True: 0, False: 0}
        takes = ShortWay.takes

        def counted(way: Any, *args: Any) -> bool:
            isTaken = takes(way, *args)
            self.ways[isTaken] += 1
            return isTaken

        self.patch(ShortWay, "takes", counted)
        super().setUp()

    # What may happen.

    def sends(self, random: Random, number: int) -> None:
        """
        A client sends messages, most of which are handled at once.
        """
        names = random.choices(list(HANDLERS), k=random.choice((1, 1, 2, 5, 20)))
        if random.random() < 0.7:
            names = random.choices((*_ORDINARY, random.choice(names)), k=len(names))
        browser = random.choice(self.browsers)
        if browser.client.state == browser.client.STATE_OPEN:
            for at, name in enumerate(names):
                message = {"do": name, "number": 100 * number + at}
                browser.client.sendMessage(json.dumps(message).encode())
            browser.flush()

    def comes(self, random: Random, number: int) -> None:
        """
        Another client connects.
        """
        if len(self.browsers) < 6:
            self.browse()

    def leaves(self, random: Random, number: int) -> None:
        """
        One goes.
        """
        random.choice(self.browsers).cut()

    def opens(self, random: Random, number: int) -> None:
        """
        A handler that waits goes on, or fails.
        """
        if self.gates:
            gate = self.gates.pop(0)
            if not gate.called:
                if random.random() < 0.8:
                    gate.callback(None)
                else:
                    gate.errback(Failure(ZeroDivisionError()))

    def writes(self, random: Random, number: int) -> None:
        """
        A web application writes the session, or ends it.
        """
        if random.random() < 0.1:
            self.successResultOf(self.place.destroy(KEY))
        elif self.stored() is not None:
            self.put(n=number, theirs=number)

    def troubles(self, random: Random, number: int) -> None:
        """
        The store is in trouble, or no longer.
        """
        methods = random.sample(("load", "replace", "fence", "touch"), 2)
        what = random.randrange(5)
        if what == 0:
            self.store.hold(*methods)
        elif what == 1:
            self.store.fail(StoreError("away"), *methods)
        elif what == 2:
            self.store.lose(*methods)
        else:
            self.store.heal()

    def isFull(self, random: Random, number: int) -> None:
        """
        A client does not read, or does again.
        """
        producer = random.choice(self.browsers).producer
        if producer is not None:
            if random.random() < 0.4:
                producer.pauseProducing()
            else:
                producer.resumeProducing()

    def outside(self, random: Random, number: int) -> None:
        """
        Something is done with a session outside of handlers.
        """
        server = random.choice(self.browsers).server
        session = server.session
        if session is not None and random.random() < 0.5:
            session["outside"] = number
        server.send([number, "outside"])

    def waits(self, random: Random, number: int) -> None:
        """
        Time passes.
        """
        self.wait(random.choice((0, 0, 0.25, 1, 5)))

    # Both ways.

    def lived(self, seed: int, isShort: bool, **options: Any) -> list[Any]:
        """
        Have things happen by chance.

        @return: All that could be seen, after each.
        """
        super().setUp()
        random = Random(seed)
        happen = [self.sends] * 8 + [self.opens] * 2
        happen += [self.waits] * 3
        happen += [self.comes, self.leaves, self.writes, self.outside]
        if seed % 2:
            happen += [self.troubles, self.isFull]
        self.put(n=0)
        self.manager = self.newManager(
            self.store, freshness=random.choice(("tracked", "strict"))
        )
        self.serve(shortMessages=isShort, **options)
        self.browse()
        told = []
        for number in range(25):
            random.choice(happen)(random, number)
            told.append(self.seeable())
        self.store.heal()
        for browser in self.browsers:
            if browser.producer is not None:
                browser.producer.resumeProducing()
        self.wait(60)
        told.append(self.seeable())
        for browser in self.browsers:
            browser.cut()
        # What they sent before is still handled, one message after the other.
        while self.gates:
            self.opens(Random(number), 0)
            self.wait()
        self.wait(60)
        told.append(self.seeable())
        told.append([type(each.value) for each in self.flushLoggedErrors()])
        self.assertEqual(self.manager.statistics().sessions, 0)
        self.assertEqual(timers(self.clock), [])
        return told

    def seeable(self) -> Any:
        """
        What can be seen now.
        """
        seen = [
            (
                event,
                *(repr(arg) if isinstance(arg, BaseException) else arg for arg in args),
            )
            for event, *args in self.seen
        ]
        ends = [(list(each.got), each.closed) for each in self.browsers]
        data = self.stored()
        return seen, ends, data and {**data, "_sessionsock": None}

    def compare(self, seed: int, **options: Any) -> None:
        """
        Have the same happen twice.
        """
        before = dict(self.ways)
        long = self.lived(seed, False, **options)
        self.assertEqual(self.ways[True], before[True])
        short = self.lived(seed, True, **options)
        for number, (one, other) in enumerate(zip(long, short, strict=True)):
            self.assertEqual(one, other, f"seed {seed}, {options}, step {number}")

    def seeds(self) -> range:
        return range(round(40 * factor()))

    @pytest.mark.fuzz
    def test_perConnection(self) -> None:
        """
        Where the session is loaded once.
        """
        for seed in self.seeds():
            self.compare(seed)
        self.assertGreater(self.ways[True], 500)

    @pytest.mark.fuzz
    def test_perMessage(self) -> None:
        """
        Where it is fresh for each message.
        """
        for seed in self.seeds():
            self.compare(seed, perMessage=True)
        self.assertGreater(self.ways[True], 300)

    @pytest.mark.fuzz
    def test_limits(self) -> None:
        """
        Where little may wait, and messages have to be paid for.
        """
        little = Limits(unsentBytes=200, messageSize=400, waitingMessages=4)
        for seed in self.seeds():
            self.compare(seed, limits=little, perMessage=seed % 3 == 0)
        rated = Limits(sessionRate=Rate(perSecond=20, burst=5))
        for seed in range(10):
            self.compare(seed, limits=rated)
        self.assertGreater(self.ways[True], 300)


_ORDINARY = ("read", "count", "both", "increment", "push", "same", "takesTime", "fired")
