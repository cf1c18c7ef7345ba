"""
The options C{--metrics} and C{--health} of C{twistd sessionsock}.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.tap.test_tap import TapCase, verbs
from txsessionsock.health import Health, HealthResource
from txsessionsock.metrics import Exposed
from txsessionsock.service import Workers
from txsessionsock.tap import makeService


METRICS = "tcp:9100:interface=127.0.0.1"


class MetricsTests(TapCase):
    """
    C{--metrics}
    """

    def beside(self, *options: str) -> Any:
        """
        What is served beside the site.
        """
        return self.make(*options)._beside

    def test_none(self) -> None:
        """
        Nothing is measured, and nothing served, unless somebody asks for it.
        """
        service = self.make()
        self.assertIsNone(service._beside)
        self.assertFalse(service._manager.tally.isTiming)

    def test_one(self) -> None:
        """
        There is a site of its own, for figures and health.
        """
        service = self.make("--metrics", METRICS)
        beside: Any = service._beside
        self.assertEqual(beside.description, METRICS)
        root = beside.site.resource
        self.assertIsInstance(root, Health)
        self.assertEqual(set(root.children), {b"live", b"ready", b"metrics"})
        self.assertIsInstance(root.children[b"metrics"], Exposed)
        self.assertTrue(service._manager.tally.isTiming)

    def test_demo(self) -> None:
        """
        Also of what is no demo.
        """
        options = [*verbs("Verbs"), "--metrics", METRICS]
        self.assertIsNotNone(self.beside(*options))

    def test_workers(self) -> None:
        """
        Of workers, the parent has it, and they are given the option.
        """
        store = "--store", "sqlite:s.db", "--workers", "2"
        service: Any = makeService(self.parsed(*store, "--metrics", METRICS))
        self.assertIsInstance(service, Workers)
        self.assertEqual(service._beside.description, METRICS)
        self.assertIsNotNone(service._reports)
        self.assertIn(f"--metrics={METRICS}", service._command.arguments)
        service._sharing.close()

    def test_public(self) -> None:
        """
        It is no place where everybody is served, however that is written.
        """
        for public, where in (
            (None, "tcp:8080"),
            (None, "tcp:port=08080:interface=127.0.0.1"),
            ("tcp:80", "tcp:80:interface=127.0.0.1"),
            ("tcp:interface=0.0.0.0:port=80", "tcp:80"),
            ("tcp6:443", "tcp:443"),
            ("ssl:443:privateKey=k.pem:certKey=c.pem", "tcp:443"),
            ("haproxy:tcp:80", "tcp:80"),
            ("unix:/tmp/a", "unix:/tmp/a"),
        ):
            more = [] if public is None else ["--listen", public]
            if public is not None and public.startswith("ssl"):
                continue
            problem = self.refused(*more, "--metrics", where)
            self.assertIn("is where everybody is served", problem)
        self.beside("--listen", "tcp:0", "--metrics", "tcp:0:interface=127.0.0.1")
        self.beside("--listen", "tcp:8081", "--metrics", "tcp:8080")

    def test_wrong(self) -> None:
        """
        What is no endpoint is refused with what is right.
        """
        for where in "nonsense", "tcp:x", "9100":
            problem = self.refused("--metrics", where)
            self.assertIn(f"--metrics {where}: ", problem)
            self.assertIn("right is tcp:9100:interface=127.0.0.1", problem)

    def test_missing(self) -> None:
        """
        Without the library of Prometheus it says what to install.
        """
        modules: Any = sys.modules
        name = "txsessionsock.metrics.exposition"
        before = modules.get(name)
        modules[name] = None
        if before is None:
            self.addCleanup(modules.pop, name)
        else:
            self.addCleanup(modules.__setitem__, name, before)
        problem = self.refused("--metrics", METRICS)
        self.assertIn('pip install "txsessionsock[metrics]"', problem)


class HealthTests(TapCase):
    """
    C{--health}
    """

    def test_place(self) -> None:
        """
        The two places are in the site, beside all else, and nothing more.
        """
        for options in [], verbs("Verbs"), [*verbs("Verbs"), "--path", "."]:
            service: Any = self.make(*options, "--health", "health/")
            found = service._site.resource.children[b"health"]
            self.assertIsInstance(found, HealthResource)
            self.assertEqual(set(found.children), {b"live", b"ready"})
            self.assertIsNone(service._beside)
            plain: Any = self.make(*options)
            self.assertNotIn(b"health", plain._site.resource.children)

    def test_taken(self) -> None:
        """
        A place that something else has is refused, and so is what is none.
        """
        for path in "ws", "sessionsock", "sessionsock.js", "socket.io", "", "/", "a/b":
            problem = self.refused(*verbs("Verbs"), "--health", path)
            self.assertIn(f"--health {path}: right is the name", problem)
