"""
A page that shows what the library does.
"""

from .demo import demo


__all__ = ["demo"]
