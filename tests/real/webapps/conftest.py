"""
These tests run web applications of other frameworks: the extra C{webapps}, Node.js
with the packages of C{tests/e2e/webapps/express}, and PHP with phpredis.
"""

from __future__ import annotations

from tests.support.marks import marking


pytest_collection_modifyitems = marking(__file__, "e2e", "webapps")
