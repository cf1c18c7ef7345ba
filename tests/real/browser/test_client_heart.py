"""
The client script: how it tells whether a connection is one, in a real browser, on
lines that are not there.
"""

from __future__ import annotations

from typing import Any

from tests.support.browser import until
from tests.support.clientscript import QUICK, ClientScriptCase


_LINE = """
const Heart = socket._visit.heart.constructor;
window.said = [];
window.line = { bufferedAmount: 0 };
const on = {};
for (const name of ["say", "answered", "dead"])
  on[name] = (text) => said.push(text === undefined ? name : text);
window.heart = new Heart(line, arguments[0], true, on);
"""


class HeartTests(ClientScriptCase):
    """
    Pings and what answers them.
    """

    def heart(self, **options: Any) -> None:
        """
        Make one whose server answers.
        """
        self.begin()
        self.until("connect")
        self.js(
            f"{_LINE} heart.begin()", {"heartbeat": 5000, "patience": 60, **options}
        )

    def tearDown(self) -> None:
        self.js("heart.stop()")
        super().tearDown()

    def said(self) -> list[str]:
        said: list[str] = self.js("return said")
        return said

    def test_older(self) -> None:
        """
        Only the answer to the last ping ends the doubt: others may have waited
        since before whatever happened.
        """
        self.heart(patience=5000)
        doubts = """
            const doubts = [];
            const look = () => doubts.push(heart.isDoubtful);
            heart.probe(); look();
            heart.probe(); look();
            heart.pong(1); look();
            heart.pong(2); look();
            return doubts;
        """
        self.assertEqual(self.js(doubts), [True, True, True, False])
        self.assertEqual(self.said(), ["ping 1", "ping 2", "answered"])

    def test_confirmed(self) -> None:
        """
        An answer shows that what was sent before the question arrived.
        """
        self.heart(patience=5000)
        sent = """
            heart.sent("a", 1);
            heart.probe();
            heart.sent("b", 1);
            const before = heart.unconfirmed;
            heart.pong(1);
            return [before, heart.unconfirmed];
        """
        self.assertEqual(self.js(sent), [["a", "b"], ["b"]])

    def test_slept(self) -> None:
        """
        When all timers slept, the answer may be here and be told next: that is
        waited for once.
        """
        self.heart()
        self.js("heart.probe(); skew = 9000; window.began = performance.now()")
        until(self.driver, "said.includes('dead')")
        self.assertGreater(self.js("return performance.now() - began"), 1000)
        self.heart()
        self.js("heart.probe(); skew += 9000; setTimeout(() => heart.pong(1), 200)")
        until(self.driver, "said.includes('answered')")
        self.js("window.passed = 0; setTimeout(() => { passed = 1 }, 1000)")
        until(self.driver, "passed")
        self.assertEqual(self.said(), ["ping 1", "answered"])

    def test_longMessage(self) -> None:
        """
        While what is sent still goes out, the connection is not dead.
        """
        self.heart()
        self.js(
            """
            line.bufferedAmount = 3;
            heart.probe();
            const drain = setInterval(() => {
              line.bufferedAmount -= 1;
              if (!line.bufferedAmount) clearInterval(drain);
            }, 40);
            heart._on.dead = () => said.push(`dead at ${line.bufferedAmount}`);
            """
        )
        until(self.driver, "said.length > 1")
        self.assertEqual(self.said(), ["ping 1", "dead at 0"])

    def test_sendingOn(self) -> None:
        """
        Nor is it while more is sent than goes out meanwhile.
        """
        self.heart()
        self.js(
            """
            line.bufferedAmount = 30;
            heart.probe();
            window.sends = 0;
            const send = setInterval(() => {
              line.bufferedAmount -= 1;
              line.bufferedAmount += 3;
              heart.sent("abc", 3);
              if (++sends === 6) clearInterval(send);
            }, 20);
            heart._on.dead = () => said.push(`dead after ${sends}`);
            """
        )
        until(self.driver, "said.length > 1")
        self.assertEqual(self.said(), ["ping 1", "dead after 6"])

    def test_short(self) -> None:
        """
        A ping that has left the buffer shows nothing: the connection is dead after one
        patience, and not after two.
        """
        self.heart(patience=1000)
        self.js(
            """
            heart._on.say = (text) => {
              line.bufferedAmount += text.length;
              setTimeout(() => { line.bufferedAmount = 0 }, 0);
            };
            const began = performance.now();
            heart._on.dead = () => said.push(performance.now() - began);
            heart.probe();
            """
        )
        until(self.driver, "said.length")
        self.assertLess(self.js("return said[0]"), 1900)

    def test_sendingShort(self) -> None:
        """
        Nor do short messages that are sent into it meanwhile.
        """
        self.heart(patience=500)
        self.js(
            """
            window.sends = 0;
            const send = setInterval(() => {
              heart.sent("abc", 3);
              if (++sends === 60) clearInterval(send);
            }, 50);
            heart._on.dead = () => said.push(sends);
            heart.probe();
            """
        )
        until(self.driver, "said.length > 1")
        self.assertLess(self.js("return said[1]"), 60)

    def test_taken(self) -> None:
        """
        The rest of something long may be on its way when the system has taken it.
        """
        self.heart(patience=200)
        self.js(
            """
            line.bufferedAmount = 100000;
            heart.probe();
            setTimeout(() => { line.bufferedAmount = 0 }, 50);
            setTimeout(() => heart.pong(1), 300);
            """
        )
        until(self.driver, "said.length > 1")
        self.assertEqual(self.said(), ["ping 1", "answered"])

    def test_closing(self) -> None:
        """
        Nothing is sent into a socket that is about to close, which browsers log
        as an error; and if its end is never told, the connection is dead.
        """
        self.begin(heartbeat=5000, patience=60, **QUICK)
        self.until("connect")
        self.js(
            """
            window.states = [];
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (data) {
              states.push(this.readyState);
              send.call(this, data);
            };
            const { socket: line } = socket._visit;
            window.heart = socket._visit.heart;
            line.close();
            line.onclose = null;
            heart.begin();
            heart.probe();
            setTimeout(() => { WebSocket.prototype.send = send }, 0);
            """
        )
        self.until("disconnect")
        self.assertEqual(self.js("return states"), [])
