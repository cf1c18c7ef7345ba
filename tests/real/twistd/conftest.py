"""
These tests run C{twistd sessionsock} and other programs in processes of their own,
on real sockets; some need a Redis, a PostgreSQL, nginx, HAProxy, Prometheus or
programs of systemd.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "e2e")
