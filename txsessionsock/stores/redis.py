# -*- test-case-name: tests.real.redis.test_store_redis -*-
"""
Sessions in a Redis, which every node shares::

    store = RedisStore("redis://localhost:6379/0")
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txsessionsock._arguments import AboveZero, checked
from txsessionsock._kinds import Clock
from txsessionsock._reactor import clockOf
from txsessionsock._redis.address import RedisAddress
from txsessionsock._redis.call import RedisCall
from txsessionsock._redis.link import Link
from txsessionsock._redis.resp import encode
from txsessionsock.interfaces import (
    FOREVER,
    KEEP,
    TTL,
    AtLeast,
    ISharedStore,
    IWatchableStore,
    NoSuchSession,
    SessionConflict,
    SessionError,
    Stored,
    StoreUnavailable,
    UndecodableSession,
)

from ._deadlines import Deadlines
from ._tracking import Tracked, Tracking
from ._watchers import Changed, newDeadline


__all__ = ["RedisStore"]

_T = TypeVar("_T")


class _Script:
    """
    A script that changes a key: what it reads first and last makes the server
    report the change to us, and the next one by anybody else.
    """

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        # SHA-1 because that is what Redis calls a script by.
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest().encode()


_LOAD: Final = _Script(
    "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
)

_CREATE: Final = _Script("""
if redis.call('PTTL', KEYS[1]) ~= -2 then return 0 end
if ARGV[2] == '' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {redis.call('PTTL', KEYS[1])}
""")

_AT_LEAST: Final = """
local function lifetime(ttl)
  if string.sub(ttl, 1, 1) ~= '+' then return ttl end
  local left = redis.call('PTTL', KEYS[1])
  if left == -1 or left > tonumber(ttl) then return 'keep' end
  return string.sub(ttl, 2)
end
"""

_REPLACE: Final = _Script(
    _AT_LEAST
    + """
local current = redis.call('GET', KEYS[1])
if not current then return false end
if current ~= ARGV[1] then return {current, redis.call('PTTL', KEYS[1])} end
local ttl = lifetime(ARGV[3])
if ttl == 'keep' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
elseif ttl == '' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ttl) end
return redis.call('PTTL', KEYS[1])
"""
)

_TOUCH: Final = _Script(
    _AT_LEAST
    + """
local done = 0
if redis.call('PTTL', KEYS[1]) == -2 then return false end
local ttl = lifetime(ARGV[1])
if ttl == '' then done = redis.call('PERSIST', KEYS[1])
elseif ttl ~= 'keep' then done = redis.call('PEXPIRE', KEYS[1], ttl) end
return {done, redis.call('PTTL', KEYS[1])}
"""
)

_DESTROY: Final = _Script("""
if redis.call('PTTL', KEYS[1]) == -2 then return false end
if ARGV[1] then
    local current = redis.call('GET', KEYS[1])
    if current ~= ARGV[1] then return {current, redis.call('PTTL', KEYS[1])} end
