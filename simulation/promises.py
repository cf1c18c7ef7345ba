# -*- test-case-name: tests.simulation.test_promises -*-
"""
Which promises of docs/promises.md are no rule, and why.
"""

from __future__ import annotations

from typing import Final


__all__ = ["CHAPTERS", "UNRULED"]

CHAPTERS: Final = {
    "Socket.IO": "Its rows speak of the protocol; what is about order in them, the"
    " rows of other chapters say of all clients.",
    "Sessions of unmodified applications": "They speak of bytes, not of order.",
    "Secure as installed": "They speak of who may do what, and of bounds.",
}
"""
Chapters whose rows need no rule, though some are one.
"""

UNRULED: Final = {
    # No update is lost
    "They are given up only when others were first ten times, for as long as the store"
    " may take to answer: nothing is stored then, and nothing merged.": "Chance"
    " spreads those who are in each other's way: it hardly comes to that.",
    "Of a node that was killed, the others put back what they saw of it.": "What others"
    " had seen in time is not to be known from outside.",
    # What a client was told is stored
    "A second signal ends it at once, also while a handler blocks it.": "There are no"
    " signals here.",
    "What a session cannot hold is refused with its place and its type; everything"
    " else is stored.": "It speaks of values, not of order.",
    # Logout means logout
    "Where a framework ends sessions that are empty, taking out the last key is a"
    " logout.": "Express, which is the framework here, keeps them.",
    "After a logout, what the page had waiting to be sent is not sent as somebody"
    " else.": "That is the script's in the browser.",
    "Pages of Klein do the same for their sockets: a new id at login, and their end at"
    " logout.": "Pages here are those of Twisted Web, on which Klein's stand.",
    "After a logout there is no ticket, and none that was given before opens a"
    " socket.": "There are no tickets here.",
    # An outage is not a logout
    "A store that fails while a ticket is shown or given is 1013 and 503, and never a"
    " lack of a session.": "There are no tickets here.",
    "Whoever waits hears of an outage within one time-out of the store.": "That bound"
    " begins when the store last answered anybody, which is not to be known outside.",
    "A Redis that was killed or hangs is noticed within the time-out, also under idle"
    " sockets.": "That is our client of Redis, of which there is a model here.",
    '"Not there" is believed from no replica and from no server that became'
    " read-only.": "There are no replicas here.",
    # Fresh
    "An unchanged session costs a fence and no load, and one fence serves all who"
    " wait.": "It speaks of what that costs.",
    "Behind a connection pooler that swallows notifications, no fence is"
    " passed.": "There is no pooler here.",
    # In order
    "Whatever one client sends at once, others wait for no more than 10 ms of its"
    " handlers, or for the one at work.": "Handlers take no time here.",
    "Thousands that come, go or are cut off at once have half of the time at most, and"
    " whoever is there has the other half.": "Handlers take no time here.",
    "Of requests that one client sends in one go, others wait for one at a"
    " time.": "Handlers and pages take no time here.",
    "A session with a hundred sockets has no more of the handlers' time than a session"
    " with one.": "Handlers take no time here.",
    "Its frame is made once, and compressed once for all whose messages do not depend"
    " on those before.": "It speaks of what that costs.",
    "A client gets it once, in however many rooms it is, also where 10,000 others"
    " do.": "Ten thousand are too many here.",
    "A message to a group is encoded once, however many sockets get it.": "It speaks of"
    " what that costs.",
}
"""
Rows of all other chapters, each with the reason why no rule is it.
"""
