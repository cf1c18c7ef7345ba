"""
Which module may import what: the table of the layers, and the reading of
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

LAYERS: dict[str, int] = {
    "": 0,  # The package itself, which imports nothing.
    "interfaces": 0,
    "_arguments": 1,
    "_branches": 1,
    "_changes": 1,
    "_foreign": 1,
    "_json": 1,
    "_kinds": 1,
    "_merge": 1,
    "_origins": 1,
    "_redis.address": 1,
    "_seldom": 1,
    "_shares": 1,
    "_silence": 1,
    "_versions": 1,
    "_waiting": 1,
    "_writes": 1,
    "cookies": 1,
    "frameworks": 1,
    "frameworks.*": 1,
    "journal": 1,
    "session": 1,
    "_bus": 2,
    "_bus.*": 2,
    "_reactor": 2,
    "_storecheck": 2,
    "_redis": 2,
    "_redis.*": 2,
    "bus": 2,
    "stores": 2,
    "stores.*": 2,
    "_attempt": 3,
    "_audience": 3,
    "_backend": 3,
    "_commands": 3,
    "_conversation": 3,
    "_doubts": 3,
    "_ending": 3,
    "_events": 3,
    "_guarding": 3,
    "_handlers": 3,
    "_inbox": 3,
    "_live": 3,
    "_members": 3,
    "_moving": 3,
    "_naming": 3,
    "_outbox": 3,
    "_pace": 3,
    "_asking": 3,
    "_reading": 3,
    "_record": 3,
    "_rounds": 3,
    "_saving": 3,
    "_settings": 3,
    "_touching": 3,
    "_writer": 3,
    "client": 3,
    "credentials": 3,
    "hub": 3,
    "manager": 3,
    "messages": 3,
    "sockets": 3,
    "_application": 4,
    "_aside": 4,
    "_factory": 4,
    "_held": 4,
    "_outflow": 4,
    "_page": 4,
    "_sessioned": 4,
    "_underway": 4,
    "_wire": 4,
    "klein": 4,
    "protocol": 4,
    "socketio": 4,
    "socketio.*": 4,
    "web": 4,
    "websocket": 4,
    "_buscontract": 5,
    "_contract": 5,
    "_twistd": 5,
    "_twistd.*": 5,
    "_watchcontract": 5,
    "demo": 5,
    "service": 5,
    "tap": 5,
    "testing": 5,
    "workers": 5,
}
"""
The layer of each module, by its name within the package.  A module imports
from lower layers, and within its own without cycles.
"""

PLACES: dict[str, tuple[str, ...]] = {
    "autobahn": ("4", "5"),
    "txaio": ("4", "5"),
    "twisted.web": ("4", "5"),
    "txredisapi": ("_redis.connection",),
    "hiredis": ("_redis.connection",),
    "psycopg": ("stores._sqlpostgres", "stores._sqlattempt", "stores._sqllisten"),
    "klein": ("klein",),
    "socketio": ("socketio", "socketio.*"),
    "engineio": ("socketio", "socketio.*"),
    "idna": ("_origins",),
    "itsdangerous": ("frameworks.*",),
    "phpserialize": ("frameworks.php",),
    "msgspec": ("1", "2", "3", "4", "5"),
    "twisted": ("0", "1", "2", "3", "4", "5"),
    "zope": ("0", "1", "2", "3", "4", "5"),
}
"""
Where a foreign package may be imported: modules, or the numbers of layers.
"""

ON_DEMAND = (
    "_redis.connection",
    "_redis.link",
    "stores.redis",
    "stores._sqlpostgres",
    "stores._sqlattempt",
    "stores._sqllisten",
)
"""
What is imported within functions only, or by one another: whoever asks for
Redis, or for PostgreSQL.
"""

REACTOR_USERS = ("service", "tap")
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


def layerOf(name: str) -> int | None:
    """
    @return: The layer of a module, L{None} if it is in none.
    """
    family, dot, _ = name.rpartition(".")
    return LAYERS.get(name, LAYERS.get(f"{family}.*") if dot else None)


def violations(sources: dict[str, str], packages: set[str]) -> list[str]:
    """
    Hold imports against the table.

    @param sources: The text of each module, by its name within the package.

    @param packages: Which of them are packages.

    @return: What is wrong, in words; empty if all is well.
    """
    problems = []
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        layer = layerOf(name)
        if layer is None:
            problems.append(f"{name}: unknown; give it a layer in LAYERS")
            continue
        tree = ast.parse(source)
        found = list(importsOf(tree, name, name in packages))
        graph[name] = set()
        for item in found:
            own = _ownModule(item.name, sources)
            if own is None:
                problem = _foreignProblem(name, layer, item)
            else:
                problem = _ownProblem(name, layer, item, own)
                if own != name and not item.typing:
                    graph[name].add(own)
            if problem is not None:
                problems.append(f"{name}:{item.line}: {problem}")
        if layer < 2:
            problems += [f"{name}:{n}: reads a clock" for n in _clockReadings(tree)]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        problems.append("imports go round: " + " <- ".join(error.args[1]))
    return problems


def _ownModule(imported: str, known: dict[str, str]) -> str | None:
    """
    Which module of the package an import means, of those that are there or
    have a place in the table; L{None} if it is not ours.
    """
    first, *parts = imported.split(".")
    if first != PACKAGE:
        return None
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in known or layerOf(name) is not None:
            return name
    return "".join(parts[:1])


def _ownProblem(name: str, layer: int, item: Import, own: str) -> str | None:
    """
    What is wrong with an import of one of our own modules.
    """
    target = layerOf(own)
    if target is None:
        return f"{own} is unknown; give it a layer in LAYERS"
    if target > layer:
        return f"layer {layer} imports {own} of layer {target}"
    if layer == 0 and own != name:
        return f"imports {own or PACKAGE}; layer 0 imports nothing of ours"
    if own in ON_DEMAND and name not in ON_DEMAND and not item.within:
        return f"imports {own}, which is for a function that needs it"
    family, _, sibling = own.rpartition(".")
    if (
        family in IN_ORDER
        and own != name
        and name.startswith(f"{family}.")
        and not sibling.startswith("_")
    ):
        return f"imports its sibling {own}"
    return None


def _foreignProblem(name: str, layer: int, item: Import) -> str | None:
    """
    What is wrong with an import of somebody else's module.
    """
    if layer < 2 and any(_isIn(item.name, clock) for clock in CLOCKS):
        return f"imports {item.name}; layers 0 and 1 have no clock"
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
        if not any(p == str(layer) or fnmatchcase(name, p) for p in place):
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
