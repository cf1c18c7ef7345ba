# -*- test-case-name: tests.simulation.test_world -*-
"""
A world in which a plan happens.
"""

from __future__ import annotations

import gc
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import takewhile
from random import Random
from typing import Final

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.logger import LogLevel as Level
from zope.interface import implementer

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID
from txsessionsock.limits import Limits
from txsessionsock.socketio import Recovery

from .browser import Tab
from .bus import Ether
from .cached import LINKS, placeFor
from .groups import NOBODY
from .history import History
from .messages import Message
from .node import Node, Served
from .page import Page
from .pages import Visit
from .plan import LONG, PLAIN, SHORT, Plan, Step
from .queue import SECOND, NodeClock, Queue, chanceFrom
from .repeats import RepeatedServed
from .socketio import NAMESPACES, Server
from .store import Link
from .webapp import WebApp
from .wire import Wire


__all__ = ["World", "happened"]

_MOST_EVENTS = 30_000
_MOST_GARBAGE = 500_000
_DONE = 5 * SECOND
"""
After how long without a handler it is taken that they are done.
"""
_TRIED_AGAIN = 12 * SECOND
"""
After how long whoever could not store a session has tried it again.
"""
_COLLECTED = 10.0
"""
After how many seconds whoever looks now and then has seen what the collector freed.
"""
_MOST_SECONDS: Final = 10.0
"""
How many seconds of the processor a history may take: hundreds of times what it does.
"""
_WIDE = Limits(pingInterval=8.0, pingTimeout=5.0)
_NARROW = replace(
    _WIDE,
    waitingMessages=6,
    unsentBytes=40,
    messageSize=400,
    unsentTimeout=3.0,
)
_AT_WORK = ("handles", "done", "runs", "runs again")
_SECOND = 0.2
_RECOVERED = 2_000
"""
How often a namespace names another session; how many bytes are kept for a client that
may come back: a few events.
"""
_FRAMEWORKS = {ttl: Express(["keyboard cat"], ttl=int(ttl)) for ttl in (LONG, SHORT)}


