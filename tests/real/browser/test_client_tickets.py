"""
The client script and tickets, in a real browser: one is got for each try.
"""

from __future__ import annotations

from typing import Any

from tests.support.browser import until
from tests.support.clientscript import QUICK, ClientScriptCase


FETCH = """
window.asked = [];
window.signals = [];
window.answers = arguments[0];
window.fetch = (url, options) => {
  const { signal, ...others } = options;
  asked.push({ url, ...others });
  signals.push(signal);
  const [status, value] = answers.length > 1 ? answers.shift() : answers[0];
  return new Promise((resolve, reject) => {
    if (status === "late") {
      window.comes = () => resolve(new Response(JSON.stringify(value)));
      return;
    }
    signal.addEventListener("abort", () => reject(signal.reason));
    if (status === "never") return;
    if (status === "fails") reject(new TypeError("no network"));
    const body = typeof value === "string" ? value : JSON.stringify(value);
    resolve(new Response(body, { status }));
  });
};
"""


class ClientTicketsTests(ClientScriptCase):
    """
    C{SessionSocket} with the option C{ticket}.
    """

    def given(self, *answers: tuple[Any, Any]) -> None:
        """
        Say what is answered to who asks for tickets; the last one again and again.
        """
        self.js(FETCH, answers)

    def test_each(self) -> None:
        """
        Each try has a ticket of its own, beside the subprotocols of the page; none is
        in an address.
        """
        self.given((200, {"ticket": "one", "expires": 30}), (200, {"ticket": "t-_2"}))
        plan = {"close": [1006, ""]}, {"say": "hello"}
        self.begin(*plan, ticket="/sessionsock/ticket", protocols="chat", **QUICK)
        self.assertEqual(self.until("message"), "hello")
        first, second = self.log()
        names = ["sessionsock", "base64url.ticket.one", "chat"]
        self.assertEqual(first["protocols"], names)
        self.assertEqual(second["protocols"][1], "base64url.ticket.t-_2")
        self.assertNotIn("one", first["uri"])
        self.assertEqual(self.js("return socket.protocol"), "sessionsock")
        asked = self.js("return asked")
        self.assertEqual(len(asked), 2)
        self.assertEqual(
            asked[0],
            {
                "url": f"{self.base}sessionsock/ticket",
                "method": "POST",
                "headers": {"X-Sessionsock": "ticket"},
                "credentials": "same-origin",
                "cache": "no-store",
                "redirect": "error",
            },
        )

    def test_noSession(self) -> None:
        """
        If there is no session, there is no handshake either: C{sinvalid}, for good.
        """
        for reason in "missing", "unknown":
            self.given((401, {"reason": reason}))
            self.begin(ticket="/t", **QUICK)
            self.assertEqual(self.until("sinvalid"), reason)
            self.final("sinvalid")
            self.assertEqual(self.log(), [])
            self.assertEqual(self.js("return asked.length"), 1)

    def test_outage(self) -> None:
        """
        While the store, the network or whatever is between is away, it is tried again:
        no session is lost.
        """
        self.given(
            *((503, ""), ("fails", ""), (200, "<html>"), (200, {}), (429, {})),
            (200, {"ticket": 7}),
            (200, {"ticket": "ok"}),
        )
        self.begin({"say": 1}, ticket="/t", **QUICK)
        self.assertEqual(self.send("kept"), ["queued"])
        self.until("message")
        self.received("kept")
        self.assertEqual(len(self.log()), 1)
        self.assertEqual(self.events("sinvalid"), [])
        self.assertEqual(self.js("return asked.length"), 7)

    def test_forbidden(self) -> None:
        """
        What will not get better by itself is on the console, and tried again.
        """
        self.js(
            "window.errors = [];"
            " onerror = (message) => { errors.push(message); return true }"
        )
        self.given((403, {"reason": "forbidden"}), (200, {"ticket": "ok"}))
        self.begin({"say": 1}, ticket="/t", **QUICK)
        self.until("message")
        (said,) = self.js("onerror = null; return errors")
        self.assertIn("no ticket at", said)
        self.assertIn("/t: 403", said)

    def test_late(self) -> None:
        """
        A ticket that was refused may have been late: who gives tickets is asked again,
        and has the last word.
        """
        self.given((200, {"ticket": "late"}), (200, {"ticket": "ok"}))
        refused = {"close": [4401, "session-unknown"]}
        self.begin(refused, {"say": 1}, ticket="/t", **QUICK)
        self.until("message")
        self.assertEqual(self.events("sinvalid"), [])
        self.name += "AtLast"
        self.given((200, {"ticket": "late"}), (401, {"reason": "missing"}))
        self.begin(refused, ticket="/t", **QUICK)
        self.assertEqual(self.until("sinvalid"), "missing")
        self.name += "InVain"
        self.given((200, {"ticket": "late"}))
        self.begin(*[refused] * 200, ticket="/t", grace=300, **QUICK)
        self.assertEqual(self.until("sinvalid"), "unknown")

    def test_noAnswer(self) -> None:
        """
        Who gives no answer is asked again.
        """
        self.given(("never", ""), (200, {"ticket": "ok"}))
        self.begin({"say": 1}, ticket="/t", patience=200, **QUICK)
        self.until("message")
        self.assertEqual(self.js("return asked.length"), 2)

    def test_closed(self) -> None:
        """
        A socket that is closed meanwhile asks no more, and connects no more.
        """
        self.given(("never", ""))
        self.begin(ticket="/t", **QUICK)
        self.js("socket.close()")
        until(self.driver, "socket._visit === null")
        self.final()
        self.assertEqual(self.js("return asked.length"), 1)
        self.assertTrue(self.js("return signals[0].aborted"))
        # The answer may be there, and be told next.
        self.given(("late", {"ticket": "ok"}))
        self.begin(ticket="/t", **QUICK)
        self.js("socket.close(); comes()")
        until(self.driver, "socket._visit === null")
        self.final()
        self.assertEqual(self.log(), [])

    def test_options(self) -> None:
        """
        The address may be relative or absolute; beside C{sid} it makes no sense.
        """
        self.given(("never", ""))
        made = """
            const socket = new SessionSocket("/x", arguments[0]);
            socket.close();
            return asked.at(-1).url;
        """
        self.assertEqual(self.js(made, {"ticket": "a/b"}), f"{self.base}a/b")
        self.assertEqual(
            self.js(made, {"ticket": "https://a.test/"}), "https://a.test/"
        )
        caught = """
            try { new SessionSocket("/x", arguments[0]) } catch (e) { return e.message }
        """
        self.assertEqual(
            self.js(caught, {"ticket": "/t", "sid": "s"}), "either sid or ticket"
        )
