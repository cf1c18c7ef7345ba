"""
The examples, and the programs in the documentation, as a reader would try them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from unittest import skipIf

import pytest
from selenium.webdriver import Chrome
from twisted.trial.unittest import SynchronousTestCase

from tests.support.browser import (
    NODE,
    chromium,
    findings,
    missing,
    overflow,
    until,
    width,
)
from tests.support.documents import ROOT, whole
from tests.support.npm import lacking


LISTEN = "tcp:0:interface=127.0.0.1"

KLEIN = find_spec("klein") is not None

MIGRATING = ROOT / "examples" / "migrating"
"""
An example that has installed the client of Socket.IO.
"""


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """
    Run a program in a folder of its own, where it finds what the documentation
    says to put there.

    @return: The address of its site.
    """
    with tempfile.TemporaryDirectory() as folder:
        shown = whole()
        for name in "counter.py", "chat.py":
            Path(folder, name).write_text(shown[name], "utf-8")
        for name in "served.py", "chatting.py":
            served = shown[name].replace("tcp:8080", LISTEN)
            Path(folder, name).write_text(
                "import sys\nfrom twisted.python import log\n"
                f"log.startLogging(sys.stdout)\n{served}",
                "utf-8",
            )
        # As npm install socket.io-client does.
        Path(folder, "node_modules").symlink_to(MIGRATING / "node_modules")
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        said = b""
        try:
            for line in process.stdout:
                said += line
                started = re.search(rb"Site starting on (\d+)", line)
                if started is not None:
                    yield f"http://127.0.0.1:{int(started[1])}/"
                    break
            else:
                raise AssertionError(f"it ended: {said.decode()}")
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.mark.browser
@pytest.mark.e2e
@skipIf(missing() is not None, missing() or "")
class ExampleTests(SynchronousTestCase):
    """
    Each program that the documentation shows, in a browser.
    """

    resources: ClassVar[ExitStack]
    driver: ClassVar[Chrome]

    @classmethod
    def setUpClass(cls) -> None:
        cls.resources = ExitStack()
        cls.driver = cls.resources.enter_context(chromium())

    @classmethod
    def tearDownClass(cls) -> None:
        cls.resources.close()

    def serve(self, *command: str) -> None:
        """
        Run a program, and open its page without cookies.
        """
        resources = ExitStack()
        self.addCleanup(resources.close)
        address = resources.enter_context(serving(*command))
        self.driver.get(address)
        self.driver.delete_all_cookies()
        self.driver.get(address)

    @skipIf(lacking(NODE) is not None, lacking(NODE) or "")
    def test_accessible(self) -> None:
        """
        axe finds nothing in the pages of the examples and of the documentation,
        and they fit on a phone.
        """
        programs = [*self.examples, "served.py"]
        for name in programs:
            isExample = name in self.examples
            path = str(ROOT / "examples" / name) if isExample else name
            with serving(sys.executable, path, *([LISTEN] if isExample else [])) as url:
                self.driver.get(url)
                until(self.driver, "socket.connected")
                width(self.driver, 320)
                self.assertEqual((name, findings(self.driver)), (name, []))
                self.assertEqual((name, overflow(self.driver)), (name, []))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    # That which tests a protocol serves nothing.
    examples = tuple(
        sorted(
            path.name
            for path in ROOT.glob("examples/*.py")
            if not path.name.startswith("test_")
            and (KLEIN or path.name != "klein_site.py")
        )
    )

    def example(self, name: str) -> None:
        self.serve(sys.executable, str(ROOT / "examples" / name), LISTEN)

    def logged(self, *lines: str) -> None:
        """
        Wait until the page's log has these lines.
        """
        for line in lines:
            until(
                self.driver,
                "document.getElementById('log').textContent.includes(arguments[0])",
                line,
            )

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def test_perConnection(self) -> None:
        """
        Pings are counted in a session that outlives the page.
        """
        self.example("per_connection.py")
        self.logged("connected", "you have 0 pings")
        self.click("#ping")
        self.logged("That is ping 1.")
        self.driver.refresh()
        self.logged("you have 1 pings")

    def test_perMessage(self) -> None:
        """
        Pings of two tabs are counted together, and each is told of the
        other's.
        """
        self.example("per_message.py")
        self.logged("connected")
        self.click("#ping")
        self.logged("That is ping 1.")
        first = self.driver.current_window_handle
        address = self.driver.current_url
        self.driver.switch_to.new_window("tab")
        self.driver.get(address)
        self.logged("connected")
        self.click("#ping")
        self.logged("That is ping 2.")
        self.driver.close()
        self.driver.switch_to.window(first)
        self.logged("Somebody else made it 2.")

    def test_listeners(self) -> None:
        """
        The echo server echoes.
        """
        self.example("listeners.py")
        self.logged("connected")
        self.click("#ping")
        self.logged("connected\nping\n")

    def test_site(self) -> None:
        """
        The socket knows who logged in.  After a logout in another tab, the page
        does not go on as somebody who is gone.
        """
        self.logsInAndOut("site.py", "button")

    @skipIf(not KLEIN, "not installed here: klein")
    def test_kleinSite(self) -> None:
        """
        Nor does that of the site with Klein, whose forms Klein makes.
        """
        self.logsInAndOut("klein_site.py", "input[type='submit']")

    def logsInAndOut(self, example: str, button: str) -> None:
        self.example(example)
        self.logged("knows you as nobody")
        self.driver.find_element("name", "name").send_keys("Zoë")
        self.click(f"form[action='/login'] {button}")
        self.logged("knows you as Zoë")
        first = self.driver.current_window_handle
        address = self.driver.current_url
        self.driver.switch_to.new_window("tab")
        self.driver.get(address)
        self.logged("knows you as Zoë")
        self.click(f"form[action='/logout'] {button}")
        self.logged("knows you as nobody")
        self.driver.close()
        self.driver.switch_to.window(first)
        until(
            self.driver, "document.querySelector('h1').textContent.endsWith('nobody')"
        )
        self.logged("knows you as nobody")

    def test_siteLongName(self) -> None:
        """
        Nobody's name is too long for a phone.
        """
        self.example("site.py")
        self.driver.find_element("name", "name").send_keys("W" * 60)
        self.click("form[action='/login'] button")
        self.logged("knows you as W")
        width(self.driver, 320)
        self.assertEqual(overflow(self.driver), [])
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def test_readmeServed(self) -> None:
        """
        The README's program, run as it says.
        """
        self.serve(
            str(Path(sys.executable).with_name("twistd")),
            *("-n", "--pidfile=", "sessionsock", "--listen", LISTEN, "--per-message"),
            *("--protocol", "counter.Counter", "--class", "counter.Page"),
        )
        self.click("button")
        self.logged('"count":1', "hello")

    def test_composed(self) -> None:
        """
        The program that composes the same by hand.
        """
        self.serve(sys.executable, "served.py")
        self.click("button")
        self.logged('"count":1')
        self.driver.refresh()
        self.click("button")
        self.logged('"count":2')

    @skipIf(lacking(MIGRATING) is not None, lacking(MIGRATING) or "")
    def test_socketIO(self) -> None:
        """
        The chat with Socket.IO, by twistd and composed by hand.  Its page fits on a
        phone, and axe finds nothing in it.
        """
        twistd = (
            str(Path(sys.executable).with_name("twistd")),
            *("-n", "--pidfile=", "sessionsock", "--listen", LISTEN, "--per-message"),
            *("--socketio", "--protocol", "chat.Chat", "--class", "chat.Page"),
        )
        for command in twistd, (sys.executable, "chatting.py"):
            self.serve(*command)
            self.click("#say")
            self.logged("you, time 1")
            self.driver.refresh()
            self.click("#say")
            self.logged("you, time 2")
            first = self.driver.current_window_handle
            address = self.driver.current_url
            self.driver.switch_to.new_window("tab")
            self.driver.get(address)
            self.click("#say")
            self.logged("you, time 3")
            self.driver.close()
            self.driver.switch_to.window(first)
            self.logged("somebody: hello")
            width(self.driver, 320)
            self.assertEqual(overflow(self.driver), [])
            if lacking(NODE) is None:
                self.assertEqual(findings(self.driver), [])
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
