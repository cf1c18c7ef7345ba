"""
Packages of Node.js that tests run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import which
from typing import Any

import pytest


__all__ = ["installedByNpm", "lacking"]

_ROOT = Path(__file__).parents[2]


def lacking(directory: Path) -> str | None:
    """
    What is to be done before a program of Node.js runs; L{None} if nothing.

    @param directory: Where its C{package-lock.json} is.
    """
    if which("node") is None:
        return "no Node.js: install nodejs and npm"
    wanted = _versions(directory / "package-lock.json")
    there = _versions(directory / "node_modules" / ".package-lock.json")
    if wanted == there:
        return None
    return f"run npm ci in {os.path.relpath(directory, _ROOT)}"


def installedByNpm(directory: Path) -> Any:
    """
    Skip tests where packages are missing, or others than those of the lock.
    """
    reason = lacking(directory)
    return pytest.mark.skipif(reason is not None, reason=str(reason))


def _versions(lock: Path) -> dict[str, str]:
    try:
        packages = json.loads(lock.read_text("utf-8"))["packages"]
    except FileNotFoundError:
        return {}
    # Without the program itself, and what other systems would have.
    return {
        path: package["version"]
        for path, package in packages.items()
        if path and not package.get("optional")
    }
