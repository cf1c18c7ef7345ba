"""
This library, as docs/program.md has it, without a site: a counter in the session.

    python ours.py connection URL-OF-REDIS     # "message", "increment", "repeatable"
    python ours.py connection URL-OF-REDIS 600

The latter two modes are per message, too, and lose nothing beside other processes
either: C{increment} counts by C{session.increment}, and handlers of C{repeatable} may
run again.  At last, how many seconds there are between pings, for clients that do not
answer them.
"""

import gc
import sys

from twisted.internet import endpoints, reactor

from txsessionsock import (
    Express,
    SessionManager,
    SessionSocketFactory,
    SessionSocketProtocol,
)
from txsessionsock.limits import Limits
from txsessionsock.stores.redis import RedisStore


class Counter(SessionSocketProtocol):
    def sessionMessageReceived(self, message, session):
        session["pings"] += 1
        message["n"] = f"{session['pings']:010}"
        self.send(message)


class Increment(SessionSocketProtocol):
    def sessionMessageReceived(self, message, session):
        message["n"] = f"{session.increment('pings'):010}"
        self.send(message)


class Repeatable(Counter):
    repeatable = True


PROTOCOLS = {"increment": Increment, "repeatable": Repeatable}

mode, redis, *interval = sys.argv[1:]
manager = SessionManager(RedisStore(redis), Express(secrets=["a secret"]))
limits = Limits(pingInterval=float(interval[0])) if interval else Limits()
sockets = SessionSocketFactory(manager, perMessage=mode != "connection", limits=limits)
sockets.protocol = PROTOCOLS.get(mode, Counter)

endpoint = endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1:backlog=1024")


def listening(port):
    print(port.getHost().port, flush=True)
    return port


manager.endWith(reactor, endpoint.listen(sockets).addCallback(listening))
gc.freeze()
gc.set_threshold(10_000, 10, 10)
reactor.run()
