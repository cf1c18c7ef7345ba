# -*- test-case-name: tests.socketio.test_bundle -*-
"""
What pages load: the client of Socket.IO, which is the user's own copy, and that of
socket.io-sessions, which is ours.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import CACHED, NOT_FOUND
from twisted.web.resource import Resource
from twisted.web.server import Request

from txsessionsock._seldom import Seldom


__all__ = ["Bundle"]

_USUAL = Path("node_modules", "socket.io-client", "dist")
"""
Where npm puts it.
"""

_NAME = re.compile(rb"socket\.io(\.msgpack|\.esm)?(\.min)?\.js(\.map)?")
"""
The names that the server for Node.js has, and npm's package.
"""

_MAIN = b"socket.io.js"

_SHIMS = b"socket.io-sessions.js"

_VERSION = re.compile(rb"Socket\.IO v(\d+)\.")

_OLDEST = 3
"""
The first version of the client that speaks Engine.IO 4.
"""

_HEAD = 512

_MISSING = (
    "the client of Socket.IO for browsers is not here; right is to run"
    " npm install socket.io-client where the server runs, or to name a copy of yours:"
    " SocketIOResource(io, bundle=PATH), twistd --socketio-client PATH"
)

_KINDS = {True: b"application/json", False: b"text/javascript; charset=utf-8"}


class _Script:
    """
    A script, as it was when it was read.

    @ivar version: What changes when the file does.

    @ivar tag: By which browsers know it.
    """

    def __init__(self, text: bytes, version: object = None) -> None:
        self.text = text
        self.version = version
        self.tag = b'"%s"' % (sha256(text).hexdigest()[:32].encode("ascii"),)


class Bundle(Resource):
    """
    The scripts below C{/socket.io}, by the names that they have there.

    They are read from disk when they are asked for, and again when they have
    changed.  Nothing is fetched from anywhere else.
    """

    isLeaf = True

    _log = Logger()

    def __init__(
        self, path: str | os.PathLike[str] | None, refusals: Seldom, clock: IReactorTime
    ) -> None:
        """
        @param path: A file, served as C{socket.io.js} and by its own name, or a
            directory such as C{node_modules/socket.io-client/dist}; which is that
            one below the current directory if L{None}.

        @param refusals: Limits the lines of the log.

        @raise ValueError: There is no client at that path, or an old one.
        """
        super().__init__()
        # Later the process may be somewhere else.
        self._path = Path(path or _USUAL).absolute()
        self._refusals = refusals
        self._clock = clock
        shims = files("txsessionsock") / "static" / _SHIMS.decode()
        self._shims = _Script(shims.read_bytes())
        self._known: dict[Path, _Script] = {}
        if path is not None:
            _refuse(self._path)

    @staticmethod
    def has(name: bytes) -> bool:
        """
        Whether this is the name of a script, be it there or not.
        """
        return name == _SHIMS or _NAME.fullmatch(name) is not None

    def render_GET(self, request: Request) -> bytes:
        name = request.path.rpartition(b"/")[2]
        script = self._read(name)
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        if script is None:
            return self._missing(request)
        request.setHeader(b"Content-Type", _KINDS[name.endswith(b".map")])
        # Browsers ask each time, and get it only when it was updated.
        request.setHeader(b"Cache-Control", b"no-cache")
        if request.setETag(script.tag) == CACHED:
            return b""
        request.setHeader(b"Content-Length", b"%d" % (len(script.text),))
        return b"" if request.method == b"HEAD" else script.text

    def _read(self, name: bytes) -> _Script | None:
        """
        @return: What is served by a name; L{None} if nothing is.
        """
        if name == _SHIMS:
            return self._shims
        if not self.has(name):
            return None
        path = self._path / name.decode("ascii")
        if not self._path.is_dir():
            if name not in (_MAIN, self._path.name.encode()):
                return None
            path = self._path
        try:
            state = path.stat()
            version = state.st_mtime_ns, state.st_size, state.st_ino
            known = self._known.get(path)
            if known is None or known.version != version:
                known = self._known[path] = _Script(path.read_bytes(), version)
            return known
        except OSError:
            return None

    def _missing(self, request: Request) -> bytes:
        request.setResponseCode(NOT_FOUND)
        # A cache would keep it when the file is there.
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        # What only tools for developers ask for is missing for most.
        if request.path.endswith(b".map"):
            return b""
        self._refusals.warn(self._log, _MISSING, self._clock.seconds())
        return _MISSING.encode("utf-8") + b"\n"


def _refuse(path: Path) -> None:
    """
    @raise ValueError: There is no client at a path.
    """
    right = f"right is a file, or a directory such as {_USUAL}"
    if not path.exists():
        raise ValueError(f"there is no {path}; {right}")
    main = path
    if path.is_dir():
        found = [each for each in path.iterdir() if _NAME.fullmatch(each.name.encode())]
        if not found:
            raise ValueError(f"there is no socket.io.js in {path}; {right}")
        main = min(found, key=lambda each: len(each.name))
    try:
        with main.open("rb") as file:
            version = _VERSION.search(file.read(_HEAD))
    except OSError as error:
        raise ValueError(f"{main} cannot be read: {error.strerror}") from None
    if version is not None and int(version[1]) < _OLDEST:
        raise ValueError(
            f"{main} is version {int(version[1])} of socket.io-client; right is 4"
        )
