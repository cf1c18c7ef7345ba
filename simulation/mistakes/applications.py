# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Mistakes in new ids, in pages, and in what becomes of what applications empty or give
to somebody else.
"""

from __future__ import annotations

from typing import Final

from .mistake import Mistake


__all__ = ["MISTAKES"]

MISTAKES: Final = (
    Mistake(
        "a new id is given without looking what became of the old session",
        "manager/moving.py",
        "live.storage.destroy(live.key, copied.raw)",
        "live.storage.destroy(live.key)",
        ("newIdTakesAlong",),
    ),
    Mistake(
        "what others stored when the id changed is not copied again",
        "manager/moving.py",
        "        _copy(live, other.live)\n        await other.save()\n",
        "        if not tries:\n            _copy(live, other.live)\n        await other.save()\n",
        ("newIdTakesAlong",),
    ),
    Mistake(
        "a new id leaves the old session where it is",
        "manager/moving.py",
        "        await live.absorb(conflict.current)\n        return False\n",
        "        await live.absorb(conflict.current)\n        return True\n",
        ("newIdTakesAlong",),
    ),
    Mistake(
        "a new id is told as the end of the session",
        "manager/moving.py",
        'return keeper.live.retire("moved")',
        'return keeper.live.retire("destroyed")',
        ("movedIsTold",),
    ),
    Mistake(
        "who has the old id is not told when the page is answered",
        "web/page.py",
        "        if self._goTo(PageState.OVER):\n"
        "            self._gone()\n"
        "            self._tell()\n",
        "        if self._goTo(PageState.OVER):\n            self._gone()\n",
        ("logoutMeansLogout",),
    ),
    Mistake(
        "a page is answered before its changes are stored",
        "web/page.py",
        "                await self._session.save()\n            except",
        "                self._session.save().addErrback(lambda _: None)\n            except",
        ("pagesAreHeld",),
    ),
    Mistake(
        "a logout is answered before the session is gone",
        "web/page.py",
        "            await ended.destroy()\n",
        "            ended.destroy().addErrback(lambda _: None)\n",
        ("pagesAreHeld", "anOutageLogsNoBrowserOut"),
    ),
    Mistake(
        "a page that finds the store away begins a session",
        "web/serving.py",
        "    except (InvalidCredential, NoSuchSession):\n        pass\n",
        "    except (InvalidCredential, SessionError):\n        pass\n",
        ("anOutageLogsNoBrowserOut",),
    ),
    Mistake(
        "an outage takes the cookie away",
        "web/answer.py",
        "        for name, value in refusal.headers():\n",
        '        headers.addRawHeader(b"Set-Cookie", b"connect.sid=; Max-Age=0")\n'
        "        for name, value in refusal.headers():\n",
        ("anOutageLogsNoBrowserOut",),
    ),
    Mistake(
        "a page shows the session as a socket had it",
        "manager/reading.py",
        "        return self._live.asking.limit(self.fromNow())\n",
        "        if self._live.isLoaded and self._live.reason is None:\n"
        "            from twisted.internet.defer import succeed\n\n"
        "            return succeed(None)\n"
        "        return self._live.asking.limit(self.fromNow())\n",
        ("pagesAreFresh", "onlyWithASession", "fresh"),
    ),
    Mistake(
        "a change outside of a handler waits for the next handler",
        "session/session.py",
        "        self._copy.assign(key, value)\n"
        "        if not self.keeper.isHandling:\n",
        "        self._copy.assign(key, value)\n        if False:\n",
        ("outsideIsStored",),
    ),
    Mistake(
        "a session that is somebody else's is merged",
        "session/record.py",
        "        if self._isAnother(they, self._person if we is None else we):\n",
        "        if False:\n",
        ("othersSessionsAreTheirs",),
    ),
    Mistake(
        "who logs in after somebody else was logged in has that one's session",
        "session/record.py",
        "        if self._isAnother(they, self._person if we is None else we):\n",
        "        if self._isAnother(they, we):\n",
        ("othersSessionsAreTheirs",),
    ),
    Mistake(
        "a session that is somebody else's now stays open",
        "manager/live.py",
        '                self.end("replaced")\n',
        "",
        ("othersSessionsAreTheirs", "nothingUnexpected"),
    ),
    Mistake(
        "what an application empties is filled again",
        "session/journal.py",
        "        if not theirs or isBare or wasEmpty:\n",
        "        if isBare or wasEmpty:\n",
        ("emptiedStaysEmpty",),
    ),
    Mistake(
        "what a function did before it failed is kept",
        "session/attempt.py",
        "        trial: dict[str, Any] = detached(before)\n"
        "        result = self.f(trial)\n",
        "        trial: dict[str, Any] = before\n        result = self.f(trial)\n",
        ("nothingComesOfNothing", "noUpdateIsLost"),
    ),
    Mistake(
        "what an application empties is filled by a node that did not see that",
        "session/journal.py",
        "        if not theirs or isBare or wasEmpty:\n",
        "        if not theirs or isBare:\n",
        ("emptiedStaysEmpty",),
    ),
    Mistake(
        "a node that finds a session empty does not say so when it fills it",
        "session/journal.py",
        "        isEmpty = self._isEmptied or self._isFoundEmpty\n",
        "        isEmpty = self._isEmptied\n",
        ("emptiedStaysEmpty",),
    ),
)
