# -*- test-case-name: tests.real.twistd.test_e2e_stuck -*-
"""
The end of a process that does not end in its time: because of threads, for which
Twisted or Python would wait, or because a handler blocks it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from signal import SIGTERM
from threading import Thread, main_thread
from threading import enumerate as everyThread
from time import sleep
from types import FrameType
from typing import Any

from twisted.logger import Logger


__all__ = ["LATE", "endBy"]

LATE = 1.0
"""
How many seconds later than it should have ended a process ends itself.
"""

_DYING = 0.5
"""
How many seconds the main thread has to answer a signal.
"""

_WAITING = ("/threading.py", "/twisted/", "/_threads/", "/concurrent/futures/")
"""
Where a thread is that works for others, or waits for them.
"""

_log = Logger()


def endBy(seconds: float, reactor: Any) -> None:
    """
    When a reactor stops, see to it that this process ends in so many seconds, with
    what was at work still in the log.
    """

    def begin() -> None:
        # It ends with the process: Python waits for threads after the reactor.
        Thread(target=_watch, args=(seconds, reactor), daemon=True).start()

    reactor.addSystemEventTrigger("before", "shutdown", begin)


def _watch(seconds: float, reactor: Any) -> None:
    sleep(seconds)
    for each in _atWork():
        _log.warn("not waited for any longer: {each}", each=each)
    number = getattr(reactor, "_exitSignal", None) or SIGTERM
    os.kill(os.getpid(), number)
    # One that has no time for signals, or ignores this one.
    sleep(_DYING)
    os._exit(128 + number)


def _atWork() -> Iterator[str]:
    """
    Name the threads that are at work; if the main thread waits for them, without it.
    """
    frames = sys._current_frames()
    for thread in everyThread():
        frame = frames.get(thread.ident or 0)
        if thread.daemon or frame is None:
            continue
        if thread is main_thread() and _isOthers(frame):
            continue
        place = _placeIn(frame)
        yield f"the thread {thread.name}, which is in {place}"


def _isOthers(frame: FrameType) -> bool:
    return any(part in frame.f_code.co_filename for part in _WAITING)


def _placeIn(frame: FrameType) -> str:
    """
    @return: The innermost function in a thread that is not Twisted's, or just the
        innermost one.
    """
    found: FrameType | None = frame
    while found is not None and _isOthers(found):
        found = found.f_back
    code = (found or frame).f_code
    line = (found or frame).f_lineno
    return f"{code.co_qualname}, {code.co_filename}:{line}"
