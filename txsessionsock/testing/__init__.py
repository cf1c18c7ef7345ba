"""
What is needed to test stores, buses and protocols of one's own.
"""

from .buscontract import BusContract
from .doubles import FlakyStore, UnwatchableStore
from .reactor import PrivateReactor
from .storecontract import StoreContract
from .watchcontract import WatchableContract


__all__ = [
    "BusContract",
    "FlakyStore",
    "PrivateReactor",
    "StoreContract",
    "UnwatchableStore",
    "WatchableContract",
]
