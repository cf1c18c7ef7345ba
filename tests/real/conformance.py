"""
The cases of the Autobahn test suite, against an echo with sessions: frames right and
wrong, by the short way and by Autobahn's. C{make conformance} runs it; or, with the
package C{autobahntestsuite} anywhere::

    python -m tests.real.conformance DIRECTORY 1 2 3.1

The numbers are those of cases, or of groups of them; all there are, unless given: the
suite's 12 and 13 (compression) are left out.

That package is written for Python 2, also in its newest version: its client does not
run here.  The cases themselves are small, and need only a few words translated; a
client of today's Autobahn runs them.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import react

from txsessionsock import Express, MemoryStore, SessionManager, SessionSocketFactory
from txsessionsock.limits import Limits
from txsessionsock.messages import Raw
from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.testing import putSession


_AT_ONCE = 10
_PATIENCE = 10
_LARGEST = 16 * 1024 * 1024
_LEFT_OUT = ("__init__", "case9_9", "case12")
_CASE = re.compile(r"Case[0-9_]+")
_GOOD = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}
_GOOD_ENDS = {"OK", "INFORMATIONAL"}

reactor: Any = _reactor

_WORDS = (
    (r"(?m)^from (case\w*) import", r"from .\1 import"),
    (r"\bxrange\b", "range"),
    (r"\bunichr\b", "chr"),
    (r"(?m)^( *)print\b.*$", r"\1pass"),
    (r"binascii\.b2a_hex\(", "repr("),
    (r"v\.validate\(vss\[:i\]\)", 'v.validate(vss[:i].encode("latin-1"))'),
    (r"len\(self\.payload\) / ", "len(self.payload) // "),
    (r"\(object, Case", "(Case"),
    (r"pickle\.dumps\((\w+)\)", r"\1"),
)


def translated(package: Path, target: Path) -> list[Any]:
    """
    Write cases for Python 3, and import them.
    """
    folder = target / "autobahncases"
    folder.mkdir()
    sys.path.insert(0, str(target))
    names = []
    for source in sorted((package / "case").glob("*.py")):
        if source.stem.startswith(_LEFT_OUT):
            continue
        # In Python 2, text is bytes.
        text = source.read_text("latin-1")
        for old, new in _WORDS:
            text = re.sub(old, new, text)
        (folder / source.name).write_text(text, "utf-8")
        names.append(source.stem)
    found: dict[str, Any] = {}
    for name in names:
        module = importlib.import_module(f"autobahncases.{name}")
        for value in vars(module).values():
            # Where there are many alike, they are in a list.
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, type) and _CASE.fullmatch(each.__name__):
                    found[each.__name__] = each
    return list(found.values())


class Echo(SessionSocketProtocol):
    """
    The server.
    """

    messages = Raw()

    def sessionMessageReceived(self, message: Any, session: Any) -> None:
        self.send(message)


def serve(**options: Any) -> tuple[Any, str]:
    """
    Make a server, with or without the short way.

    @return: Its port, and a cookie.
    """
    store, framework = MemoryStore(reactor), Express(secrets=["a secret"])
    manager = SessionManager(store, framework, reactor)
    limits = Limits(
        messageSize=_LARGEST,
        fragments=_LARGEST,
        waitingBytes=_LARGEST,
        unsentBytes=_LARGEST,
        # Where there is much else to do, such a message takes long.
        closeTimeout=60.0,
    )
    factory = SessionSocketFactory(manager, limits=limits, **options)
    factory.protocol = Echo
    cookie = putSession(store, framework, reactor, {})
    return reactor.listenTCP(0, factory, interface="127.0.0.1"), cookie


def _bytes(payload: str | bytes) -> bytes:
    # In Python 2, text of characters up to 255 was bytes.
    return payload if isinstance(payload, bytes) else payload.encode("latin-1")


class Client(WebSocketClientProtocol):
    """
    What a case calls C{p}.
    """

    case: Any
    connectionWasOpen = False
    createWirelog = True

    def onOpen(self) -> None:
        self.connectionWasOpen = True
        self.txFrameStats: Counter[int] = Counter()
        self.case.onOpen()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.case.onMessage(payload.decode("latin-1"), isBinary)

    def onPing(self, payload: bytes) -> None:
        self.case.onPing(payload.decode("latin-1"))

    def onPong(self, payload: bytes) -> None:
        self.case.onPong(payload.decode("latin-1"))

    def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
        self.case.onClose(wasClean, code, reason)

    def connectionLost(self, *reason: Any) -> None:
        super().connectionLost(*reason)
        self.case.onConnectionLost(self.failedByMe)
        self.factory.done.callback(self.case)

    # What cases call.

    def enableWirelog(self, enable: bool) -> None: ...

    def sendFrame(
        self, opcode: int, payload: Any = b"", *args: Any, **more: Any
    ) -> None:
        self.txFrameStats[opcode] += 1
        super().sendFrame(opcode, _bytes(payload), *args, **more)

    def sendMessage(self, payload: Any, *args: Any, **more: Any) -> None:
        super().sendMessage(_bytes(payload), *args, **more)

    def sendMessageFrameData(self, payload: Any, *args: Any, **more: Any) -> Any:
        return super().sendMessageFrameData(_bytes(payload), *args, **more)

    def sendCloseFrame(
        self, code: Any = None, reasonUtf8: Any = None, isReply: bool = False
    ) -> None:
        reason = None if reasonUtf8 is None else _bytes(reasonUtf8)
        super().sendCloseFrame(code, reason, isReply)

    def continueLater(self, delay: float, go: Any, tag: Any = None) -> None:
        reactor.callLater(delay, self._unlessClosed, go)

    def killAfter(self, delay: float) -> None:
        self.continueLater(delay * self._patience, self._fail_connection)

    def closeAfter(self, delay: float) -> None:
        self.continueLater(delay * self._patience, self.sendClose)

    @property
    def _patience(self) -> int:
        # How fast it is, is not what is asked here.
        return _PATIENCE if type(self.case).__name__.startswith("Case9") else 1

    def _unlessClosed(self, do: Any) -> None:
        if self.state != self.STATE_CLOSED:
            do()


def _run(kind: Any, port: int, cookie: str) -> Deferred[Any]:
    """
    @return: A L{Deferred} that fires with the case, when it is done.
    """
    factory: Any = WebSocketClientFactory(
        f"ws://127.0.0.1:{port}", headers={"Cookie": cookie}, reactor=reactor
    )
    factory.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=10)
    factory.done = Deferred()

    def build(address: Any) -> Client:
        client: Any = Client()
        client.factory = factory
        client.case = kind(client)
        return client  # type: ignore[no-any-return]  # It is that.

    factory.buildProtocol = build
    connected = TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    return connected.addCallback(lambda _: factory.done)


def _number(kind: Any) -> str:
    return ".".join(kind.__name__.removeprefix("Case").split("_"))


async def main(_: Any, package: str, *wanted: str) -> None:
    """
    Run cases, and say what became of them.
    """
    began = time.monotonic()
    failed = 0
    with TemporaryDirectory() as target:
        cases = [
            each
            for each in translated(Path(package), Path(target))
            if _isWanted(_number(each), wanted)
        ]
        for shortFrames in True, False:
            port, cookie = serve(shortFrames=shortFrames)
            several = DeferredSemaphore(_AT_ONCE)
            done = await gatherResults(
                several.run(_run, each, port.getHost().port, cookie) for each in cases
            )
            await port.stopListening()
            for each in done:
                if each.behavior in _GOOD and each.behaviorClose in _GOOD_ENDS:
                    continue
                failed += 1
                print(
                    f"{_number(type(each))}: {each.behavior}, {each.behaviorClose}:"
                    f" {each.result} {each.resultClose}"
                )
            how = "short way" if shortFrames else "Autobahn's way"
            print(
                f"{how}: {len(done)} cases, {dict(Counter(e.behavior for e in done))}"
            )
    print(f"{failed} failed, after {time.monotonic() - began:.0f} s")
    if failed or not cases:
        raise SystemExit(1)


def _isWanted(number: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or any(f"{number}.".startswith(f"{each}.") for each in wanted)


if __name__ == "__main__":
    react(main, sys.argv[1:])
