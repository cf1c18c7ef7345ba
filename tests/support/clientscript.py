"""
What the tests of the client script stand on: a real browser, and a real
WebSocket server that does as it is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest import skipIf
from urllib.request import urlopen

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait
from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import PATIENCE, chromium, missing, until


__all__ = ["QUICK", "ClientScriptCase"]


PRELUDE = """
window.skew = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + skew;
window.random = Math.random;
window.online = (value) => {
  Object.defineProperty(navigator, "onLine", { value, configurable: true });
  if (value) dispatchEvent(new Event("online"));
};
window.begin = (name, options) => {
  const events = (window.events = []);
  window.socket = new SessionSocket(name, options);
  const names = "connect message disconnect sinvalid reconnecting identity";
  for (const event of names.split(" "))
    socket.on(event, (...details) => events.push([event, details[0], now()]));
};
"""

QUICK = {"minDelay": 10, "maxDelay": 20}
"""
Delays too short to wait for.
"""


@pytest.mark.browser
@skipIf(missing() is not None, missing() or "")
class ClientScriptCase(SynchronousTestCase):
    """
    One browser and one server serve all tests of a class; a path of its own
    keeps each test apart.
    """

    resources: ClassVar[ExitStack]
    driver: ClassVar[Chrome]
    base: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.resources = ExitStack()
        server = cls.resources.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.scriptedserver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        # Popen waits for the server's end on leaving, after closing its stdin.
        assert server.stdout is not None
        cls.base = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        cls.driver = cls.resources.enter_context(chromium())
        cls.driver.get(cls.base)
        cls.driver.execute_script(PRELUDE)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.resources.close()

    def setUp(self) -> None:
        self.name = self.id().rpartition(".")[2]

    def tearDown(self) -> None:
        self.js("if (window.socket) socket.close(); Math.random = random; skew = 0")

    def begin(self, *plan: dict[str, Any], **options: Any) -> None:
        """
        Connect, to a server that does with each connection what is planned.
        """
        self.plan(*plan)
        self.js("begin(arguments[0], arguments[1])", self.name, options)

    def plan(self, *plan: dict[str, Any]) -> None:
        urlopen(f"{self.base}plan/{self.name}", json.dumps(plan).encode()).close()

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def send(self, *values: object) -> list[str | bool]:
        return [self.js("return socket.send(arguments[0])", value) for value in values]

    def events(self, *names: str) -> list[Any]:
        """
        What happened, as names, or the details of those that are named.
        """
        events = self.js("return events")
        if not names:
            return [name for name, _, _ in events]
        return [details for name, details, _ in events if name in names]

    def until(self, event: str, times: int = 1) -> Any:
        """
        Wait for an event, and return its details.
        """
        happened = "events.filter(([name]) => name === arguments[0])"
        until(self.driver, f"{happened}.length >= arguments[1]", event, times)
        return self.events(event)[times - 1]

    def log(self) -> list[Any]:
        with urlopen(f"{self.base}log/{self.name}") as response:
            log: list[Any] = json.load(response)
        return log

    def received(self, *messages: object) -> None:
        """
        Wait until the server has had these messages, over all connections.
        """
        WebDriverWait(self.driver, PATIENCE, 0.02).until(
            lambda _: (
                [m for seen in self.log() for m in seen["messages"]] == list(messages)
            ),
            f"never received: {messages}",
        )

    def final(self, *names: str) -> None:
        """
        These events were all, and there is no further handshake.
        """
        handshakes = len(self.log())
        self.assertEqual(self.events(), list(names))
        self.assertFalse(self.js("return socket.send('too late')"))
        self.js("online(true)")
        self.assertEqual(self.events(), list(names))
        self.assertEqual(len(self.log()), handshakes)
