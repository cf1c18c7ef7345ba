"""
C{twistd sessionsock}: its options, and the service they make.
"""

from .make import makeService
from .options import Options


__all__ = ["Options", "makeService"]
