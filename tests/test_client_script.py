"""
The client script, in a real browser against a real WebSocket server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, ClassVar
from unittest import skipIf
from urllib.request import urlopen

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait
from twisted.trial.unittest import SynchronousTestCase

from .browser import PATIENCE, chromium, missing, until


PRELUDE = """
window.skew = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + skew;
window.random = Math.random;
window.begin = (name, options) => {
  const events = (window.events = []);
  window.socket = new SessionSocket(name, options);
  for (const event of ["connect", "message", "disconnect", "sinvalid", "reconnecting"])
    socket.on(event, (...details) => events.push([event, details[0], now()]));
};
"""

QUICK = {"minDelay": 10, "maxDelay": 20}
"""
Delays too short to wait for.
"""


@skipIf(missing() is not None, missing() or "")
class ClientScriptTests(SynchronousTestCase):
    """
    One browser and one server serve all tests; a path of its own keeps each
    test apart.
    """

    resources: ClassVar[ExitStack]
    driver: ClassVar[Chrome]
    base: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.resources = ExitStack()
        server = cls.resources.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.scriptedserver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        # Popen waits for the server's end on leaving, after closing its stdin.
        assert server.stdout is not None
        cls.base = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        cls.driver = cls.resources.enter_context(chromium())
        cls.driver.get(cls.base)
        cls.driver.execute_script(PRELUDE)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.resources.close()

    def setUp(self) -> None:
        self.name = self.id().rpartition(".")[2]

    def tearDown(self) -> None:
        self.js("if (window.socket) socket.close(); Math.random = random; skew = 0")

    def begin(self, *plan: dict[str, Any], **options: Any) -> None:
        """
        Connect, to a server that does with each connection what is planned.
        """
        self.plan(*plan)
        self.js("begin(arguments[0], arguments[1])", self.name, options)

    def plan(self, *plan: dict[str, Any]) -> None:
        urlopen(f"{self.base}plan/{self.name}", json.dumps(plan).encode()).close()

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def send(self, *values: object) -> list[bool]:
        return [self.js("return socket.send(arguments[0])", value) for value in values]

    def events(self, *names: str) -> list[Any]:
        """
        What happened, as names, or the details of those that are named.
        """
        events = self.js("return events")
        if not names:
            return [name for name, _, _ in events]
        return [details for name, details, _ in events if name in names]

    def until(self, event: str, times: int = 1) -> Any:
        """
        Wait for an event, and return its details.
        """
        happened = "events.filter(([name]) => name === arguments[0])"
        until(self.driver, f"{happened}.length >= arguments[1]", event, times)
        return self.events(event)[times - 1]

    def log(self) -> list[Any]:
        with urlopen(f"{self.base}log/{self.name}") as response:
            log: list[Any] = json.load(response)
        return log

    def received(self, *messages: object) -> None:
        """
        Wait until the server has had these messages, over all connections.
        """
        WebDriverWait(self.driver, PATIENCE, 0.02).until(
            lambda _: (
                [m for seen in self.log() for m in seen["messages"]] == list(messages)
            ),
            f"never received: {messages}",
        )

    def final(self, *names: str) -> None:
        """
        These events were all, and there is no further handshake.
        """
        handshakes = len(self.log())
        self.assertEqual(self.events(), list(names))
        self.assertFalse(self.js("return socket.send('too late')"))
        self.js("dispatchEvent(new Event('online'))")
        self.assertEqual(self.events(), list(names))
        self.assertEqual(len(self.log()), handshakes)

    def test_values(self) -> None:
        """
        Any JSON value goes both ways as it is.
        """
        values: list[Any] = [None, True, -1.5, "", "Zoë\n", [], {"a": [{"b": None}]}]
        self.begin({"say": values}, **QUICK)
        self.assertEqual(self.until("message"), values)
        self.assertEqual(self.send(*values), [True] * len(values))
        self.received(*values)

    def test_relativeURL(self) -> None:
        """
        A path is one of the page's host, and nothing is added to it.
        """
        self.begin(sid="secret")
        self.until("connect")
        self.assertEqual(self.js("return socket.url"), f"ws{self.base[4:]}{self.name}")
        self.assertEqual(self.log()[0]["uri"], f"/{self.name}")

    def test_absoluteURL(self) -> None:
        """
        An absolute URL is taken as it is; one of a page becomes one of a socket.
        """
        made = """
            const socket = new SessionSocket(arguments[0]);
            socket.close();
            return socket.url;
        """
        self.assertEqual(self.js(made, "wss://a.test:1/b?c"), "wss://a.test:1/b?c")
        self.assertEqual(self.js(made, "https://a.test/b"), "wss://a.test/b")

    def test_notJSON(self) -> None:
        """
        What has no JSON form is refused at once; what arrives and is no JSON
        is an error on the console and leaves the socket as it is.
        """
        self.begin({"raw": "no JSON"})
        self.until("connect")
        self.js("try { socket.send(() => 0) } catch (error) { window.caught = error }")
        self.assertTrue(self.js("return caught instanceof TypeError"))
        self.send({"say": "still there"})
        self.assertEqual(self.until("message"), "still there")
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        self.assertIn("SyntaxError", "".join(console))

    def test_queue(self) -> None:
        """
        What is sent before the socket is open goes out in order, as it was
        when it was sent, and before what is sent when it is open.
        """
        self.js(
            """
            begin(arguments[0]);
            socket.on("connect", () => socket.send("connected"));
            const value = { n: 1 };
            window.sent = [socket.send(value), socket.send("two")];
            value.n = 2;
            """,
            self.name,
        )
        self.received({"n": 1}, "two", "connected")
        self.assertEqual(self.js("return sent"), [True, True])

    def test_queueBound(self) -> None:
        """
        When the queue is full the newest message is refused, and said to be.
        """
        self.begin({"refuse": True}, minDelay=200, queue=2)
        self.until("reconnecting")
        self.assertEqual(self.send(1, 2, 3), [True, True, False])
        self.received(1, 2)
        self.assertEqual(self.send(4), [True])
        self.received(1, 2, 4)

    def test_queueDefault(self) -> None:
        """
        Unless told otherwise, 100 messages are kept.
        """
        self.js("begin(arguments[0]); for (let n = 0; socket.send(n); n++);", self.name)
        self.received(*range(100))

    def test_queueWhileClosing(self) -> None:
        """
        What is sent into a socket that is closing is kept for the next one.
        """
        self.begin(**QUICK)
        self.until("connect")
        self.js("socket._socket.close(3000); socket.send('kept')")
        self.received("kept")
        self.assertEqual(len(self.log()), 2)

    def test_inBand(self) -> None:
        """
        With C{sid}, each connection begins with it, before what was queued;
        a function is asked each time.
        """
        self.js(
            """
            let n = 0;
            begin(arguments[0], { sid: () => `s:${++n}`, minDelay: 10 });
            socket.send({ close: [1012, ""] });
            """,
            self.name,
        )
        self.until("connect", 2)
        self.send("again")
        first, second = {"__sid": "s:1", "connect": 1}, {"__sid": "s:2", "connect": 1}
        self.received(first, {"close": [1012, ""]}, second, "again")

    def test_inBandValue(self) -> None:
        """
        C{sid} may be a plain value.
        """
        self.begin(sid="s:1")
        self.received({"__sid": "s:1", "connect": 1})

    def test_protocols(self) -> None:
        """
        Subprotocols are offered.
        """
        self.begin(protocols=["sessionsock"])
        self.until("connect")
        self.assertEqual(self.js("return socket._socket.protocol"), "sessionsock")

    def test_noSession(self) -> None:
        """
        4401 on a socket that was never connected is final.
        """
        self.begin({"close": [4401, "session-unknown"]}, minDelay=0)
        self.assertEqual(self.until("sinvalid"), "unknown")
        self.assertEqual(
            self.events("disconnect"),
            [{"code": 4401, "reason": "session-unknown", "willReconnect": False}],
        )
        self.final("connect", "disconnect", "sinvalid")

    def test_sessionEndedAndBack(self) -> None:
        """
        4401 on a socket that was connected may be a login: it is back as soon
        as the server takes the new session, nothing flickers meanwhile, and
        what was sent meanwhile gets to the connection that was taken.
        """
        ended = {"close": [4401, "session-destroyed"]}
        unknown = {"close": [4401, "session-unknown"]}
        self.begin({"say": "hi"}, unknown, unknown, {"say": "hi"}, **QUICK)
        self.until("message")
        self.send(ended, "a", "b")
        self.until("message", 2)
        names = [name for name in self.events() if name != "reconnecting"]
        expected = ["connect", "message", "disconnect", "connect", "message"]
        self.assertEqual(names, expected)
        self.assertTrue(self.events("disconnect")[0]["willReconnect"])
        messages = [seen["messages"] for seen in self.log()]
        self.assertEqual(messages[1:3], [[], []])

    def test_queueInDoubt(self) -> None:
        """
        What is sent after the session ended waits for a connection that the
        server has accepted, in order.
        """
        self.begin({"say": "hi"}, {"close": [4401, "session-unknown"]}, **QUICK)
        self.until("message")
        self.js(
            """
            socket.on("disconnect", () => { socket.send("a"); socket.send("b"); });
            socket.send({ close: [4307, "session-moved"] });
            """
        )
        self.received({"close": [4307, "session-moved"]}, "a", "b")
        self.assertEqual([len(seen["messages"]) for seen in self.log()], [1, 0, 2])

    def test_sessionEnded(self) -> None:
        """
        4401 on a socket that was connected is final when the grace is over,
        and not before.
        """
        unknown = {"close": [4401, "session-unknown"]}
        self.begin({"say": "hi"}, *[unknown] * 99, grace=400, minDelay=50, maxDelay=100)
        self.until("message")
        self.send({"close": [4401, "session-destroyed"]})
        self.assertEqual(self.until("sinvalid"), "unknown")
        (disconnected,), (invalid,) = (
            self.js("return events.filter(e => e[0] === arguments[0])", name)
            for name in ("disconnect", "sinvalid")
        )
        self.assertTrue(disconnected[1]["willReconnect"])
        waited = invalid[2] - disconnected[2]
        self.assertGreaterEqual(waited, 399)
        self.assertLess(waited, 1400)
        self.assertGreater(len(self.log()), 3)
        tries = ["reconnecting"] * (len(self.log()) - 1)
        self.final("connect", "message", "disconnect", *tries, "sinvalid")

    def test_graceDefault(self) -> None:
        """
        Unless told otherwise, the grace is 10 s.
        """
        unknown = {"close": [4401, "session-unknown"]}
        self.begin({"say": "hi"}, unknown, minDelay=200, maxDelay=200)
        self.until("message")
        self.js("Math.random = () => 0.999")
        self.send({"close": [4401, "session-destroyed"]})
        self.until("reconnecting")
        self.js("skew = 9000")
        self.until("reconnecting", 2)
        self.js("skew = 10001")
        self.plan(unknown)
        self.assertEqual(self.until("sinvalid"), "unknown")

    def test_acceptedInSilence(self) -> None:
        """
        A server that says nothing has accepted the session after one second.
        """
        self.begin(**QUICK)
        self.until("connect")
        self.js("skew = 1001")
        self.send({"close": [4401, "session-expired"]})
        self.assertTrue(self.until("disconnect")["willReconnect"])
        self.until("connect", 2)

    def test_moved(self) -> None:
        """
        4307 is followed at once, also when the new cookie is a little late.
        """
        self.begin({"say": "hi"}, minDelay=60000, maxDelay=60000)
        self.until("message")
        self.send({"close": [4307, "session-moved"]})
        self.assertLess(self.until("reconnecting")["delay"], 250)
        self.assertTrue(self.events("disconnect")[0]["willReconnect"])
        self.until("connect", 2)

    def test_badCredential(self) -> None:
        """
        A second credential and none in time are final, whatever was before.
        """
        for code, reason in ((4400, "second"), (4408, "timeout")):
            self.begin({"say": "hi"}, minDelay=0)
            self.until("message")
            self.send({"close": [code, f"session-{reason}"]})
            self.assertEqual(self.until("sinvalid"), reason)
            self.assertFalse(self.events("disconnect")[0]["willReconnect"])
            self.final("connect", "message", "disconnect", "sinvalid")

    def test_closedByServer(self) -> None:
        """
        A server that closes with 1000 means it, and this is about no session.
        """
        self.begin({"close": [1000, "that is all"]}, minDelay=0)
        self.assertEqual(
            self.until("disconnect"),
            {"code": 1000, "reason": "that is all", "willReconnect": False},
        )
        self.final("connect", "disconnect")

    def test_comesBack(self) -> None:
        """
        Everything else is a reason to come back.
        """
        for code in (1001, 1006, 1007, 1009, 1011, 1012, 1013, 4429, 4999):
            self.begin(**QUICK)
            self.until("connect")
            self.send({"close": [code, ""]})
            self.assertEqual(
                self.until("disconnect"),
                {"code": code, "reason": "", "willReconnect": True},
            )
            self.until("connect", 2)
            self.assertNotIn("sinvalid", self.events())
            self.js("socket.close()")

    def test_backoff(self) -> None:
        """
        Delays double up to the bound, and are kept.
        """
        refuse = [{"refuse": True}] * 5
        self.js("Math.random = () => 0.9999")
        self.begin(*refuse, minDelay=20, maxDelay=150)
        self.until("connect")
        tries = self.events("reconnecting")
        self.assertEqual([t["attempt"] for t in tries], [1, 2, 3, 4, 5])
        self.assertEqual([round(t["delay"]) for t in tries], [20, 40, 80, 150, 150])
        at = [at for _, _, at in self.js("return events")]
        ceilings = (20, 40, 80, 150, 150)
        for (start, end), delay in zip(pairwise(at), ceilings, strict=True):
            self.assertGreaterEqual(end - start, delay - 2)
            self.assertLess(end - start, delay + 500)

    def test_jitter(self) -> None:
        """
        Each delay is a random part of what it may be.
        """
        self.begin(*[{"refuse": True}] * 8, minDelay=40, maxDelay=40)
        self.until("connect")
        delays = [tried["delay"] for tried in self.events("reconnecting")]
        self.assertEqual(len(set(delays)), 8)
        self.assertGreaterEqual(min(delays), 0)
        self.assertLess(max(delays), 40)

    def test_delayDefaults(self) -> None:
        """
        Unless told otherwise, the bound grows from half a second to half a
        minute.
        """
        self.begin({"refuse": True})
        self.until("connect")
        self.assertLess(self.until("reconnecting")["delay"], 500)
        delay = """
            Math.random = () => 1;
            socket._attempt = arguments[0];
            return Math.round(socket._backoff())
        """
        self.assertEqual(
            [self.js(delay, attempt) for attempt in (0, 1, 5, 6, 5000)],
            [500, 1000, 16000, 30000, 30000],
        )

    def test_backoffGoesOn(self) -> None:
        """
        A server that accepts and then fails is left alone for longer and
        longer; delays start over when a connection was steady.
        """
        fails = {"say": "hi", "close": [1013, ""]}
        self.begin(*[fails] * 3, **QUICK)
        self.until("connect", 4)
        self.assertEqual([t["attempt"] for t in self.events("reconnecting")], [1, 2, 3])
        self.js("skew = 5001")
        self.send({"close": [1013, ""]})
        self.assertEqual(self.until("reconnecting", 4)["attempt"], 1)

    def test_close(self) -> None:
        """
        C{close} is final, with the code and reason given.
        """
        for arguments, code, reason in (("", 1000, ""), ("4000, 'bye'", 4000, "bye")):
            self.begin(minDelay=0)
            self.until("connect")
            self.js(f"socket.close({arguments})")
            self.assertFalse(self.js("return socket.connected"))
            self.assertEqual(
                self.until("disconnect"),
                {"code": code, "reason": reason, "willReconnect": False},
            )
            self.final("connect", "disconnect")

    def test_closeWhileAway(self) -> None:
        """
        C{close} ends the waiting too.
        """
        self.begin({"refuse": True}, minDelay=100, maxDelay=100)
        self.until("reconnecting")
        self.js("socket.close()")
        self.final("reconnecting")

    def test_closeByListener(self) -> None:
        """
        A listener that calls C{close} at a disconnect stays away.
        """
        self.js(
            """
            begin(arguments[0], { minDelay: 0 });
            socket.on("disconnect", () => socket.close());
            socket.send({ close: [1013, ""] });
            """,
            self.name,
        )
        self.until("disconnect")
        self.final("connect", "disconnect")

    def test_offline(self) -> None:
        """
        Without a network nothing is tried; when it is back, at once.
        """
        online = "Object.defineProperty(navigator, 'onLine', {get: () => %s, %s})"
        self.begin(minDelay=0)
        self.until("connect")
        self.js(online % ("false", "configurable: true"))
        self.send({"close": [1006, ""]})
        self.until("disconnect")
        self.assertEqual(self.send("kept"), [True])
        self.assertEqual(self.events(), ["connect", "disconnect"])
        self.assertEqual(len(self.log()), 1)
        self.js("delete navigator.onLine; dispatchEvent(new Event('online'))")
        self.until("connect", 2)
        self.received({"close": [1006, ""]}, "kept")

    def test_listeners(self) -> None:
        """
        A listener that fails is in nobody's way, one that is taken off is not
        called, and a misspelt event is an error.
        """
        self.js(
            """
            begin(arguments[0]);
            window.calls = [];
            const taken = () => calls.push("taken off");
            socket
              .on("connect", () => { throw new Error("listener failed") })
              .on("connect", taken)
              .on("connect", () => calls.push("called"))
              .off("connect", taken);
            try { socket.on("conect", taken) } catch (e) { calls.push(e.message) }
            """,
            self.name,
        )
        until(self.driver, "calls.length > 1")
        self.assertEqual(self.js("return calls"), ["no such event: conect", "called"])
        self.assertTrue(self.js("return socket.connected"))
        WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: "listener failed" in str(driver.get_log("browser"))
        )

    def test_module(self) -> None:
        """
        Where there are CommonJS modules it is one.
        """
        module = """
            const done = arguments[0];
            fetch("sessionsock.js").then((response) => response.text()).then((text) => {
              const module = { exports: {} };
              new Function("module", text)(module);
              done(module.exports.name);
            });
        """
        self.assertEqual(self.driver.execute_async_script(module), "SessionSocket")
