"""
Tests for the installed package: what C{pip install} and C{pip install -e}
leave behind, seen from elsewhere, since a test runner that stands in the
source directory has it on C{sys.path}.

Installed into new virtual environments, which borrow the dependencies of this
one; with C{SESSIONSOCK_FRESH} set, with pip and dependencies of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest


pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.py", "pyproject.toml", "LICENSE", "README.md")
OPTIONAL = {
    "engineio",
    "hiredis",
    "hypothesis",
    "klein",
    "prometheus_client",
    "psycopg",
    "redis",
    "selenium",
    "socketio",
    "txredisapi",
}


def run(*command: str | Path, cwd: Path) -> str:
    """
    Run a program that must succeed and know nothing of this directory.

    @return: What it printed.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def copySources(to: Path) -> Path:
    """
    Copy what a distribution is made of, and nothing that was left behind by
    earlier builds.
    """
    junk = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).exists():
            to.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    for name in "txsessionsock", "twisted":
        shutil.copytree(ROOT / name, to / name, ignore=junk)
    return to


def build(source: Path, hook: str, to: Path) -> Path:
    """
    Let setuptools make a wheel.

    @param hook: C{build_wheel} or C{build_editable}, which is what
        C{pip install -e} installs.
    """
    to.mkdir()
    code = f"from setuptools.build_meta import {hook} as f; f({str(to)!r})"
    run(sys.executable, "-W", "ignore", "-c", code, cwd=source)
    (wheel,) = to.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installation:
    """
    A virtual environment with the package in it.

    @ivar binaries: Where its programs are.

    @ivar elsewhere: A directory that has nothing to do with the package.
    """

    binaries: Path
    elsewhere: Path

    def python(self, code: str) -> str:
        """
        @return: What C{code} printed.
        """
        return run(self.binaries / "python", "-c", code, cwd=self.elsewhere)

    def twistd(self, *arguments: str) -> str:
        """
        @return: What C{twistd} printed.
        """
        code = "from twisted.scripts.twistd import run; run()"
        python = self.binaries / "python"
        return run(python, "-c", code, *arguments, cwd=self.elsewhere)


def installBorrowing(source: Path, hook: str, at: Path) -> None:
    """
    Install without downloading anything.
    """
    run(sys.executable, "-m", "venv", "--without-pip", at, cwd=source)
    wheel = build(source, hook, source.parent / "wheel")
    python = at / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--quiet", "--no-index", "--no-deps")
    run(*pip, "--python", python, "install", *options, wheel, cwd=source)
    # Only now, or pip would find a package that is installed here already.  A
    # path in a .pth file: .pth files of an editable install there do not count.
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=at
    )
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    Path(site.strip(), "borrowed.pth").write_text("\n".join(sorted(paths)) + "\n")


