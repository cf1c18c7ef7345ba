"""
A page that shows what the library does.
"""

from .site import demo


__all__ = ["demo"]
