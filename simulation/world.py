# -*- test-case-name: tests.simulation.test_world -*-
"""
A world in which a plan happens.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.logger import LogLevel as Level
from zope.interface import implementer

from txsessionsock.frameworks.express import Express
from txsessionsock.interfaces import SessionID

from .browser import Tab
from .bus import Ether
from .history import History
from .messages import Message
from .node import Node
from .pages import Visit
from .plan import LONG, SHORT, Plan, Step
from .queue import NodeClock, Queue, chanceFrom
from .store import LINKS, Link, Place
from .webapp import WebApp


__all__ = ["World", "happened"]

_MOST_EVENTS = 30_000
_MOST_GARBAGE = 500_000
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
        self.place = Place(self.queue, self._stored)
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
        self._ether = Ether(plan.latency)
        self.nodes = [self._newNode(offset) for offset in plan.offsets]
        self.tabs = [
            Tab(
                f"tab{number}",
                self.queue,
                self.history,
                cookie=partial(self._cookie, number),
                nodes=self._living,
                reply=self._reply,
                latency=plan.latency,
            )
            for number in range(plan.tabs)
        ]

    def _newNode(self, offset: float) -> Node:
        self._started += 1
        name = f"node{self._started}"
        clock = NodeClock(self.queue, offset)
        plan = self.plan
        link: Link = LINKS[plan.kind](name, self.place, clock, plan.latency)
        return Node(
            name,
            self.history,
            clock,
            link,
            self._framework,
            ether=self._ether,
            perMessage=plan.perMessage,
            freshness=plan.freshness,
            repair=plan.repair,
        )

    def _cookie(self, number: int) -> SessionID:
        return self._sessions[number % len(self._sessions)]

    def _reply(self) -> Message:
        saves = not self.plan.perMessage
        return Message(next(self._tokens), "read", "a", -1, saves)

    def _living(self) -> list[Node]:
        return [node for node in self.nodes if node.isAlive]

    def _stored(self, what: str, by: str, key: str, raw: bytes | None) -> None:
        data = None if raw is None else raw.decode()
        self.history.note(what, by, key=key, data=data)

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

    def _cut(self, step: Step) -> None:
        self._tab(step).cut()

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

    def _tell(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            node.tell(self._cookie(step.who // 7), next(self._tokens))

    def _onNode(self, step: Step, what: str, do: Callable[[Node], object]) -> None:
        node = self._node(step)
        if node is not None:
            more = dict(zip(("how", "seconds"), step.more, strict=False))
            self.history.note(what, node.name, **more)
            do(node)

    def _trouble(self, step: Step) -> None:
        kind, seconds = step.more

        def trouble(node: Node) -> None:
            node.link.trouble = kind
            self.queue.after(seconds, partial(self._heals, node))

        self._onNode(step, "trouble", trouble)

    def _heal(self, step: Step) -> None:
        node = self._node(step)
        if node is not None:
            self._heals(node)

    def _heals(self, node: Node) -> None:
        if node.link.trouble:
            node.link.heal()
            self.history.note("heals", node.name)

    def _cutStore(self, step: Step) -> None:
        self._onNode(step, "cut off", lambda node: node.link.cut())

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
        self._onNode(step, "jumps", lambda node: node.clock.jump(step.more[0]))

    def _slow(self, step: Step) -> None:
        def slow(node: Node) -> None:
            node.clock.lag = 20_000
            self.queue.after(step.more[0], partial(self._hurries, node))

        self._onNode(step, "slow", slow)

    def _hurries(self, node: Node) -> None:
        node.clock.lag = 0

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

    # The end.

    def finish(self) -> bool:
        """
        Have everything be well, and see what is left.

        @return: Whether it came to an end.
        """
        self.history.note("all is well", "world")
        for node in self._living():
            self._heals(node)
            node.clock.lag = 0
        isOver = self.queue.run(25.0, _MOST_EVENTS)
        self.history.note("quiet", "world")
        for tab in self.tabs:
            tab.leave(forGood=True)
        isOver = isOver and self.queue.run(25.0, _MOST_EVENTS)
        for node in self._living():
            for left in node.rest():
                self.history.note("left", node.name, text=left)
        for node in self.nodes:
            if not (node.isAlive or node.clock.isStopped):
                self.history.note("left", node.name, text="what was to stop")
        self.history.note("end", "world")
        return isOver


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


def happened(plan: Plan) -> World:
    """
    Have a history happen.
    """
    with chanceFrom(Random(f"chance {plan.seed}")), _uncollected():
        world = World(plan)
        with _errors(lambda error: world.history.note("error", "log", text=error)):
            for tab in world.tabs:
                tab.connect()
            isOver = world.queue.run(0.05, _MOST_EVENTS)
            for step in plan.steps:
                isOver = isOver and world.does(step)
            isOver = isOver and world.finish()
        if not isOver:
            world.history.note("endless", "world")
        for node in world.nodes:
            node.clock.stop()
    return world
