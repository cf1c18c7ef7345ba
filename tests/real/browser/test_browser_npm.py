"""
The package for npm as its users have it: packed, and installed in a project that
has nothing else.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.static import File

from tests.support.browser import NODE, chromium, missing, until
from tests.support.documents import ROOT
from tests.support.npm import lacking
from tests.support.servers import inReactor, reactor
from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.session import Session
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.web import SessionedResource, SessionSocketResource, sessionOf


pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm: install it"),
]

ESM = """
    import SessionSocket, { SessionSocket as named } from "sessionsock";
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);
    const { version } = require("sessionsock/package.json");
    console.log(SessionSocket.name, SessionSocket === named, version);
"""

CJS = 'const SessionSocket = require("sessionsock"); console.log(SessionSocket.name);'

USAGE = """
const socket = new SessionSocket<{ n: number }, string>("/ws", { patience: 5000 });
socket.on("message", ({ n }) => n.toFixed()).send("x");
const options: SessionSocket.Options = { messages: "raw" };
// @ts-expect-error: Not what is sent here.
socket.send({});
// @ts-expect-error: There is no such option.
new SessionSocket("/ws", { ...options, hartbeat: 1 });
"""

SCRIPT_PAGE = """<!doctype html><title>Script</title>
    <script src="/npm/sessionsock.js"></script>
    <script>
      const socket = new SessionSocket("/ws");
      socket.on("message", (value) => { window.got = value; });
      socket.send("hello");
    </script>"""

MODULE_PAGE = """<!doctype html><title>Module</title>
    <script type="importmap">
      { "imports": { "sessionsock": "/npm/sessionsock.mjs" } }
    </script>
    <script type="module">
      import SessionSocket from "sessionsock";
      const socket = new SessionSocket("/ws");
      socket.on("message", (value) => { window.got = value; });
      socket.send("hello");
    </script>"""


NPM = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_offline": "true",
    "npm_config_update_notifier": "false",
}
"""
Have npm ask nobody.
"""


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """
    @return: What a program printed that must succeed.
    """
    cache = {"npm_config_cache": str(cwd.parent / "cache")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **NPM, **cache, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    An empty project, with the package in it.
    """
    base = tmp_path_factory.mktemp("npm")
    runpy.run_path(str(ROOT / ".ci" / "npm.py"))["build"](base / "package")
    (packed,) = json.loads(run("npm", "pack", "--json", cwd=base / "package"))
    project = base / "project"
    project.mkdir()
    (project / "package.json").write_text('{"name": "empty", "private": true}')
    run("npm", "install", base / "package" / packed["filename"], cwd=project)
    return project


def test_contents(project: Path) -> None:
    """
    What was packed is what C{make npm} made.
    """
    installed = project / "node_modules" / "sessionsock"
    made = project.parent / "package"
    names = {path.name for path in installed.iterdir()}
    assert names == {path.name for path in made.iterdir() if path.suffix != ".tgz"}
    script = (installed / "sessionsock.js").read_bytes()
    assert script == (ROOT / "txsessionsock/static/sessionsock.js").read_bytes()


def test_node(project: Path) -> None:
    """
    Node.js gets it by C{import} and by C{require}.
    """
    (project / "esm.mjs").write_text(ESM)
    (project / "cjs.cjs").write_text(CJS)
    assert run("node", "esm.mjs", cwd=project).startswith("SessionSocket true ")
    assert run("node", "cjs.cjs", cwd=project) == "SessionSocket\n"


def test_own(project: Path) -> None:
    """
    It passes its own tests as it is installed.
    """
    installed = project / "node_modules" / "sessionsock"
    tests = sorted((ROOT / "npm" / "tests").glob("*.test.mjs"))
    assert len(tests) == 2
    environment = {"SESSIONSOCK_NPM": f"{installed.as_uri()}/"}
    said = run("node", "--test", *tests, cwd=project, **environment)
    assert "# fail 0" in said and "# skipped 0" in said, said


@pytest.mark.skipif(lacking(NODE) is not None, reason=str(lacking(NODE)))
@pytest.mark.parametrize("resolution", ["node16", "bundler"])
def test_types(project: Path, resolution: str) -> None:
    """
    TypeScript finds the types of each form.
    """
    imported = 'import SessionSocket from "sessionsock";'
    (project / "esm.mts").write_text(imported + USAGE)
    required = 'import SessionSocket = require("sessionsock");'
    (project / "cjs.cts").write_text(required + USAGE)
    isNode = resolution == "node16"
    files = ["esm.mts", "cjs.cts"] if isNode else ["esm.mts"]
    compiler = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    module = "node16" if isNode else "esnext"
    run(
        *("node", compiler, "--strict", "--noEmit", "--target", "es2022"),
        *("--lib", "es2022,dom", "--module", module),
        *("--moduleResolution", resolution, *files),
        cwd=project,
    )


class Echo(SessionSocketProtocol):
    def sessionMessageReceived(self, message: object, session: Session) -> None:
        self.send([message, session["seen"]])


class Page(Resource):
    isLeaf = True

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text.encode()

    def render_GET(self, request: Request) -> bytes:
        sessionOf(request)["seen"] = "by the page"
        return self._text


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@inReactor
async def test_pages(project: Path) -> None:
    """
    Without a build, pages load it by a script tag and as a module, and have their
    session on the socket.
    """
    manager = SessionManager(MemoryStore(reactor), Express(["secret"]), reactor)
    factory = SessionSocketFactory(manager, perMessage=True)
    factory.protocol = Echo
    root = Resource()
    root.putChild(b"ws", SessionSocketResource(factory))
    root.putChild(b"npm", File(str(project / "node_modules" / "sessionsock")))
    for name, text in (b"script", SCRIPT_PAGE), (b"module", MODULE_PAGE):
        root.putChild(name, SessionedResource(Page(text), manager))
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(Site(root, reactor=reactor))
    try:
        await deferToThread(_visit, f"http://127.0.0.1:{port.getHost().port}/")
    finally:
        await port.stopListening()
        await factory.sockets.goAway()
        await manager.stop(0)


def _visit(url: str) -> None:
    with chromium() as driver:
        for name in "script", "module":
            driver.get(url + name)
            assert until(driver, "window.got") == ["hello", "by the page"], name
            _nothingWrong(driver)


def _nothingWrong(driver: Chrome) -> None:
    log = [each["message"] for each in driver.get_log("browser")]
    assert not [line for line in log if "favicon" not in line]
