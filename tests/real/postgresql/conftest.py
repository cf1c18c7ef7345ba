"""
These tests need the programs of a PostgreSQL server, and some pgbouncer or HAProxy.
They start servers of their own.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "postgresql")
