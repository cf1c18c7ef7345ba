"""
These tests need Chromium and chromedriver; those of the client script's types need
the Node.js packages of C{tests/node}.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "e2e", "browser")
