"""
python-socketio on uvicorn with uvloop, which counts events as
L{benchmarks.socketioserver} does::

    python asgi.py MODE

MODE is C{none}: counts in a dictionary; C{session}: in python-socketio's session of
the socket, which is in memory and ends with the socket.  It prints where it listens.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import socketio  # type: ignore[import-not-found,import-untyped,unused-ignore]  # Not here.
import uvicorn


def served(mode: str) -> Any:
    """
    @return: The server.
    """
    server = socketio.AsyncServer(async_mode="asgi")
    counts: dict[str, int] = {}

    async def count(sid: str, padding: str) -> str:
        counts[sid] = number = counts.get(sid, 0) + 1
        return f"{number:010d}"

    async def countInSession(sid: str, padding: str) -> str:
        async with server.session(sid) as session:
            session["n"] = number = session.get("n", 0) + 1
        return f"{number:010d}"

    async def disconnect(sid: str, reason: str) -> None:
        counts.pop(sid, None)

    server.on("add", count if mode == "none" else countInSession)
    server.on("disconnect", disconnect)
    return server


def main(mode: str) -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    print(listening.getsockname()[1], flush=True)
    settings = uvicorn.Config(
        socketio.ASGIApp(served(mode)), loop="uvloop", log_level="error"
    )
    uvicorn.Server(settings).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
