"""
Who is attacked, and how well others are served meanwhile: each kind of attack
alone, and all at once, on a bare port, in a site, on two workers, and on Socket.IO.

C{python -m benchmarks.attack} in the top directory; the names of servers and of
attacks select some, C{all} is all at once, C{none} is no attack.  C{--quick} only
tries whether it works.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.attackscene import SERVERS, Found, attacks, served, under, whole


SECONDS = 12.0
"""
How long each takes: longer than a handshake may.
"""

NONE, ALL = "none", "all"

CORES = (0, 1)
"""
The processors for the server and those whom it has to serve, and for attackers.
"""

_COLUMNS = (
    *("server", "attack", "p50 ms", "p99 ms", "max ms", "lost"),
    *("join p50", "join max", "refused", "RSS before", "most", "after, MiB"),
    *("files", "after", "log lines", "log KiB", "errors", "oldest s", "what they did"),
)


def main() -> None:
    words = sys.argv[1:]
    isQuick = "--quick" in words
    servers = [word for word in words if word in SERVERS] or list(SERVERS)
    kinds = [NONE, *dict.fromkeys(each for s in servers for each in attacks(s)), ALL]
    chosen = [kind for kind in kinds if kind in words] or kinds
    wrong = set(words) - {"--quick", *servers, *chosen}
    if wrong:
        raise SystemExit(f"what is {', '.join(wrong)}? {', '.join(kinds)}")
    cores = CORES if len(os.sched_getaffinity(0)) > 1 else None
    print(f"server and good clients on one core, attackers on the other: {cores}")
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)
    for server in servers:
        for kind in chosen:
            if kind not in (NONE, ALL, *attacks(server)):
                continue
            counts = {} if kind == NONE else whole(server, *[kind] * (kind != ALL))
            if isQuick:
                counts = {each: min(count, 5) for each, count in counts.items()}
            seconds = 2.0 if isQuick else SECONDS
            print(_row(server, kind, run(server, counts, seconds, cores)), flush=True)


def run(
    server: str, counts: dict[str, int], seconds: float, cores: tuple[int, int] | None
) -> Found:
    """
    Attack a server that was just started.
    """
    with (
        TemporaryDirectory() as directory,
        served(server, Path(directory), cores and cores[0]) as target,
    ):
        return under(target, counts, seconds, cores)


def _row(server: str, kind: str, found: Found) -> str:
    joined = sorted(found.joined) or [float("inf")]
    did = found.attackers.values()
    cells: Sequence[object] = (
        server,
        kind,
        *(f"{1000 * found.share(part):.1f}" for part in (0.5, 0.99, 1.0)),
        f"{found.unanswered} {' '.join(found.lost)[:60]}".strip(),
        *(f"{1000 * time:.0f}" for time in (joined[len(joined) // 2], joined[-1])),
        f"{len(found.refused)} {' '.join(sorted(set(found.refused)))[:60]}".strip(),
        *(f"{size / 2**20:.0f}" for size in (found.before, found.peak, found.after)),
        *found.descriptors,
        found.log.count("\n"),
        f"{len(found.log) / 1024:.0f}",
        found.errors,
        f"{max((each['oldest'] for each in did), default=0.0):.1f}",
        "; ".join(
            f"{each['connected']} connected, {each['cut']} cut,"
            f" {each['sent'] / 2**20:.1f} MiB sent, {each['received'] / 2**20:.1f} read"
            for each in did
        ),
    )
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
