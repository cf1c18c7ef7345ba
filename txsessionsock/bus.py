# -*- test-case-name: tests.test_bus -*-
"""
Messages between the nodes of an application.
"""

from __future__ import annotations

from ._localbus import LocalBus
from ._redisbus import RedisBus


__all__ = ["LocalBus", "RedisBus"]
