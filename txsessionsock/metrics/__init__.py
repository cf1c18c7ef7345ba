"""
Figures for those who watch over a server.
"""

from .figures import Figures, Snapshot, Totals
from .resource import Exposed, MetricsResource


__all__ = ["Exposed", "Figures", "MetricsResource", "Snapshot", "Totals"]
