"""
The client script and a real server: networks that die, servers that stand still,
sessions of somebody else, workers, pages that are left and come back to.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from tests.support.browser import PATIENCE, chromium, missing, until
from tests.support.servers import MODULES, Twistd, inReactor, reactor, twistd
from tests.support.tcpproxy import Proxy, proxy


pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

QUICK = {"minDelay": 10, "maxDelay": 50, "patience": 1500}
"""
Nothing to wait for, but what is tested.
"""

IDLE = {**QUICK, "heartbeat": 300}
CALM = {**QUICK, "heartbeat": 600000}

_STANDS_STILL = """
    window.stoodStill = 0;
    let before = performance.now();
    setInterval(() => {
      const now = performance.now();
      stoodStill += Math.max(0, now - before - 100);
      before = now;
    }, 50);
"""
"""
Counts for how many milliseconds a busy machine lets the page do nothing.
"""


class Room:
    """
    A page with a socket, behind a network that can be broken.

    @ivar line: The network.
    """

    def __init__(self, driver: Chrome, line: Proxy, server: Twistd) -> None:
        self.driver = driver
        self.line = line
        self.server = server
        self.url = f"http://127.0.0.1:{line.port}/"

    def enter(self, **options: Any) -> None:
        """
        Load the page, and connect.
        """
        # Or the browser would ask for the page where nobody answers.
        reactor.callFromThread(self.line.reset)
        self.driver.get(f"{self.url}page")
        self.js("window.socket = begin(arguments[0])", options)
        self.until("socket._who")

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: str, *arguments: object) -> Any:
        return until(self.driver, condition, *arguments)

    def post(self, what: str) -> None:
        """
        Do something with the session, by HTTP.
        """
        script = """
            const [what, done] = arguments;
            const options = { method: "POST", mode: "no-cors", credentials: "include" };
            fetch(what, options).then(() => done());
        """
        self.driver.execute_async_script(script, what)

    def hold(self) -> None:
        """
        Have the network swallow everything.
        """
        blockingCallFromThread(reactor, self.line.hold)

    def release(self) -> None:
        """
        Have it pass on what it held.
        """
        blockingCallFromThread(reactor, self.line.release)

    def heal(self) -> None:
        """
        A network that forgot about all connections.
        """

        def heal() -> Any:
            return Deferred.fromCoroutine(self.line.heal())

        blockingCallFromThread(reactor, heal)

    def details(self, event: str) -> list[Any]:
        """
        Those of all events of a name.
        """
        return [e[1] for e in self.js("return events") if e[0] == event]

    def next(self, event: str, times: int = 1) -> Any:
        """
        Wait for the event, and take its details.
        """
        of = "events.filter(([name]) => name === arguments[0])"
        self.until(f"{of}.length >= arguments[1]", event, times)
        return self.details(event)[times - 1]

    def works(self) -> None:
        """
        What is sent is answered.
        """
        before = len(self.details("message"))
        assert self.js("return socket.send(['add', 'n'])")
        self.next("message", before + 1)


def family(pid: int) -> Iterator[int]:
    """
    A process and all that it started.
    """
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


@asynccontextmanager
async def served(protocol: str) -> AsyncIterator[tuple[Twistd, Proxy]]:
    options = (
        "--protocol",
        protocol,
        "--class",
        "e2e.scriptpages.ScriptPages",
        "--per-message",
    )
    environment = {"PYTHONPATH": str(Path(MODULES).parent)}
    async with (
        twistd(*options, environment=environment) as server,
        proxy(server.port) as line,
    ):
        yield server, line


async def inRoom(
    test: Callable[[Room], None], protocol: str = "e2e.scriptpages.Verbs"
) -> str:
    """
    Run a test in a thread, since selenium blocks.

    @return: The server's log.
    """

    def run() -> None:
        with chromium() as driver:
            driver.set_script_timeout(PATIENCE)
            driver.set_page_load_timeout(PATIENCE)
            test(Room(driver, line, server))

    async with served(protocol) as (server, line):
        await deferToThread(run)
        return server.log


@inReactor
async def test_deadLine() -> None:
    """
    A connection that the network swallows is noticed within C{heartbeat} and
    C{patience}, and there is another one when there is a network.
    """

    def test(room: Room) -> None:
        room.enter(**IDLE)
        room.works()
        room.until("socket._visit.heart._number > 2")
        assert room.details("disconnect") == []
        room.hold()
        began = room.js(_STANDS_STILL + "return performance.now()")
        assert room.next("disconnect") == {
            "code": 1006,
            "reason": "no answer",
            "willReconnect": True,
            "unconfirmed": [],
        }
        (took,) = (
            e[2] - began for e in room.js("return events") if e[0] == "disconnect"
        )
        assert took - room.js("return stoodStill") < 300 + 1500 + 1000
        assert room.js("return socket.connected") is False
        assert room.js("return socket.send(['add', 'kept'])") == "queued"
        room.heal()
        room.next("connect", 2)
        room.works()
        assert room.details("identity") == []

    await inRoom(test)


@inReactor
async def test_send() -> None:
    """
    C{send} says what happened: what left into a dead connection is told at its
    end, and what was to leave while nobody knew is kept, and arrives once.
    """

    def test(room: Room) -> None:
        room.enter(**{**CALM, "patience": 4000})
        room.js("window.before = socket.send(['add', 'proved'])")
        room.until("!socket._visit.heart._sent.length")
        room.hold()
        assert room.js("return socket.send(['add', 'lost'])") == "sent"
        room.until("!socket.connected")
        assert room.details("disconnect") == []
        assert room.js("return socket.send(['add', 'kept'])") == "queued"
        assert room.next("disconnect")["unconfirmed"] == [["add", "lost"]]
        room.heal()
        room.next("message", 2)
        room.driver.get(f"http://127.0.0.1:{room.server.port}/session")
        said = room.js("return JSON.parse(document.body.textContent)")
        assert {"proved": 1, "kept": 1}.items() <= said.items()
        assert "lost" not in said

    await inRoom(test)


@inReactor
async def test_hints() -> None:
    """
    When the window tells that something happened, the connection is tried at
    once, messages wait for the outcome, and nothing else happens if it is alive.
    """
    hints = {
        "online": "dispatchEvent(new Event('online'))",
        "offline": "dispatchEvent(new Event('offline'))",
        "seen": "document.dispatchEvent(new Event('visibilitychange'))",
        "thawed": "document.dispatchEvent(new Event('resume'))",
    }

    def test(room: Room) -> None:
        for hint in hints.values():
            room.enter(**CALM)
            asked = room.js(
                f"{hint}; return [socket.send(['get', 'n']), socket.connected]"
            )
            assert asked == ["queued", False]
            room.next("message")
            room.until("socket.connected")
            assert room.details("disconnect") == []
            room.hold()
            room.js(hint)
            assert room.next("disconnect")["reason"] == "no answer"
            room.heal()
            room.next("connect", 2)

    await inRoom(test)


@inReactor
async def test_sleep() -> None:
    """
    A machine that slept finds out that its connection died meanwhile, and does
    not take one for dead whose answer came while it slept.
    """

    def test(room: Room) -> None:
        browser = room.driver.service.process.pid

        def sleep(change: Callable[[], object]) -> None:
            """
            For longer than C{patience}, in which something changes.
            """
            processes = [pid for pid in family(browser) if pid != browser]
            assert len(processes) > 2
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            change()
            time.sleep(3)
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

        room.enter(**IDLE)
        room.hold()
        room.until("socket._visit.heart._isAsking")
        sleep(room.release)
        room.until("!socket._visit.heart._isAsking")
        assert room.details("disconnect") == []
        room.hold()
        sleep(room.heal)
        assert room.next("disconnect")["reason"] == "no answer"
        room.next("connect", 2)
        room.works()

    await inRoom(test)


@inReactor
async def test_frozen() -> None:
    """
    A page that its browser froze goes on when it is seen again.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        for state in "frozen", "active":
            room.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": state})
            room.hold()
            room.heal()
        room.next("connect", 2)
        room.works()

    await inRoom(test)


