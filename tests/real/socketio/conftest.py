"""
These tests need Node.js, with the packages of C{tests/e2e/socketio}.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "e2e")
