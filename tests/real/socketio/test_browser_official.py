"""
The official client of Socket.IO in a real browser, with the script that our server
serves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from selenium.webdriver import Chrome
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.e2e.socketio.node import Node
from tests.support.browser import chromium, missing, until
from tests.support.redisscene import noErrors
from tests.support.servers import PATIENCE, inReactor, reactor
from tests.support.socketioclients import DIRECTORY, socketIOIsThere
from tests.support.socketioservers import settled
from txsessionsock.stores.memory import MemoryStore


pytestmark = [
    pytest.mark.browser,
    socketIOIsThere,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

_BUNDLE = str(DIRECTORY / "node_modules" / "socket.io-client" / "dist")

_OPEN = """
    const [url, options] = arguments;
    window.log = [];
    const always = { withCredentials: true, reconnectionDelay: 10 };
    window.socket = io(url, { ...always, ...options });
    for (const event of ["connect", "disconnect", "connect_error"])
      socket.on(event, (it) => log.push([event, it?.message ?? it ?? null]));
    socket.onAny((...args) => log.push(["event", ...args]));
"""

_POST = """
    const [path, done] = arguments;
    fetch(path, { method: "POST" }).then((response) => response.text()).then(done);
"""

_ASK = """
    const values = [...arguments];
    const done = values.pop();
    socket.timeout(10000).emitWithAck(...values).then(done, (e) => done(String(e)));
"""


class Page:
    """
    A page in a tab of its own, with one client.
    """

    def __init__(self, driver: Chrome, port: int) -> None:
        self._driver = driver
        driver.switch_to.new_window("tab")
        self._window = driver.current_window_handle
        driver.get(f"http://127.0.0.1:{port}/chat")

    @property
    def driver(self) -> Chrome:
        """
        The browser, with this tab in front.
        """
        self._driver.switch_to.window(self._window)
        return self._driver

    def js(self, script: str, *arguments: object) -> Any:
        """
        Run a script.
        """
        return self.driver.execute_script(script, *arguments)

    def post(self, path: str) -> str:
        """
        Post to its own site.
        """
        return str(self.driver.execute_async_script(_POST, path))

    def open(self, url: str = "", **options: Any) -> None:
        """
        Open a client.
        """
        self.js(_OPEN, url, options)

    def ask(self, *values: object) -> Any:
        """
        Send an event, and wait for the answer.
        """
        return self.driver.execute_async_script(_ASK, *values)

    def until(self, condition: str, *arguments: object) -> Any:
        """
        Wait until something is so.
        """
        return until(self.driver, condition, *arguments)

    def happens(self, event: str) -> Any:
        """
        Wait until that happened.

        @return: The detail.
        """
        return self.until("log.find(([name]) => name === arguments[0])", event)[1]


@asynccontextmanager
async def serving(*settings: dict[str, Any]) -> AsyncIterator[list[Node]]:
    """
    Have sites in this process.

    @param settings: Of each.
    """
    nodes = []
    with noErrors():
        for each in settings:
            node = Node(reactor, MemoryStore(reactor), bundle=_BUNDLE, **each)
            await node.listen()
            nodes.append(node)
        try:
            yield nodes
            await settled(*nodes)
        finally:
            for node in nodes:
                ending = Deferred.fromCoroutine(node.end())
                await ending.addTimeout(PATIENCE, reactor)


async def browse(test: Callable[..., None], *arguments: Any) -> None:
    """
    Run a test in a browser, whose pages are gone in the end.
    """

    def run() -> None:
        with chromium() as driver:
            test(driver, *arguments)
            for window in driver.window_handles[1:]:
                driver.switch_to.window(window)
                driver.close()
            driver.switch_to.window(driver.window_handles[0])

    await deferToThread(run)


@inReactor
async def test_session() -> None:
    """
    A page has the session of a cookie that its scripts cannot read, changes over to
    a WebSocket, gets answers and bytes, and a logout in another tab disconnects it.
    """
    async with serving({}) as (node,):
        await browse(_session, node.port)


def _session(driver: Chrome, port: int) -> None:
    page, other = Page(driver, port), Page(driver, port)
    assert page.post("/add?n") == "1"
    assert page.js("return document.cookie") == ""
    for each in page, other:
        each.open()
        assert each.happens("connect") is None
        each.until("socket.io.engine.transport.name === 'websocket'")
    assert page.ask("add", "n") == 2
    assert other.ask("add", "n") == 3
    page.js("window.sent = new Uint8Array([0, 128, 255]).buffer")
    got = page.driver.execute_async_script(
        "const [done] = arguments;"
        "socket.emitWithAck('plain', { in: [sent] }).then(({ in: [got] }) =>"
        " done([got instanceof ArrayBuffer, ...new Uint8Array(got)]))"
    )
    assert got == [True, 0, 128, 255]
    page.js("socket.emit('echo', sent)")
    page.until("log.some(([what, name]) => name === 'echo')")
    other.post("/logout")
    for each in page, other:
        assert each.happens("disconnect") == "io server disconnect"
        assert each.js("return socket.active") is False
    page.js("log.length = 0; socket.connect()")
    assert page.happens("connect_error") == "sinvalid"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@inReactor
async def test_noCookie(transport: str) -> None:
    """
    A page without a cookie is told that it has no session.
    """

    def test(driver: Chrome, port: int) -> None:
        page = Page(driver, port)
        page.open(transports=[transport])
        assert page.happens("connect_error") == "sinvalid"

    async with serving({}) as (node,):
        await browse(test, node.port)


_PRY = """
    const [url, done] = arguments;
    const path = "/socket.io/?EIO=4&transport=";
    const ask = (query, init) =>
      fetch(url + path + "polling" + query, { credentials: "include", ...init })
        .then((response) => response.text(), (error) => error.name);
    const socket = () => new Promise((resolve) => {
      const opened = new WebSocket(url.replace("http", "ws") + path + "websocket");
      opened.onmessage = () => resolve("a message");
      opened.onclose = () => resolve("closed");
    });
    Promise.all([
      ask(""),
      ask("", { mode: "no-cors" }),
      ask("&sid=x", { method: "POST", body: "40" }),
      socket(),
    ]).then(done);
