"""
The client script: what goes to and fro, in a real browser.
"""

from __future__ import annotations

from typing import Any

from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browser import PATIENCE, until
from tests.support.clientscript import QUICK, ClientScriptCase


class ClientScriptTests(ClientScriptCase):
    """
    C{SessionSocket} as long as all goes well, and when it is told to end.
    """

    def test_values(self) -> None:
        """
        Any JSON value goes both ways as it is.
        """
        values: list[Any] = [None, True, -1.5, "", "Zoë\n", [], {"a": [{"b": None}]}]
        self.begin({"say": values}, **QUICK)
        self.assertEqual(self.until("message"), values)
        self.assertEqual(self.send(*values), ["sent"] * len(values))
        self.received(*values)

    def test_relativeURL(self) -> None:
        """
        A path is one of the page's host; the handshake's address has the word
        for heartbeats too.
        """
        self.begin(sid="secret")
        self.until("connect")
        self.assertEqual(self.js("return socket.url"), f"ws{self.base[4:]}{self.name}")
        uri = rf"/{self.name}\?sessionsock=[0-9a-f]{{32}}"
        self.assertRegex(self.log()[0]["uri"], f"^{uri}$")

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
        self.assertIn(
            "SyntaxError: no JSON (for texts, say messages:", "".join(console)
        )

    def test_othersWord(self) -> None:
        """
        A text that looks like a word of the server's to another client is a
        message like any.
        """
        text = f"{'0' * 32} session null"
        self.begin({"raw": text}, messages="raw")
        self.assertEqual(self.until("message"), text)

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
        self.assertEqual(self.js("return sent"), ["queued", "queued"])

    def test_queueBound(self) -> None:
        """
        When the queue is full the newest message is refused, and said to be.
        """
        self.js(
            """
            begin(arguments[0], { queue: 2 });
            window.sent = [1, 2, 3].map((n) => socket.send(n));
            """,
            self.name,
        )
        self.received(1, 2)
        self.assertEqual(self.js("return sent"), ["queued", "queued", False])
        self.assertEqual(self.send(4), ["sent"])
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
        self.js("socket._visit.socket.close(3000); socket.send('kept')")
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
        self.assertEqual(self.js("return socket.protocol"), "sessionsock")

    def test_options(self) -> None:
        """
        A wrong option is refused at once; times without end are as long as a
        timer can be, since browsers run longer ones at once.
        """
        wrong = [{"heartbeet": 1}, {"queue": "1"}, {"grace": -1}, {"patience": 0}]
        refused = """
            try { new SessionSocket("/", arguments[0]) } catch (error) {
              return error instanceof TypeError && error.message;
            }
        """
        said = [self.js(refused, options) for options in wrong]
        self.assertEqual(said[0], "no such option: heartbeet")
        self.assertEqual(said[1], "queue is a number, not negative")
        self.assertEqual(said[2], "grace is a number, not negative")
        self.assertEqual(said[3], "patience is more than 0")
        self.js(
            "begin(arguments[0], { patience: Infinity, heartbeat: Infinity })",
            self.name,
        )
        self.until("connect")
        self.js("window.passed = 0; setTimeout(() => { passed = 1 }, 20)")
        until(self.driver, "passed")
        self.assertEqual(self.events(), ["connect"])
        self.assertEqual(len(self.log()), 1)

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

    def test_close(self) -> None:
        """
        C{close} is final, with the code and reason given.
        """
        for arguments, code, reason in (("", 1000, ""), ("4000, 'bye'", 4000, "bye")):
            self.begin(minDelay=0)
            self.until("connect")
            close = f"socket.close({arguments}); return socket.connected"
            self.assertFalse(self.js(close))
            self.assertEqual(
                self.until("disconnect"),
                {"code": code, "reason": reason, "willReconnect": False},
            )
            self.final("connect", "disconnect")

    def test_closeWhileAway(self) -> None:
        """
        C{close} ends the waiting too.
        """
        self.plan({"refuse": True})
        self.js(
            """
            Math.random = () => 0.5;
            begin(arguments[0], { minDelay: 100 });
            socket.on("reconnecting", () => setTimeout(() => window.late = true, 99));
            socket.on("reconnecting", () => socket.close());
            """,
            self.name,
        )
        until(self.driver, "window.late")
        self.assertEqual(len(self.log()), 1)
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

    def test_closeIsTheEnd(self) -> None:
        """
        What is there when C{close} is called is not for the page any more, such
        as the message that proved a session.
        """
        self.begin({"say": "before"}, {"say": "after"})
        self.until("message")
        self.js("socket.on('connect', () => socket.close())")
        self.send({"close": [4307, "session-moved"]})
        self.until("disconnect", 2)
        once = ["connect", "message", "disconnect"]
        self.final(*once, "reconnecting", "connect", "disconnect")

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
