"""
A socket and pages that tell which process serves them.

Found by C{--protocol e2e.processes.Processes} and C{--class
e2e.processes.ProcessPages}, with the directory above this one on C{PYTHONPATH}.
"""

from __future__ import annotations

import gc
import os
import time
from typing import Any, ClassVar

from twisted.web.server import Request

from txsessionsock.hub import hubOf
from txsessionsock.session import Session

from .verbs import Pages, Verbs


class Processes(Verbs):
    """
    Tells its process id with every answer, stops it for a while if asked to, says
    hello to those of a name, and how many objects the garbage collector leaves out.
    """

    indexes: ClassVar = {"name": lambda session: session.get("name")}

    def sessionMessageReceived(self, message: Any, session: Session) -> Any:
        verb, key = message
        if verb == "greet":
            return (
                hubOf(self)
                .by("name", key)
                .send("hello")
                .addCallback(
                    lambda reached: self.send([os.getpid(), sorted(reached.values())])
                )
            )
        if verb == "frozen":
            self.send([os.getpid(), gc.get_freeze_count()])
            return None
        if verb == "name":
            session[verb] = key
        if verb == "block":
            time.sleep(key)
        elif verb == "add":
            session[key] = session.get(key, 0) + 1
        self.send([os.getpid(), session.get(key) if verb != "block" else None])
        return None


class ProcessPages(Pages):
    """
    Tells its process id with every page.
    """

    def render(self, request: Request) -> Any:
        request.setHeader(b"X-Process", b"%d" % (os.getpid(),))
        return super().render(request)
