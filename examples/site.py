"""
A site whose visitors log in and out, and sockets that know who they are::

    python examples/site.py     # and open http://localhost:8080/
"""

import sys
from html import escape

from twisted.internet import endpoints, reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from txsessionsock import (
    BoundedSite,
    ClientScript,
    Express,
    MemoryStore,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
    SessionSocketResource,
    sessionOf,
)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Site</title>
<style>
  :root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }}
  body {{ max-width: 34rem; margin: 4rem auto; padding: 0 1.25rem; }}
  h1, pre {{ overflow-wrap: anywhere; white-space: pre-wrap; }}
  input, button {{ font: inherit; padding: .4rem .8rem; }}
</style>
<main>
<h1>You are {user}</h1>
<form method="post" action="/login">
  <input name="name" aria-label="Your name" placeholder="Your name" required>
  <button>Log in</button>
</form>
<form method="post" action="/logout"><p><button>Log out</button></p></form>
<pre id="log" role="log"></pre>
</main>
<script src="/sessionsock.js"></script>
<script>
  const log = line => {{ document.getElementById("log").textContent += line + "\\n"; }};
  const socket = new SessionSocket("/ws");
  let greeted = false;
  socket.on("message", line => {{ greeted = true; log(line); }});
  socket.on("disconnect", ({{ code, reason }}) => log(`closed: ${{code}} ${{reason}}`));
  // Who this page was made for is gone.
  socket.on("identity", () => location.reload());
  // Without cookies there is no session after that, either.
  socket.on("sinvalid", reason => {{
    if (greeted) location.reload();
    else log(`no session: ${{reason}}`);
  }});
</script>
</html>
"""


class Greeter(SessionSocketProtocol):
    """
    Says who is at the other end.
    """

    def sessionConnected(self, session):
        self.send(f"The socket knows you as {session.get('user', 'nobody')}.")


class Home(Resource):
    """
    Who am I?
    """

    def render_GET(self, request):
        session = sessionOf(request)
        session["visits"] = session.get("visits", 0) + 1
        user = session.get("user", "nobody")
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return PAGE.format(user=escape(user)).encode()


class Form(Resource):
    """
    Does something, and shows the home page again.  Not for forms on other
    sites, which could log people in as somebody else.
    """

    def __init__(self, act):
        super().__init__()
        self.act = act

    def render_POST(self, request):
        if request.getHeader("sec-fetch-site") not in ("same-origin", None):
            request.setResponseCode(403)
            return b"Please use the form on this site."

        async def answer():
            await self.act(request, sessionOf(request))
            request.redirect(b"/")
            request.finish()

        Deferred.fromCoroutine(answer()).addErrback(request.processingFailed)
        return NOT_DONE_YET


async def logIn(request, session):
    """
    A new id, so that whoever knew the old one is not logged in too.  Sockets
    that are open move to it.
    """
    await session.regenerate()
    session["user"] = request.args.get(b"name", [b"?"])[0].decode(errors="replace")


async def logOut(request, session):
    """
    Closes the sockets of all tabs.
    """
    await session.destroy()


class Pages(Resource):
    """
    The site.
    """

    def __init__(self):
        super().__init__()
        self.putChild(b"", Home())
        self.putChild(b"login", Form(logIn))
        self.putChild(b"logout", Form(logOut))


if __name__ == "__main__":
    manager = SessionManager(MemoryStore(), Express(secrets=["keyboard cat"]))
    sockets = SessionSocketFactory(manager, perMessage=True)
    sockets.protocol = Greeter
    pages = Pages()
    pages.putChild(b"ws", SessionSocketResource(sockets))
    pages.putChild(b"sessionsock.js", ClientScript())
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    where = sys.argv[1] if len(sys.argv) > 1 else "tcp:8080:backlog=1024"
    site = BoundedSite(SessionedResource(pages, manager))
    endpoint = endpoints.serverFromString(reactor, where)
    manager.endWith(reactor, endpoint.listen(site))
    reactor.run()