@inReactor
async def test_stoppedServer() -> None:
    """
    A server that stands still is noticed, and found again when it goes on.
    """

    def test(room: Room) -> None:
        def send(number: signal.Signals) -> None:
            reactor.callFromThread(room.server.transport.signalProcess, number)

        room.enter(**IDLE)
        send(signal.SIGSTOP)
        assert room.next("disconnect")["reason"] == "no answer"
        send(signal.SIGCONT)
        room.next("connect", 2)
        room.works()

    await inRoom(test)


@inReactor
async def test_busyServer() -> None:
    """
    A server that reads no more, since a handler is slow and many messages wait, is
    no dead one.
    """

    def test(room: Room) -> None:
        room.enter(**IDLE)
        room.js("for (let n = 0; n < 80; n++) socket.send(n)")
        room.until("socket._visit.heart._slack")
        assert room.js("return socket.connected") is True
        room.next("message", 80)
        room.until("socket._visit.heart._slack === 0")
        assert room.details("disconnect") == []
        assert room.details("message") == list(range(80))

    await inRoom(test, "e2e.scriptpages.Slow")


@inReactor
async def test_neverOpens() -> None:
    """
    Nor does it wait for ever for a handshake, or for the end of a connection.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        room.hold()
        room.js("dispatchEvent(new Event('online'))")
        room.next("reconnecting", 3)
        room.heal()
        room.next("connect", 2)
        room.hold()
        room.js("socket.close()")
        ended = room.next("disconnect", 2)
        assert (ended["code"], ended["willReconnect"]) == (1006, False)

    await inRoom(test)


@inReactor
async def test_logout() -> None:
    """
    After a logout elsewhere, a socket that comes back as somebody else says so,
    before anything else, and what was kept for who is gone is not sent.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        room.post("/login?Zoe")
        login = room.next("identity")
        assert login["was"] is None
        assert login["is"] is not None
        assert login["dropped"] == []
        room.next("connect", 2)
        room.js(
            """
            socket.on("disconnect", () => socket.send(["add", "secret"]));
            // Elsewhere: the cookie is that of the next guest before it notices.
            socket._options.minDelay = socket._options.maxDelay = 3000;
            Math.random = () => 0.999;
            """
        )
        room.post("/logout")
        room.next("disconnect", 2)
        room.js(
            """
            const [frame] = [document.createElement("iframe")];
            frame.src = "/page";
            document.body.append(frame);
            """
        )
        logout = room.next("identity", 2)
        assert logout["was"] == login["is"]
        assert logout["is"] is None
        assert logout["dropped"] == [["add", "secret"]]
        room.next("connect", 3)
        order = [e[0] for e in room.js("return events")][-2:]
        assert order == ["identity", "connect"]
        assert room.js("return socket.send(['get', 'secret'])") == "sent"
        assert room.next("message") is None

    await inRoom(test)


