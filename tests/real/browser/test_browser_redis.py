"""
The demo in a real browser, on a real Redis, with two worker processes.
"""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from twisted.internet.threads import deferToThread

from tests.real.browser.test_browser_demo import Page, run
from tests.support.browser import missing
from tests.support.redisserver import RedisServer
from tests.support.servers import inReactor, twistd


pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

_PROCESS = """
    return [...document.querySelectorAll('#feed li[data-by=server] small')]
        .map(item => item.textContent).find(text => text.startsWith('process'))
"""


def _process(page: Page) -> str:
    """
    Which process serves the socket of a tab.
    """
    page.until(_PROCESS.replace("return ", "", 1).strip())
    return str(page.driver.execute_script(_PROCESS))


def _elsewhere(driver: Chrome, url: str, process: str) -> Page:
    """
    A tab whose socket another process serves; which one does is up to the
    kernel.
    """
    page = Page(driver, url)
    while _process(page) == process:
        page.driver.get(url)
    return page


@inReactor
async def test_twoWorkers() -> None:
    """
    Two tabs whose sockets are in two processes see each other's changes, move
    along at login, and are closed together at logout.
    """

    def test(driver: Chrome, url: str) -> None:
        page = Page(driver, url)
        other = _elsewhere(driver, url, _process(page))
        other.click("#ping")
        page.reads("#pings", "1")
        page.until("document.querySelector('#feed li[data-by=other]')")
        page.click("#add")
        other.reads("#items", "1")
        page.driver.find_element("id", "name").send_keys("Ada")
        page.click("#login button")
        for each in page, other:
            each.reads("#who", "Ada")
            each.until("document.querySelector('#status[data-state=connected]')")
        other.click("#ping")
        page.reads("#pings", "2")
        other.click("#logout")
        for each in page, other:
            each.until("document.querySelector('#status[data-state=closed]')")
            each.reads("#ended-title", "You are logged out.")
        assert page.severe() == []

    with RedisServer() as redis:
        async with twistd("--store", redis.url, "--workers", "2") as server:
            await deferToThread(run, test, server.port)
        assert server.errors == ""
