"""
C{python -m tests.real.socketio.protocol URL}: look at a server, and say what is seen.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from . import packets, transports
from .cases import CASES, Case
from .wire import Server


__all__ = ["look", "packets", "transports"]

_PATIENCE = 60.0


async def look(server: Server, case: Case) -> str:
    """
    @return: What is wrong; nothing, if nothing is.
    """
    try:
        async with asyncio.timeout(_PATIENCE + 10 * server.silence):
            await case.run(server)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:400]
    return ""


async def _main(options: argparse.Namespace) -> int:
    server = Server.at(options.url, options.cookie, options.connect_timeout)
    await server.look()
    wrong = {True: 0, False: 0}
    cases = [each for each in CASES if str(each).startswith(tuple(options.only) or "")]
    for case in cases:
        problem = await look(server, case)
        word = "ok" if not problem else "FAILED" if case.isPublished else "differs"
        wrong[case.isPublished] += bool(problem)
        print(f"{word:7} {case}: {case.name}", flush=True)
        if problem:
            print(f"        {problem}", flush=True)
    published = sum(case.isPublished for case in cases)
    print(
        f"{published} cases that are published, {wrong[True]} failed; "
        f"{len(cases) - published} more, {wrong[False]} differ"
    )
    return 1 if wrong[True] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.real.socketio.protocol")
    parser.add_argument("url", help="where the server is: http://localhost:3000")
    parser.add_argument("--cookie", help="what is sent with each request: NAME=VALUE")
    parser.add_argument(
        "--connect-timeout",
        type=float,
        default=1.0,
        help="how long it waits for CONNECT, in seconds: 1, unless given",
    )
    parser.add_argument("--only", nargs="*", default=[], help="groups, or cases")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_options())))
