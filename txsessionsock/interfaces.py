"""
The boundaries between session stores, web frameworks and sockets.

This module holds interfaces, the values that cross them and the errors they
may fail with.  It contains no logic, imports nothing else from this package
and does not import the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, NewType

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


__all__ = [
    "FOREVER",
    "KEEP",
    "TTL",
    "AtLeast",
    "BusFull",
    "ClientGone",
    "ConnectRefused",
    "CookieAttributes",
    "Document",
    "EndReason",
    "IBus",
    "IFramework",
    "ISessionStore",
    "ISharedStore",
    "ISignedCookies",
    "ITableStore",
    "IWatchableStore",
    "IncrementError",
    "InvalidCredential",
    "InvalidReason",
    "Lifetime",
    "NoSuchSession",
    "SecondSession",
    "SessionConflict",
    "SessionError",
    "SessionID",
    "SessionReadOnly",
    "SessionReplaced",
    "StoreError",
    "StoreFailure",
    "StoreRefusal",
    "StoreTimeout",
    "StoreUnavailable",
    "Stored",
    "TooManySockets",
    "UndecodableSession",
    "UnencodableSession",
]


SessionID = NewType("SessionID", str)
"""
What tells one session from all others, without signature.  Whoever knows it
holds the session, so it is never logged.
"""


class Lifetime(Enum):
    """
    The lifetimes that are no number of seconds.
    """

    FOREVER = "forever"
    KEEP = "keep"


FOREVER: Final = Lifetime.FOREVER
"""
The session does not end by itself.
"""

KEEP: Final = Lifetime.KEEP
"""
Leave the deadline as it is.
"""

TTL = float | Lifetime
"""
How long a session lives from now on: seconds, L{AtLeast} so many seconds,
L{FOREVER} or L{KEEP}.
"""


class AtLeast(float):
    """
    A number of seconds that puts the deadline of a session off, and never
    brings it forward: if it is later already, it stays.
    """

    __slots__ = ()


InvalidReason = Literal[
    "missing", "malformed", "bad-signature", "unknown", "expired", "timeout"
]
"""
Why a handshake has no session.
"""


EndReason = Literal["destroyed", "expired", "replaced", "moved"]
"""
Why a session ended: somebody logged out, its time was up, it is somebody
else's now, or it goes on under another id.
"""


class SessionError(Exception):
    """
    The common base of everything that can go wrong with a session.
    """


class NoSuchSession(SessionError):
    """
    The session does not exist: it was never there, it was destroyed, or it
    has expired.
    """


class SessionReplaced(SessionError):
    """
    The session is somebody else's now; nothing was merged into it.
    """


class SessionReadOnly(SessionError, TypeError):
    """
    The session lives in the browser, where no socket can change it.
    """

    def __init__(self) -> None:
        super().__init__("this session lives in the browser and cannot be changed here")


class SessionConflict(SessionError):
    """
    The store holds other bytes than those that were to be replaced.

    @ivar current: What it holds.
    """

    def __init__(self, current: Stored) -> None:
        super().__init__("the session was changed by somebody else")
        self.current = current


class InvalidCredential(SessionError):
    """
    What came with a handshake names no session.

    @ivar reason: Why; the word that C{sinvalid} gets.
    """

    def __init__(self, reason: InvalidReason) -> None:
        super().__init__(reason)
        self.reason: InvalidReason = reason


class UndecodableSession(SessionError):
    """
    The stored bytes are not a session of this framework.  The message says
    what is wrong and never shows the bytes.
    """


class UnencodableSession(SessionError):
    """
    Something was put into a session that its framework, or its store, cannot
    store.  The message says where in the session it is, of which type, and what
    can be stored instead; it never shows the value.

    @ivar keys: Under which keys; they have their stored values again.
    """

    def __init__(self, message: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys


class IncrementError(SessionError, TypeError):
    """
    A key that is to be incremented holds something that is no number.
    """


class TooManySockets(SessionError):
    """
    The session has as many sockets in this process as it may have.
    """


class SecondSession(SessionError):
    """
    The client named another session than before on the same connection.
    """


class ConnectRefused(SessionError):
    """
    The application does not let the client in, though it has a session.

    @ivar message: What the client is told, as the message of its error.

    @ivar data: The same as the data of its error: JSON; L{None} for none.
    """

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class ClientGone(SessionError):
    """
    The client left before it sent what a handler waits for.
    """


class BusFull(SessionError):
    """
    So much waits for other nodes to answer that nothing more was sent.
    """


class StoreFailure(SessionError):
    """
    The store could not be asked, or not be understood.  This says nothing
    about whether a session exists.
    """


class StoreUnavailable(StoreFailure):
    """
    The store cannot be reached; nothing was sent to it.
    """


class StoreTimeout(StoreFailure):
    """
    The store did not answer in time; what it did is unknown.

    @ivar isDone: Whether it was done, if the store learns that later: then
        this is set before anything is answered that was asked later.
    """

    isDone: bool | None = None


class StoreError(StoreFailure):
    """
    The store said no.
    """


class StoreRefusal(StoreError):
    """
    The store takes no such value, whoever gives it, and stored nothing: in
    PostgreSQL's C{jsonb}, text with U+0000.  Who changed a session so is told
    L{UnencodableSession}.
    """


@dataclass(frozen=True, slots=True)
class Stored:
    """
    A session as its store holds it.

    @ivar raw: The exact bytes.

    @ivar expires: When it ends, in seconds since the epoch, or L{None} if it
        does not end by itself.
    """

    raw: bytes = field(repr=False)
    expires: float | None


@dataclass(frozen=True, slots=True)
class Document:
    """
    A session as its framework understands it.

    @ivar data: What the application keeps in it.

    @ivar envelope: What the framework keeps beside that, to go back as it
        came.

    @ivar known: What the framework has written before, and nobody has changed in
        place since.  Where the very same objects are in C{data}, they need no
        check again before they are written.
    """

    data: dict[str, Any] = field(repr=False)
    envelope: dict[str, Any] = field(repr=False)
    known: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class ISessionStore(Interface):
    """
    A place where sessions are kept: bytes by key.

    Every method returns a L{Deferred} that, beside what its docstring says,
    may fail with L{StoreUnavailable}, L{StoreTimeout} or L{StoreError}, and
    with L{UndecodableSession} if what is stored is nothing that a session can
    be read from, such as a value of another type under its key; C{create} and
    C{replace} also with L{StoreRefusal}.  What failed with L{StoreTimeout} is
    done, if at all, before anything is answered that was asked later: else
    nobody could find out.  A store keeps no copies of its own.
    """

    def load(key: str) -> Deferred[Stored | None]:
        """
        Read one session.

        @return: A L{Deferred} that fires with the session, or with L{None} if
            there is none or it has expired.
        """

    def create(key: str, raw: bytes, ttl: TTL) -> Deferred[bool]:
        """
        Store a new session.

        @param ttl: Seconds, or L{FOREVER}.

        @return: A L{Deferred} that fires with L{False} if the key is taken,
            in which case nothing was stored.
        """

    def replace(key: str, old: bytes, new: bytes, ttl: TTL) -> Deferred[Stored]:
        """
        Store C{new}, if what is stored is exactly C{old}.  Never creates.

        @param ttl: With L{AtLeast}, the deadline is compared as it is when
            C{new} is stored: others may have put it off.

        @return: A L{Deferred} that fires with the session as stored.  It
            fails with L{SessionConflict} if other bytes are stored, and with
            L{NoSuchSession} if nothing is.
        """

    def touch(key: str, ttl: TTL) -> Deferred[float | None]:
        """
        Set the deadline anew and leave the bytes alone.

        @param ttl: See L{replace}.

        @return: A L{Deferred} that fires with the new deadline in seconds
            since the epoch, L{None} for never.  It fails with
            L{NoSuchSession} if nothing is stored.
        """

    def destroy(key: str, old: bytes | None = None) -> Deferred[bool]:
        """
        End the session.

        @param old: If given, end it only if exactly this is stored.

        @return: A L{Deferred} that fires with L{False} if it was gone
            already.  It fails with L{SessionConflict} if something else is
            stored than C{old}.
        """


class IWatchableStore(ISessionStore):
    """
    A store that can tell what others do to its sessions.
    """

    def watch(key: str, changed: Callable[[str], None]) -> Callable[[], None]:
        """
        Call C{changed} with the key after each write, touch, delete or expiry
        of the session that did not go through this store object, and whenever
        such a change may have been missed.  Never called from within a call
        of this store's other methods, L{fence} apart.

        What is watched is to be read by L{load}, and again after each report:
        only then need the next change be reported.

        @return: A function that stops the watching.
        """

    def fence(key: str) -> Deferred[None]:
        """
        Wait until every such change made before this call was reported.

        @return: A L{Deferred} that fires then.  It fails with
            L{StoreUnavailable} while the store cannot see changes.
        """


class ISharedStore(ISessionStore):
    """
    A store whose sessions web applications write too: programs that know
    nothing of us, and that write whole sessions as they once read them.  What
    they overwrite of our changes, a manager stores again.
    """


class ITableStore(ISharedStore):
    """
    A store whose place holds the web application's sessions and nothing else, such
    as its table: what is no session may not be put there.
    """


@dataclass(frozen=True)
class CookieAttributes:
    """
    What a browser is told of a session cookie, beside its name, its value and
    its lifetime (RFC 6265bis, section 4.1.2; C{Partitioned} is of CHIPS,
    C{Priority} of Chromium).

    @ivar domain: The host to which the cookie is sent, and to those below it;
        L{None} for the host that sets it alone.

    @ivar path: To which paths it is sent; L{None} for those beside the page
        that sets it.

    @ivar secure: Whether it is sent over https only; L{None}: if it is set
        over https.

    @ivar httpOnly: Whether it is kept from scripts.

    @ivar sameSite: Whether it is sent with requests from other sites; L{None}
        to say nothing of that.

    @ivar partitioned: Whether it is another one within each other site.

    @ivar priority: Which of too many cookies are dropped first; L{None} to say
        nothing of that.
    """

    domain: str | None = None
    path: str | None = "/"
    secure: bool | None = None
    httpOnly: bool = True
    sameSite: Literal["Strict", "Lax", "None"] | None = "Lax"
    partitioned: bool = False
    priority: Literal["Low", "Medium", "High"] | None = None


class IFramework(Interface):
    """
    How one web framework keeps its sessions: cookie, key, encoding, lifetime.

    Implementations are pure: no clock (C{now} is seconds since the epoch),
    no input or output.
    """

    cookieName: str = Attribute("The name of the session cookie.")
    firstCookieWins: bool = Attribute(
        "Which of two cookies of one name the framework takes."
    )
    readOnly: bool = Attribute(
        "Whether sessions live in the browser, where no socket can change them."
    )
    rolling: bool = Attribute(
        "Whether every answer renews a cookie that has a lifetime, and not only"
        " one after a change."
    )

    def sessionID(cookieValue: str, now: float) -> SessionID:
        """
        Verify the value of a session cookie.

        @raise InvalidCredential: It is C{malformed}, its signature is wrong
            (C{bad-signature}) or it is too old (C{expired}).
        """

    def cookieValue(sessionID: SessionID) -> str:
        """
        The value of the cookie that names the session, signed and encoded as
        it stands in a C{Set-Cookie} header.
        """

    def cookieLifetime(document: Document, now: float) -> float | None:
        """
        For how many seconds the browser shall keep the cookie; L{None} until
        it is closed.
        """

    def cookieAttributes(document: Document) -> CookieAttributes:
        """
        What else the browser is told of the cookie: what the web application
        tells it.  A cookie with another domain, path or partition is another
        cookie.
        """

    def newSessionID() -> SessionID:
        """
        An id that nobody can guess.
        """

    def newDocument(now: float, like: Document | None = None) -> Document:
        """
        An empty session, as the framework would begin one.

        @param like: The session in whose place it comes: its cookie has the
            same attributes.
        """

    def key(sessionID: SessionID) -> str:
        """
        Under which key the store holds the session.
        """

    def loads(raw: bytes, now: float) -> Document:
        """
        Decode what is stored.

        @raise UndecodableSession: It is no session of this framework.

        @raise NoSuchSession: It says that the session was ended.
        """

    def dumps(document: Document, now: float) -> bytes:
        """
        Encode a session; the inverse of C{loads}, apart from what the
        framework itself refreshes with each write.

        @raise UnencodableSession: A value cannot be stored.
        """

    def lifetime(document: Document, now: float) -> TTL:
        """
        The lifetime to store together with a write.
        """

    def touchLifetime(document: Document, now: float) -> TTL:
        """
        What a visit that changes nothing does to the lifetime; L{KEEP} for
        nothing.
        """

    def identity(data: dict[str, Any]) -> object:
        """
        Who is logged in, L{None} for nobody.  Two people are never equal.
        """

    def same(one: object, other: object) -> bool:
        """
        Whether two values are one and the same to the applications of this
        framework: where one was stored, it may store the other, though nothing
        was changed.
        """

    def isEnded(data: dict[str, Any]) -> bool:
        """
        Whether the framework ends a session when an application leaves no
        more than this in it.

        @param data: The session without what this library keeps there.
        """


class ISignedCookies(IFramework):
    """
    A framework whose sessions live in the browser (L{IFramework.readOnly}), in
    a cookie that is signed.  Its value is the id, the key and what is stored.
    """

    def deadline(sessionID: SessionID) -> float | None:
        """
        When the cookie is too old, in seconds since the epoch; L{None} for
        never.

        @raise InvalidCredential: It is not signed by us.
        """


class IBus(Interface):
    """
    Brings commands to all nodes of an application, the own one too.

    A node is an object that provides this; one serves one
    L{Hub<txsessionsock.hub.Hub>}.
    """

    node: str = Attribute("The id of this node; a new one each time it starts.")

    def handle(answer: Callable[[bytes], bytes]) -> None:
        """
        Take part: have every command answered by a function, this node's own
        among them.  To be called once.

        @param answer: Raises L{ValueError} for a command that it does not
            understand.
        """

    def request(command: bytes) -> Deferred[dict[str, bytes | None]]:
        """
        Have a command answered by all nodes.  Commands of one node come to
        each node in the order in which they were requested, and to itself
        before this returns, unless it is called from within L{handle}'s
        function.

        @return: A L{Deferred} that fires with the answer of each node; with
            L{None} for one that did not understand the command or did not
            answer in time, where it is unknown whether the command came.  It
            fails with L{StoreUnavailable} if other nodes cannot be reached
            and with L{BusFull} if too much waits for answers; then no node
            got the command.  It fails with another L{StoreFailure} if it is
            unknown which other nodes did.

        @raise ValueError: The command is too long.
        """

    def close() -> Deferred[None]:
        """
        Take part no more.  What waits for answers gets L{None} for the nodes
        that did not give one.

        @return: A L{Deferred} that fires when no other node expects anything
            of this one.
        """
