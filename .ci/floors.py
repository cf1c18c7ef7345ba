"""
The lowest versions that C{setup.py} allows, as constraints for pip: of what the
package needs and of its extras, but not of those that only work on it needs, whose
newest versions will do.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import setuptools


SETUP = Path(__file__).resolve().parent.parent / "setup.py"

_FLOOR = re.compile(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)(?:,<\w+)?")

_OURS = ("dev", "docs", "test", "webapps")


def asked(setup: Path = SETUP) -> dict[str, Any]:
    """
    @return: What a C{setup.py} tells setuptools.
    """
    given: dict[str, Any] = {}
    kept, setuptools.setup = setuptools.setup, given.update  # type: ignore[assignment]  # listens instead
    try:
        runpy.run_path(str(setup))
    finally:
        setuptools.setup = kept
    return given


def floors(given: dict[str, Any]) -> list[str]:
    """
    @return: Constraints.

    @raise ValueError: A requirement has no lowest version.
    """
    extras: dict[str, list[str]] = given["extras_require"]
    wanted = list(given["install_requires"])
    for name, requirements in extras.items():
        if name not in _OURS:
            wanted += requirements
    found = {}
    for requirement in wanted:
        match = _FLOOR.fullmatch(requirement)
        if match is None:
            raise ValueError(f"setup.py: {requirement!r} has no lowest version")
        found[match[1]] = match[2]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


if __name__ == "__main__":
    print("\n".join(floors(asked())))
