# -*- test-case-name: tests.protocol.test_protocol_origin -*-
"""
A limit for lines of the log that anybody can cause, or that come in crowds.
"""

from __future__ import annotations

from twisted.logger import Logger


__all__ = ["Seldom", "shown"]

_LONGEST_SHOWN = 200


def shown(text: str) -> str:
    """
    @return: What a client sent, fit for a line of the log.
    """
    return repr(text[:_LONGEST_SHOWN])


class Seldom:
    """
    Lets few lines through: each one once in a while, and not too many different
    ones.
    """

    span = 60.0
    """
    How long a while is, in seconds.
    """

    most = 10
    """
    How many in that time.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._said: set[str] = set()
        self._leftOut = 0

    def warn(self, log: Logger, line: str, now: float) -> None:
        """
        Log a line, unless it is left out; see L{take}.
        """
        taken = self.take(line, now)
        if taken is not None:
            log.warn("{line}", line=taken)

    def take(self, line: str, now: float) -> str | None:
        """
        @param now: Seconds since the epoch.

        @return: What to log, with how many were left out before; L{None} for
            nothing.
        """
        # A clock may be set back.
        if not 0 <= now - self._began < self.span:
            self._began = now
            self._said.clear()
        if line in self._said or len(self._said) >= self.most:
            self._leftOut += 1
            return None
        self._said.add(line)
        leftOut, self._leftOut = self._leftOut, 0
        return f"{line} (and {leftOut} such lines left out)" if leftOut else line
