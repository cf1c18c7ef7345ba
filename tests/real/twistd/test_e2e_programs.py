"""
Programs of one's own that are asked to end: those of the documentation, the
examples, and the same in other forms.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError

from tests.support.documents import ROOT, whole
from tests.support.servers import Twistd, inReactor, program, reactor
from tests.support.visitors import Socket, Visitor
from txsessionsock.frameworks.express import Express
from txsessionsock.stores.sqlite import SQLiteStore


LISTEN = "tcp:0:interface=127.0.0.1"
TWISTD = str(Path(sysconfig.get_path("scripts")) / "twistd")

_LOGS = """\
import sys
from twisted.logger import globalLogBeginner, textFileLogObserver
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
"""

_SLOW = '''
from twisted.internet import reactor
from twisted.web.server import NOT_DONE_YET


class Slow(Page):
    """
    Answers a while after the program began to end, and at length.
    """

    def render_GET(self, request):
        def answer():
            sessionOf(request)["finished"] = True
            request.write(b"x" * 5_000_000)
            request.finish()

        reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: reactor.callLater(0.2, answer)
        )
        print("under way", file=sys.__stdout__, flush=True)
        return NOT_DONE_YET
'''

_STUCK = '''
from twisted.internet.defer import Deferred


class Counter(Counter):
    """
    Has a handler that does not end.
    """

    def sessionMessageReceived(self, message, session):
        super().sessionMessageReceived(message, session)
        print("under way", file=sys.__stdout__, flush=True)
        return Deferred()
'''


def readme(folder: Path, more: str = "") -> str:
    """
    Do as the README and C{docs/program.md} say.

    @param more: What else is in the README's program.

    @return: That of the other page, for a port of its own.
    """
    shown = whole()
    counter = f"import sys\n{shown['counter.py']}{more}"
    (folder / "counter.py").write_text(counter, "utf-8")
    return _LOGS + here(shown["served.py"])


def example(folder: Path, name: str) -> str:
    """
    @return: An example, with a store that outlives it, for a port of its own.
    """
    shutil.copy(ROOT / "examples" / "ping.html", folder)
    text = (ROOT / "examples" / name).read_text("utf-8")
    text = text.replace("MemoryStore()", 'SQLiteStore("sessions.sqlite")')
    return here(text.replace("MemoryStore", "SQLiteStore"))


def here(text: str) -> str:
    """
    @return: A program that listens at a port of its own.
    """
    assert text.count('"tcp:8080') == 1
    return text.replace('"tcp:8080', f'"{LISTEN}')


def saved(folder: Path, text: str, name: str = "served.py") -> tuple[str, str]:
    """
    @return: The command that runs a program.
    """
    (folder / name).write_text(text, "utf-8")
    return sys.executable, str(folder / name)


async def stored(folder: Path, visitor: Visitor) -> dict[str, Any]:
    """
    What the session of a visitor holds when the program has ended.
    """
    store = SQLiteStore(str(folder / "sessions.sqlite"), reactor)
    framework = Express(secrets=["keyboard cat"])
    now = reactor.seconds()
    cookie = visitor.cookies["connect.sid"].replace("%3A", ":")
    try:
        found = await store.load(framework.key(framework.sessionID(cookie, now)))
    finally:
        await store.close()
    assert found is not None
    return framework.loads(found.raw, now).data


async def visited(server: Twistd) -> tuple[Visitor, Socket]:
    """
    Look at the page, and open its socket.
    """
    visitor = Visitor(server.port)
    assert (await visitor.get("/")).code == 200
    return visitor, await visitor.connect()


async def ends(server: Twistd, socket: Socket, name: str = "TERM") -> None:
    """
    Ask a program to end, and see that it does so well.
    """
    server.signal(name)
    assert await socket.closes() == (1001, "server going away")
    assert await server.ends() in (0, -15 if name == "TERM" else -2)
    assert "Main loop terminated." in server.log
    for word in "gave up", "Traceback", "Unhandled":
        assert word not in server.log + server.errors, server.log + server.errors


@pytest.mark.parametrize("name", ["TERM", "INT"])
@pytest.mark.parametrize("perMessage", [False, True])
@inReactor
async def test_readme(perMessage: bool, name: str, tmp_path: Path) -> None:
    """
    The program of the documentation loses nothing, in either mode, and ends with 0.
    """
    text = readme(tmp_path)
    assert text.count("perMessage=True") == 1
    text = text.replace("perMessage=True", f"perMessage={perMessage}")
    async with program(*saved(tmp_path, text), cwd=tmp_path) as server:
        visitor, socket = await visited(server)
        assert (await socket.ask("hello"))["count"] == 1
        await ends(server, socket, name)
        assert server.status == 0
    assert await stored(tmp_path, visitor) == {"visits": 1, "count": 1}


@pytest.mark.parametrize(
    ("name", "asked", "session"),
    [
        ("listeners.py", "ping", {"pings": 1}),
        ("per_connection.py", "ping", {"pings": 1, "left": 1001}),
        ("per_message.py", "ping", {"pings": 1}),
        ("site.py", None, {"visits": 1}),
    ],
)
@inReactor
async def test_examples(
    name: str, asked: str | None, session: dict[str, Any], tmp_path: Path
) -> None:
    """
    Nor does any of the examples.
    """
    command = saved(tmp_path, example(tmp_path, name), name)
    async with program(*command, cwd=tmp_path) as server:
        visitor, socket = await visited(server)
        if name not in ("listeners.py", "per_message.py"):
            assert await socket.next()
        if asked is not None:
            assert await socket.ask(asked)
        await ends(server, socket)
        assert server.status == 0
    assert await stored(tmp_path, visitor) == session


@inReactor
async def test_underWay(tmp_path: Path) -> None:
    """
    A page that is under way gets its time, and all of its answer out, while
    nobody new is let in.
    """
    text = readme(tmp_path, _SLOW).replace("import Counter, Page", "import *")
    slow = 'root.putChild(b"slow", SessionedResource(Slow(), manager))'
    text = text.replace("\nendpoint = ", f"\n{slow}\nendpoint = ")
    async with program(*saved(tmp_path, text), cwd=tmp_path) as server:
        visitor, socket = await visited(server)
        page = Deferred.fromCoroutine(visitor.get("/slow"))
        await server.until(lambda: "under way" in server.log)
        server.signal("TERM")
        assert await socket.closes() == (1001, "server going away")
        await server.until(lambda: "Closed" in server.log)
        with pytest.raises(ConnectionRefusedError):
            await visitor.connect()
        answer = await page
        assert await server.ends() == 0
    assert "gave up" not in server.log
    assert (answer.code, len(answer.body)) == (200, 5_000_000)
    assert await stored(tmp_path, visitor) == {"visits": 1, "finished": True}


@pytest.mark.parametrize("isTwistd", [False, True])
@pytest.mark.parametrize("signals", [("TERM", "TERM"), ("TERM", "INT"), ("INT", "INT")])
@inReactor
async def test_askedAgain(
    signals: tuple[str, str], isTwistd: bool, tmp_path: Path
) -> None:
    """
    A second signal ends it at once, whatever it waits for; C{twistd} too.
    """
    first, second = signals
    command: tuple[str, ...] = saved(tmp_path, readme(tmp_path, _STUCK))
    if isTwistd:
        command = (TWISTD, "-n", "--pidfile=", "sessionsock", "--listen", LISTEN)
        command += ("--protocol", "counter.Counter", "--class", "counter.Page")
    async with program(*command, cwd=tmp_path) as server:
        _, socket = await visited(server)
        socket.say("hello")
        await server.until(lambda: "under way" in server.log)
        server.signal(first)
        said = f"SIG{second} ends this process at once now"
        await server.until(lambda: said in server.log)
        server.signal(second)
        assert await server.ends(5) == {"TERM": -15, "INT": -2}[second]


@inReactor
async def test_givenUp(tmp_path: Path) -> None:
    """
    What does not end is given up, which is said, and the rest is stored.
    """
    text = readme(tmp_path, _STUCK)
    text = text.replace(
        "listen(BoundedSite(root))", "listen(BoundedSite(root)), drain=1"
    )
    async with program(*saved(tmp_path, text), cwd=tmp_path) as server:
        visitor, socket = await visited(server)
        socket.say("hello")
        await server.until(lambda: "under way" in server.log)
        server.signal("TERM")
        assert await server.ends(5) == 0
    said = r"gave up waiting for clients to leave after 0\.\d+ s, with 1 sockets left"
    assert re.search(said, server.log), server.log
    said = r"longer: \S+ has been at work on smessage for \d\.\d s, with the session"
    assert re.search(said, server.log), server.log
    assert await stored(tmp_path, visitor) == {"visits": 1, "count": 1}


@inReactor
async def test_application(tmp_path: Path) -> None:
    """
    In a C{.tac} file it is the same line, whose services listen themselves.
    """
    text = readme(tmp_path).removeprefix(_LOGS)
    head, listening, _ = re.split(r"(?m)^(endpoint = .*)$", text)
    tac = f"""{head}{listening}
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application

