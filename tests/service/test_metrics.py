"""
Tests for L{txsessionsock.metrics}, with the parsers of Prometheus.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.service.test_health import HTTPCase
from tests.support.figures import OPEN, Read, read
from tests.support.wires import SocketCase, count
from txsessionsock.interfaces import StoreUnavailable
from txsessionsock.metrics import Figures, MetricsResource, Snapshot, Totals
from txsessionsock.metrics.figures import COUNTS, GAUGES, TIMES


class MetricsTests(SocketCase, HTTPCase):
    """
    L{MetricsResource}
    """

    perMessage = True

    def setUp(self) -> None:
        super().setUp()
        self.put()
        self.do["smessage"] = count
        self.serve()
        self.show(MetricsResource(self.manager))

    def figures(self, *headers: str) -> Read:
        """
        What Prometheus reads.
        """
        answer = self.ask("GET", "", *headers)
        self.assertEqual(answer.code, 200)
        (kind,) = answer.headers["content-type"]
        return read(answer.body, kind)

    def test_both(self) -> None:
        """
        It is written in both formats that Prometheus reads, with the same content.
        """
        browser = self.browse()
        browser.send("a", "b")
        self.wait(1)
        self.browse(cookie=None)
        self.wait(1)
        plain, open_ = self.figures(), self.figures(f"Accept: {OPEN};q=0.5,*/*;q=0.1")
        for found in plain, open_:
            self.assertEqual(found("sockets"), 1)
            self.assertEqual(found("sessions"), 1)
            self.assertEqual(found("messages_total"), 2)
            self.assertEqual(found("connects_total"), 1)
            self.assertGreaterEqual(found("saves_total"), 1)
            self.assertEqual(found("refusals_total", reason="missing"), 1)
            self.assertEqual(found("closes_total", code="4401"), 1)
            self.assertGreaterEqual(found("handler_seconds_count"), 2)
            self.assertEqual(
                found("handler_seconds_bucket", le="+Inf"),
                found("handler_seconds_count"),
            )
        for name in GAUGES:
            self.assertEqual(open_.kinds[f"sessionsock_{name}"], "gauge")
        for name in COUNTS:
            self.assertEqual(open_.kinds[f"sessionsock_{name}"], "counter")
        for name in TIMES:
            self.assertEqual(open_.kinds[f"sessionsock_{name}"], "histogram")

    def test_nothing(self) -> None:
        """
        What has no label is there from the beginning, as 0.
        """
        answer = self.ask("GET", "")
        for name, (_, label) in COUNTS.items():
            line = f"sessionsock_{name}_total 0.0\n".encode()
            self.assertEqual(line in answer.body, label is None, name)

    def test_labels(self) -> None:
        """
        Whatever clients do, there are few labels, and none of them is theirs.
        """
        for number in range(60):
            browser = self.browse(
                cookie=f"connect.sid=s%3Aid{number}.x" if number % 2 else "",
                origin=f"http://site{number}.example" if number % 3 else None,
                query=f"x={number}",
            )
            if browser.client.state == browser.client.STATE_OPEN:
                browser.client.sendClose(4000 + number)
            self.wait(1)
            browser.cut()
        names = {name for name, _ in self.figures().labels()}
        self.assertEqual(names, {"le", "code", "reason"})
        self.assertLess(len(self.figures().labels()), 40)

    def test_methods(self) -> None:
        """
        It takes C{GET}, C{HEAD} and C{OPTIONS}, and refuses all else.
        """
        self.assertEqual(self.ask("HEAD", "").code, 200)
        self.assertEqual(self.ask("OPTIONS", "").code, 200)
        for method in "POST", "PUT", "DELETE", "ANY":
            self.assertEqual(self.ask(method, "", body="x").code, 405)

    def test_away(self) -> None:
        """
        A store that is away, and a server that ends, are there to be seen.
        """
        self.store.fail(StoreUnavailable("x"))
        self.assertEqual(self.settled(self.manager.trouble()), "store")
        found = self.figures()
        self.assertEqual((found("store_away"), found("ending")), (1, 0))
        self.assertEqual(found("store_failures_total"), 1)
        self.store.heal()
        ending = self.manager.end()
        self.assertEqual(self.figures()("ending"), 1)
        self.settled(ending, 12)

    def test_wrong(self) -> None:
        """
        It takes a manager.
        """
        wrong: Any = self.factory
        with self.assertRaisesRegex(TypeError, "SessionManager"):
            MetricsResource(wrong)

    def test_others(self) -> None:
        """
        The sockets of all factories of the manager are counted, and no others.
        """
        self.browse()
        self.serve()
        self.browse()
        self.browse()
        self.assertEqual(self.figures()("sockets"), 3)
        other = MetricsResource(self.newManager())
        self.show(other)
        self.assertEqual(self.figures()("sockets"), 0)

    def test_missing(self) -> None:
        """
        Without the library of Prometheus, it says what to install.
        """
        for name in [each for each in sys.modules if "prometheus_client" in each]:
            self.patchModule(name)
        self.patchModule("txsessionsock.metrics.exposition", leave=True)
        with self.assertRaisesRegex(ImportError, r"txsessionsock\[metrics\]"):
            MetricsResource(self.manager)

    def patchModule(self, name: str, *, leave: bool = False) -> None:
        """
        Have a module not be there, or be loaded anew.
        """
        modules: Any = sys.modules
        if name in modules:
            before = modules[name]
            self.addCleanup(modules.__setitem__, name, before)
            if leave:
                del modules[name]
            else:
                modules[name] = None


def snapshot(messages: int, trouble: str | None = None, **gauges: float) -> Snapshot:
    """
    The figures of a process that had so many messages.
    """
    times = {name: ([messages] * 17, 0.5 * messages) for name in TIMES}
    counts: dict[str, dict[str, float]] = {
        "messages": {"": messages},
        "closes": {"1000": messages},
    }
    return Snapshot({"processes": 1, **gauges}, counts, times, trouble)


class TotalsTests(SynchronousTestCase):
    """
    L{Totals}
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.totals = Totals(self.clock.seconds)

    def tell(self, who: str, *args: Any, **more: Any) -> None:
        self.totals.told(who, snapshot(*args, **more).asJSON())

    def counted(self) -> tuple[float, float]:
        """
        How many processes, and how many messages there are.
        """
        now = self.totals.now()
        messages = now.counts["messages"].get("", 0)
        self.assertEqual(now.counts["closes"].get("1000", 0), messages)
        parts, total = now.times["fence_seconds"]
        self.assertEqual((parts, total), ([messages] * 17, 0.5 * messages))
        return now.gauges.get("processes", 0), messages

    def test_sums(self) -> None:
        """
        What a process tells takes the place of what it told before; what it had
        counted stays when it is gone, and what it had does not.
        """
        self.assertEqual(self.counted(), (0, 0))
        self.tell("a", 3, sockets=2)
        self.tell("b", 4)
        self.assertEqual(self.counted(), (2, 7))
        self.tell("a", 5, sockets=1)
        self.assertEqual(self.counted(), (2, 9))
        self.assertEqual(self.totals.now().gauges["sockets"], 1)
        self.totals.gone("a")
        self.assertEqual(self.counted(), (1, 9))
        self.assertEqual(self.totals.now().gauges.get("sockets", 0), 0)
        self.totals.gone("a")
        self.totals.gone("never told")
        self.assertEqual(self.counted(), (1, 9))

    def test_otherVersion(self) -> None:
        """
        A worker that was replaced may be of another version than its parent: what
        that does not know is left out, and what is no figures is said once.
        """
        told: Any = json.loads(snapshot(3).asJSON())
        told["gauges"]["later"] = told["more"] = 1
        told["counts"]["later"] = {"": 1}
        told["times"]["later"] = [[1], 1]
        self.totals.told("a", json.dumps(told).encode())
        self.assertEqual(self.counted(), (1, 3))
        told["times"]["fence_seconds"] = [[1, 2], 1.0]
        self.totals.told("a", json.dumps(told).encode())
        self.assertEqual(self.totals.now().times["fence_seconds"], ([0] * 17, 0.0))
        with capturedLogs() as logs:
            for line in b"{", b"[]", b"1", b"{}", b'{"gauges": 1}', b"\xff":
                self.totals.told("a", line)
        self.assertEqual([formatEvent(e) for e in logs], ["a told no figures"])
        self.assertEqual(self.totals.now().counts["messages"], {"": 3})

    def test_many(self) -> None:
        """
        Processes that come and go leave no more behind than one did.
        """
        for number in range(200):
            self.tell(f"worker {number}", 1)
            self.totals.gone(f"worker {number}")
            if number == 0:
                size = len(self.totals.now().asJSON())
        self.assertEqual(self.counted(), (0, 200))
        self.assertLess(len(self.totals.now().asJSON()), size + 200)

    def test_trouble(self) -> None:
        """
        They can serve if one of them can, and has said so lately.
        """

        def trouble() -> Any:
            return self.successResultOf(self.totals.trouble())

        self.assertEqual(trouble(), "workers")
        self.tell("a", 0, "store")
        self.assertEqual(trouble(), "store")
        self.tell("b", 0)
        self.assertIsNone(trouble())
        self.clock.advance(9)
        self.tell("a", 0, "store")
        self.assertIsNone(trouble())
        self.clock.advance(2)
        self.assertEqual(trouble(), "store")
        self.clock.advance(11)
        self.assertEqual(trouble(), "workers")


class FiguresTests(SocketCase):
    """
    L{Figures}
    """

    def test_line(self) -> None:
        """
        They survive the way to another process, in one line that is not long.
        """
        self.serve()
        for code in range(1000, 1016):
            self.manager.tally.closed(code)
        figures = Figures(self.manager)
        now = figures.now("store")
        line = now.asJSON()
        self.assertNotIn(b"\n", line)
        self.assertLess(len(line), 4096)
        again = Snapshot.ofJSON(line)
        self.assertEqual(again.asJSON(), line)
        self.assertEqual(again.trouble, "store")
        self.assertEqual(set(now.gauges), set(GAUGES))
        self.assertEqual(set(now.counts), set(COUNTS))
        self.assertEqual(set(now.times), set(TIMES))
