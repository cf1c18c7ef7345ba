# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
Planted mistakes: small changes of the library, each of which somebody could make.
World and checker are to see them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


__all__ = ["MISTAKES", "ROOT", "Mistake"]

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mistake:
    """
    A text of the library, and what is put in its place.

    @ivar rules: Which rules may break by that.
    """

    name: str
    file: str
    old: str
    new: str
    rules: tuple[str, ...]

    def plant(self, root: Path) -> None:
        """
        Make it, in a copy of the library.

        @raise ValueError: The text is not there, or not once: the library has
            changed, and this has to follow.
        """
        path = root / "txsessionsock" / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: its text is {text.count(self.old)} times in"
            )
        path.write_text(text.replace(self.old, self.new), "utf-8")


MISTAKES: Final = (
    Mistake(
        "a fence not waited for",
        "manager/storage.py",
        "        return self._ask(self._store.fence, key, timeout=self.timeout / 2)\n",
        "        from twisted.internet.defer import succeed\n\n"
        "        return succeed(None)\n",
        ("fresh",),
    ),
    Mistake(
        "a fence that failed is taken for passed",
        "manager/reading.py",
        "        except StoreFailure:\n            self.sight.lost()\n",
        "        except StoreFailure:\n            pass\n",
        ("fresh",),
    ),
    Mistake(
        "a report during a load is taken for heeded",
        "manager/reading.py",
        "            await live.absorb(await answer)\n"
        "            self.sight.heeded(reports)\n",
        "            await live.absorb(await answer)\n"
        "            self.sight.heeded(self.sight.reports)\n",
        ("fresh", "logoutMeansLogout"),
    ),
    Mistake(
        "a deleted session is created again",
        "manager/saving.py",
        "        except NoSuchSession:\n"
        "            live.endGone()\n"
        "            raise\n"
        "        except StoreRefusal",
        "        except NoSuchSession:\n"
        "            await self._storage.create(live.key, attempt.new, 86400.0)\n"
        "            stored = Stored(attempt.new, None)\n"
        "        except StoreRefusal",
        ("neverBack",),
    ),
    Mistake(
        "an answer is not held",
        "clients/outbox.py",
        "        number = self._unsaved()\n",
        "        number = None\n",
        ("answersAreHeld", "noUpdateIsLost"),
    ),
    Mistake(
        "a held answer goes out when something earlier is stored",
        "clients/outbox.py",
        "self._held[0][0] <= number:\n",
        "self._held[0][0] <= number + 1:\n",
        ("answersAreHeld", "noUpdateIsLost"),
    ),
    Mistake(
        "a write in doubt is taken for not done",
        "manager/saving.py",
        "            live.record.timedOut(attempt, error)\n"
        "            await self._findOut(error)\n"
        "            if not live.record.hasStored(attempt):\n",
        "            live.record.refused(attempt)\n            if True:\n",
        ("incrementsCountOnce",),
    ),
    Mistake(
        "the socket of a session that ended stays open",
        "clients/client.py",
        '            self._notify("sdestroyed", conversation.session, reason)\n'
        '            self.closeNow(code, f"session-{reason}")\n',
        '            self._notify("sdestroyed", conversation.session, reason)\n',
        ("logoutMeansLogout",),
    ),
    Mistake(
        "an outage is told as a session that is missing",
        "clients/client.py",
        "        if failure.check(NoSuchSession, SessionReplaced):\n"
        '            self._invalid("unknown")\n'
        "        elif failure.check(SecondSession):\n",
        "        if failure.check(NoSuchSession, SessionReplaced, StoreFailure):\n"
        '            self._invalid("unknown")\n'
        "        elif failure.check(SecondSession):\n",
        ("anOutageIsNoLogout",),
    ),
    Mistake(
        "a session that nobody holds is watched for ever",
        "manager/reading.py",
        "        self._unwatch()\n        self.sight.unwatched()\n",
        "        self.sight.unwatched()\n",
        ("nothingIsLeft",),
    ),
    Mistake(
        "the latest message is handled first",
        "clients/inbox.py",
        "        waiting = self._waiting.popleft()\n",
        "        waiting = self._waiting.pop()\n",
        ("inOrder",),
    ),
)
