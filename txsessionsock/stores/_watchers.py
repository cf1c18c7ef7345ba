# -*- test-case-name: tests.stores.test_store_memory -*-
"""
What stores have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from twisted.logger import Logger

from txsessionsock.interfaces import FOREVER, KEEP, TTL, AtLeast, Lifetime


__all__ = ["Changed", "Watchers", "deadline", "newDeadline"]


Changed = Callable[[str], None]
"""
What is called with the key of a session that was changed by others.
"""


def deadline(ttl: TTL, now: float, current: float | None = 0.0) -> float | None:
    """
    When a session ends.

    @param current: When it ended until now; the epoch if it begins.

    @return: Seconds since the epoch, or L{None} for never.
    """
    if isinstance(ttl, Lifetime):
        return current if ttl is KEEP else None
    if isinstance(ttl, AtLeast):
        return None if current is None else max(current, now + ttl)
    return now + ttl


def newDeadline(ttl: TTL, now: float) -> float | None:
    """
    When a session ends that begins now.
    """
    if ttl is KEEP:
        raise ValueError(f"a new session has no lifetime to keep: give {FOREVER}")
    return deadline(ttl, now)


class Watchers:
    """
    The functions to call when a session changes, by its key.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._byKey: dict[str, dict[object, Changed]] = {}

    def __len__(self) -> int:
        return len(self._byKey)

    def __iter__(self) -> Iterator[str]:
        return iter(self._byKey)

    def __contains__(self, key: str) -> bool:
        return key in self._byKey

    def add(
        self, key: str, changed: Changed, ended: Callable[[str], None]
    ) -> Callable[[], None]:
        """
        Begin to watch.

        @param ended: Called with the key when nobody watches it any more.

        @return: A function that stops the watching.
        """
        token = object()
        self._byKey.setdefault(key, {})[token] = changed

        def stop() -> None:
            watchers = self._byKey.get(key, {})
            if watchers.pop(token, None) is not None and not watchers:
                del self._byKey[key]
                ended(key)

        return stop

    def report(self, keys: Iterable[str]) -> None:
        """
        Call the functions of these keys.
        """
        for key in keys:
            for token, changed in list(self._byKey.get(key, {}).items()):
                # One of those called before may have stopped this one.
                if token in self._byKey.get(key, {}):
                    try:
                        changed(key)
                    except Exception:
                        self._log.failure("the watcher of a session failed")
