"""
One live session for each id: opened, kept fresh, saved and ended.
"""

from .manager import Freshness, SessionManager
from .rates import Ration, Rations
from .shutdown import endAtOnceFromNow, endAtOnceWhenAskedAgain
from .slices import Slices
from .statistics import SessionStatistics


__all__ = [
    "Freshness",
    "Ration",
    "Rations",
    "SessionManager",
    "SessionStatistics",
    "Slices",
    "endAtOnceFromNow",
    "endAtOnceWhenAskedAgain",
]
