"""
The demo in a real browser.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from tests.support.browser import (
    NODE,
    chromium,
    findings,
    missing,
    overflow,
    until,
    width,
)
from tests.support.npm import installedByNpm
from tests.support.servers import inReactor, reactor, twistd
from tests.support.visitors import Refused, Visitor


pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

ROOT = Path(__file__).parents[3]

WIDTHS = (320, 360, 390, 1280)


class Page:
    """
    The demo in a tab.
    """

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver = driver
        driver.switch_to.new_window("tab")
        self._window = driver.current_window_handle
        driver.get(url)
        self.until("document.querySelector('#status[data-state=connected]')")

    @property
    def driver(self) -> Chrome:
        """
        The browser, with this tab in front.
        """
        self._driver.switch_to.window(self._window)
        return self._driver

    def until(self, condition: str, *arguments: object) -> Any:
        """
        See L{until}.
        """
        return until(self.driver, condition, *arguments)

    def click(self, selector: str) -> None:
        """
        Click, as a user does.
        """
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def text(self, selector: str) -> str:
        """
        @return: The text that is to be read there.
        """
        return str(self.driver.find_element(By.CSS_SELECTOR, selector).text)

    def rests(self, selector: str) -> None:
        """
        Wait until nothing there fades or moves any more.
        """
        self.until(
            "!document.querySelector(arguments[0]).getAnimations().length", selector
        )

    def reads(self, selector: str, text: str) -> None:
        """
        Wait until a text is to be read there.
        """
        condition = (
            "document.querySelector(arguments[0])?.textContent.includes(arguments[1])"
        )
        self.until(condition, selector, text)

    def cookie(self) -> str:
        """
        The session cookie, which no script can see.
        """
        assert self.driver.execute_script("return document.cookie") == ""
        cookie = self.driver.get_cookie("connect.sid")
        assert cookie is not None and cookie["httpOnly"]
        return str(cookie["value"])

    def severe(self) -> list[str]:
        """
        @return: The errors in the browser's console.
        """
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """
    A site of somebody else.
    """
    root = Resource()
    root.putChild(b"", Data(b"<!doctype html><title>Elsewhere</title>", "text/html"))
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(Site(root, reactor=reactor))
    try:
        yield f"http://127.0.0.1:{port.getHost().port}/"
    finally:
        await port.stopListening()


async def inBrowser(test: Callable[[Chrome, str], Any]) -> None:
    """
    Run a test on a demo of its own.
    """
    async with twistd() as server:
        await deferToThread(run, test, server.port)


def run(test: Callable[[Chrome, str], Any], port: int) -> None:
    """
    Run a test on the demo at a port; in a thread, since selenium blocks.
    """
    with chromium() as driver:
        test(driver, f"http://127.0.0.1:{port}/")


@inReactor
async def test_sharing() -> None:
    """
    Pings count up and survive a reload; what a request changes is in the
    session of the socket; both show in another tab at once.
    """

    def test(driver: Chrome, url: str) -> None:
        page = Page(driver, url)
        for number in "1", "2", "3":
            page.click("#ping")
            page.reads("#pings", number)
        page.reads("#view [data-key=pings]", "3")
        page.click("#add")
        page.reads("#items", "1")
        page.until("document.querySelector('#feed li[data-by=you]')")
        page.driver.refresh()
        page.reads("#pings", "3")
        page.reads("#items", "1")
        other = Page(driver, url)
        other.reads("#pings", "3")
        other.click("#ping")
        page.reads("#pings", "4")
        page.until("document.querySelector('#feed li[data-by=other]')")
        page.click("#add")
        other.reads("#items", "2")
        assert page.text("#who") == other.text("#who")
        assert page.severe() == []

    await inBrowser(test)


@inReactor
async def test_login() -> None:
    """
    Logging in gives the session a new id: the sockets of both tabs are closed
    with 4307 and come back by themselves, knowing the name.  The old id opens
    nothing any more.
    """
    cookies: list[str] = []

    def test(driver: Chrome, url: str) -> None:
        page, other = Page(driver, url), Page(driver, url)
        page.click("#ping")
        other.reads("#pings", "1")
        cookies.append(page.cookie())
        page.driver.find_element(By.ID, "name").send_keys("Ada")
        page.click("#login button")
        for each in page, other:
            each.reads("#who", "Ada")
            each.until(
                "[...document.querySelectorAll('#feed li[data-by=server]')]"
                ".some(item => item.textContent.includes('4307'))"
            )
            each.until("document.querySelector('#status[data-state=connected]')")
            each.reads("#pings", "1")
        other.click("#ping")
        page.reads("#pings", "2")
        cookies.append(page.cookie())
        assert page.severe() == []

    async with twistd() as server:
        await deferToThread(run, test, server.port)
        before, after = cookies
        assert before != after
        old = await Visitor(server.port, before).connect()
        assert await old.closes() == (4401, "session-unknown")
        socket = await Visitor(server.port, after).connect()
        assert (await socket.next())["session"]["user"] == "Ada"


@inReactor
async def test_logout() -> None:
    """
    Logging out in one tab closes the sockets of both with 4401, and both pages
    say so and let one start again, with another session.
    """

    def test(driver: Chrome, url: str) -> None:
        page, other = Page(driver, url), Page(driver, url)
        page.click("#ping")
        other.reads("#pings", "1")
        page.click("#logout")
        for each in page, other:
            each.until(
                "document.querySelector('#status[data-state=closed]')?.dataset.why"
                " === '4401 session-destroyed'"
            )
            each.rests("#ended")
            assert each.driver.find_element(By.ID, "ended").is_displayed()
            assert each.text("#ended-title") == "You are logged out."
            assert "4401 session-destroyed" in each.text("#ended-code")
            assert not each.driver.find_element(By.ID, "ping").is_enabled()
        other.click("#again")
        other.until("document.querySelector('#status[data-state=connected]')")
        assert other.text("#pings") == "0"

    await inBrowser(test)


@inReactor
async def test_logoutElsewhere() -> None:
    """
    A tab that comes back when another tab has the session of the next user does
    not go on as if that were its own.
    """

    def test(driver: Chrome, url: str) -> None:
        page, other = Page(driver, url), Page(driver, url)
        late = "Math.random = () => 0.999; const { _options: o } = socket;"
        other.driver.execute_script(f"{late} o.minDelay = o.maxDelay = 2000")
        page.click("#logout")
        page.until("!document.querySelector('#ended').hidden")
        page.driver.refresh()
        page.until("document.querySelector('#status[data-state=connected]')")
        other.until("!document.querySelector('#ended').hidden")
        other.rests("#ended")
        assert other.text("#ended-title") == "You are logged out."
        other.until("!socket.connected")

    await inBrowser(test)


@inReactor
async def test_elsewhere() -> None:
    """
    A page of another origin cannot connect, although the browser sends the
    cookie: the server answers 403.
    """
    script = """
        const [url, done] = arguments;
        const socket = new WebSocket(url);
        const seen = [];
        socket.addEventListener("open", () => done("open"));
        socket.addEventListener("error", () => seen.push("error"));
        socket.addEventListener("close", ({ code }) => done([...seen, code]));
    """

    def test(driver: Chrome, url: str) -> None:
        page = Page(driver, url)
        page.click("#ping")
        page.reads("#pings", "1")
        socket = url.replace("http:", "ws:") + "ws"
        assert driver.execute_async_script(script, socket) == "open"
        driver.get(foreign)
        assert driver.title == "Elsewhere"
        assert driver.get_cookie("connect.sid") is not None
        assert driver.execute_async_script(script, socket) == ["error", 1006]
        assert any("403" in each for each in page.severe())

    async with elsewhere() as foreign, twistd() as server:
        await deferToThread(run, test, server.port)
        refusals = re.findall("refused a page of '(http.*?)'", server.log)
        assert refusals == [foreign.rstrip("/")]
        with pytest.raises(Refused, match="403"):
            await Visitor(server.port).connect(origin=foreign.rstrip("/"))


@inReactor
async def test_widths(tmp_path: Path) -> None:
    """
    The page fits on a phone and on a desktop, in use and after a logout:
    nothing sticks out, and nothing has to be scrolled sideways.
    """

    def fits(page: Page, name: str) -> None:
        page.driver.save_screenshot(str(tmp_path / f"{name}.png"))
        assert overflow(page.driver) == [], name

    def test(driver: Chrome, url: str) -> None:
        for pixels in WIDTHS:
            page = Page(driver, url)
            width(page.driver, pixels)
            assert page.driver.execute_script("return innerWidth") == pixels
            fits(page, f"{pixels}-new")
            page.driver.find_element(By.ID, "name").send_keys("W" * 24)
            page.click("#login button")
            page.reads("#who", "W" * 24)
            page.click("#add")
            page.until("Number(document.querySelector('#items').textContent)")
            fits(page, str(pixels))
            page.click("#logout")
            page.until("!document.querySelector('#ended').hidden")
            fits(page, f"{pixels}-ended")

    await inBrowser(test)


@inReactor
async def test_focus() -> None:
    """
    The keyboard focus is not lost.  After a login it is at the new name, after
    a logout, here or elsewhere, at the message.
    """
    focus = "document.activeElement.id === arguments[0]"

    def test(driver: Chrome, url: str) -> None:
        page, other = Page(driver, url), Page(driver, url)
        other.driver.find_element(By.ID, "ping").send_keys(Keys.ENTER)
        page.driver.find_element(By.ID, "name").send_keys("Ada", Keys.ENTER)
        page.reads("#who", "Ada")
        page.until("document.querySelector('#login').hidden")
        page.until(focus, "who")
        other.reads("#who", "Ada")
        other.until(focus, "ping")
        page.driver.find_element(By.ID, "logout").send_keys(Keys.ENTER)
        for each in page, other:
            each.until(focus, "ended")

    await inBrowser(test)


@inReactor
async def test_links() -> None:
    """
    The page says what it is made with, and links to it.
    """

    def test(driver: Chrome, address: str) -> None:
        page = Page(driver, address)
        links = page.driver.find_elements(By.CSS_SELECTOR, "header a, footer a")
        to = {link.get_attribute("href") for link in links}
        assert to == {"https://twisted.org/", "https://autobahn.readthedocs.io/"}
        assert "Twisted" in page.text(".mark")

    await inBrowser(test)


@inReactor
@installedByNpm(NODE)  # type: ignore[untyped-decorator]  # Of pytest.
async def test_accessible() -> None:
    """
    axe finds no fault on a phone or a desktop, in light or dark colours, as a
    guest, logged in, and when the session has ended.
    """

    def test(driver: Chrome, url: str) -> None:
        for pixels, scheme in (320, "light"), (1280, "light"), (1280, "dark"):
            page = Page(driver, url)
            width(page.driver, pixels)
            page.driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia",
                {
                    "features": [
                        {"name": "prefers-color-scheme", "value": scheme},
                        {"name": "prefers-reduced-motion", "value": "reduce"},
                    ]
                },
            )
            page.click("#ping")
            page.reads("#pings", "1")
            assert findings(page.driver) == [], (pixels, scheme)
            page.driver.find_element(By.ID, "name").send_keys("Ada")
            page.click("#login button")
            page.reads("#who", "Ada")
            page.until("document.querySelector('#status[data-state=connected]')")
            assert findings(page.driver) == [], (pixels, scheme, "logged in")
            page.click("#logout")
            page.until("!document.querySelector('#ended').hidden")
            assert findings(page.driver) == [], (pixels, scheme, "ended")
            page.click("#again")

    await inBrowser(test)
