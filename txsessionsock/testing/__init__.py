"""
What is needed to test stores, buses and protocols of one's own.
"""

from .browser import ADDRESS, HOST, Browser, Wire, putSession
from .buscontract import BusContract
from .doubles import FlakyStore, UnwatchableStore
from .reactor import PrivateReactor
from .storecontract import StoreContract
from .watchcontract import WatchableContract


__all__ = [
    "ADDRESS",
    "HOST",
    "Browser",
    "BusContract",
    "FlakyStore",
    "PrivateReactor",
    "StoreContract",
    "UnwatchableStore",
    "WatchableContract",
    "Wire",
    "putSession",
]
