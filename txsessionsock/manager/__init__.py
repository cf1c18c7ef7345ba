"""
One live session for each id: opened, kept fresh, saved and ended.
"""

from .ending import endAtOnceWhenAskedAgain
from .manager import Freshness, SessionManager
from .statistics import SessionStatistics


__all__ = [
    "Freshness",
    "SessionManager",
    "SessionStatistics",
    "endAtOnceWhenAskedAgain",
]
