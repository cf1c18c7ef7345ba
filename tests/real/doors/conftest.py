"""
These tests listen on real sockets, in the running reactor.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "e2e")
