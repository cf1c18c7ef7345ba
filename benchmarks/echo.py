"""
The server of L{benchmarks.frames}: it counts in the session, and answers with that.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
from typing import Any

from twisted.internet import reactor as _reactor

from txsessionsock.frameworks.express import Express
from txsessionsock.manager import SessionManager
from txsessionsock.protocol import SessionSocketFactory, SessionSocketProtocol
from txsessionsock.stores.memory import MemoryStore
from txsessionsock.testing import putSession


class Counter(SessionSocketProtocol):
    """
    An echo with a number of as many digits each time.
    """

    def sessionMessageReceived(self, message: Any, session: Any) -> None:
        session["pings"] = pings = session["pings"] + 1
        message["n"] = f"{pings:010d}"
        self.send(message)


def main(connections: int, *options: str) -> None:
    """
    Serve, and print the port and the cookies of so many sessions.
    """
    reactor: Any = _reactor
    store, framework = MemoryStore(reactor), Express(secrets=["a secret"])
    factory = SessionSocketFactory(SessionManager(store, framework, reactor))
    factory.protocol = Counter
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    cookies = [
        putSession(store, framework, reactor, {"pings": 0}) for _ in range(connections)
    ]
    print(json.dumps([port.getHost().port, cookies]), flush=True)
    if options:
        profiler = cProfile.Profile()
        profiler.runcall(reactor.run)
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    else:
        reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
