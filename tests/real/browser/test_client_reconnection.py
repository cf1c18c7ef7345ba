"""
The client script: when it comes back, and when not, in a real browser.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.browser import missing, until
from tests.support.clientscript import QUICK, ClientScriptCase


class ReconnectionTests(ClientScriptCase):
    """
    What C{SessionSocket} makes of each way to lose a connection.
    """

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
        as the server takes the new session, and nothing flickers meanwhile.
        """
        ended = {"close": [4401, "session-destroyed"]}
        unknown = {"close": [4401, "session-unknown"]}
        self.begin({"say": "hi"}, unknown, unknown, {"say": "hi"}, **QUICK)
        self.until("message")
        self.send(ended)
        self.until("message", 2)
        names = [name for name in self.events() if name != "reconnecting"]
        expected = ["connect", "message", "disconnect", "connect", "message"]
        self.assertEqual(names, expected)
        self.assertTrue(self.events("disconnect")[0]["willReconnect"])
        self.assertEqual(len(self.log()), 4)

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
        self.assertLess(waited, 3000)
        self.assertGreater(len(self.log()), 3)
        tries = ["reconnecting"] * (len(self.log()) - 1)
        self.final("connect", "message", "disconnect", *tries, "sinvalid")

    def test_loggedOut(self) -> None:
        """
        A browser that has no cookie any more when it tries again was logged
        out: that is final at once.
        """
        missing = {"close": [4401, "session-missing"]}
        self.begin({"say": "hi"}, missing, **QUICK)
        self.until("message")
        self.send({"close": [4401, "session-destroyed"]})
        self.assertEqual(self.until("sinvalid"), "missing")
        self.final("connect", "message", "disconnect", "reconnecting", "sinvalid")

    def test_lastTry(self) -> None:
        """
        However long the delays, there is a try when the grace ends.
        """
        unknown = {"close": [4401, "session-unknown"]}
        self.js("Math.random = () => 0.999")
        self.begin({"say": "hi"}, unknown, grace=50, minDelay=60000, maxDelay=60000)
        self.until("message")
        self.send({"close": [4401, "session-destroyed"]})
        self.until("sinvalid")
        self.assertEqual(len(self.log()), 2)

    def test_oneGrace(self) -> None:
        """
        A server that takes long to refuse does not make the grace longer.
        """
        self.begin({"say": "hi"}, **QUICK)
        self.until("message")
        self.js("socket.on('reconnecting', () => skew = 9500)")
        self.send({"close": [4401, "session-destroyed"]})
        self.until("connect", 2)
        self.send({"close": [4401, "session-unknown"]})
        self.assertEqual(self.until("sinvalid"), "unknown")

    def test_graceDefault(self) -> None:
        """
        Unless told otherwise, the grace is 10 s.
        """
        unknown = {"close": [4401, "session-unknown"]}
        self.begin({"say": "hi"}, unknown, unknown, minDelay=10)
        self.until("message")
        self.js(
            """
            const skews = [8000, 10001];
            socket.on("reconnecting", () => { skew = skews.shift(); });
            """
        )
        self.send({"close": [4401, "session-destroyed"]})
        self.assertEqual(self.until("sinvalid"), "unknown")
        self.assertEqual(len(self.events("reconnecting")), 2)

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
        4307 is followed at once, whatever the other delays.
        """
        self.begin({"say": "hi"}, minDelay=60000, maxDelay=60000)
        self.until("message")
        self.send({"close": [4307, "session-moved"]})
        self.assertLess(self.until("reconnecting")["delay"], 250)
        self.assertTrue(self.events("disconnect")[0]["willReconnect"])
        self.until("connect", 2)

    def test_movedAndEnded(self) -> None:
        """
        A session that moved and later ends has a grace of its own.
        """
        self.begin({"say": "hi"}, {"say": "hi"}, **QUICK)
        self.until("message")
        self.send({"close": [4307, "session-moved"]})
        self.until("message", 2)
        self.js("skew = 20000")
        self.send({"close": [4401, "session-destroyed"]})
        self.until("disconnect", 2)
        self.assertTrue(self.events("disconnect")[1]["willReconnect"])

    def test_movedLate(self) -> None:
        """
        Until the new cookie is there, being refused is not being connected.
        """
        self.js("Math.random = () => 0.999")
        self.begin({"say": "hi"}, {"close": [4401, "session-unknown"]}, minDelay=600)
        self.until("message")
        self.js("socket.on('disconnect', () => socket.send('kept'))")
        self.send({"close": [4307, "session-moved"]})
        self.until("connect", 2)
        self.assertEqual([len(seen["messages"]) for seen in self.log()][1], 0)
        self.assertEqual(len(self.log()), 3)
        self.received({"close": [4307, "session-moved"]}, "kept")

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

    def test_comesBackWithoutHeart(self) -> None:
        """
        So it is without heartbeats, and when a server has not answered any.
        """
        for options in {"heartbeat": 0}, {"patience": 300}:
            self.begin(**{**QUICK, **options})
            self.until("connect")
            until(self.driver, "!socket._visit.heart._sent")
            self.assertEqual(self.send({"close": [1001, ""]}), ["sent"])
            self.assertEqual(
                self.until("disconnect"),
                {"code": 1001, "reason": "", "willReconnect": True},
            )
            self.until("connect", 2)
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
            self.assertLess(end - start, delay + 2000)

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

    def test_onlineWhileAway(self) -> None:
        """
        A network that comes back makes the next try come sooner, and none
        beside it.
        """
        self.plan({"refuse": True})
        self.js(
            """
            Math.random = () => 0.5;
            begin(arguments[0], { minDelay: 100 });
            const plugged = () => {
              socket.off("reconnecting", plugged);
              online(true);
              setTimeout(() => { window.passed = true }, 150);
            };
            socket.on("reconnecting", plugged);
            """,
            self.name,
        )
        until(self.driver, "window.passed")
        self.until("connect")
        self.assertEqual(len(self.log()), 2)

    def test_offline(self) -> None:
        """
        C{navigator.onLine} is no verdict: a server on the same machine, or
        behind a VPN, is there without what a browser takes for a network.
        """
        self.js("online(false)")
        self.addCleanup(self.js, "online(true)")
        self.begin(**QUICK)
        self.until("connect")
        self.send({"close": [1006, ""]})
        self.until("disconnect")
        self.until("connect", 2)

    def test_offlineWhileAway(self) -> None:
        """
        Without a network it is tried as ever; when there is one, at once.
        """
        self.plan({"refuse": True}, {"refuse": True})
        self.js(
            """
            Math.random = () => 0.5;
            online(false);
            begin(arguments[0], { minDelay: 30, maxDelay: 60000 });
            """,
            self.name,
        )
        self.addCleanup(self.js, "online(true)")
        self.until("connect")
        self.assertEqual([t["delay"] for t in self.events("reconnecting")], [15, 30])
        self.js("Math.random = () => 0.99; socket._options.minDelay = 60000")
        self.send({"close": [1006, ""]})
        self.assertGreater(self.until("reconnecting", 3)["delay"], 50000)
        self.js("socket._options.minDelay = 10; online(true)")
        self.until("connect", 2)


_ALONE = ("unshare", "--map-root-user", "--net")


def notAlone() -> str | None:
    """
    Why there can be no network of one's own, as the reason to skip.
    """
    if shutil.which(_ALONE[0]) is None:
        return "no unshare: install util-linux"
    tried = subprocess.run([*_ALONE, "true"], capture_output=True, check=False)
    return tried.stderr.decode() if tried.returncode else None


@pytest.mark.browser
@pytest.mark.e2e
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.skipif(notAlone() is not None, reason=str(notAlone()))
def test_loopback() -> None:
    """
    Where the loopback is all the network there is, C{navigator.onLine} is false,
    and a server on the same machine is reached.
    """
    done = subprocess.run(
        [*_ALONE, sys.executable, "-m", "tests.e2e.loopback"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, ["connect", "message"]]
