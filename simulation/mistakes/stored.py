# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: sessions that cannot be read, when they end, and copies of them.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "what cannot be read is written over",
        "manager/saving.py",
        "            await live.absorb(conflict.current)\n",
        "            try:\n"
        "                await live.absorb(conflict.current)\n"
        "            except UndecodableSession:\n"
        "                live.record.stored = conflict.current\n",
        ("undecodableIsLeftAlone",),
    ),
    Mistake(
        "what cannot be read is taken for gone",
        "manager/live.py",
        "            except NoSuchSession:\n"
        "                self.endGone()\n"
        "                raise\n"
        "            except SessionReplaced:\n"
        '                self.end("replaced")\n'
        "                raise\n",
        "            except SessionReplaced:\n"
        '                self.end("replaced")\n'
        "                raise\n"
        "            except SessionError:\n"
        "                self.endGone()\n"
        "                raise\n",
        ("anOutageIsNoLogout", "undecodableIsReported"),
    ),
    Mistake(
        "a client whose session cannot be read is told that it has none",
        "clients/client.py",
        "        if failure.check(NoSuchSession, SessionReplaced):\n"
        "            identification =",
        "        if failure.check(NoSuchSession, SessionReplaced, UndecodableSession):\n"
        "            identification =",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a report of what cannot be read is told to nobody",
        "manager/reading.py",
        "                self._live.holders.failed(result)\n",
        "                pass\n",
        ("undecodableIsReported",),
    ),
    Mistake(
        "an idle client is not told that its session cannot be read",
        "clients/client.py",
        "        elif isMine or self._outbox or failure.check(UndecodableSession):\n",
        "        elif isMine or self._outbox:\n",
        ("undecodableIsReported",),
    ),
    Mistake(
        "a visit sets the end of a session anew, also if it was later",
        "manager/expiry.py",
        "    return ttl if isinstance(ttl, Lifetime) else AtLeast(ttl)\n",
        "    return ttl\n",
        ("noShorterLife",),
    ),
    Mistake(
        "a write sets the end of a session anew, also if it was later",
        "manager/expiry.py",
        "            return KEEP\n        return AtLeast(ttl)\n",
        "            return ttl\n        return ttl\n",
        ("noShorterLife",),
    ),
    Mistake(
        "a copy is not deleted once more after a change",
        "stores/cached.py",
        "        doubt = self._doubt(key)\n"
        "        try:\n"
        "            await self._delete(key)\n"
        "        except StoreFailure as error:\n",
        "        doubt = self._doubt(key)\n"
        "        try:\n"
        "            pass\n"
        "        except StoreFailure as error:\n",
        ("noOldCopy", "noUpdateIsLost", "noCopyDiffers"),
    ),
    Mistake(
        "a copy that is stored late stays",
        "stores/cached.py",
        "        if not self._isClosed:\n"
        "            timer = self._timers.setdefault(key, Timer(self._reactor))\n",
        "        if key in self._timers:\n"
        "            timer = self._timers.setdefault(key, Timer(self._reactor))\n",
        ("noCopyDiffers", "noOldCopyUndoes"),
    ),
    Mistake(
        "the copy of a session that was ended stays",
        "stores/cached.py",
        "        return self._change(key, lambda: self._sessions.destroy(key, old))\n",
        "        return self._sessions.destroy(key, old)\n",
        ("noCopyDiffers",),
    ),
    Mistake(
        "what an older copy may be left of is read without deleting that",
        "stores/cached.py",
        "        await self._deleteDoubtful(key, doubt)\n        return stored\n",
        "        return stored\n",
        ("noOldCopy", "noCopyDiffers"),
    ),
    Mistake(
        "a change is answered, though its copy could not be deleted",
        "stores/cached.py",
        '            problem = f"changed, but an older copy may be left: {error}"\n'
        "            raise StoreTimeout(problem) from None\n",
        '            self._log.warn("an older copy may be left: {why}", why=error)\n',
        ("noOldCopy",),
    ),
)
