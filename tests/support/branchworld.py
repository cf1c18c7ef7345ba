"""
A world in which a planned history happens: real managers on one place, and
foreign writers that write whole sessions, as they were when a request began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random, SystemRandom
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, DeferredLock, gatherResults, succeed
from twisted.internet.task import deferLater

from tests.support import branchplans as plans
from tests.support.branchnet import Clocks, NodeClock, RemoteStore, WatchableRemoteStore
from tests.support.managing import Recorder
from txsessionsock.frameworks.aiohttp import Aiohttp
from txsessionsock.frameworks.django import Django
from txsessionsock.frameworks.express import Express
from txsessionsock.frameworks.flask import FlaskSession
from txsessionsock.frameworks.php import PHP
from txsessionsock.frameworks.starlette import Starsessions
from txsessionsock.interfaces import Document, IFramework, SessionError
from txsessionsock.manager import SessionManager
from txsessionsock.session import Session
from txsessionsock.session.journal import STAMP
from txsessionsock.stores.memory import MemoryStore


__all__ = ["Op", "Process", "Version", "World", "happened"]

_BEGIN = 1_700_000_000.0

_DAYS = 5 * 86400

_FRAMEWORKS: Mapping[str, Callable[[], IFramework]] = {
    "express": partial(Express, secrets=["keyboard cat"], ttl=_DAYS),
    "django": Django,
    "flask": FlaskSession,
    "starsessions": Starsessions,
    "aiohttp": Aiohttp,
    "php": partial(PHP, maxLifetime=_DAYS),
}

_STORMY = 60
"""
With how many writes of nodes between two steps they will never end.
"""


@dataclass(frozen=True)
class Version:
    """
    What was stored from a moment on.

    @ivar writer: The name of the node; C{"f0"} and the like for a foreign one.

    @ivar knows: Up to which write of each node this descends from.
    """

    number: int
    at: float
    writer: str
    data: Mapping[str, Any]
    knows: Mapping[str, int]

    @property
    def isForeign(self) -> bool:
        return self.writer.startswith("f")


@dataclass
class Op:
    """
    A change that somebody asked a node for.

    @ivar token: What it wrote, if that can be seen.

    @ivar since: After which version it was begun.

    @ivar state: C{"asked"}, C{"acknowledged"}; C{"unknown"} if it failed in a
        way that leaves open whether it is stored, C{"never"} if it did not
        begin.

    @ivar writes: How often its node had written when it was acknowledged.
    """

    what: str
    node: Process
    token: int | None
    since: int
    state: str = "asked"
    writes: int = 0

    @property
    def isAcknowledged(self) -> bool:
        return self.state == "acknowledged"

    @property
    def isPossible(self) -> bool:
        """
        Whether it may be stored.
        """
        return self.state != "never"


class Process:
    """
    One process of ours, with one socket.

    @ivar name: Begins with C{n}.

    @ivar session: What the socket has, while it is there.

    @ivar isAlive: Whether it was not killed, and has not stopped.

    @ivar knows: Up to which write of each node it has seen, since it has the
        session.

    @ivar seen: The numbers of the versions that were answered to it, and how
        many there were then.

    @ivar wasKilled: Whether it ended without notice.

    @ivar inbox: One message is handled at a time.
    """

    session: Session | None = None

    def __init__(self, world: World, name: str, like: plans.Node) -> None:
        self.name = name
        self.isFresh = like.isFresh
        self.isAlive = True
        self.isStopping = False
        self.writes = 0
        self.knows: dict[str, int] = {}
        self.seen: dict[int, int] = {}
        self.wasKilled = False
        self.inbox = DeferredLock()
        self.clock = world.clocks.new(like.offset)
        kind = WatchableRemoteStore if like.isWatchable else RemoteStore
        self.store = kind(
            world.place,
            world.server,
            self.clock,
            delay=world.delay,
            wrote=partial(world.nodeWrote, self),
            seen=partial(world.answered, self),
        )
        self.manager = SessionManager(
            self.store,
            world.framework,
            self.clock,
            freshness="tracked" if like.isTracked else "strict",
            repair=world.plan.repair,
            repairWindow=world.plan.window,
        )
        self.holder = Recorder()

    def __str__(self) -> str:
        return self.name

    def vanish(self) -> None:
        """
        Be no more, at once.
        """
        self.isAlive = False
        self.session = None
        self.store.isDead = True
        self.clock.stop()

    def buried(self) -> None:
        """
        Leave nothing that waits, which would complain when it is collected.
        """
        self.vanish()
        self.store.drain()
        self.clock.drain()


class World:
    """
    All there is.

    @ivar nodes: By their number in the plan, those who are there.

    @ivar everyNode: Also those who were.

    @ivar versions: All that was stored.

    @ivar ops: All that nodes were asked for.

    @ivar foreign: What the foreign writers wrote to keys of their own, with
        the numbers of the versions: L{None} for a deletion.

    @ivar faults: What went wrong beside what is stored in the end.
    """

    def __init__(self, plan: plans.Plan, *, tells: bool = False) -> None:
        self.plan = plan
        self.script: list[str] = []
        self._tells = tells
        self._random = Random(plan.seed)
        self.clocks = Clocks(_BEGIN)
        self.server: NodeClock = self.clocks.new()
        self.place = MemoryStore(self.server)
        self.framework = _FRAMEWORKS[plan.framework]()
        self.id = self.framework.newSessionID()
        self.key = self.framework.key(self.id)
        self.versions: list[Version] = []
        self.foreign: dict[str, list[tuple[int, Any]]] = {}
        self.faults: set[str] = set()
        self.ops: list[Op] = []
        self._storm = 0
        self._copies: dict[int, tuple[float, int, Document]] = {}
        self._turns: dict[str, Op] = {}
        document = self.framework.newDocument(_BEGIN)
        document.data.update(user="ann", list=[-1], log=[-1], nest={"z": 0})
        self._create(document)
        self.nodes = [
            Process(self, f"n{number}", like) for number, like in enumerate(plan.nodes)
        ]
        self.everyNode = list(self.nodes)
        for node in self.nodes:
            self.comes(node)
        self.passes(0.1 + 4 * plan.delay)

    def delay(self) -> float:
        """
        How long something takes to the store, or back.
        """
        if not self.plan.delay:
            return 0.0
        return self._random.uniform(0.1, 1.0) * self.plan.delay

    def note(self, what: str) -> None:
        """
        Write into the script what happens.
        """
        if self._tells:
            self.script.append(f"{self.clocks.now - _BEGIN:9.3f} {what}")

    # What is stored.

    def _create(self, document: Document) -> None:
        raw, now = self.framework.dumps(document, _BEGIN), self.clocks.now
        self.place.create(self.key, raw, self.framework.lifetime(document, now))
        self._stored("f", raw, {})

    def current(self) -> Version:
        """
        What is stored now.
        """
        return self.versions[-1]

    def _stored(self, writer: str, raw: bytes, knows: Mapping[str, int]) -> None:
        data = dict(self.framework.loads(raw, self.clocks.now).data)
        stamps = data.pop(STAMP, None)
        number = len(self.versions)
        self.versions.append(Version(number, self.clocks.now, writer, data, knows))
        if self._tells:
            self.note(f"  {writer} stored version {number}: {data} {stamps}")

    def nodeWrote(self, node: Process, raw: bytes) -> None:
        """
        A node has written over what was stored.
        """
        self._storm += 1
        node.writes += 1
        knows = {**self.current().knows, node.name: node.writes}
        self._stored(node.name, raw, knows)

    def answered(self, node: Process) -> Callable[[], None]:
        """
        A node's question was answered with what is stored now.
        """
        version = self.current()

        def seen() -> None:
            node.seen.setdefault(version.number, len(self.versions))
            for name, writes in version.knows.items():
                node.knows[name] = max(writes, node.knows.get(name, 0))

        return seen

    # What happens.

    def does(self, step: plans.Step) -> None:
        """
        Take a step.
        """
        self.note(str(step))
        if step.what == "request":
            self._request(step)
        elif step.what == "start":
            self._starts(step.who)
        else:
            node = self.nodes[step.who]
            if node.isAlive and not node.isStopping:
                getattr(self, f"_{step.what}")(node, step)
        self.passes(step.pause)

    def passes(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self._storm = 0
        # What is due now happens, too.
        self.clocks.advance(seconds, lambda: self._storm < _STORMY)
        if self._storm >= _STORMY:
            self.faults.add("endless")

    def _request(self, step: plans.Step) -> None:
        """
        A foreign writer's request begins, or the one that it makes ends.
        """
        began, number, copy = self._copies.pop(step.who, (0.0, 0, None))
        if copy is None:
            current: Any = self.place.load(self.key).result
            copy = self.framework.loads(current.raw, self.clocks.now)
            number = self.current().number
            self._copies[step.who] = self.clocks.now, number, copy
            self.note(f"  begins, with version {number}")
        elif self.clocks.now - began <= self.plan.longest:
            self._ends(step, self.versions[number], copy)

    def _ends(self, step: plans.Step, had: Version, copy: Document) -> None:
        name = f"f{step.who}"
        for key, value in self._changed(step, name, copy.data):
            # This write is to be the next version.
            self.foreign.setdefault(key, []).append((len(self.versions), value))
        now = self.clocks.now
        raw, ttl = self.framework.dumps(copy, now), self.framework.lifetime(copy, now)
        current: Any = self.place.load(self.key).result
        self.place.replace(self.key, current.raw, raw, ttl)
        self._stored(name, raw, had.knows)

    def _changed(
        self, step: plans.Step, name: str, data: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """
        Do what a request does.

        @return: The keys, and what is there then.
        """
        number = step.number
        if "own" in step.options:
            data[name] = number
            yield name, number
        if "nested" in step.options:
            data["nest"][name] = number
            yield f"nest.{name}", number
        if "flash" in step.options:
            found = data.pop("flash", None)
            if found is None:
                data["flash"] = number
            yield "flash", data.get("flash")
        tickets = [key for key in data if key.startswith("t")]
        if "delete" in step.options and tickets:
            del data[key := tickets[number % len(tickets)]]
            yield key, None
        for key in step.options & {"c", "u"}:
            data[key] = data.get(key, 0) + 1
            self.foreign.setdefault(key, []).append((len(self.versions), number))

    # What nodes do.

    def comes(self, node: Process) -> None:
        """
        A node's socket comes.
        """

        def opened(session: Session) -> None:
            node.session = session

        opening = node.manager.open(self.id, node.holder)
        opening.addCallbacks(opened, lambda failure: failure.trap(SessionError))

    def _starts(self, number: int) -> None:
        name = f"n{number}{'+' * (len(self.everyNode) - len(self.nodes) + 1)}"
        node = Process(self, name, self.plan.nodes[number])
        self.nodes[number] = node
        self.everyNode.append(node)
        self.comes(node)

    def _return(self, node: Process, step: plans.Step) -> None:
        if node.session is None:
            node.holder = Recorder()
            self.comes(node)

    def _leave(self, node: Process, step: plans.Step) -> None:
        self._leaves(node)

    def _leaves(self, node: Process) -> Deferred[None] | None:
        session, node.session = node.session, None
        node.knows.clear()
        if session is None:
            return None
        released = node.manager.release(session, node.holder)
        return released.addErrback(lambda failure: failure.trap(SessionError) and None)

    def _stop(self, node: Process, step: plans.Step) -> None:
        node.isStopping = True
        leaving = self._leaves(node)
        stopping = node.manager.stop()
        doing = [stopping] if leaving is None else [leaving, stopping]

        def stopped(_: object) -> None:
            self.note(f"  {node} has stopped")
            node.vanish()

        gatherResults(doing).addCallback(stopped)

    def _kill(self, node: Process, step: plans.Step) -> None:
        node.wasKilled = True
        node.vanish()

    def _refused(self, node: Process, step: plans.Step) -> None:
        node.store.trouble(step.what)
        # It is over soon, whatever the plan says.
        self.server.callLater(2.5, node.store.heal)

    _deaf = _mute = _refused

    def _heal(self, node: Process, step: plans.Step) -> None:
        node.store.heal()

    def _wait(self, node: Process, step: plans.Step) -> None:
        # Longer than any stamp is kept without having been renewed.
        if step.number % 5 == 0:
            self.passes(3800.0)

    def _look(self, node: Process, step: plans.Step) -> None:
        if node.session is not None:
            looking = node.session.reload()
            looking.addErrback(lambda failure: failure.trap(SessionError))

    # Changes.

    def _begins(self, node: Process, what: str, token: int | None) -> Op:
        op = Op(what, node, token, self.current().number)
        self.ops.append(op)
        return op

    def _changes(
        self,
        node: Process,
        op: Op,
        change: Callable[[Session], Deferred[Any]],
    ) -> Deferred[None]:
        """
        Do what a message asks for, as a socket does.
        """

        async def message() -> None:
            async with node.inbox:
                changing = await self._handles(node, op, change)
            try:
                if changing is not None:
                    await changing
                    self._acknowledged(op)
            except SessionError as error:
                op.state = "unknown"
                self.note(f"  {node} {op.what} {op.token}: {error!r}")

        return Deferred.fromCoroutine(message())

    async def _handles(
        self,
        node: Process,
        op: Op,
        change: Callable[[Session], Deferred[Any]],
    ) -> Deferred[Any] | None:
        session = node.session
        if session is not None and node.isFresh:
            fresh = session.keeper.fresh(session.keeper.arrival())
            try:
                await (fresh or succeed(None))
            except SessionError:
                session = None
        if session is None or node.session is not session:
            op.state = "never"
            return None
        op.since = self.current().number
        return change(session)

    def _acknowledged(self, op: Op) -> None:
        op.state = "acknowledged"
        op.writes = op.node.writes
        self.note(f"  {op.node} acknowledges {op.what} {op.token or ''}")

    def _sets(
        self,
        node: Process,
        what: str,
        token: int | None,
        f: Callable[[Session], object],
    ) -> None:
        """
        Have a handler change the session.
        """
        self._changes(node, self._begins(node, what, token), partial(_handle, node, f))

    def _increment(self, node: Process, step: plans.Step) -> None:
        self._sets(node, "c", None, lambda session: session.increment("c"))

    def _update(self, node: Process, step: plans.Step) -> None:
        op = self._begins(node, "u", None)
        self._changes(node, op, lambda session: session.update(_countUp))

    def _append(self, node: Process, step: plans.Step) -> None:
        op = self._begins(node, "log", step.number)
        append = partial(_append, step.number)
        self._changes(node, op, lambda session: session.update(append))

    def _own(self, node: Process, step: plans.Step) -> None:
        self._sets(
            node,
            f"own {node}",
            step.number,
            lambda session: session.__setitem__(f"own {node}", step.number),
        )

    def _nested(self, node: Process, step: plans.Step) -> None:
        self._sets(
            node,
            f"nest.{node}",
            step.number,
            lambda session: session["nest"].__setitem__(node.name, step.number),
        )

    def _ticket(self, node: Process, step: plans.Step) -> None:
        key = f"t{step.number}"
        self._sets(node, key, 1, lambda session: session.__setitem__(key, 1))

    def _toggle(self, node: Process, step: plans.Step) -> None:
        """
        Set a key of one's own, or delete it.
        """
        key = f"switch {node}"

        def toggle(session: Session) -> Deferred[Any]:
            isThere = key in session
            op.token = None if isThere else step.number
            if isThere:
                return _handle(node, lambda session: session.pop(key), session)
            return _handle(
                node, lambda session: session.__setitem__(key, step.number), session
            )

        op = self._begins(node, key, None)
        self._changes(node, op, toggle)

    # In turn.

    def _assign(self, node: Process, step: plans.Step) -> None:
        """
        Assign, after the answer to who assigned before.
        """
        before = self._turns.get("x")
        if node.session is not None and _isOver(before):
            op = self._turns["x"] = self._begins(node, "x", step.number)
            assign = lambda session: session.__setitem__("x", step.number)  # noqa: E731  # One line.
            self._inTurn(node, op, assign)

    def _push(self, node: Process, step: plans.Step) -> None:
        """
        Append, after having seen what who appended before did.
        """
        before, session = self._turns.get("list"), node.session
        if session is None or not _isOver(before):
            return
        if before is None or before.token in session["list"]:
            op = self._turns["list"] = self._begins(node, "list", step.number)
            push = lambda session: session["list"].append(step.number)  # noqa: E731  # One line.
            self._inTurn(node, op, push)

    def _inTurn(
        self, node: Process, op: Op, change: Callable[[Session], object]
    ) -> None:
        """
        Nobody else may, until there is an answer.
        """

        async def insist(session: Session) -> None:
            saving = _handle(node, change, session)
            while True:
                with suppress(SessionError):
                    await saving
                    return
                # It is still to be stored, and is when the store can be asked.
                await deferLater(node.clock, 0.5)
                if node.session is not session:
                    raise SessionError("nobody will ever know")
                saving = session.save()

        def given(_: object) -> None:
            if op.state == "never" and self._turns[op.what] is op:
                del self._turns[op.what]
                if before is not None:
                    self._turns[op.what] = before

        before = self._before(op)
        self._changes(
            node, op, lambda session: Deferred.fromCoroutine(insist(session))
        ).addCallback(given)

    def _before(self, op: Op) -> Op | None:
        done = [other for other in self.ops if other.what == op.what]
        possible = [other for other in done[:-1] if other.isPossible]
        return possible[-1] if possible else None

    # The end.

    def finish(self) -> None:
        """
        Nothing is done any more, and all networks are well: wait until nodes
        are done.
        """
        self.note("quiet")
        self._copies.clear()
        for node in self.nodes:
            node.store.heal()
        self.passes(self.plan.window + 12.0)
        writes = len(self.versions)
        self.note("nobody has anything to write any more")
        self.passes(13.0)
        if len(self.versions) > writes:
            self.faults.add("restless")


def _handle(
    node: Process, f: Callable[[Session], object], session: Session
) -> Deferred[None]:
    session.keeper.handlerBegins(node.holder)
    f(session)
    session.keeper.handlerEnds(node.holder, wasSync=True, saveNow=True)
    return session.save()


def _isOver(op: Op | None) -> bool:
    """
    Whether nothing more comes of a change in turn.
    """
    return op is None or op.isAcknowledged or not op.node.isAlive


def _countUp(data: dict[str, Any]) -> None:
    data["u"] = data.get("u", 0) + 1


def _append(token: int, data: dict[str, Any]) -> None:
    data["log"].append(token)


@contextmanager
def _chance(seed: int) -> Iterator[None]:
    """
    Have what is drawn by chance be the same each time.
    """
    chance = Random(seed)
    with (
        patch.object(SystemRandom, "random", lambda _: chance.random()),
        patch.object(SystemRandom, "getrandbits", lambda _, k: chance.getrandbits(k)),
        patch.object(SystemRandom, "randbytes", lambda _, n: chance.randbytes(n)),
    ):
        yield


def happened(plan: plans.Plan, *, tells: bool = False) -> World:
    """
    Have a history happen.

    @param tells: Whether to write a script.
    """
    with _chance(plan.seed):
        world = World(plan, tells=tells)
        for step in plan.steps:
            if world.faults:
                break
            world.does(step)
        if not world.faults:
            world.finish()
        for node in world.everyNode:
            if world.faults or not node.isAlive:
                node.buried()
        return world
