"""
A session while handlers work on it, and how it is merged with what others store.

Pure: no clock, no reactor.
"""

from .attempt import Attempt, Change
from .journal import Journal
from .merge import areAlike, areEqual, detached
from .record import Emptied, Record
from .roles import Holder
from .session import Session, explained, shortHash
from .versions import Memory


__all__ = [
    "Attempt",
    "Change",
    "Emptied",
    "Holder",
    "Journal",
    "Memory",
    "Record",
    "Session",
    "areAlike",
    "areEqual",
    "detached",
    "explained",
    "shortHash",
]
