"""
Tests for the scripts that pages load from below C{/socket.io}.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from tests.support.pages import Answer, Wire, parse
from txsessionsock._seldom import Seldom
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.socketio import SocketIO, SocketIOResource, enable
from txsessionsock.socketio.bundle import Bundle
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import BoundedSite


CURRENT = "/*!\n * Socket.IO v4.8.4\n */\nvar io;"
OLD = "/*!\n * Socket.IO v2.5.0\n */\nvar io;"


class BundleTests(SynchronousTestCase):
    """
    Tests for L{Bundle}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.directory)

    def bundle(self, path: str | Path | None = None) -> Bundle:
        return Bundle(path, Seldom(self.clock), self.clock)

    def get(self, bundle: Bundle, name: str, *headers: str) -> Answer:
        """
        Ask for a script.
        """
        root = Resource()
        root.putChild(b"socket.io", bundle)
        wire = Wire()
        channel = Site(root, reactor=self.clock).buildProtocol(wire.getPeer())
        assert channel is not None
        channel.makeConnection(wire)
        lines = [f"GET /socket.io/{name} HTTP/1.1", "Host: a", *headers, "", ""]
        channel.dataReceived("\r\n".join(lines).encode())
        (answer,) = parse(wire.value())
        return answer

    def write(self, path: str, text: str = CURRENT) -> Path:
        made = Path(path).absolute()
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text)
        return made

    def test_interface(self) -> None:
        """
        It provides L{IResource}.
        """
        verifyObject(IResource, self.bundle())

    def test_usual(self) -> None:
        """
        What npm installed below the current directory is served, also if that is
        done later, or the process goes somewhere else.
        """
        bundle = self.bundle()
        self.assertEqual(self.get(bundle, "socket.io.js").code, 404)
        self.write("node_modules/socket.io-client/dist/socket.io.js")
        os.chdir("/")
        answer = self.get(bundle, "socket.io.js?v=1")
        self.assertEqual((answer.code, answer.body), (200, CURRENT.encode()))
        self.assertEqual(
            answer.headers["content-type"], ["text/javascript; charset=utf-8"]
        )
        self.assertEqual(answer.headers["cache-control"], ["no-cache"])
        self.assertEqual(answer.headers["x-content-type-options"], ["nosniff"])

    def test_updated(self) -> None:
        """
        A browser that has it gets 304, until there is another.
        """
        path = self.write("dist/socket.io.min.js")
        bundle = self.bundle("dist")
        (tag,) = self.get(bundle, "socket.io.min.js").headers["etag"]
        known = f"If-None-Match: {tag}"
        self.assertEqual(self.get(bundle, "socket.io.min.js", known).code, 304)
        path.write_text(CURRENT + "//")
        self.assertEqual(self.get(bundle, "socket.io.min.js", known).code, 200)

    def test_names(self) -> None:
        """
        The names are those of the server for Node.js, and nothing else is served.
        """
        names = [
            f"socket.io{kind}{min_}.js{map_}"
            for kind in ("", ".msgpack", ".esm")
            for min_ in ("", ".min")
            for map_ in ("", ".map")
        ]
        for name in names:
            self.write(f"dist/{name}")
        bundle = self.bundle("dist")
        for name in names:
            self.assertTrue(bundle.has(name.encode()))
            answer = self.get(bundle, name)
            isMap = answer.headers["content-type"] == ["application/json"]
            self.assertEqual((answer.code, isMap), (200, name.endswith(".map")))
        self.write("dist/secret.js")
        self.write("dist/socket.io.jsx")
        for name in "secret.js", "socket.io.jsx", "..%2fdist%2fsocket.io.js", "":
            self.assertFalse(bundle.has(name.encode()))
            self.assertEqual(self.get(bundle, name).code, 404)

    def test_missing(self) -> None:
        """
        Without a copy, the page and the log are told what is right, once a minute;
        of maps nothing is said.
        """
        bundle = self.bundle()
        with capturedLogs() as logs:
            self.assertEqual(self.get(bundle, "socket.io.js.map").code, 404)
            self.assertEqual(logs, [])
            answers = [self.get(bundle, "socket.io.js") for _ in range(2)]
        self.assertEqual([answer.code for answer in answers], [404, 404])
        self.assertEqual(answers[0].headers["cache-control"], ["no-store"])
        self.assertIn(b"npm install socket.io-client", answers[0].body)
        (line,) = [each["line"] for each in logs]
        self.assertIn("npm install socket.io-client", line)
        self.assertIn("--socketio-client PATH", line)

    def test_file(self) -> None:
        """
        A file is C{socket.io.js}, whatever its name, and is what its name says.
        """
        self.write("vendor/socket.io.msgpack.min.js")
        bundle = self.bundle("vendor/socket.io.msgpack.min.js")
        self.assertEqual(self.get(bundle, "socket.io.js").code, 200)
        self.assertEqual(self.get(bundle, "socket.io.msgpack.min.js").code, 200)
        self.assertEqual(self.get(bundle, "socket.io.min.js").code, 404)

    def test_refused(self) -> None:
        """
        A path without a client, or with an old one, is refused at once.
        """
        self.write("package/package.json", "{}")
        self.write("old/socket.io.js", OLD)
        for path, said in (
            ("none", "there is no "),
            ("package", "there is no socket.io.js in "),
            ("old", "is version 2 of socket.io-client; right is 4"),
            ("old/socket.io.js", "is version 2 of socket.io-client; right is 4"),
        ):
            with self.assertRaises(ValueError) as raised:
                self.bundle(path)
            self.assertIn(said, str(raised.exception))

    def test_shims(self) -> None:
        """
        What clients of socket.io-sessions load is there without any copy, and
        has no id in it.
        """
        answer = self.get(self.bundle(), "socket.io-sessions.js", "Cookie: a=b")
        self.assertEqual(answer.code, 200)
        self.assertIn(b"io.connectWithSession", answer.body)
        self.assertNotIn("set-cookie", answer.headers)


