"""
The types of the client script.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import txsessionsock
from tests.support.npm import lacking


STATIC = Path(txsessionsock.__file__).parent / "static"
TYPES = (STATIC / "sessionsock.d.ts").read_text("utf-8")
PAGE = (Path(__file__).parents[3] / "docs" / "browser.md").read_text("utf-8")
PROJECT = Path(__file__).parents[2] / "node"

_MEMBERS = """
const SessionSocket = require(process.argv[1]);
const members = Object.getOwnPropertyNames(SessionSocket.prototype);
globalThis.WebSocket = class {};
const socket = new SessionSocket("ws://localhost/");
console.log(JSON.stringify({
  class: [...members, ...Object.keys(socket)].filter((name) => !name.startsWith("_")),
  options: Object.keys(socket._options),
  defaults: socket._options,
  events: [...socket._listeners.keys()],
}));
process.exit();
"""


def names(head: str) -> set[str]:
    """
    What a class or an interface of the types has.
    """
    block = TYPES.partition(head)[2].partition("\n}" if head[0] == "d" else "\n  }")[0]
    found = re.findall(r"^ +(?:readonly )?([a-z]\w*)\??[(<:]", block, re.MULTILINE)
    assert found, head
    return set(found)


@pytest.mark.skipif(lacking(PROJECT) is not None, reason=str(lacking(PROJECT)))
@pytest.mark.e2e
def test_compiles() -> None:
    """
    A TypeScript compiler takes what is right, in a module and in a page's
    script, and refuses each line that is marked as wrong.
    """
    compiler = PROJECT / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", compiler, "-p", PROJECT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js: install nodejs")
def test_complete() -> None:
    """
    They name what the script has, and no more; the page of the documentation
    says its defaults.
    """
    ran = subprocess.run(
        ["node", "-e", _MEMBERS, STATIC / "sessionsock.js"],
        capture_output=True,
        text=True,
        check=True,
    )
    script = json.loads(ran.stdout)
    defaults = script.pop("defaults")
    types = {
        "class": names("declare class SessionSocket") - {"event", "f"},
        "options": names("interface Options"),
        "events": names("interface Events"),
    }
    assert types == {kind: set(found) for kind, found in script.items()}
    documented = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE, re.MULTILINE)
    said = {
        name: value
        for names, values in documented
        for name, value in zip(names.split(", "), values.split(", "), strict=False)
    }
    for name, value in defaults.items():
        found = said[f"`{name}`"].strip("`")
        assert found == ("none" if value == [] else json.dumps(value)), name
    assert said["`sid`"] == "none"
