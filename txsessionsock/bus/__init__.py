"""
What carries a hub's commands from node to node.
"""

from .local import LocalBus
from .redis import RedisBus


__all__ = ["LocalBus", "RedisBus"]
