# -*- test-case-name: tests.simulation.test_timeline -*-
"""
A history in words, for whoever looks for what is wrong: when, who, what.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from string import ascii_uppercase
from typing import Any, Final

from .history import Happening, History
from .messages import digits
from .queue import BEGIN, SECOND


__all__ = ["timeline"]

_STAMP: Final = "_sessionsock"
_UNTOLD: Final = {"cookie", "user", "nest", "log", _STAMP}
"""
What sessions have from their beginning, and is told only when it is not as then.
"""

_DOES: Final = {
    "raise": "sets {key} to {token} and raises an error",
    "set": "sets {key} to {token}",
    "nested": "sets {key} to {token}",
    "wait": "sets {key} to {token}, after a wait",
    "work": "sets {key} to {token}, after some work",
    "ask": "sets {key} to {token}, and will ask its client",
    "update": "calls update(), which appends {token} to the log",
    "write": "is done with its work, and writes {key}: {token}",
}

_WORDS: Final = {
    "created": "begins {session}: {data}",
    "stored": "stores {session}: {data}",
    "touched": "puts off the end of {session}",
    "deleted": "deletes {session}",
    "copied": "has a copy of {session} in the cache: {data}",
    "uncopied": "deletes the copy of {session}",
    "expired": "ends {session}: it was not visited for too long",
    "saves": "the handler of {token} calls save()",
    "fails": "the handler of {token} fails: {error}",
    "found nothing": "finds no session",
    "connects": "connects to {node}, with {session}",
    "connected": "has its session on {node}",
    "sends": "sends message {token}: {do}",
    "handles": "message {token} is handled; its handler finds {sees}",
    "takes": "message {token} is taken by the handler that asked",
    "runs": "the handler of {token} runs, and finds {finds}",
    "runs again": "the handler of {token} runs again, and finds {finds}",
    "done": "the handler of {token} is done",
    "answers": "{node} sends the answer to {token}",
    "asks": "{node} sends a question, for {token}",
    "passes on": "{node} sends what {by} told a group: {told}",
    "hears": "the browser hears {heard}",
    "is asked": "the browser hears a question, for {token}",
    "joins": "is put into room {room}; it is in: {isIn}",
    "parts": "is taken out of room {room}; it was in: {wasIn}",
    "tells": "has the hub {do} {kind} {value}: {told}",
    "gets": "gets {told} of {by}",
    "did": "did what {told} of {by} says, to {count} sockets",
    "arrives": "message {token} comes to its node",
    "reads nothing": "the browser reads nothing for {seconds} s",
    "sends word": "{node} sends {kind}",
    "is in": "the browser is in, as {sid}",
    "hangs up": "its node sends a close frame, code {code}",
    "is gone": "its node has lost the connection, code {code}",
    "replies": "the browser answers what it was asked for {token}",
    "is told": "the handler of {token} gets its answer, and finds {sees}",
    "shouts": "tells all in a room of {room}: {number}",
    "shouted": "knows that {number} was sent here",
    "carries": "{node} sends what {by} told many: {number}",
    "overhears": "the browser hears {number} of {by}",
    "reached": "hears whom {told} reached: {nodes}",
    "not reached": "hears that {told} may have reached nobody: {error}",
    "bus": "its connection to the bus is {how} for {seconds} s",
    "bus heals": "its connection to the bus is well again",
    "schanged": "is told that {keys} changed",
    "sdestroyed": "is told that its session ended: {reason}",
    "sinvalid": "is told that it has no session: {reason}",
    "serror": "is told of an error: {error}",
    "disconnect": "its last handler is called: disconnect, code {code}",
    "closes": "{node} closes it with {code}, {reason}",
    "cuts": "its node cuts it: {why}",
    "lost": "its node has lost it, code {code}",
    "leaves": "the browser closes it",
    "loses": "the network loses it",
    "ended": "the browser sees it end, code {code}",
    "trouble": "its store is {how} for {seconds} s",
    "heals": "its store is well again",
    "cut off": "loses its connection to the store",
    "killed": "is killed",
    "stops": "is told to stop",
    "stopped": "has stopped",
    "starts": "starts",
    "pauses": "stands still for {how} s",
    "slow": "is slow for {how} s",
    "jumps": "its clock jumps by {how} s",
    "reads": "reads {session}, to write it with {stamp}",
    "wrote": "knows that {token} is written",
    "rewrites": "is done with its work in {session}, which {does}",
    "puts": "the handler of {token} puts it at {key}",
    "takes out": "the handler of {token} takes {removed} out of {key}",
    "clears": "the handler of {token} takes out all",
    "gives up": "what the handler of {token} does now is to be stored nowhere",
    "asks for page": "asks {node} for a page with {session}: {do}, {token}",
    "page reads": "its page begins, with {session}, and finds {sees}",
    "page answers": "its node sends the answer, {code}",
    "page comes": "its browser has the answer, {code}",
    "page is lost": "its connection is lost",
    "logs out": "its page has ended the session",
    "left": "still has, when all is quiet: {text}",
    "error": "logs an error: {text}",
}
"""
What happens, by its word in the history.  What is not here is told as it is noted.
"""

_STAMPS: Final = {
    "ours": "the stamp that it read",
    "old": "all that it read the time before",
    "none": "no stamp",
}


def timeline(history: History) -> list[str]:
    """
    @return: One line for each event.
    """
    teller = _Teller()
    return [teller.told(each) for each in history.all]


class _Teller:
    """
    Tells one event after the other.
    """

    def __init__(self) -> None:
        # Short names of sessions, and who leaves which stamp.
        self._sessions: dict[str, str] = {}
        self._stamps: dict[str, str] = {}
        self._raw: dict[str, Callable[[Any], str]] = {
            "data": self._stored,
            "sees": self._data,
            "finds": self._data,
            "stamp": lambda stamp: _STAMPS.get(stamp, stamp),
            "keys": " and ".join,
        }

    def told(self, each: Happening) -> str:
        """
        One line.
        """
        seconds = (each.at - BEGIN) / SECOND
        return f"{seconds:10.6f}  {each.who:<8} {self._what(each)}"

    def _what(self, each: Happening) -> str:
        more = each.more
        if each.what == "changes":
            return self._change(more)
        words = _WORDS.get(each.what)
        if words is None:
            return each.said
        if each.what in ("created", "stored"):
            self._learn(each)
        key = more.get("key") or f"sess:{more.get('session')}"
        parts = {name: self._part(name, value) for name, value in more.items()}
        parts["session"] = self._session(key)
        parts["heard"] = (
            f"{more.get('told')} of {more.get('by')}"
            if "told" in more
            else f"the answer to {more.get('token')}"
        )
        try:
            return words.format(**parts)
        except KeyError:
            # Somebody notes it otherwise now.
            return each.said

    def _change(self, more: dict[str, Any]) -> str:
        if more["do"] == "increment":
            return f"the handler of {more['token']} adds 3**{more['digit']} to n"
        words = _DOES.get(more["do"], "{do} changes {key} to {token}").format(**more)
        return (
            words
            if more["do"] == "write"
            else f"the handler of {more['token']} {words}"
        )

    def _part(self, name: str, value: Any) -> str:
        tell = self._raw.get(name)
        return str(value) if tell is None or value is None else tell(value)

    def _session(self, key: str) -> str:
        number = len(self._sessions)
        letter = ascii_uppercase[number % 26]
        return f"session {self._sessions.setdefault(key, letter)}"

    def _learn(self, each: Happening) -> None:
        """
        The first who stores a stamp left it.
        """
        data = json.loads(each.more["data"])
        for stamp in data.get(_STAMP, ()):
            self._stamps.setdefault(stamp, each.who)

    def _stored(self, raw: str) -> str:
        data = json.loads(raw)
        stamps = ", ".join(
            f"{self._stamps.get(name, name)} {stamp[0]}"
            for name, stamp in data.get(_STAMP, {}).items()
        )
        return f"{self._data(data)}; {f'stamps {stamps}' if stamps else 'no stamp'}"

    def _data(self, data: dict[str, Any]) -> str:
        told = {name: value for name, value in data.items() if name not in _UNTOLD}
        told |= {name: data[name] for name in ("nest", "log") if data.get(name)}
        if "n" in told:
            powers = [
                f"{'' if often == 1 else f'{often} * '}3**{digit}"
                for digit, often in enumerate(digits(told["n"]))
                if often
            ]
            told["n"] = " + ".join(powers)
        return ", ".join(f"{name} {value}" for name, value in told.items()) or "nothing"
