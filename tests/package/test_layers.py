"""
Tests that the layers of the design stay apart, and that L{tests.support.layers}, which
says so, would notice if they did not.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.layers import PACKAGE, moduleNames, violations


ROOT = Path(__file__).parents[2] / PACKAGE


class LayerTests(SynchronousTestCase):
    """
    Tests for the package as it is.
    """

    def test_layers(self) -> None:
        """
        No module imports what it should not.
        """
        files = moduleNames(ROOT)
        self.assertIn("interfaces", files)
        self.assertIn("frameworks.express", files)
        sources = {name: path.read_text("utf-8") for name, path in files.items()}
        packages = {n for n, path in files.items() if path.name == "__init__.py"}
        self.assertEqual(violations(sources, packages), [])


class CheckerTests(SynchronousTestCase):
    """
    Tests for L{violations}, on packages made up for it.
    """

    def check(self, **sources: str) -> list[str]:
        """
        Check modules; a C{__} in a name stands for a dot.
        """
        named = {name.replace("__", "."): text for name, text in sources.items()}
        packages = {name.rpartition(".")[0] for name in named} | {"", "stores"}
        return violations(dict.fromkeys(packages, "") | named, packages)

    def assertFine(self, **sources: str) -> None:
        """
        Check that there is nothing wrong.
        """
        self.assertEqual(self.check(**sources), [])

    def assertWrong(self, expected: str, **sources: str) -> None:
        """
        Check that exactly one thing is wrong.
        """
        (problem,) = self.check(**sources)
        self.assertIn(expected, problem)

    def test_downwards(self) -> None:
        """
        Imports go down, in whichever form.
        """
        self.assertFine(
            interfaces="from dataclasses import dataclass",
            session__session="from txsessionsock.interfaces import NoSuchSession",
            frameworks__express="from .. import cookies\nfrom ..interfaces import X",
            cookies="",
            stores__memory="import txsessionsock.interfaces",
            manager__doubts="from txsessionsock.stores.memory import MemoryStore",
            manager__manager="from . import doubts\nfrom .doubts import X",
            manager="from .manager import Y",
            protocol="from autobahn.twisted.websocket import X\nfrom .manager import Y",
            tap__make="from twisted.internet import reactor\nfrom ..protocol import X",
        )

    def test_upwards(self) -> None:
        """
        Imports that go up are found, in whichever form and wherever, also those
        for type checkers alone.
        """
        for text in (
            "from .manager import SessionManager",
            "from . import manager",
            "import txsessionsock.manager",
            "from txsessionsock import manager",
            "from txsessionsock.manager import SessionManager as S",
            "def f():\n    from .manager import SessionManager",
            "class C:\n    async def f(self):\n        from . import manager",
            "if TYPE_CHECKING:\n    from .manager import SessionManager",
            "try:\n    from .manager import X\nexcept ImportError:\n    pass",
        ):
            self.assertWrong("imports manager of floor 4", session=text, manager="")
        for text in "from ..manager import X", "from .. import manager":
            self.assertWrong("imports manager of", stores__memory=text, manager="")

    def test_itself(self) -> None:
        """
        The package itself hands on what is below it.  No module of it imports
        the package itself.
        """
        imports = "if TYPE_CHECKING:\n    from .manager import SessionManager"
        self.assertFine(**{"": imports, "manager": ""})
        self.assertWrong("imports  of floor", tap="import txsessionsock")
        self.assertWrong(
            "SessionManager is unknown",
            tap="from txsessionsock import SessionManager",
            **{"": imports, "manager": ""},
        )

    def test_notWritten(self) -> None:
        """
        A wing that does not exist yet has its floor already.
        """
        self.assertWrong("imports klein of floor", session="from .klein import K")

    def test_unknown(self) -> None:
        """
        A module that is on no floor is not let in by oversight.
        """
        self.assertWrong("surprise: unknown; give its wing", surprise="")
        self.assertWrong("_surprise: unknown; give its", _surprise="")
        self.assertWrong("odd is unknown; give its", tap="from .odd import x")

    def test_foundation(self) -> None:
        """
        Interfaces import nothing of ours.
        """
        self.assertWrong(
            "interfaces import nothing",
            interfaces="from ._seldom import Seldom",
            _seldom="",
        )

    def test_faces(self) -> None:
        """
        What another wing needs of a package, the package hands on; in stores and
        frameworks, users choose a module.
        """
        self.assertFine(web="from .manager import X", manager__manager="", manager="")
        for text in (
            "from .manager.keeper import K",
            "from .manager import keeper",
            "def f():\n    import txsessionsock.manager.keeper",
        ):
            self.assertWrong("past the face", web=text, manager__keeper="")
        self.assertFine(web="from .stores.memory import M", stores__memory="")

    def test_siblings(self) -> None:
        """
        Stores and frameworks do not know each other, but may share private
        modules.
        """
        for family in "stores", "frameworks":
            for text in f"from txsessionsock.{family}.a import x", "from . import a":
                self.assertWrong(
                    f"its sibling {family}.a",
                    **{f"{family}__a": "", f"{family}__b": text},
                )
            for text in "from ._shared import x", "from . import _shared":
                self.assertFine(
                    **{f"{family}___shared": "", f"{family}__b": text},
                )

    def test_cycle(self) -> None:
        """
        Imports do not go round: not between files, not by way of a function, not
        for type checkers alone, and not from one wing through another.
        """
        for text in (
            "from .keeper import K",
            "def f():\n    from .keeper import K",
            "if TYPE_CHECKING:\n    from .keeper import K",
        ):
            self.assertWrong(
                "go round", manager__keeper="from .live import L", manager__live=text
            )
        self.assertWrong(
            "go round",
            stores__a="from txsessionsock.bus import B",
            bus__b="",
            bus__c="from txsessionsock.stores.d import D",
            stores__d="",
            bus="from .b import B",
        )

    def test_autobahn(self) -> None:
        """
        Below the carriers nobody knows Autobahn or Twisted Web.
        """
        for text in (
            "import autobahn",
            "from autobahn.twisted import websocket",
            "from twisted import web",
            "from twisted.web import http",
            "def f():\n    from twisted.web.server import Site",
        ):
            self.assertWrong("which is for demo", manager=text)
            self.assertFine(protocol=text)
            self.assertFine(demo=text)

    def test_redis(self) -> None:
        """
        Redis is for the modules that are about it, and they are imported on
        demand.
        """
        self.assertFine(_redis__connection="import txredisapi\nimport hiredis")
        for name in "_redis__link", "manager", "bus":
            self.assertWrong("for _redis.connection", **{name: "import txredisapi"})
        for target in (
            "from ._redis.link import Link",
            "from .stores.redis import RedisStore",
        ):
            modules = {"_redis__link": "", "stores__redis": ""}
            self.assertWrong("for a function that needs", service=target, **modules)
            self.assertFine(service=f"def f():\n    {target}", **modules)
            self.assertFine(service=f"if TYPE_CHECKING:\n    {target}", **modules)

    def test_extras(self) -> None:
        """
        Each extra has its one place, and a package nobody thought of has none.
        """
        self.assertFine(klein="import klein")
        self.assertWrong("which is for klein", web="from klein import Klein")
        self.assertWrong("say in PLACES", web="import requests")

    def test_reactor(self) -> None:
        """
        Only the service imports the reactor when it is imported itself;
        others may fall back on it, and pure modules not even that.
        """
        for text in (
            "from twisted.internet import reactor",
            "from twisted.internet import defer, reactor as r",
            "import twisted.internet.reactor",
            "class C:\n    from twisted.internet import reactor",
        ):
            self.assertWrong("imports the reactor", manager=text)
            self.assertFine(service__service=text)
        fallback = "def f(self):\n    from twisted.internet import reactor"
        self.assertFine(manager=fallback)
        self.assertWrong("no clock", session=fallback)

    def test_clock(self) -> None:
        """
        Pure wings do not know what time it is.
        """
        for text in (
            "import time",
            "from time import time",
            "def f():\n    import time",
            "from twisted.internet import task",
        ):
            self.assertWrong("has no clock", frameworks__express=text)
            self.assertFine(stores__memory=text)
        for text in (
            "from datetime import datetime\nx = datetime.now()",
            "import datetime\ndef f(): return datetime.datetime.utcnow()",
            "from datetime import date\nx = date.today()",
        ):
            self.assertWrong("reads a clock", interfaces=text)
            self.assertFine(manager=text)
