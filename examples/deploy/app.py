"""
What is served: a page and its socket, which count in one session.
"""

from twisted.web.resource import Resource

from txsessionsock import SessionSocketProtocol, sessionOf


PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Counter</title>
<main><h1>Counter</h1>
<button id="count">Count</button>
<pre id="log" role="log"></pre></main>
<script src="/sessionsock.js"></script>
<script>
  const log = line => { document.getElementById("log").textContent += line + "\\n"; };
  const socket = new SessionSocket("/ws");
  socket.on("message", ({ count }) => log(`You counted to ${count}.`));
  socket.on("disconnect", ({ code, reason }) => log(`closed: ${code} ${reason}`));
  document.getElementById("count").onclick = () => socket.send("count");
</script>
</html>
"""


class Counter(SessionSocketProtocol):
    """
    Counts.
    """

    def sessionMessageReceived(self, message, session):
        self.send({"count": session.increment("count")})


class Page(Resource):
    """
    Begins a session.
    """

    isLeaf = True

    def render_GET(self, request):
        sessionOf(request).setdefault("count", 0)
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return PAGE
