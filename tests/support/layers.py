"""
Which module may import what: the table of the floors, and the reading of
imports.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


PACKAGE = "txsessionsock"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            *("_arguments", "_collector", "_events", "_fairness", "_foreign"),
            *("_repeatable", "_seldom", "_waiting", "interfaces"),
        }
    ),
    frozenset(
        {
            "_alarms",
            "_deferreds",
            "_json",
            "_kinds",
            "_reactor",
            "_storecheck",
            "closecodes",
            "cookies",
            "credentials",
            "forwarded",
            "handshake",
            "limits",
            "messages",
            "origins",
            "tickets",
        }
    ),
    frozenset({"frameworks", "session"}),
    frozenset({"_redis", "bus", "stores", "websocket"}),
    frozenset({"manager"}),
    frozenset({"clients"}),
    frozenset({"hub"}),
    frozenset({"protocol"}),
    frozenset({"klein", "web"}),
    frozenset({"socketio"}),
    frozenset({"demo", "health", "metrics", "service", "testing"}),
    frozenset({"tap"}),
    frozenset({""}),
)
"""
The wings, from the ground up: each a package, or a module at the top level.  A
wing imports from lower floors, and without circles from its own.  On the top is
the package itself, which hands on names of the others: only users import it.
"""

OPEN = ("_redis", "frameworks", "stores")
"""
The packages whose modules are imported from outside.  The others hand on in
their C{__init__} what others need of them.
"""

PURE = (
    *("_arguments", "_events", "_foreign", "_json", "_kinds", "_repeatable"),
    "_seldom",
    "_waiting",
    *("closecodes", "cookies", "credentials", "forwarded", "frameworks", "handshake"),
    *("interfaces", "limits", "messages", "origins", "session", "websocket"),
)
"""
The wings that do not know what time it is.
"""

PLACES: dict[str, tuple[str, ...]] = {
    "autobahn": ("demo", "protocol", "socketio", "tap", "testing", "web", "websocket"),
    "txaio": ("websocket",),
    "twisted.web": (
        *("demo", "health", "klein", "metrics", "protocol", "service", "socketio"),
        *("tap", "web"),
    ),
    "txredisapi": ("_redis.connection",),
    "hiredis": ("_redis.connection",),
    "psycopg": (
        "stores._sql.postgresql",
        "stores._sql.attempt",
        "stores._sql.listener",
    ),
    "klein": ("klein",),
    "hypothesis": ("testing.frameworkcontract",),
    "idna": ("origins",),
    "itsdangerous": ("frameworks",),
    "phpserialize": ("frameworks.php",),
    "prometheus_client": ("metrics.exposition",),
    "msgspec": ("*",),
    "twisted": ("*",),
    "zope": ("*",),
}
"""
Where a foreign package may be imported: in modules or wings.
"""

ON_DEMAND = (
    "_redis.connection",
    "_redis.link",
    "stores.redis",
    "stores._sql.postgresql",
    "stores._sql.attempt",
    "stores._sql.listener",
    "testing.frameworkcontract",
    "metrics.exposition",
)
"""
What is imported within functions only, or by one another: whoever asks for
Redis, for PostgreSQL, or for what needs Hypothesis.
"""

REACTOR_USERS = ("service.service", "tap.make")
"""
The modules that use the global reactor.  Others may fall back on it, when
they were given none, by an import within a function.
"""

CLOCKS = ("time", "twisted.internet.reactor", "twisted.internet.task")
CLOCK_METHODS = ("now", "today", "utcnow")
IN_ORDER = ("frameworks", "stores")


@dataclass(frozen=True)
class Import:
    """
    An import of one name.

    @ivar name: What is imported, dotted.

    @ivar within: Whether that happens within a function, or for type checkers
        only: not when the module itself is imported.

    @ivar typing: Whether it is for type checkers only.
    """

    name: str
    line: int
    within: bool
    typing: bool


def moduleNames(root: Path) -> dict[str, Path]:
    """
    Find the modules of a package.

    @return: The file of each, by its name within the package.
    """
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def importsOf(tree: ast.Module, name: str, isPackage: bool) -> Iterator[Import]:
    """
    Read the imports of a module, wherever in it they are.
    """
    here = f"{PACKAGE}.{name}".rstrip(".").split(".")
    package = here if isPackage else here[:-1]

    def walk(node: ast.AST, within: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, within, typing)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            for alias in node.names:
                target = ".".join([*base, alias.name])
                yield Import(target, node.lineno, within, typing)
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        guarded: list[ast.stmt] = []
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            guarded = node.body
        for child in ast.iter_child_nodes(node):
            isGuarded = child in guarded
            yield from walk(child, within or function or isGuarded, typing or isGuarded)

    return walk(tree, False, False)


def wingOf(name: str) -> str:
    """
    @return: The package or module at the top level in which a module is.
    """
    return name.partition(".")[0]


def floorOf(name: str) -> int | None:
    """
    @return: The floor of a module's wing, L{None} if it is on none.
    """
    wing = wingOf(name)
    return next((n for n, wings in enumerate(FLOORS) if wing in wings), None)


def violations(sources: dict[str, str], packages: set[str]) -> list[str]:
    """
    Hold imports against the table.  Those for type checkers count, too.

    @param sources: The text of each module, by its name within the package.

    @param packages: Which of them are packages.

    @return: What is wrong, in words; empty if all is well.
    """
    problems = []
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        if floorOf(name) is None:
            problems.append(f"{name}: unknown; give its wing a floor in FLOORS")
            continue
        tree = ast.parse(source)
        graph[name] = set()
        for item in importsOf(tree, name, name in packages):
            own = _ownModule(item.name, sources)
            if own is None:
                problem = _foreignProblem(name, item)
            else:
                problem = _ownProblem(name, item, own)
                if own != name:
                    graph[name].add(own)
            if problem is not None:
                problems.append(f"{name}:{item.line}: {problem}")
        if wingOf(name) in PURE:
            problems += [f"{name}:{n}: reads a clock" for n in _clockReadings(tree)]
    wings: dict[str, set[str]] = {}
    for name, targets in graph.items():
        own = wingOf(name)
        wings.setdefault(own, set()).update(map(wingOf, targets - {""}))
        wings[own].discard(own)
    for each in graph, wings:
        try:
            TopologicalSorter(each).prepare()
        except CycleError as error:
            problems.append("imports go round: " + " <- ".join(error.args[1]))
            break
    return problems


def _ownModule(imported: str, known: dict[str, str]) -> str | None:
    """
    Which module of the package an import means, of those that are there or
    whose wing has a floor; L{None} if it is not ours.
    """
    first, *parts = imported.split(".")
    if first != PACKAGE:
        return None
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in known:
            return name
    return "".join(parts[:1])


def _ownProblem(name: str, item: Import, own: str) -> str | None:
    """
    What is wrong with an import of one of our own modules.
    """
    floor, target = floorOf(name), floorOf(own)
    assert floor is not None
    if target is None:
        return f"{own} is unknown; give its wing a floor in FLOORS"
    if target > floor:
        return f"floor {floor} imports {own} of floor {target}"
    if name == "interfaces" and own != name:
        return f"imports {own or PACKAGE}; interfaces import nothing of ours"
    if own in ON_DEMAND and name not in ON_DEMAND and not item.within:
        return f"imports {own}, which is for a function that needs it"
    return _wayProblem(name, own)


def _wayProblem(name: str, own: str) -> str | None:
    """
    What is wrong with the way from one module to another.
    """
    wing = wingOf(own)
    if wing not in (wingOf(name), own, *OPEN):
        return f"imports {own} past the face of {wing}"
    family, _, sibling = own.rpartition(".")
    if (
        family in IN_ORDER
        and own != name
        and name.startswith(f"{family}.")
        and not sibling.startswith("_")
    ):
        return f"imports its sibling {own}"
    return None


def _foreignProblem(name: str, item: Import) -> str | None:
    """
    What is wrong with an import of somebody else's module.
    """
    if wingOf(name) in PURE and any(_isIn(item.name, clock) for clock in CLOCKS):
        return f"imports {item.name}; {wingOf(name)} has no clock"
    if _isIn(item.name, "twisted.internet.reactor") and not (
        item.within or name in REACTOR_USERS
    ):
        return "imports the reactor, which installs it"
    if item.name.partition(".")[0] in sys.stdlib_module_names:
        return None
    places = [p for package, p in PLACES.items() if _isIn(item.name, package)]
    if not places:
        return f"imports {item.name}; say in PLACES where that may be"
    for place in places:
        if not any(fnmatchcase(name, p) or _isIn(name, p) for p in place):
            return f"imports {item.name}, which is for {', '.join(place)}"
    return None


def _isIn(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _clockReadings(tree: ast.Module) -> Iterator[int]:
    """
    Find calls like C{datetime.now()}.
    """
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CLOCK_METHODS
        ):
            yield node.lineno
