"""
What becomes of what sockets write while a web application writes whole sessions
over it: how much is lost, and for how long it is missing.

C{python -m benchmarks.writers} in the top directory takes ten seconds each for
requests that write and for those that only read; another number of seconds may
be given, and after it the names of applications.
"""

from __future__ import annotations

import sys

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.webstores import APPLICATIONS
from tests.writers import measure


async def main(reactor: object) -> None:
    seconds, *names = sys.argv[1:] or ["10"]
    unknown = set(names) - set(APPLICATIONS)
    if unknown:
        raise SystemExit(f"there is only {'; '.join(APPLICATIONS)}")
    for name in names or APPLICATIONS:
        application = APPLICATIONS[name]
        if application.lacks:
            print(f"{name}: {application.lacks}")
            continue
        for what, method in ("writing", "POST"), ("reading", "GET"):
            try:
                figures = await measure(application, method, float(seconds))
            except pytest.skip.Exception as missing:
                print(f"{name}: {missing}")
                break
            print(f"{name}, {what}: {figures}", flush=True)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