end
redis.call('DEL', KEYS[1])
redis.call('PTTL', KEYS[1])
return 1
""")


@checked
@implementer(IWatchableStore, ISharedStore)
class RedisStore:
    """
    A store in a Redis 6.2 or later, or a Valkey.

    It sees what others change if it can use C{CLIENT TRACKING}, which takes
    hiredis (the extra C{redis}) and no setting of the server.  Otherwise
    L{fence} fails, and sessions are read anew for each batch of messages.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        reactor: Clock | None = None,
        *,
        prefix: str = "",
        timeout: AboveZero = 2.0,
    ) -> None:
        """
        @param url: C{redis://user:password@host:port/database},
            C{rediss://} the same with TLS (C{?ca=}, C{cert=} and C{key=} name
            files), C{redis+unix://PATH?db=N}, or
            C{redis+sentinel://host:port,host:port/service/database}.

        @param reactor: The global reactor.

        @param prefix: What all keys begin with, before what the framework
            puts there.

        @param timeout: After how many seconds a call fails.

        @raise ValueError: The URL is wrong, or a file that it names.
        """
        self._reactor = clockOf(reactor)
        self._prefix = prefix.encode()
        self._link = Link(
            RedisAddress.parse(url), self, self._reactor, timeout=timeout, tracks=True
        )
        self._tracking = Tracking()
        self._deadlines = Deadlines(self._reactor, self._tracking.tell)
        # Once, and not for each key that is watched.
        self._forget = self._deadlines.forget
        self._checks: list[Deferred[None]] = []
        self._isDistrusted = False
        self._isTold = False

    def load(self, key: str) -> Deferred[Stored | None]:
        loading = self._ask(_Load, _LOAD, key)
        if self._isSeeing:
            return self._believed(loading)
        # No fence tells whether this is from a replica.
        check = self._checkSoon()
        return loading.addBoth(lambda found: check.addCallback(lambda _: found))

    def create(self, key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        newDeadline(ttl, 0.0)
        return self._ask(_Create, _CREATE, key, raw, _lifetime(ttl).lstrip(b"+"))

    def replace(self, key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        asked = self._ask(_Replace, _REPLACE, key, old, new, _lifetime(ttl))
        return self._believed(asked)

    def touch(self, key: str, ttl: TTL) -> Deferred[float | None]:
        return self._believed(self._ask(_Touch, _TOUCH, key, _lifetime(ttl)))

    def destroy(self, key: str, old: bytes | None = None) -> Deferred[bool]:
        arguments = () if old is None else (old,)
        return self._believed(self._ask(_Destroy, _DESTROY, key, *arguments))

    def watch(self, key: str, changed: Changed) -> Callable[[], None]:
        return self._tracking.watch(key, changed, self._forget)

    def fence(self, key: str) -> Deferred[None]:
        if not self._isSeeing:
            return fail(StoreUnavailable(f"{self._link.address}: sees no changes"))

        def sees(_: None) -> None:
            if not self._isSeeing:
                raise StoreUnavailable(f"{self._link.address}: is blind")

        return self._checkSoon().addCallback(sees)

    def close(self) -> Deferred[None]:
        """
        Wait for the answers to what was asked, then disconnect.
        """

        def closed(_: object) -> None:
            # Only now: answers that came last set deadlines.
            self._deadlines.clear()

        # Send now the check that waits for the next turn: a load that was asked
        # before is answered only after it.
        self._sendCheck()
        return self._link.close().addCallback(closed)

    # What the link tells.

    def up(self) -> None:
        self._isDistrusted = False
        if not self._link.isTracking:
            self._warn("it has no CLIENT TRACKING for us, or hiredis is missing")
        self._tracking.tellAll()

    def down(self) -> None:
        self._tracking.lost()
        self._tracking.tellAll()

    def pushed(self, message: list[Any]) -> None:
        if message[0] != b"invalidate":
            return
        keys = message[1]
        if keys is None:
            # The whole database was emptied.
            self._tracking.tellAll()
            return
        start = len(self._prefix)
        for key in keys:
            if key.startswith(self._prefix):
                self._tracking.reported(key[start:].decode("utf-8", "surrogateescape"))

    # How things are asked.

    @property
    def _isSeeing(self) -> bool:
        return self._link.isTracking and not self._isDistrusted

    def _ask(
        self, kind: type[_Scripted], script: _Script, key: str, *arguments: bytes
    ) -> Deferred[Any]:
        return self._link.send(kind(self, script, key, arguments))

    def _believed(self, answer: Deferred[_T]) -> Deferred[_T]:
        """
        Believe that there is no such session when the server has said that it
        is no replica: one that begins to copy its new master has none at all.

        @return: A L{Deferred} that fires as the answer does, or fails with
            L{StoreUnavailable}.
        """

        def checked(result: Any) -> Any:
            isGone = result is None or result is False
            if isGone or (isinstance(result, Failure) and result.check(NoSuchSession)):
                return self._checkSoon().addCallback(lambda _: result)
            return result

        return answer.addBoth(checked)

    def _checkSoon(self) -> Deferred[None]:
        """
        @return: A L{Deferred} that fires when all is known that others did until
            now.  It fails with L{StoreUnavailable}: also if what was asked in this
            turn of the reactor may be from a replica.
        """
        check: Deferred[None] = Deferred()
        if not self._checks:
            # After all that is asked in this turn, which goes out together
            # anyway: one question serves everybody.
            self._reactor.callLater(0, self._sendCheck)
        self._checks.append(check)
        return check

    def _sendCheck(self) -> None:
        checks, self._checks = self._checks, []
        if not checks:
            return
        # While the connection reports nothing at all, a missing report of our
        # own change proves nothing: expect none.
        debts = self._tracking.debts() if self._isSeeing else []

        def passed(_: None) -> None:
            if self._tracking.isOwed(debts):
                self._isDistrusted = True
                self._warn("it does not report our own changes")
                self._tracking.tellAll()
            for check in checks:
                check.callback(None)

        def failed(failure: Failure) -> None:
            for check in checks:
                check.errback(StoreUnavailable(failure.getErrorMessage()))

        self._link.check().addCallbacks(passed, failed)

    def _warn(self, why: str) -> None:
        if not self._isTold:
            self._isTold = True
            self._log.warn(
                "{address}: cannot be watched: {why}. Sessions are read for each"
                " batch of messages instead, and looked at now and then.",
                address=self._link.address,
                why=why,
            )

    def _expires(self, key: str, remaining: int, asked: float) -> float | None:
        """
        @param remaining: What C{PTTL} says: milliseconds, or -1 for never.

        @param asked: When it was asked.

        @return: The earliest time at which the key can expire.  With a later
            one, a key that expired would be taken for one that was deleted.
        """
        never = remaining < 0
        if self._tracking.get(key) is not None:
            # Redis announces it when it comes to it, which may be late.
            latest = self._reactor.seconds() + remaining / 1000
            self._deadlines.expect(key, None if never else latest)
        return None if never else asked + remaining / 1000


class _Scripted(RedisCall):
    """
    A script on its way.
    """

    __slots__ = ("_arguments", "_foreign", "_key", "_script", "_store", "_tracked")

    def __init__(
        self, store: RedisStore, script: _Script, key: str, arguments: tuple[bytes, ...]
    ) -> None:
        name = store._prefix + key.encode("utf-8", "surrogateescape")
        self._arguments = (b"1", name, *arguments)
        self._script = script
        self._store = store
        self._key = key
        self._tracked: Tracked | None = None
        self._foreign = 0
        super().__init__(b"EVALSHA", script.digest, *self._arguments)

    def sending(self) -> None:
        self._tracked = tracked = self._store._tracking.get(self._key)
        if tracked is not None:
            self._foreign = tracked.foreign

    def retry(self, error: str) -> bool:
        if not error.startswith("NOSCRIPT"):
            return False
        self.command = encode(b"EVAL", self._script.text, *self._arguments)
        return True

    def error(self, text: str) -> SessionError:
        if text.startswith("WRONGTYPE"):
            return UndecodableSession("what is stored under its key is no string")
        return super().error(text)

    def changed(self) -> None:
        """
        It changed the key.
        """
        if self._tracked is not None:
            self._store._tracking.landed(self._tracked, self._foreign)

    def expires(self, remaining: int) -> float | None:
        """
        When the key does.
        """
        return self._store._expires(self._key, remaining, self.sent or 0.0)

    def stored(self, raw: bytes, remaining: int) -> Stored:
        """
        What is stored now.
        """
        return Stored(raw, self.expires(remaining))


class _Load(_Scripted):
    __slots__ = ()

    def interpret(self, reply: Any) -> Stored | None:
        raw, remaining = reply
        return None if raw is None else self.stored(raw, remaining)


class _Create(_Scripted):
    __slots__ = ()

    def interpret(self, reply: Any) -> bool:
        if reply == 0:
            return False
        self.changed()
        self.expires(reply[0])
        return True


class _Replace(_Scripted):
    __slots__ = ()

    def interpret(self, reply: Any) -> Stored:
        if reply is None:
            raise NoSuchSession
        if isinstance(reply, list):
            raise SessionConflict(self.stored(*reply))
        self.changed()
        return self.stored(self._arguments[3], reply)


class _Touch(_Scripted):
    __slots__ = ()

    def interpret(self, reply: Any) -> float | None:
        if reply is None:
            raise NoSuchSession
        isDone, remaining = reply
        if isDone:
            self.changed()
        return self.expires(remaining)


class _Destroy(_Scripted):
    __slots__ = ()

    def interpret(self, reply: Any) -> bool:
        if reply is None:
            return False
        if isinstance(reply, list):
            raise SessionConflict(self.stored(*reply))
        self.changed()
        return True


def _lifetime(ttl: TTL) -> bytes:
    """
    How the scripts are told: milliseconds, with a sign for at least, or a
    word.
    """
    if ttl is KEEP:
        return b"keep"
    if ttl is FOREVER:
        return b""
    sign = b"+" if isinstance(ttl, AtLeast) else b""
    # A lifetime of nothing would be refused, and be an error of Redis.
    return b"%s%d" % (sign, max(1, round(ttl * 1000)))
