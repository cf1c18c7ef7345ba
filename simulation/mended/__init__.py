# -*- test-case-name: tests.simulation.test_mended -*-
"""
Plans of histories that once broke a rule, and do so no more.  Every run has them
happen first.

Each is a file beside this one.  Plans are kept, not seeds: what is drawn from a seed
is something else as soon as there is something new to draw.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final

from ..plan import Plan, Step
from ..rules import judged
from ..world import World, happened


__all__ = ["HERE", "Mended", "kept", "read", "replayed", "written"]

HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Mended:
    """
    A plan, and what is to be known of it.

    @ivar name: What was wrong; the name of its file.

    @ivar sentence: What was mended.

    @ivar rule: The rule that broke.

    @ivar mistake: The name of the planted mistake by which it breaks again; may be
        empty while there is none.
    """

    name: str
    sentence: str
    rule: str
    mistake: str
    plan: Plan


def written(mended: Mended) -> str:
    """
    @return: The text of a file: one step a line.
    """
    head = {
        "mended": mended.sentence,
        "mistake": mended.mistake,
        "rule": mended.rule,
    }
    lines = [f"  {_text(name)}: {_text(value)}," for name, value in head.items()]
    lines.append('  "plan": {')
    for field in fields(Plan):
        value = getattr(mended.plan, field.name)
        if field.name != "steps" and (
            field.default is MISSING or value != field.default
        ):
            lines.append(f"    {_text(field.name)}: {_text(value)},")
    lines.append('    "steps": [')
    steps = (
        f"      {_text([each.what, each.who, each.pause, *each.more])}"
        for each in mended.plan.steps
    )
    return "\n".join(["{", *lines, ",\n".join(steps), "    ]", "  }", "}"]) + "\n"


def _text(value: Any) -> str:
    return json.dumps(value)


def read(name: str, text: str) -> Mended:
    """
    @param name: That of the file, without its end.

    @raise ValueError: The plan has what is not known here: a field, or a step.
    """
    content = json.loads(text)
    raw = content["plan"]
    _check(name, raw)
    steps = tuple(
        Step(what, who, pause, _tuples(more))
        for what, who, pause, *more in raw.pop("steps")
    )
    values = {field: _tuples(value) for field, value in raw.items()}
    plan = Plan(**values, steps=steps)
    return Mended(name, content["mended"], content["rule"], content["mistake"], plan)


def _check(name: str, raw: dict[str, Any]) -> None:
    todo = (
        f"Change simulation/mended/{name}.json, or have it found again:"
        f" python -m simulation.mistakes --keep {name}"
    )
    known = {field.name for field in fields(Plan)}
    for each in raw:
        if each not in known:
            raise ValueError(f"{name}: a plan has no field {each!r} any more. {todo}")
    for field in fields(Plan):
        isNeeded = field.default is MISSING and field.default_factory is MISSING
        if isNeeded and field.name not in raw:
            raise ValueError(
                f"{name}: a plan needs {field.name!r}, which this has not."
                " Give it a default in plan.py: what was before there was that field."
            )
    for what, *_ in raw["steps"]:
        if not hasattr(World, f"_{what}"):
            raise ValueError(f"{name}: no world has a step {what!r} any more. {todo}")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def kept(directory: Path = HERE) -> list[Mended]:
    """
    @return: All that are kept, by name.

    @raise ValueError: See L{read}.
    """
    files = sorted(directory.glob("*.json"))
    return [read(each.stem, each.read_text("utf-8")) for each in files]


def replayed(plans: list[Mended]) -> Iterator[tuple[Mended, str | None]]:
    """
    Have each happen.

    @return: Each, with the rule that it breaks again, and why; L{None} for none.
    """
    for each in plans:
        breaches = judged(each.plan, happened(each.plan).history).breaches
        yield each, str(breaches[0]) if breaches else None
