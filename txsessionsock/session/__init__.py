"""
A session while handlers work on it, and how it is merged with what others store.

Pure: no clock, no reactor.
"""

from .attempt import Change, Check, Problem, Update, WriteAttempt
from .draft import Draft
from .journal import Journal
from .merge import areAlike, areEqual, detached
from .record import Emptied, Record
from .roles import Holder, Keeper
from .session import Session, explained, shortHash
from .versions import Memory


__all__ = [
    "Change",
    "Check",
    "Draft",
    "Emptied",
    "Holder",
    "Journal",
    "Keeper",
    "Memory",
    "Problem",
    "Record",
    "Session",
    "Update",
    "WriteAttempt",
    "areAlike",
    "areEqual",
    "detached",
    "explained",
    "shortHash",
]