@inReactor
async def test_loginElsewhere() -> None:
    """
    What was kept while the connection was away is not sent as somebody else, who
    has logged in elsewhere meanwhile.
    """

    def test(room: Room) -> None:
        room.enter(**IDLE)
        room.post("/rename?Zoe")
        room.next("identity")
        room.hold()
        room.next("disconnect")
        assert room.js("return socket.send(['add', 'secret'])") == "queued"
        room.post(f"http://127.0.0.1:{room.server.port}/login?Bob")
        room.heal()
        assert room.next("identity", 2)["dropped"] == [["add", "secret"]]
        room.next("connect", 2)
        room.js("socket.send(['get', 'secret'])")
        assert room.next("message") is None

    await inRoom(test)


@inReactor
async def test_whose() -> None:
    """
    It is told once each time: who logs in within a session, another person,
    nobody; the same person in a new session is no other, nor is a guest whose
    session has a new id.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        room.post("/rotate")
        room.next("connect", 2)
        assert room.details("identity") == []
        room.post("/rename?Zoe")
        zoe = room.next("identity")["is"]
        room.post("/login?Zoe")
        room.next("connect", 3)
        room.until("socket.connected")
        room.post("/login?Bob")
        bob = room.next("identity", 2)
        assert bob["was"] == zoe
        assert bob["is"] not in (None, zoe)
        room.post("/forget")
        assert room.next("identity", 3) == {"was": bob["is"], "is": None, "dropped": []}
        assert len(room.details("identity")) == 3

    await inRoom(test)


@inReactor
async def test_otherGuest() -> None:
    """
    A guest with another session is another guest.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        room.js("socket._options.minDelay = socket._options.maxDelay = 3000")
        room.js("Math.random = () => 0.999")
        room.post("/logout")
        room.next("disconnect")
        room.js("document.body.append(document.createElement('iframe'))")
        room.js("document.querySelector('iframe').src = '/page'")
        assert room.next("identity") == {"was": None, "is": None, "dropped": []}

    await inRoom(test)


