# -*- test-case-name: tests.test_bus -*-
"""
Messages between the nodes of an application.
"""

from __future__ import annotations

from ._bus.local import LocalBus
from ._bus.redis import RedisBus


__all__ = ["LocalBus", "RedisBus"]
