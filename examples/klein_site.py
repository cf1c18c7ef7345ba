"""
A site of Klein whose visitors log in and out, and sockets that know who they are::

    pip install ".[klein]"
    python examples/klein_site.py     # and open http://localhost:8080/
"""

import sys

from klein import Authorization, Field, Form, Klein, Requirer, Response
from klein.interfaces import ISession
from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.template import Element, Tag, TagLoader, tags

from txsessionsock import (
    BoundedSite,
    ClientScript,
    Express,
    MemoryStore,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
    SessionSocketResource,
)
from txsessionsock.interfaces import SessionError
from txsessionsock.klein import ISessionData, KleinSessions
from txsessionsock.web import refuse


STYLE = """
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 34rem; margin: 4rem auto; padding: 0 1.25rem; }
  h1, pre { overflow-wrap: anywhere; white-space: pre-wrap; }
  form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
  form { margin: .5rem 0; }
  input { font: inherit; padding: .4rem .8rem; max-width: 100%; }
"""

SCRIPT = """
const log = line => { document.getElementById("log").textContent += line + "\\n"; };
const socket = new SessionSocket("/ws");
let greeted = false;
socket.on("message", line => { greeted = true; log(line); });
socket.on("disconnect", ({ code, reason }) => log(`closed: ${code} ${reason}`));
// Who this page was made for is gone.
socket.on("identity", () => location.reload());
// Without cookies there is no session after that, either.
socket.on("sinvalid", reason => {
  if (greeted) location.reload();
  else log(`no session: ${reason}`);
});
"""


def page(user, *forms):
    """
    The page, as Klein renders it.
    """
    head = tags.head(
        tags.meta(charset="utf-8"),
        tags.meta(name="viewport", content="width=device-width"),
        tags.title("Klein"),
        tags.style(STYLE),
    )
    main = Tag("main")(
        tags.h1("You are ", user), *forms, tags.pre(id="log", role="log")
    )
    scripts = tags.script(src="/sessionsock.js"), tags.script(src="/site.js")
    return Element(TagLoader(tags.html(head, tags.body(main, *scripts), lang="en")))


class Greeter(SessionSocketProtocol):
    """
    Says who is at the other end.
    """

    def sessionConnected(self, session):
        self.send(f"The socket knows you as {session.get('user', 'nobody')}.")


manager = SessionManager(MemoryStore(), Express(secrets=["keyboard cat"]))
sockets = SessionSocketFactory(manager, perMessage=True)
sockets.protocol = Greeter

app, requirer = Klein(), Requirer()
sessions = KleinSessions(manager)
HOME = Response(303, {b"Location": b"/"})


@requirer.prerequisite([ISession])
def procure(request):
    return sessions.procureSession(request)


@app.handle_errors(SessionError)
def failed(request, failure):
    """
    What a page waited for in vain, such as a login while the store is away, is
    answered with 503.
    """
    refuse(failure, request)


def button(text):
    """
    As C{Field.submit(text)}, which does not show the text in Klein 24.8.
    """
    return Field(str, "submit", noLabel=True, value=text)


@requirer.require(
    app.route("/login", methods=["POST"]),
    session=Authorization(ISessionData),
    name=Field.text(formLabel="Your name"),
    button=button("Log in"),
)
async def logIn(session, name, button):
    """
    A new id, so that whoever knew the old one is not logged in too.  Sockets that
    are open move to it.
    """
    await session.regenerate()
    session["user"] = name
    return HOME


@requirer.require(
    app.route("/logout", methods=["POST"]),
    session=Authorization(ISessionData),
    button=button("Log out"),
)
async def logOut(session, button):
    """
    Closes the sockets of all tabs.
    """
    await session.destroy()
    return HOME


@requirer.require(
    app.route("/", methods=["GET"]),
    session=Authorization(ISessionData),
    inside=Form.rendererFor(logIn, action="/login"),
    outside=Form.rendererFor(logOut, action="/logout"),
)
def home(session, inside, outside):
    return page(session.get("user", "nobody"), inside, outside)


@app.route("/site.js")
def script(request):
    request.setHeader(b"content-type", b"text/javascript; charset=utf-8")
    return SCRIPT


@app.route("/sessionsock.js")
def client(request):
    return ClientScript()


@app.route("/ws")
def socket(request):
    return SessionSocketResource(sockets)


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    where = sys.argv[1] if len(sys.argv) > 1 else "tcp:8080:backlog=1024"
    endpoint = endpoints.serverFromString(reactor, where)
    manager.endWith(reactor, endpoint.listen(BoundedSite(app.resource())))
    reactor.run()