@inReactor
async def test_workers() -> None:
    """
    It works where there is neither window nor document: the address is relative
    to the worker, whichever kind that is.
    """
    blob = """
        const request = new XMLHttpRequest();
        request.open("GET", "/worker.js", false);
        request.send();
        const text = request.responseText.replace('("/', `("${location.origin}/`);
        return new Worker(URL.createObjectURL(new Blob([text])));
    """
    kinds = {
        "classic": "return new Worker('/worker.js')",
        "module": "return new Worker('/module.js', { type: 'module' })",
        "blob": blob,
        "shared": "return new SharedWorker('/shared.js').port",
    }

    def test(room: Room) -> None:
        for kind, make in kinds.items():
            room.driver.get(f"{room.url}page")
            room.js(
                f"""
                window.said = {{}};
                window.worker = (() => {{ {make} }})();
                worker.onmessage = ({{ data: [name, detail] }}) => {{
                  said[name] = detail;
                }};
                worker.onerror = (event) => {{ said.error = event.message; }};
                """
            )
            room.until("said.error || ('message' in said && 'alive' in said)")
            said = room.js("return said")
            assert "error" not in said, (kind, said)
            assert said["said"] in ("sent", "queued")
            assert said["message"] >= 1

    await inRoom(test)


@inReactor
async def test_backAndForward() -> None:
    """
    A page that its visitor leaves and comes back to, kept whole by the browser,
    gets its socket back, and hears whose it is now.
    """

    def test(room: Room) -> None:
        room.enter(**CALM)
        room.post("/login?Zoe")
        room.next("identity")
        room.next("connect", 2)
        room.driver.get(f"{room.url}other")
        room.driver.back()
        room.until("events.some(([name, isKept]) => name === 'pageshow' && isKept)")
        left = room.next("disconnect", 2)
        assert (left["code"], left["reason"]) == (1001, "page hidden")
        assert left["willReconnect"] is True
        room.next("connect", 3)
        room.works()
        assert len(room.details("identity")) == 1
        room.driver.get(f"{room.url}other")
        room.post("/logout")
        room.post("/login?Bob")
        room.driver.back()
        assert room.next("identity", 2)["was"] is not None
        room.next("connect", 4)

    await inRoom(test)


@inReactor
async def test_raw() -> None:
    """
    Text and binary go both ways with an echo server that knows nothing of
    sessions, heartbeats beside them; what is kept is kept as it was.
    """

    def test(room: Room) -> None:
        room.driver.get(f"{room.url}page")
        room.js(
            """
            window.socket = begin({ messages: "raw", heartbeat: 50 });
            const bytes = new Uint8Array([9, 0, 255, 10, 9]);
            const blob = new Blob(["b"]);
            window.said = ["no JSON", bytes.subarray(1, 4), bytes.buffer, blob, ""]
              .map((value) => socket.send(value));
            bytes.fill(7);
            try { socket.send({}) } catch (error) { window.caught = error }
            """
        )
        assert room.js("return said") == ["queued"] * 5
        assert "a raw message is a string" in room.js("return caught.message")
        room.next("message", 5)
        room.until("socket._visit.heart._number > 2")
        got = room.js(
            """
            return events.filter(([name]) => name === "message").map(([, value]) =>
              value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value)
            """
        )
        assert got == ["no JSON", [0, 255, 10], [9, 0, 255, 10, 9], [98], ""]

    await inRoom(test, "e2e.scriptpages.Echo")


@inReactor
async def test_subprotocols() -> None:
    """
    A subprotocol is chosen by the server's C{onConnect}; where none is, browsers
    drop the connection, and the server's log says why.
    """

    def chosen(room: Room) -> None:
        room.driver.get(f"{room.url}page")
        room.js("window.socket = begin({ protocols: ['other', 'chat'] })")
        assert room.next("message") == "welcome"
        assert room.js("return socket.protocol") == "chat"

    def none(room: Room) -> None:
        room.driver.get(f"{room.url}page")
        room.js("window.socket = begin({ protocols: 'chat', minDelay: 10 })")
        room.next("reconnecting", 2)
        assert room.details("connect") == []
        assert room.js("return socket.protocol") == ""

    assert "subprotocols" not in await inRoom(chosen, "e2e.scriptpages.Chat")
    assert "offered subprotocols and none was chosen" in await inRoom(
        none, "e2e.scriptpages.Quiet"
    )
