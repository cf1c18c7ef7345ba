"""
One live session for each id: opened, kept fresh, saved and ended.
"""

from .manager import Freshness, SessionManager, Trouble
from .rates import Ration, Rations
from .shutdown import endAtOnceFromNow, endAtOnceWhenAskedAgain
from .slices import Slices
from .statistics import SessionStatistics
from .tally import BOUNDS, Tally, Times


__all__ = [
    "BOUNDS",
    "Freshness",
    "Ration",
    "Rations",
    "SessionManager",
    "SessionStatistics",
    "Slices",
    "Tally",
    "Times",
    "Trouble",
    "endAtOnceFromNow",
    "endAtOnceWhenAskedAgain",
]
