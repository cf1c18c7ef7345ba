"""
The client script and a real server that takes tickets only: a page gets one for each
connection, and a logout is a logout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from tests.real.browser.test_browser_script import CALM, Room
from tests.support.browser import PATIENCE, chromium, missing
from tests.support.servers import MODULES, inReactor, reactor, twistd
from tests.support.tcpproxy import proxy


pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

TICKET = "/sessionsock/ticket"


@inReactor
async def test_tickets() -> None:
    """
    A page connects with a ticket, and after its network was away with another one:
    each is spent.  It has its session, which it changes.  After a logout there is no
    ticket, and so no socket.  Nothing of this is in the log.
    """
    shown: list[str] = []

    def test(room: Room) -> None:
        # Chromium sends the cookie with the socket, too: the ticket alone decides.
        room.driver.get(f"{room.url}page")
        room.js(
            """
            const ask = fetch;
            window.tickets = [];
            window.fetch = async (...options) => {
              const response = await ask(...options);
              if (options[0].endsWith("/ticket") && response.ok)
                tickets.push((await response.clone().json()).ticket);
              return response;
            };
            window.socket = begin(arguments[0]);
            """,
            {**CALM, "ticket": TICKET},
        )
        room.until("socket._who")
        room.works()
        assert room.js("return socket.protocol") == "sessionsock"

        def cut() -> Any:
            return Deferred.fromCoroutine(room.line.cut())

        blockingCallFromThread(reactor, cut)
        room.next("connect", 2)
        room.works()
        first, second = room.js("return tickets")
        assert first != second
        spent = """
            const [ticket, done] = arguments;
            const protocols = ["sessionsock", `base64url.ticket.${ticket}`];
            const socket = new WebSocket(`ws://${location.host}/ws`, protocols);
            socket.onclose = ({ code, reason }) => done([code, reason]);
        """
        for ticket in first, second, "A" * 32:
            closed = room.driver.execute_async_script(spent, ticket)
            assert closed == [4401, "session-unknown"]
        shown.extend((first, second))
        room.post("/logout")
        assert room.next("sinvalid") in ("destroyed", "unknown", "missing")
        answer = room.driver.execute_async_script(
            """
            const [url, done] = arguments;
            fetch(url, { method: "POST", headers: { "X-Sessionsock": "ticket" } })
              .then(({ status }) => done(status));
            """,
            TICKET,
        )
        assert answer == 401

    def run(server: Any, line: Any) -> None:
        with chromium() as driver:
            driver.set_script_timeout(PATIENCE)
            driver.set_page_load_timeout(PATIENCE)
            test(Room(driver, line, server))

    environment = {"PYTHONPATH": str(Path(MODULES).parent)}
    async with (
        twistd(
            *("--protocol", "e2e.scriptpages.Verbs", "--per-message", "--tickets"),
            *("--class", "e2e.scriptpages.ScriptPages"),
            environment=environment,
        ) as server,
        proxy(server.port) as line,
    ):
        await deferToThread(run, server, line)
    assert all(ticket not in server.log for ticket in shown)
    assert shown
