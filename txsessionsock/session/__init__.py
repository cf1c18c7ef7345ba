"""
A session while handlers work on it, and how it is merged with what others store.

Pure: no clock, no reactor.
"""

from .attempt import Change, WriteAttempt
from .journal import Journal
from .merge import areAlike, areEqual, detached
from .record import Emptied, Record
from .roles import Holder, Keeper
from .session import Session, explained, shortHash
from .versions import Memory


__all__ = [
    "Change",
    "Emptied",
    "Holder",
    "Journal",
    "Keeper",
    "Memory",
    "Record",
    "Session",
    "WriteAttempt",
    "areAlike",
    "areEqual",
    "detached",
    "explained",
    "shortHash",
]