application = Application("counter")
StreamServerEndpointService(endpoint, BoundedSite(root)).setServiceParent(application)
manager.endWith(reactor)
"""
    (tmp_path / "app.tac").write_text(tac, "utf-8")
    await _same((TWISTD, "-n", "--pidfile=", "-y", "app.tac"), tmp_path)


@inReactor
async def test_service(tmp_path: Path) -> None:
    """
    A service may have it end, too.
    """
    text = readme(tmp_path).removeprefix(_LOGS)
    head, listening, _ = re.split(r"(?m)^(endpoint = .*)$", text)
    tac = f"""{head}{listening}
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application, Service

class Ending(Service):
    def stopService(self):
        return manager.end()

application = Application("counter")
StreamServerEndpointService(endpoint, BoundedSite(root)).setServiceParent(application)
Ending().setServiceParent(application)
"""
    (tmp_path / "app.tac").write_text(tac, "utf-8")
    await _same((TWISTD, "-n", "--pidfile=", "-y", "app.tac"), tmp_path)


@inReactor
async def test_react(tmp_path: Path) -> None:
    """
    And under C{task.react}.
    """
    text = readme(tmp_path).replace("reactor.run()", "").replace(", reactor\n", "\n")
    head, body = text.split("\nmanager = ")
    lines = "\n    ".join(f"manager = {body}".splitlines())
    text = f"""{head}
from twisted.internet.defer import Deferred
from twisted.internet.task import react

def main(reactor):
    {lines}
    return Deferred()

react(main)
"""
    await _same(saved(tmp_path, text), tmp_path)


async def _same(command: tuple[str, ...], folder: Path) -> None:
    environment = {"PYTHONPATH": str(folder)}
    async with program(*command, cwd=folder, environment=environment) as server:
        visitor, socket = await visited(server)
        assert (await socket.ask("hello"))["count"] == 1
        await ends(server, socket)
    assert await stored(folder, visitor) == {"visits": 1, "count": 1}
