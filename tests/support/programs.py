"""
Programs beside the tests, which do not survive them.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.support.servers import Conditions, reactor


__all__ = ["Program"]

_WATCHDOG = 'read said || kill -9 "$1"'
"""
Notices that nobody is there any more to end a program.
"""


class Program(ProcessProtocol, Conditions):
    """
    A program at work.

    @ivar said: What it wrote.

    @ivar errors: What it complained of.

    @ivar isGone: Whether it has ended.
    """

    def __init__(self, *command: str) -> None:
        super().__init__()
        self.said = self.errors = ""
        self.isGone = False
        self._process: Any = reactor.spawnProcess(self, command[0], command, env=None)
        self._watchdog = subprocess.Popen(
            ["sh", "-c", _WATCHDOG, "sh", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    async def ends(self) -> None:
        """
        Have it end.
        """
        self.kill()
        await self.until(lambda: self.isGone)

    def kill(self) -> None:
        """
        Leave nothing behind.
        """
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")
        if self._watchdog.poll() is None:
            self._watchdog.communicate(b"\n")

    def outReceived(self, data: bytes) -> None:
        self.said += data.decode()
        self.happened()

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode()

    def processEnded(self, reason: Failure) -> None:
        self.isGone = True
        self.happened()
