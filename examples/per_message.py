"""
The session is fresh for each message, and saved after it: nobody gets an
answer that a crash would take back::

    python examples/per_message.py     # and open http://localhost:8080/
"""

import sys
from pathlib import Path

from twisted.internet import endpoints, reactor
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource

from txsessionsock import (
    BoundedSite,
    ClientScript,
    Express,
    SessionedResource,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
    SessionSocketResource,
    SQLiteStore,
    sessionOf,
)


class Counter(SessionSocketProtocol):
    """
    Counts in the session, whoever else counts there.
    """

    def sessionMessageReceived(self, message, session):
        count = session.increment("pings")
        self.send(f"That is ping {count}.")

    def sessionChanged(self, session, keys):
        self.send(f"Somebody else made it {session['pings']}.")

    def sessionInvalid(self, reason):
        self.send("Please load the page again.")


class Home(Resource):
    """
    A page, in the same session.
    """

    def render_GET(self, request):
        sessionOf(request).setdefault("pings", 0)
        return Path(__file__).with_name("ping.html").read_bytes()


manager = SessionManager(
    SQLiteStore("sessions.sqlite"), Express(secrets=["keyboard cat"])
)
sockets = SessionSocketFactory(manager, perMessage=True)
sockets.protocol = Counter

root = Resource()
root.putChild(b"", SessionedResource(Home(), manager))
root.putChild(b"ws", SessionSocketResource(sockets))
root.putChild(b"sessionsock.js", ClientScript())

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
where = sys.argv[1] if len(sys.argv) > 1 else "tcp:8080:backlog=1024"
endpoint = endpoints.serverFromString(reactor, where)
manager.endWith(reactor, endpoint.listen(BoundedSite(root)))
reactor.run()
