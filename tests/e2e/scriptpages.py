"""
Pages for a browser, beside those of L{verbs}: C{/page} has the client script and
C{begin(options)}, and so do the workers, C{/worker.js} and C{/module.js}.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.types import ConnectionRequest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.server import NOT_DONE_YET, Request

from txsessionsock.protocol import SessionSocketProtocol
from txsessionsock.web import sessionOf

from .verbs import Echo, Pages, Verbs


__all__ = ["Chat", "Echo", "Quiet", "ScriptPages", "Slow", "Verbs"]

_NAMES = "connect message disconnect sinvalid reconnecting identity"

_BEGIN = """
const begin = (options) => {
  const socket = new SessionSocket("/ws", options);
  for (const name of NAMES.split(" ")) socket.on(name, (detail) => note(name, detail));
  return socket;
};
""".replace("NAMES", f'"{_NAMES}"')

_PAGE = f"""<!doctype html><title>Room</title><script src="/sessionsock.js"></script>
<script>
window.events = [];
const note = (...event) => events.push([...event, performance.now()]);
{_BEGIN}
addEventListener("pageshow", ({{ persisted }}) => note("pageshow", persisted));
</script>"""

_WORK = f"""
const note = (...event) => post(event);
{_BEGIN}
const socket = begin({{ heartbeat: 100, patience: 5000 }});
let pings = 0;
const answered = socket._told;
socket._told = function (visit, text) {{
  if (text.startsWith("pong") && ++pings === 3) note("alive");
  answered.call(this, visit, text);
}};
socket.on("connect", () => note("said", socket.send(["add", "n"])));
"""

_WORKERS = {
    "worker.js": f'importScripts("/sessionsock.js"); const post = postMessage; {_WORK}',
    "module.js": f'import "/sessionsock.js"; const post = postMessage; {_WORK}',
    "shared.js": f"""
        importScripts("/sessionsock.js");
        const ports = [], said = [];
        const post = (event) => {{
          said.push(event);
          for (const port of ports) port.postMessage(event);
        }};
        onconnect = ({{ ports: [port] }}) => {{
          ports.push(port);
          said.forEach((event) => port.postMessage(event));
        }};
        {_WORK}""",
}


class ScriptPages(Pages):
    """
    Also, C{POST /rename?name} and C{POST /forget} change who is logged in within
    the same session, C{POST /rotate} gives it a new id.
    """

    def render_GET(self, request: Request) -> bytes:
        name = request.path.decode().strip("/")
        if name in _WORKERS:
            request.setHeader(b"Content-Type", b"text/javascript")
            return _WORKERS[name].encode()
        if name in ("page", "other"):
            if name == "page":
                sessionOf(request).setdefault("seen", 1)
            request.setHeader(b"Content-Type", b"text/html")
            return (_PAGE if name == "page" else "<!doctype html>other").encode()
        return super().render_GET(request)

    def render_POST(self, request: Request) -> Any:
        verb, _, argument = request.uri.decode().strip("/").partition("?")
        session = sessionOf(request)
        if verb == "rename":
            session["user"] = argument
            return b""
        if verb == "forget":
            session.pop("user", None)
            return b""
        if verb == "rotate":
            rotating: Deferred[Any] = session.regenerate()
            rotating.addCallback(lambda _: request.finish())
            rotating.addErrback(request.processingFailed)
            return NOT_DONE_YET
        return super().render_POST(request)


class Chat(SessionSocketProtocol):
    """
    Speaks one subprotocol.
    """

    def onConnect(self, request: ConnectionRequest) -> str | None:
        return "chat" if "chat" in request.protocols else None

    def sessionConnected(self, session: Any) -> None:
        self.send("welcome")


class Slow(SessionSocketProtocol):
    """
    Takes four seconds for its first message.
    """

    isFirst = True

    def sessionMessageReceived(self, message: Any, session: Any) -> Any:
        self.send(message)
        wasFirst, self.isFirst = self.isFirst, False
        return deferLater(reactor, 4.0, lambda: None) if wasFirst else None


class Quiet(SessionSocketProtocol):
    """
    Says nothing, and has no subprotocol.
    """