"""


@inReactor
async def test_stranger() -> None:
    """
    A page of another origin, whose requests have the cookie, gets nothing: no answer
    that it can read, no WebSocket, no client.
    """

    def test(driver: Chrome, port: int, strange: int) -> None:
        own = Page(driver, port)
        own.post("/add?n")
        page = Page(driver, strange)
        url = f"http://127.0.0.1:{port}"
        for transport in "polling", "websocket":
            page.open(url, transports=[transport], reconnection=False)
            assert page.happens("connect_error") in (
                "xhr poll error",
                "websocket error",
            )
            page.js("socket.close()")
            assert page.js("return log.map(([name]) => name)") == ["connect_error"]
        read = page.driver.execute_async_script(_PRY, url)
        assert read == ["TypeError", "", "TypeError", "closed"]

    async with serving({}, {}) as (node, other):
        connected: list[object] = []
        node.io.sockets.on("sconnection", lambda *args: connected.append(args))
        await browse(test, node.port, other.port)
        assert connected == []
        assert not len(node.io.engine)


@inReactor
async def test_listedOrigin() -> None:
    """
    A page of an origin that is listed has the session, on both transports.
    """

    def test(driver: Chrome, port: int, listed: int) -> None:
        own = Page(driver, port)
        own.post("/add?n")
        page = Page(driver, listed)
        for n, transports in enumerate((["polling"], ["websocket"], None), 2):
            page.open(
                f"http://127.0.0.1:{port}",
                **({"transports": transports} if transports else {}),
            )
            assert page.happens("connect") is None
            assert page.ask("add", "n") == n
            if transports is None:
                page.until("socket.io.engine.transport.name === 'websocket'")
            page.js("socket.close()")

    async with serving({}) as (other,):
        origins = [f"http://127.0.0.1:{other.port}"]
        async with serving({"origins": origins}) as (node,):
            await browse(test, node.port, other.port)
