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


class _Watch:
    """
    One function.  To call this stops the watching.

    No closure, whose parts would be ten objects: there is one for each session.
    """

    __slots__ = ("changed", "ended", "key", "watchers")

    def __init__(
        self,
        watchers: Watchers,
        key: str,
        changed: Changed,
        ended: Callable[[str], None],
    ) -> None:
        self.watchers: Watchers | None = watchers
        self.key = key
        self.changed: Changed | None = changed
        self.ended: Callable[[str], None] | None = ended

    def __call__(self) -> None:
        watchers, ended = self.watchers, self.ended
        self.watchers = self.changed = self.ended = None
        if watchers is not None and ended is not None and watchers._remove(self):
            ended(self.key)


class Watchers:
    """
    The functions to call when a session changes, by its key.
    """

    _log = Logger()

    def __init__(self) -> None:
        # Most keys have one, which is there itself.
        self._byKey: dict[str, _Watch | tuple[_Watch, ...]] = {}

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
        watch = _Watch(self, key, changed, ended)
        others = self._of(key)
        self._byKey[key] = (*others, watch) if others else watch
        return watch

    def _of(self, key: str) -> tuple[_Watch, ...]:
        found = self._byKey.get(key, ())
        return (found,) if isinstance(found, _Watch) else found

    def _remove(self, watch: _Watch) -> bool:
        """
        @return: Whether nobody watches the key any more.
        """
        key = watch.key
        others = tuple(other for other in self._of(key) if other is not watch)
        if others:
            self._byKey[key] = others if len(others) > 1 else others[0]
            return False
        del self._byKey[key]
        self._unwatched(key)
        return True

    def _unwatched(self, key: str) -> None:
        """
        Nobody watches a key any more.
        """

    def report(self, keys: Iterable[str]) -> None:
        """
        Call the functions of these keys.
        """
        for key in keys:
            for watch in self._of(key):
                # One of those called before may have stopped this one.
                if watch.changed is not None:
                    try:
                        watch.changed(key)
                    except Exception:
                        self._log.failure("the watcher of a session failed")