class World:
    """
    All there is.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.queue = Queue(plan.seed)
        self.history = History(lambda: self.queue.now)
        self._framework = _FRAMEWORKS[plan.ttl]
        self.place = placeFor(plan.kind, self.queue, self._stored)
        self._tokens = iter(range(100, 100_000))
        self._sessions = [self._framework.newSessionID() for _ in range(plan.sessions)]
        self.webApps = [
            WebApp(
                name,
                self.queue,
                self.history,
                self.place,
                plan.ttl,
                anonymous=plan.anonymous,
            )
            for name in ("web1", "web2")
        ]
        for sessionID in self._sessions:
            self.webApps[0].logIn(sessionID)
        self._started = 0
        # When a session could be read again that somebody had spoiled.
        self._mended = -_TRIED_AGAIN
        self._ether = (
            Ether(self.queue, plan.latency) if plan.hub or plan.hasSocketIO else None
        )
        self.nodes = [self._newNode(offset) for offset in plan.offsets]
        self.tabs = [self._newTab(number) for number in range(plan.tabs)]

    def _newNode(self, offset: float) -> Node:
        self._started += 1
        name = f"node{self._started}"
        clock = NodeClock(self.queue, offset)
        plan = self.plan
        link: Link = LINKS[plan.kind](name, self.place, clock, plan.latency)
        node = Node(
            name,
            self.history,
            clock,
            link,
            self._framework,
            ether=self._ether,
            perMessage=plan.perMessage,
            shortMessages=plan.shortMessages,
            freshness=plan.freshness,
            repair=plan.repair,
            limits=_NARROW if plan.isNarrow else _WIDE,
            serve=self._serve,
        )
        if plan.hub:
            node.meet()
        if plan.hasSocketIO:
            self._serveMore(node)
        return node

    def _serve(self, node: Node, wire: Wire) -> Served:
        tab = wire.name.partition(".")[0]
        repeats = tab in [f"tab{number}" for number in range(self.plan.repeating)]
        return (RepeatedServed if repeats else Served)(node, wire)

    def _cookie(self, number: int) -> SessionID:
        return self._sessions[number % len(self._sessions)]

    def _reply(self) -> Message:
        saves = not self.plan.perMessage
        return Message(next(self._tokens), "read", "a", -1, saves)

    def _living(self) -> list[Node]:
        return [node for node in self.nodes if node.isAlive]

    def _stored(
        self, what: str, by: str, key: str, raw: bytes | None, until: int | None
    ) -> None:
        data = None if raw is None else raw.decode()
        self.history.note(what, by, key=key, data=data, until=until)

    # What happens.

    def does(self, step: Step) -> bool:
        """
        Take a step.

        @return: Whether it came to an end.
        """
        getattr(self, f"_{step.what}")(step)
        return self.queue.run(step.pause, _MOST_EVENTS)

    def _tab(self, step: Step) -> Tab:
        return self.tabs[step.who % len(self.tabs)]

    def _node(self, step: Step) -> Node | None:
        node = self.nodes[step.who % len(self.nodes)]
        return node if node.isAlive else None

    def _send(self, step: Step) -> None:
        do, key, digit, saved = step.more
        saves = saved or not self.plan.perMessage
        self._tab(step).send(Message(next(self._tokens), do, key, digit, saves))

    def _connect(self, step: Step) -> None:
        self._tab(step).connect()

    def _leave(self, step: Step) -> None:
        self._tab(step).leave()

    def _logOut(self, step: Step) -> None:
        self.webApps[0].logOut(self._cookie(step.who))

    def _logIn(self, step: Step) -> None:
        """
        Those who are logged out log in, with a new session.
        """
        number = step.who % len(self._sessions)
        if self.place.get(f"sess:{self._sessions[number]}") is None:
            self._sessions[number] = self._framework.newSessionID()
            self.webApps[0].logIn(self._sessions[number])
            for tab in self.tabs:
                tab.connect()

    def _write(self, step: Step) -> None:
        webApp = self.webApps[step.who // 2 % 2]
        webApp.request(self._cookie(step.who), next(self._tokens), *step.more)

    def _touch(self, step: Step) -> None:
        self.webApps[0].touch(self._cookie(step.who))

    def _onNode(self, step: Step, what: str, do: Callable[[Node], object]) -> None:
        node = self._node(step)
        if node is not None:
            more = dict(zip(("how", "seconds"), step.more, strict=False))
            self.history.note(what, node.name, **more)
            do(node)

    def _trouble(self, step: Step) -> None:
        kind, seconds = step.more

        def trouble(node: Node) -> None:
            node.link.befall(kind)
            self.queue.after(seconds, partial(self._heals, node))

        self._onNode(step, "trouble", trouble)

    def _heal(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            self._heals(node)

    def _heals(self, node: Node) -> None:
        if node.link.isIll:
            node.link.heal()
            self.history.note("heals", node.name)

    def _cutStore(self, step: Step) -> None:
        self._onNode(step, "cut off", lambda node: node.link.cut())

    # What befalls the store.

    def _spoil(self, step: Step) -> None:
        """
        Somebody writes what no session can be read from, and later what it was
        before.
        """
        how, seconds = step.more
        key = f"sess:{self._cookie(step.who)}"
        # A file tells what was done through the library.
        how = "bytes" if self.plan.kind == "polled" else how
        raw = self.place.spoil(key, "web1", how)
        if raw is not None:
            self.queue.after(seconds, partial(self._mend, key, raw))

    def _mend(self, key: str, raw: bytes) -> None:
        if self.place.isSpoiled(key):
            self._mended = self.queue.now
        self.place.mend(key, raw, self.plan.ttl, "web1")

    def _view(self, step: Step) -> None:
        """
        A web application reads a session, and has a copy of it then.
        """
        self.place.get(f"sess:{self._cookie(step.who)}")

    def _restart(self, step: Step) -> None:
        """
        The store is away for a while, and comes back with what it had, or empty.
        """
        seconds, isEmpty = step.more
        self.history.note("restarts", "store", seconds=seconds, isEmpty=isEmpty)
        for node in self._living():
            self.history.note("trouble", node.name, how="refused", seconds=seconds)
            node.link.cut(isLost=isEmpty)
            node.link.befall("refused")
            self.queue.after(seconds, partial(self._heals, node))
        if isEmpty:
            self.place.empty("store")

    def _kill(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            node.kill()

    def _stop(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            node.stop()

    def _start(self, step: Step) -> None:
        number = step.who % len(self.nodes)
        if not self.nodes[number].isAlive:
            self.nodes[number] = self._newNode(self.plan.offsets[number])
            self.history.note("starts", self.nodes[number].name)

    def _pause(self, step: Step) -> None:
        self._onNode(step, "pauses", lambda node: node.clock.pause(step.more[0]))

    def _jump(self, step: Step) -> None:
        if any(self.plan.offsets):
            self._onNode(step, "jumps", lambda node: node.clock.jump(step.more[0]))

    def _slow(self, step: Step) -> None:
        def slow(node: Node) -> None:
            node.clock.lag = 20_000
            self.queue.after(step.more[0], partial(self._hurries, node))

        self._onNode(step, "slow", slow)

    def _hurries(self, node: Node) -> None:
        node.clock.lag = 0

    # What befalls sockets.

    def _newTab(self, number: int) -> Tab:
        plan = self.plan
        kind = plan.sockets[number % len(plan.sockets)]
        if kind == PLAIN:
            make: Callable[..., Tab] = Tab
        else:
            make = partial(
                Page,
                acks=lambda: self.queue.random.random() < 0.5,
                other=partial(self._another, number),
                cookieValue=self._framework.cookieValue,
                parser=kind,
            )
        return make(
            f"tab{number}",
            self.queue,
            self.history,
            cookie=partial(self._cookie, number),
            nodes=self._living,
            reply=self._reply,
            latency=plan.latency,
        )

    def _another(self, number: int) -> SessionID | None:
        """
        Another session than that of a tab, now and then.
        """
        if self.plan.hasSecond and self.queue.random.random() < _SECOND:
            return self._cookie(number + 1)
        return None

    def _serveMore(self, node: Node) -> None:
        limits = node.sockets.limits
        seconds = self.plan.recovery
        size = min(limits.unsentBytes, _RECOVERED)
        recovery = Recovery(seconds, size) if seconds else None
        Server(node, limits=limits, recovery=recovery)

    def _switch(self, step: Step) -> None:
        """
        A browser logs in as somebody else, while its sockets are open; the session
        that it had may go on without it.
        """
        logsOut, comesAgain = step.more
        number = step.who % len(self._sessions)
        if logsOut:
            self.webApps[0].logOut(self._sessions[number])
        sessionID = self._sessions[number] = self._framework.newSessionID()
        self.history.note("switches", "world", session=sessionID)
        self.webApps[0].logIn(sessionID)
        if comesAgain:
            for tab in self.tabs[number :: len(self._sessions)]:
                tab.cut("told")
                tab.connect()

    def _leaveNamespace(self, step: Step) -> None:
        tab = self._tab(step)
        if isinstance(tab, Page):
            tab.leaveNamespace(step.who)

    def _shout(self, step: Step) -> None:
        node = self._node(step)
        if node is not None and node.io is not None:
            namespace = NAMESPACES[step.who // 7 % len(NAMESPACES)]
            number, toSession = step.more
            for _ in range(number):
                if toSession:
                    sessionID = self._cookie(step.who // 7)
                    node.io.tellAll(sessionID, next(self._tokens))
                else:
                    node.io.shout(namespace, next(self._tokens))

    def _cut(self, step: Step) -> None:
        self._tab(step).cut(*step.more)

    def _stopReading(self, step: Step) -> None:
        tab, (seconds, number) = self._tab(step), step.more
        tab.stopReading(seconds)
        self._sendMany(tab, number)

    def _burst(self, step: Step) -> None:
        self._sendMany(self._tab(step), *step.more)

    def _sendMany(self, tab: Tab, number: int) -> None:
        for each in range(number):
            do = ("set", "read", "nested")[each % 3]
            key = "nest.a" if do == "nested" else "a"
            tab.send(Message(next(self._tokens), do, key, -1, not self.plan.perMessage))

    # What the web application and pages of ours do.

    def _renew(self, step: Step) -> None:
        """
        The web application logs somebody in, with a new id.
        """
        number, (how, seconds) = step.who % len(self._sessions), step.more
        new = self._framework.newSessionID()
        self.webApps[step.who % 2].renew(self._sessions[number], new, how, seconds)
        self.queue.after(seconds + 0.01, partial(self._setsCookie, number, new))

    def _setsCookie(self, number: int, sessionID: SessionID | None) -> None:
        """
        A browser has another cookie, and its tabs connect with it.
        """
        if sessionID is not None:
            self._sessions[number] = sessionID
            for tab in self.tabs:
                tab.connect()

    def _rewrite(self, step: Step) -> None:
        """
        The web application does something else than write a value of its own.
        """
        self._write(step)

    def _revive(self, step: Step) -> None:
        """
        Somebody logs out while a slow request is at work, which writes the session
        again.
        """
        cookie, (seconds,) = self._cookie(step.who), step.more
        token = next(self._tokens)
        self.webApps[1].request(cookie, token, "ours", seconds, revives=True)
        self.queue.after(seconds / 3, partial(self.webApps[0].logOut, cookie))

    def _visit(self, step: Step) -> None:
        nodes = self._living()
        if not nodes:
            return
        do, key, digit, cutAfter = step.more
        number = step.who % len(self._sessions)
        token = next(self._tokens)
        visit = Visit(
            f"page{token}",
            nodes[step.who // 3 % len(nodes)],
            Message(token, do, key, digit, waitsToBeSaved=False),
            self._sessions[number],
            latency=self.plan.latency,
            setsCookie=partial(self._setsCookie, number),
        )
        if cutAfter:
            self.queue.after(cutAfter, visit.cut)

    def _outside(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            node.change(step.who // 7, next(self._tokens), counts=step.more[0])

    # Hubs.

    def _tell(self, step: Step) -> None:
        node = self._node(step)
        if node is None or node.groups is None:
            return
        do, kind = step.more
        sessionID = self._cookie(step.who // 7)
        value: str | int = kind
        if kind == "session":
            value = sessionID
        elif kind == "seat":
            stored = self.place.get(f"sess:{sessionID}")
            data = {} if stored is None else json.loads(stored.raw)
            value = data.get("seat", NOBODY)
        else:
            kind = "room"
        # By the node, which may be paused.
        tell = partial(node.groups.tell, do, kind, value)
        self.queue.after(0, tell, node.clock)

    def _bus(self, step: Step) -> None:
        """
        Something is wrong with a node's connection to the bus.
        """
        node = self._node(step)
        if node is None or node.bus is None or node.bus.line.trouble:
            return
        kind, seconds = step.more
        line = node.bus.line
        self.history.note("bus", node.name, how=kind, seconds=seconds)
        line.trouble = kind
        if kind == "cut":
            line.cut()
        self.queue.after(seconds, partial(self._busHeals, node))

    def _busHeals(self, node: Node) -> None:
        if node.bus is not None and node.bus.line.trouble:
            node.bus.line.trouble = ""
            self.history.note("bus heals", node.name)

    def _roll(self, step: Step) -> None:
        """
        A node is told to stop, and another one takes its place.
        """
        if self._node(step) is not None:
            self._stop(step)
            self._start(step)

    def _countAll(self) -> bool:
        """
        Count all groups, when nothing moves.

        @return: Whether it came to an end.
        """
        for node in self._living():
            if node.groups is not None:
                node.groups.tell("count", "room", "all")
                node.groups.tell("count", "seat", NOBODY)
                for sessionID in self._sessions:
                    node.groups.tell("count", "session", sessionID)
        return self._ether is None or self.queue.run(1.5, _MOST_EVENTS)

    # The end.

    def finish(self) -> bool:
        """
        Have everything be well, and see what is left.

        @return: Whether it came to an end.
        """
        self.history.note("all is well", "world")
        for node in self._living():
            self._heals(node)
            self._busHeals(node)
            node.clock.lag = 0
        isOver = self._calmsDown() and self._countAll()
        self.history.note("quiet", "world")
        for node in self._living():
            if node.bus is not None:
                node.bus.close()
        self.place.discardSpoiled("world")
        for tab in self.tabs:
            tab.leave(forGood=True)
        isOver = isOver and self.queue.run(25.0, _MOST_EVENTS)
        if any(node.rest() for node in self._living()):
            # A page whose client left goes on while anything has its session; an error
            # with its frames may, until the collector comes.
            gc.collect()
            isOver = isOver and self.queue.run(_COLLECTED, _MOST_EVENTS)
        for node in self._living():
            for left in node.rest():
                self.history.note("left", node.name, text=left)
        for node in self.nodes:
            if not (node.isAlive or node.clock.isStopped):
                self.history.note("left", node.name, text="what was to stop")
        self.history.note("end", "world")
        return isOver

    def _calmsDown(self) -> bool:
        """
        Let time pass until handlers are done: on a slow store, those of many messages
        take longer.  So does it until is stored what could not be while a session could
        not be read.

        @return: Whether it came to an end.
        """
        isOver = self.queue.run(25.0, _MOST_EVENTS)
        while isOver and self._isAtWork():
            isOver = self.queue.run(5.0, _MOST_EVENTS)
        return isOver

    def _isAtWork(self) -> bool:
        if self.queue.now - self._mended < _TRIED_AGAIN:
            return True
        since = self.queue.now - _DONE
        late = takewhile(lambda each: each.at > since, reversed(self.history.all))
        return any(each.what in _AT_WORK for each in late)


@contextmanager
def _errors(note: Callable[[str], object]) -> Iterator[None]:
    """
    Take what is logged as a failure.
    """

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_level") is Level.critical:
            failure = event.get("log_failure")
            error = "" if failure is None else repr(failure.value)
            note(f"{event.get('log_format')} {error}")

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


@contextmanager
def _uncollected() -> Iterator[None]:
    """
    Have the garbage collector not come while a history happens: what of another
    world waits for something ends when it is collected, and may fail by that.
    """
    wasEnabled = gc.isenabled()
    gc.disable()
    if gc.get_count()[0] > _MOST_GARBAGE:
        gc.collect()
    try:
        yield
    finally:
        if wasEnabled:
            gc.enable()


class _Endless(BaseException):
    """
    An event does not come to an end.
    """


@contextmanager
def _ending(most: float) -> Iterator[list[int]]:
    """
    Break off what does not come to an end, and what does not after that.

    @param most: After how many seconds of the processor.

    @return: Gets an item when it is broken off: who is at work may swallow the
        exception.
    """
    brokenOff: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield brokenOff
        return

    def breakOff(number: int, frame: object) -> None:
        brokenOff.append(number)
        raise _Endless

    before = signal.signal(signal.SIGVTALRM, breakOff)
    signal.setitimer(signal.ITIMER_VIRTUAL, most, 1.0)
    try:
        yield brokenOff
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _happens(world: World, brokenOff: list[int]) -> bool:
    """
    @return: Whether it came to an end.
    """
    try:
        for tab in world.tabs:
            tab.connect()
        isOver = world.queue.run(0.05, _MOST_EVENTS)
        for step in world.plan.steps:
            isOver = isOver and not brokenOff and world.does(step)
        return isOver and not brokenOff and world.finish()
    except _Endless:
        return False


def _noteError(world: World, error: str) -> None:
    world.history.note("error", "log", text=error)


def happened(plan: Plan, most: float = _MOST_SECONDS) -> World:
    """
    Have a history happen.

    @param most: After how many seconds of the processor it is endless.
    """
    with chanceFrom(Random(f"chance {plan.seed}")), _uncollected():
        world = World(plan)
        note = partial(_noteError, world)
        with _errors(note), _ending(most) as brokenOff:
            isOver = _happens(world, brokenOff)
        if brokenOff or not isOver:
            world.history.note("endless", "world")
        for node in world.nodes:
            node.clock.stop()
        # The library keeps some things of a manager for as long as there is one, and
        # its reactor among them: that is not to lead back to this world.
        world.queue.clear()
    return world
