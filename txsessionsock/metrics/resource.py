# -*- test-case-name: tests.service.test_metrics -*-
"""
Figures for Prometheus as a resource of a site of Twisted Web, which should have a
port of its own::

    root = HealthResource(manager)
    root.putChild(b"metrics", MetricsResource(manager))
    endpoint.listen(BoundedSite(root))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from txsessionsock._arguments import checked
from txsessionsock.health import Readable, answer
from txsessionsock.manager import SessionManager

from .figures import Figures, Snapshot


__all__ = ["Exposed", "MetricsResource"]


class Exposed(Readable):
    """
    Shows figures.
    """

    def __init__(self, figures: Callable[[], Snapshot]) -> None:
        """
        @param figures: Returns those of the moment.

        @raise ImportError: What Prometheus needs is not installed.
        """
        super().__init__()
        self._figures = figures
        try:
            from .exposition import exposed  # noqa: PLC0415  # It is an extra.
        except ImportError as error:
            raise ImportError(
                "figures need prometheus-client: right is"
                ' pip install "txsessionsock[metrics]"'
            ) from error
        self._exposed = exposed

    def read(self, request: Any) -> None:
        accept = request.getHeader(b"Accept") or b""
        if isinstance(accept, bytes):
            accept = accept.decode("latin-1")
        body, kind = self._exposed(self._figures(), accept)
        answer(request, body, kind.encode("ascii"))


@checked
class MetricsResource(Exposed):
    """
    The figures of this process, as Prometheus reads them: how many sockets, sessions
    and messages there are, how long handlers and the store take, and what goes wrong.
    """

    def __init__(self, manager: SessionManager) -> None:
        """
        @param manager: Whose sessions and sockets they are about, those of all
            factories with this manager.

        @raise ImportError: What Prometheus needs is not installed.
        """
        super().__init__(Figures(manager).now)
