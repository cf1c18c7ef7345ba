"""
The examples of C{examples/webapps} in a real browser.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from twisted.internet.threads import deferToThread

from tests.support.browser import NODE, chromium, findings, missing, until
from tests.support.npm import lacking
from tests.support.redisserver import sharedServer
from tests.support.servers import inReactor
from tests.support.shops import open_
from tests.support.webapplications import installed


pytestmark = [
    pytest.mark.webapps,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    installed(["flask", "flask_session", "redis", "starlette", "uvicorn"]),
]

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.mark.redis
@inReactor
async def test_sharing(tmp_path: Path) -> None:
    """
    What one tab adds, by request or by socket, the other shows at once; a
    logout in one is seen in both, and so is that there is nothing left.
    """
    redis = sharedServer()
    async with open_("flask-session", tmp_path, REDIS_URL=redis.url) as shop:
        await deferToThread(_sharing, shop.url)


def _sharing(url: str) -> None:
    with chromium() as driver:
        first, second = _loggedIn(driver, url), _Tab(driver, url)
        second.shows("#who", "Ann")
        first.click("[data-good=figs]")
        for tab in first, second:
            tab.shows("#basket [data-good=figs]", f"1 {TIMES}")
        first.click("#by-socket + span")
        first.click("[data-good=figs]")
        first.click("[data-good=tea]")
        for tab in first, second:
            tab.shows("#basket [data-good=figs]", f"2 {TIMES}")
            tab.shows("#basket [data-good=tea]", f"1 {TIMES}")
        first.click("#logout")
        first.shows("#over-text", "Every other tab")
        second.shows("#over-text", "another tab")
        second.shows("#over-code", "4401 session-destroyed")
        for tab in first, second:
            tab.shows("#who", "A visitor")
            tab.shows("#count", "0 in the basket")
            tab.shows("#status[data-state=away]", "No socket")
        _loggedIn(driver, url).shows("#count", "0 in the basket")
        assert _complaints(driver) == []


@pytest.mark.redis
@inReactor
async def test_somebodyElse(tmp_path: Path) -> None:
    """
    A tab without a network hears nothing of a logout.  When it is back it shows
    who is logged in by then.
    """
    redis = sharedServer()
    async with open_("flask-session", tmp_path, REDIS_URL=redis.url) as shop:
        await deferToThread(_somebodyElse, shop.url)


def _somebodyElse(url: str) -> None:
    away = """
        Object.assign(socket._options, { minDelay: 60000, maxDelay: 60000 });
        Math.random = () => 0.99;
        socket._abandon(socket._visit, 1006, "");
    """
    back = "socket._options.minDelay = 1; dispatchEvent(new Event('online'));"
    with chromium() as driver:
        first, second = _loggedIn(driver, url), _Tab(driver, url)
        second.shows("#known", "the socket says Ann")
        second.driver.execute_script(away)
        first.click("#logout")
        first.shows("#over-text", "Every other tab")
        _loggedIn(driver, url, "Bob")
        second.shows("#who", "Ann")
        second.driver.execute_script(back)
        second.shows("#who", "Bob")


@inReactor
async def test_cookies(tmp_path: Path) -> None:
    """
    With a session in the cookie, tabs tell each other that there is a new one,
    and their sockets read that.
    """
    async with open_("starlette", tmp_path) as shop:
        await deferToThread(_readingCookies, shop.url)


def _readingCookies(url: str) -> None:
    with chromium() as driver:
        first, second = _loggedIn(driver, url), _Tab(driver, url)
        for tab in first, second:
            tab.shows("#read-only:not([hidden])", "signed cookie")
            tab.shows("#known", "the socket says Ann")
            if lacking(NODE) is None:
                assert findings(tab.driver) == []
        assert first.driver.execute_script("return document.activeElement.id") == "who"
        first.click("[data-good=figs]")
        for tab in first, second:
            tab.shows("#feed [data-by=socket]:first-child", '"basket":{"figs":1}')
            tab.shows("#basket [data-good=figs]", f"1 {TIMES}")
        second.click("#logout")
        for tab in first, second:
            tab.shows("#over:not([hidden])", "logged out")
            assert tab.driver.execute_script("return document.activeElement.id")
        assert _complaints(driver) == []


def _loggedIn(driver: Chrome, url: str, name: str = "Ann") -> _Tab:
    tab = _Tab(driver, url)
    tab.shows("#shelf", "figs")
    tab.driver.find_element(By.ID, "name").send_keys(name)
    tab.click("#login button")
    tab.shows("#known", f"the socket says {name}")
    return tab


def _complaints(driver: Chrome) -> list[str]:
    log = driver.get_log("browser")
    return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


class _Tab:
    """
    An example in a tab of a browser.
    """

    def __init__(self, driver: Chrome, url: str) -> None:
        self._driver = driver
        driver.switch_to.new_window("tab")
        self._window = driver.current_window_handle
        driver.get(url)

    @property
    def driver(self) -> Chrome:
        """
        The browser, with this tab in front.
        """
        self._driver.switch_to.window(self._window)
        return self._driver

    def click(self, selector: str) -> None:
        """
        As a user does, when that is possible.
        """
        until(self.driver, f"document.querySelector({selector!r})?.disabled !== true")
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def shows(self, selector: str, text: str) -> None:
        """
        Wait until it is to be read there.
        """
        condition = (
            "document.querySelector(arguments[0])?.textContent.includes(arguments[1])"
        )
        until(self.driver, condition, selector, text)
