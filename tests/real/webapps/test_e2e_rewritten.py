"""
The real web applications, at work on sessions that sockets wrote: they change
one key, and nothing else counts as changed.
"""

from __future__ import annotations

import pytest

from tests.support.rewritten import REWRITERS
from tests.support.servers import inReactor
from txsessionsock.session.merge import same as isEqual


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=rewriter.application.marks)
        for name, rewriter in REWRITERS.items()
    ],
)
@inReactor
async def test_rewritten(name: str) -> None:
    """
    What an application writes again is the same, and as it was recorded.
    """
    rewriter = REWRITERS[name]
    sent, stored, rewritten = (await rewriter.rewrite()).datas()
    assert rewriter.framework.same(sent, rewritten)
    assert rewriter.framework.same(sent, stored)
    assert isEqual(rewritten, rewriter.recorded().datas()[2])
