"""
One live session for each id: opened, kept fresh, saved and ended.
"""

from .manager import Freshness, SessionManager
from .shutdown import endAtOnceFromNow, endAtOnceWhenAskedAgain
from .statistics import SessionStatistics


__all__ = [
    "Freshness",
    "SessionManager",
    "SessionStatistics",
    "endAtOnceFromNow",
    "endAtOnceWhenAskedAgain",
]
