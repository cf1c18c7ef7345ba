"""
A real Chromium for tests, by way of selenium and chromedriver.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait


__all__ = [
    "NODE",
    "PATIENCE",
    "chromium",
    "findings",
    "missing",
    "overflow",
    "until",
    "width",
]

NODE = Path(__file__).parents[1] / "node"
"""
Where the packages are that tests run in Node.js or in a browser.
"""

_AXE = NODE / "node_modules" / "axe-core" / "axe.min.js"

_OVERFLOW = """
    const { scrollWidth, clientWidth } = document.documentElement;
    const found = scrollWidth === clientWidth && clientWidth <= innerWidth
      ? [] : [`page: ${[scrollWidth, clientWidth, innerWidth]}`];
    for (const each of document.querySelectorAll("a, button, input, h1, h2, p, li"))
      if (each.clientWidth && each.scrollWidth > each.clientWidth + 1)
        found.push(`${each.tagName} ${each.id}: ${each.textContent}`);
    return found;
"""


PATIENCE = 15.0
"""
For how many seconds a test waits for what has to happen.
"""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    # Tests look at several tabs, and all but one of them are in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)


def missing() -> str | None:
    """
    What this machine lacks for such tests, as the reason to skip them.
    """
    if _browser() is None:
        return f"no browser: none of {', '.join(_BROWSERS)} is on the PATH"
    if shutil.which("chromedriver") is None:
        return "no chromedriver on the PATH"
    return None


@contextmanager
def chromium(*flags: str) -> Iterator[Chrome]:
    """
    Have a browser with one empty tab, without cookies or anything cached: one
    that worked for earlier tests, or a new one if these failed.

    @param flags: Command line options beside the usual ones.
    """
    driver = _kept.pop(flags, None) or _start(flags)
    try:
        _forget(driver)
        yield driver
        _kept[flags] = driver
    finally:
        if _kept.get(flags) is not driver:
            driver.quit()


_kept: dict[tuple[str, ...], Chrome] = {}
"""
Browsers that have nothing to do, by their flags.
"""


def _start(flags: tuple[str, ...]) -> Chrome:
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    atexit.register(profile.cleanup)
    options = ChromeOptions()
    options.binary_location = _browser() or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile.name}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(shutil.which("chromedriver") or ""))
    atexit.register(driver.quit)
    return driver


def _forget(driver: Chrome) -> None:
    """
    Leave nothing of earlier tests: each has its own site, by its port, but
    cookies know no ports.
    """
    old = driver.window_handles
    driver.switch_to.new_window("tab")
    new = driver.current_window_handle
    for tab in old:
        driver.switch_to.window(tab)
        driver.close()
    driver.switch_to.window(new)
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    driver.get_log("browser")


def findings(driver: Chrome) -> list[str]:
    """
    What axe finds in the page: what people cannot use who do not see it, or
    have no mouse.
    """
    driver.execute_script(_AXE.read_text("utf-8"))
    # What fades in has less contrast until it is there.
    driver.execute_script(
        "for (const each of document.getAnimations())"
        " if (isFinite(each.effect.getComputedTiming().endTime)) each.finish();"
    )
    found: list[dict[str, Any]] = driver.execute_async_script(
        "const [done] = arguments;"
        "axe.run({ resultTypes: ['violations'] }).then(r => done(r.violations))"
    )
    return [
        f"{each['impact']} {each['id']}: {node['html'][:200]}"
        for each in found
        for node in each["nodes"]
    ]


def width(driver: Chrome, pixels: int, height: int = 844) -> None:
    """
    Show a tab as a device would that is so many pixels wide.
    """
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": pixels,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": pixels < 500,
        },
    )


def overflow(driver: Chrome) -> list[str]:
    """
    What does not fit: the page, if it has to be scrolled sideways, and texts
    that are wider than what they are in.
    """
    found: list[str] = driver.execute_script(_OVERFLOW)
    return found


def until(driver: Chrome, condition: str, *arguments: object) -> Any:
    """
    Wait until something is so in the page.

    @param condition: A JavaScript expression, with C{arguments} at hand.

    @return: Its first value that JavaScript takes for true.
    """
    return WebDriverWait(driver, PATIENCE, 0.02).until(
        lambda driver: driver.execute_script(f"return {condition}", *arguments),
        f"never so: {condition}",
    )


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, _BROWSERS)), None)
