"""
Makes a package for npm of the script for browsers: C{make npm}.

    python .ci/npm.py build/npm

The script in it is the one of the Python package, byte for byte; as a module it is
the same text, with a line before it and two behind.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "txsessionsock" / "static"

# The script hands its class to a module of CommonJS, if it finds one.
_BEFORE = """\
// sessionsock.js as a module.
const module = { exports: {} };
"""

_BEHIND = """
const SessionSocket = module.exports;
export { SessionSocket, SessionSocket as default };
"""

_TYPES = "export = SessionSocket;\nexport as namespace SessionSocket;\n"


def version(setup: str) -> str:
    """
    @param setup: The text of C{setup.py}.
    """
    (found,) = re.findall(r'^    version="(.+)",$', setup, re.MULTILINE)
    return str(found)


def module(script: str) -> str:
    """
    @return: The script as a module, which leaves nothing outside of it.
    """
    return f"{_BEFORE}{script}{_BEHIND}"


def moduleTypes(types: str) -> str:
    """
    @return: Its types.

    @raise ValueError: They end otherwise than they used to.
    """
    if not types.endswith(_TYPES):
        raise ValueError(f"sessionsock.d.ts does not end with {_TYPES!r}")
    types = types.removesuffix(_TYPES)
    return f"{types}export {{ SessionSocket, SessionSocket as default }};\n"


def manifest(package: str, setup: str) -> str:
    """
    @return: C{package.json} with the version that the Python package has.
    """
    given = json.loads(package)
    whole = {"name": given.pop("name"), "version": version(setup), **given}
    return json.dumps(whole, indent=2) + "\n"


def build(folder: Path) -> None:
    """
    Make the package, in place of what is in the folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (
        STATIC / "sessionsock.js",
        STATIC / "sessionsock.d.ts",
        ROOT / "npm" / "README.md",
        ROOT / "LICENSE",
    ):
        shutil.copyfile(path, folder / path.name)
    script, types, package, setup = (
        path.read_text("utf-8")
        for path in (
            STATIC / "sessionsock.js",
            STATIC / "sessionsock.d.ts",
            ROOT / "npm" / "package.json",
            ROOT / "setup.py",
        )
    )
    for name, text in (
        ("sessionsock.mjs", module(script)),
        ("sessionsock.d.mts", moduleTypes(types)),
        ("package.json", manifest(package, setup)),
    ):
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