def installFresh(source: Path, hook: str, at: Path) -> None:
    """
    Install like a user.
    """
    run(sys.executable, "-m", "venv", at, cwd=source)
    pip = (at / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    options = ("-e",) if hook == "build_editable" else ()
    run(*pip, "install", "--quiet", *options, source, cwd=source)


@pytest.fixture(scope="module", params=["build_wheel", "build_editable"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """
    The package, installed in both ways.
    """
    base = tmp_path_factory.mktemp(request.param)
    source = copySources(base / "source")
    install = installFresh if os.environ.get("SESSIONSOCK_FRESH") else installBorrowing
    install(source, request.param, base / "venv")
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    installation = Installation(base / "venv" / "bin", elsewhere)
    found = installation.python("import txsessionsock as t; print(t.__file__)")
    assert Path(found).is_relative_to(base), found
    return installation


def test_command(installed: Installation) -> None:
    """
    C{twistd} knows the command.
    """
    usage = installed.twistd("--help")
    assert "sessionsock " in usage
    assert "web " in usage, "Twisted's own commands are gone"


def test_options(installed: Installation) -> None:
    """
    The command tells what options it has.
    """
    assert "--listen" in installed.twistd("sessionsock", "--help")


def test_typed(installed: Installation) -> None:
    """
    Type checkers may believe the annotations.
    """
    code = "from importlib.resources import files as f; print(f('txsessionsock'))"
    assert Path(installed.python(code).strip(), "py.typed").exists()


def test_imports(installed: Installation) -> None:
    """
    Importing the package, or any module of it that is not for an extra alone,
    installs no reactor and loads neither a Redis client nor an extra.
    """
    code = """
import importlib, json, pkgutil, sys
import txsessionsock
alone = set(sys.modules)
found = pkgutil.walk_packages(txsessionsock.__path__, "txsessionsock.")
names = [module.name for module in found]
for name in names:
    if not name.startswith(FOR_EXTRAS):
        importlib.import_module(name)
print(json.dumps([sorted(alone), sorted(sys.modules), names]))
"""
    forExtras = tuple(
        f"txsessionsock.{name}"
        for name in (
            "_redis",
            "bus",
            "klein",
            "metrics.exposition",
            "stores._sql.attempt",
            "stores._sql.listener",
            "stores._sql.postgresql",
            "stores.redis",
            "testing.frameworkcontract",
        )
    )
    alone, everything, names = json.loads(
        installed.python(f"FOR_EXTRAS = {forExtras!r}{code}")
    )
    assert not [name for name in alone if name.startswith("twisted.internet")]
    assert "twisted.internet.reactor" not in everything
    assert not OPTIONAL.intersection(everything)
    assert "txsessionsock.interfaces" in names
    assert "txsessionsock.interfaces" in everything


def test_contents(tmp_path: Path) -> None:
    """
    All modules and data files are in a wheel, the plugin is, and nothing that
    belongs to somebody else.
    """
    source = copySources(tmp_path / "source")
    wheel = build(source, "build_wheel", tmp_path / "wheel")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "txsessionsock").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected | {"twisted/plugins/txsessionsock_plugin.py"}


def test_source(tmp_path: Path) -> None:
    """
    A source distribution has what the repository has, with all tests, and nothing
    that was left behind by earlier runs.
    """
    source = tmp_path / "source"
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    patterns = (".git", *(each.rstrip("/") for each in ignored))
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*patterns))
    expected = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file()
    }
    for name in (
        "tests/node/node_modules/some/index.js",
        "examples/migrating/node_modules/.package-lock.json",
        "tests/__pycache__/test_some.cpython-311.pyc",
        "twisted/plugins/dropin.cache",
        "build/lib/some.py",
        "dist/some.whl",
        ".venv/bin/python",
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    code = f"from setuptools.build_meta import build_sdist as f; f({str(tmp_path)!r})"
    run(sys.executable, "-W", "ignore", "-c", code, cwd=source)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {
            each.name.partition("/")[2] for each in opened.getmembers() if each.isfile()
        }
    made = {name for name in names if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert names - made == expected


def test_twistedUntouched() -> None:
    """
    Our C{twisted} has no C{__init__.py}, which would replace Twisted's own.
    """
    assert not list((ROOT / "twisted").rglob("__init__.py"))


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_noSkip(
    processes: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A skipped test fails the full run, however it was skipped, and in how many
    processes tests run.
    """
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(
        test_one="""
        import unittest, pytest
        from twisted.trial.unittest import SkipTest, SynchronousTestCase

        def test_fine(): pass

        def test_called(): pytest.skip("because")

        @pytest.mark.skip(reason="because")
        def test_marked(): pass

        @unittest.skipUnless(False, "because")
        class UnitTests(SynchronousTestCase):
            def test_it(self): pass

        class TrialTests(SynchronousTestCase):
            skip = "because"
            def test_it(self): pass

        class RaisingTests(SynchronousTestCase):
            def test_it(self): raise SkipTest("because")
        """,
        test_two="""
        import pytest
        pytest.importorskip("no_such_module")
        """,
    )
    options = ("-p", "no:cacheprovider", processes)
    monkeypatch.delenv("SESSIONSOCK_NO_SKIP", raising=False)
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1, skipped=6)
    monkeypatch.setenv("SESSIONSOCK_NO_SKIP", "1")
    result = pytester.runpytest_subprocess(*options, "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, failed=3, errors=3)
    result.stdout.fnmatch_lines("*nothing may be skipped here: *because")


def test_timed(pytester: pytest.Pytester) -> None:
    """
    While a test runs that measures time, no other process runs one.
    """
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    tests = """
        import time, pytest

        def work(kind):
            with open("log", "a") as log:
                print(kind, "begins", file=log, flush=True)
                time.sleep(0.1)
                print(kind, "ends", file=log, flush=True)

        @pytest.mark.parametrize("number", range(5))
        def test_before(number): work("usual")

        @pytest.mark.timed
        def test_timed(): work("timed")

        @pytest.mark.parametrize("number", range(5))
        def test_after(number): work("usual")
        """
    pytester.makepyfile(test_one=tests, test_two=tests)
    options = ("-p", "no:cacheprovider", "-n2", "--dist=loadfile")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=22)
    lines = (pytester.path / "log").read_text().splitlines()
    assert lines.count("timed begins") == 2
    for line, following in pairwise(lines):
        assert (line == "timed begins") is (following == "timed ends"), lines


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_asynchronousTestCase(processes: str, pytester: pytest.Pytester) -> None:
    """
    A test case that would run the reactor is refused.
    """
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(
        """
        from twisted.trial.unittest import TestCase

        class Tests(TestCase):
            def test_it(self): pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", processes)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.fnmatch_lines("*Tests: use SynchronousTestCase*")
