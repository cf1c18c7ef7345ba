"""
Installs what C{make dist} built as users do, each in an environment of its own, and
has it work there; and has the source distribution pass its tests.

    python .ci/dist.py dist build/dist tests
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path


_CODE = """
import sys
from pathlib import Path
import txsessionsock
found = Path(txsessionsock.__file__)
assert found.is_relative_to(sys.prefix), found
assert (found.parent / "static" / "sessionsock.js").is_file()
"""

_IN_MEMORY = "not (browser or e2e or packaging or postgresql or redis or webapps)"


def run(*command: str | Path, cwd: Path) -> str:
    """
    @return: What a program printed that must succeed, and finds nothing of this
        directory.
    """
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"{' '.join(map(str, command))}: {done.returncode}")
    return done.stdout


def install(built: Path, at: Path, *extras: str) -> Path:
    """
    Install into a new environment, and see that it works there.

    @return: Where its programs are.
    """
    venv.create(at, clear=True, with_pip=True)
    binaries, elsewhere = at / "bin", at / "elsewhere"
    elsewhere.mkdir()
    wanted = f"{built}[{','.join(extras)}]" if extras else str(built)
    pip = (binaries / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", wanted, cwd=elsewhere)
    run(binaries / "python", "-c", _CODE, cwd=elsewhere)
    usage = run(binaries / "twistd", "sessionsock", "--help", cwd=elsewhere)
    if "--listen" not in usage:
        raise SystemExit(f"{built.name}: twistd does not know its options")
    print(f"{built.name}: installed, and twistd knows it", flush=True)
    return binaries


def passTests(source: Path, binaries: Path, at: Path, *tests: str) -> None:
    """
    Have tests in a source distribution pass, of those that need memory only, as
    somebody runs them who packages it.
    """
    shutil.rmtree(at, ignore_errors=True)
    with tarfile.open(source) as archive:
        archive.extractall(at, filter="data")
    (unpacked,) = at.iterdir()
    options = ("-n", "2", "--dist", "worksteal", "--ignore", "tests/real")
    pytest = (binaries / "python", "-m", "pytest", "-q", *options)
    profile = ("--hypothesis-profile", "quick")
    said = run(*pytest, *profile, "-m", _IN_MEMORY, *tests, cwd=unpacked)
    print(f"{source.name}: {said.rstrip().rpartition(chr(10))[2]}")


def main(dist: Path, scratch: Path, *tests: str) -> None:
    (wheel,) = dist.glob("*.whl")
    (source,) = dist.glob("*.tar.gz")
    install(wheel, scratch / "wheel")
    binaries = install(source, scratch / "source", "test")
    passTests(source, binaries, scratch / "unpacked", *tests)


if __name__ == "__main__":
    main(*(Path(each).resolve() for each in sys.argv[1:3]), *sys.argv[3:])
