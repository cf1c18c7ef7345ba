"""
One live session for each id: opened, kept fresh, saved and ended.
"""

from .manager import Freshness, SessionManager
from .shutdown import endAtOnceWhenAskedAgain
from .slices import Slices
from .statistics import SessionStatistics


__all__ = [
    "Freshness",
    "SessionManager",
    "SessionStatistics",
    "Slices",
    "endAtOnceWhenAskedAgain",
]