class PlaceTests(SynchronousTestCase):
    """
    Tests for what L{SocketIOResource} does with them, and for its transports.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        manager = SessionManager(MemoryStore(self.clock), Express("x"), self.clock)
        self.io = SocketIO()
        enable(self.io, manager)

    def get(self, path: str, **options: Any) -> Answer:
        """
        Ask for something below C{/socket.io}.
        """
        root = Resource()
        root.putChild(b"socket.io", SocketIOResource(self.io, **options))
        wire = Wire()
        site = BoundedSite(root, reactor=self.clock)
        wire.protocol = site.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        head = f"GET /socket.io/{path} HTTP/1.1\r\nHost: a\r\n\r\n"
        wire.protocol.dataReceived(head.encode())
        (answer,) = parse(wire.value())
        return answer

    def test_scripts(self) -> None:
        """
        They are beside the connections.
        """
        path = self.mktemp()
        Path(path).write_text(CURRENT)
        answer = self.get("socket.io.js", bundle=path)
        self.assertEqual((answer.code, answer.body), (200, CURRENT.encode()))
        self.assertEqual(self.get("socket.io-sessions.js").code, 200)
        self.assertEqual(self.get("deep/socket.io.js", bundle=path).code, 404)
        self.assertEqual(self.get("?EIO=4&transport=polling").code, 200)

    def test_webSocketOnly(self) -> None:
        """
        Without long-polling, whoever asks for it gets 400 and what is right, which
        is in the log, too.  An old client hears that it is old.
        """
        only = {"transports": ("websocket",)}
        with capturedLogs() as logs:
            answer = self.get("?EIO=4&transport=polling", **only)
        self.assertEqual(answer.code, 400)
        self.assertEqual(
            json.loads(answer.body),
            {"code": 0, "message": "Transport unknown: only websocket is served"},
        )
        (line,) = [each["line"] for each in logs if "line" in each]
        self.assertIn('transports: ["websocket"]', line)
        with capturedLogs() as logs:
            self.assertEqual(self.get("?EIO=3&transport=polling", **only).code, 400)
        (line,) = [each["line"] for each in logs if "line" in each]
        self.assertIn("EIO=3", line)

    def test_transports(self) -> None:
        """
        Transports that there are not are refused at once.
        """
        for transports in ("polling",), ("websocket", "webtransport"), ():
            with self.assertRaises(ValueError):
                SocketIOResource(self.io, transports=transports)
