"""
A real Chromium for tests, by way of selenium and chromedriver.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait


__all__ = ["PATIENCE", "chromium", "missing", "until"]


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
    Run a browser with a fresh profile.

    @param flags: Command line options beside the usual ones.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = _browser() or ""
        for flag in (*_FLAGS, f"--user-data-dir={profile}", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = Chrome(options, Service(shutil.which("chromedriver") or ""))
        try:
            yield driver
        finally:
            driver.quit()


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
