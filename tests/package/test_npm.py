"""
Tests for L{tests.support.npm}.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.npm import lacking


def test_locks() -> None:
    """
    Packages may come from any registry.
    """
    root = Path(__file__).parents[2]
    locks = list(root.glob("tests/e2e/webapps/*/package-lock.json"))
    assert locks
    locks += root.glob("examples/webapps/*/package-lock.json")
    locks += root.glob("examples/*/package-lock.json")
    locks.append(root / "tests/node/package-lock.json")
    locks.append(root / "benchmarks/peers/package-lock.json")
    for lock in locks:
        packages = json.loads(lock.read_text("utf-8"))["packages"]
        assert len(packages) > 2
        assert not any("resolved" in package for package in packages.values()), lock


def test_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Packages have to be there, and be those of the lock; what only some systems
    have may be missing.
    """
    (tmp_path / "node").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    modules = tmp_path / "node_modules"
    modules.mkdir()
    lock, there = tmp_path / "package-lock.json", modules / ".package-lock.json"
    program, a = {"name": "program"}, {"version": "1.0.0"}
    optional = {"version": "2.0.0", "optional": True}
    wanted = {"": program, "node_modules/a": a, "node_modules/b": optional}
    lock.write_text(json.dumps({"packages": wanted}))
    assert str(lacking(tmp_path)).startswith("run npm ci in ")
    for packages, isEnough in [
        ({"node_modules/a": a}, True),
        ({"node_modules/a": a, "node_modules/b": optional}, True),
        ({"node_modules/a": {"version": "1.0.1"}}, False),
        ({"node_modules/a": a, "node_modules/c": a}, False),
        ({}, False),
    ]:
        there.write_text(json.dumps({"packages": packages}))
        assert (lacking(tmp_path) is None) is isEnough, packages
    monkeypatch.setenv("PATH", "")
    assert "install nodejs" in str(lacking(tmp_path))
