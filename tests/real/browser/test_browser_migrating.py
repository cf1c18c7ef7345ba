"""
The page of socket.io-sessions, C{examples/migrating}, in a real browser.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from twisted.internet.threads import deferToThread

from tests.support.browser import (
    NODE,
    chromium,
    findings,
    missing,
    overflow,
    until,
    width,
)
from tests.support.npm import installedByNpm, lacking
from tests.support.redisserver import sharedServer
from tests.support.servers import inReactor
from tests.support.shops import EXAMPLES, open_


pytestmark = [
    pytest.mark.webapps,
    pytest.mark.redis,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    installedByNpm(EXAMPLES.parent / "migrating"),
]


@inReactor
async def test_ping(tmp_path: Path) -> None:
    """
    The official client of npm, the shims with the signed value, and the session of an
    Express application: pings of two tabs are counted together, answered, and shown in
    both, and a logout disconnects them.
    """
    redis = sharedServer()
    async with open_("migrating", tmp_path, REDIS_URL=redis.url) as example:
        await deferToThread(_ping, example.url)


def _ping(url: str) -> None:
    with chromium() as driver:
        driver.get(url)
        first = driver.current_window_handle
        _logged(driver, "Connect!", 'Message: {"visits":1,"pings":0}')
        _click(driver, "sendmsg")
        _logged(driver, '"pings":1', "(msg sent)")
        driver.switch_to.new_window("tab")
        driver.get(url)
        second = driver.current_window_handle
        _logged(driver, 'Message: {"visits":2,"pings":1}')
        _click(driver, "sendmsg")
        _logged(driver, '"pings":2', "(msg sent)")
        driver.switch_to.window(first)
        _logged(driver, '{"visits":2,"pings":2}')
        _looksWell(driver)
        driver.switch_to.window(second)
        driver.find_element(By.CSS_SELECTOR, "form button").click()
        _logged(driver, 'Message: {"visits":1,"pings":0}')
        driver.switch_to.window(first)
        _logged(driver, "Disconnect: io server disconnect")
        log = driver.get_log("browser")
        assert [each["message"] for each in log if each["level"] == "SEVERE"] == []


@inReactor
async def test_first(tmp_path: Path) -> None:
    """
    Both forms of the shims name the session before all else that the page sends, also
    what it sent before it was connected, and while it was away.
    """
    redis = sharedServer()
    async with open_("migrating", tmp_path, REDIS_URL=redis.url) as example:
        await deferToThread(_first, example.url)


_TALK = """
    const make = arguments[0];
    const { sid } = document.querySelector("[data-sid]").dataset;
    const address = new URL(document.scripts[0].src).origin;
    const options = { forceNew: true, reconnectionDelay: 9, transports: ["websocket"] };
    const socket = make === "SessionSocket"
      ? new io.SessionSocket(sid, address, options)
      : io.connectWithSession(address, options);
    window.answers = 0;
    window.reasons = [];
    const answered = () => { window.answers += 1; };
    socket.send("early", answered);
    socket.connect();
    socket.on("disconnect", reason => {
      window.reasons.push(reason);
      socket.send("away", answered);
    });
    socket.once("connect", () => socket.send("ping", () => {
      answered();
      socket.io.engine.close();
    }));
"""


def _first(url: str) -> None:
    with chromium() as driver:
        for form in "SessionSocket", "connectWithSession":
            driver.get(url)
            _logged(driver, "Connect!")
            driver.execute_script(_TALK, form)
            until(driver, "window.answers === 3")
            assert driver.execute_script("return reasons") == ["forced close"]


def _looksWell(driver: Chrome) -> None:
    for pixels in 320, 390:
        width(driver, pixels)
        assert overflow(driver) == []
        if lacking(NODE) is None:
            assert findings(driver) == []
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _click(driver: Chrome, name: str) -> None:
    driver.find_element(By.ID, name).click()


def _logged(driver: Chrome, *texts: str) -> None:
    for text in texts:
        until(
            driver,
            "document.getElementById('msgbox').textContent.includes(arguments[0])",
            text,
        )
