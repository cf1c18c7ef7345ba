"""
A socket whose handlers do not end: C{--protocol stuck.Stuck}, and, as a program,
without a site.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from tests.e2e import whoami
from tests.e2e.verbs import Verbs
from txsessionsock.session import Session


LONG = 90.0
"""
For how many seconds: longer than any test.
"""

_log = Logger()


class Stuck(Verbs):
    """
    Waits for nothing, for a thread, or blocks the whole process.
    """

    def sessionMessageReceived(self, message: Any, session: Session) -> Any:
        if not isinstance(message, str):
            return super().sessionMessageReceived(message, session)
        session["begun"] = message
        _log.info("{what} is under way", what=message)
        return _WAITS[message]()


def _block() -> None:
    time.sleep(LONG)


def _inThread() -> Deferred[None]:
    return deferToThread(_block)


_WAITS: Mapping[str, Callable[[], Any]] = {
    "wait": Deferred,
    "thread": _inThread,
    "block": _block,
}


if __name__ == "__main__":
    whoami.main(Stuck, *sys.argv[1:])
