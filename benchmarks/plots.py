"""
Curves as small SVG files, for pages: readable on a phone, in light and in dark, and
also by those who see no colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape


__all__ = ["Axis", "plot"]

_WIDTH, _HEIGHT = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 58, 50

_FEW = 3
"""
With fewer steps than these, an axis has some in between, too.
"""

_STYLE = """
  svg { --back: #fff; --text: #1f2328; --line: #d0d7de; color-scheme: light dark }
  svg { --c0: #0b5cad; --c1: #b3400a; --c2: #1a7336 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --text: #e6edf3; --line: #3d444d }
    svg { --c0: #79b8ff; --c1: #ffab70; --c2: #85e89d }
  }
  text { fill: var(--text); font: 15px system-ui, sans-serif }
  .back { fill: var(--back) }
  .grid { stroke: var(--line); stroke-width: 1 }
  .mark { stroke: var(--text); stroke-width: 1; stroke-dasharray: 2 4 }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round }
"""

_COLOURS = ("--c0", "--c1", "--c2")
_DASHES = ("none", "8 4", "2 4")

_ANCHORS = ("start", "end")

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """
    @ivar title: With the unit.

    @ivar isLog: Whether each step is so many times the one before.

    @ivar steps: Where there are figures, if that does not follow from the values.
    """

    title: str
    isLog: bool = False
    steps: Sequence[float] = ()


class _Scale:
    """
    Where values are on an axis, from 0 to 1.
    """

    def __init__(self, axis: Axis, values: Iterable[float]) -> None:
        self._isLog = axis.isLog
        found = [value for value in values if value > 0 or not axis.isLog] or [1.0]
        least, most = min(found), max(found)
        self.steps = list(axis.steps)
        if not self.steps:
            self.steps = _powers(least, most) if axis.isLog else _even(most)
        self._low = self._flat(min(least, self.steps[0]) if axis.isLog else 0.0)
        self._high = self._flat(max(most, self.steps[-1]))
        if axis.steps and not axis.isLog:
            # As far from the frame as from each other.
            self._low = self.steps[0] - 0.5
            self._high = self.steps[-1] + 0.5

    def _flat(self, value: float) -> float:
        return math.log10(value) if self._isLog else value

    def place(self, value: float) -> float:
        if self._isLog and value <= 0:
            return 0.0
        whole = self._high - self._low
        return (self._flat(value) - self._low) / whole if whole else 0.5


def _powers(least: float, most: float) -> list[float]:
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    found = [10.0**power for power in range(first, max(last, first + 1) + 1)]
    if len(found) > _FEW:
        return found
    return [step * each for step in found[:-1] for each in (1, 2, 5)] + found[-1:]


def _even(most: float) -> list[float]:
    """
    From zero, by 1, 2 or 5 times a power of ten.
    """
    rough = (most or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    return [step * number for number in range(math.ceil((most or 1.0) / step) + 1)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


class _Drawing:
    def __init__(self, x: _Scale, y: _Scale) -> None:
        self._x, self._y = x, y
        self.parts: list[str] = []

    def right(self, value: float) -> float:
        return round(_LEFT + self._x.place(value) * (_WIDTH - _LEFT - _RIGHT), 1)

    def down(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - self._y.place(value) * self.tall, 1)

    tall = _HEIGHT - _TOP - _BOTTOM

    def text(self, x: float, y: float, text: str, anchor: str, more: str = "") -> None:
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
        )

    def line(self, kind: str, one: Point, other: Point) -> None:
        self.parts.append(
            f'<line class="{kind}" x1="{one[0]}" y1="{one[1]}"'
            f' x2="{other[0]}" y2="{other[1]}"/>'
        )

    def axes(self, x: Axis, y: Axis) -> None:
        floor = _HEIGHT - _BOTTOM
        for step in self._y.steps:
            here = self.down(step)
            self.line("grid", (_LEFT, here), (_WIDTH - _RIGHT, here))
            self.text(_LEFT - 6, here + 5, _figure(step), "end")
        taken = 0.0
        for step in self._x.steps:
            here, half = self.right(step), 4.5 * len(_figure(step))
            self.line("grid", (here, floor), (here, floor + 5))
            # Figures do not run into each other, nor out of the picture.
            if here - half > taken:
                middle = min(here, _WIDTH - half)
                self.text(middle, floor + 20, _figure(step), "middle")
                taken = here + half
        self.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x.title, "middle")
        self.text(6, 18, y.title, "start")

    def mark(self, number: int, value: float, label: str) -> None:
        here, row = self.right(value), _TOP - 4 - 17 * (number % 2)
        self.line("mark", (here, row - 12), (here, _HEIGHT - _BOTTOM))
        isLate = here + 9 * len(label) > _WIDTH
        self.text(here - 4 if isLate else here + 4, row, label, _ANCHORS[isLate])

    def curve(self, number: int, points: Sequence[Point], *, dotted: bool) -> None:
        places = [(self.right(x), self.down(y)) for x, y in points]
        route = " ".join(f"{x},{y}" for x, y in places)
        stroke = f"stroke: var({_COLOURS[number]})"
        self.parts.append(
            f'<polyline class="curve" points="{route}" style="{stroke};'
            f' stroke-dasharray: {_DASHES[number]}"/>'
        )
        if dotted:
            self.parts += [self._dot(number, x, y) for x, y in places]

    def _dot(self, number: int, x: float, y: float) -> str:
        fill = f'style="fill: var({_COLOURS[number]})"'
        if number == 0:
            return f'<circle cx="{x}" cy="{y}" r="4.5" {fill}/>'
        if number == 1:
            return f'<rect x="{x - 4:g}" y="{y - 4:g}" width="8" height="8" {fill}/>'
        corners = f"{x},{y - 6:g} {x + 5.5:g},{y + 4:g} {x - 5.5:g},{y + 4:g}"
        return f'<polygon points="{corners}" {fill}/>'

    def legend(self, names: Sequence[str], *, dotted: bool) -> None:
        here = 6.0
        for number, name in enumerate(names):
            style = f"stroke: var({_COLOURS[number]}); stroke-dasharray:"
            self.parts.append(
                f'<line x1="{here}" y1="36" x2="{here + 24}" y2="36"'
                f' style="{style} {_DASHES[number]}; stroke-width: 2.5"/>'
            )
            if dotted:
                self.parts.append(self._dot(number, here + 12, 36))
            self.text(here + 29, 41, name, "start")
            here += 48 + 7.7 * len(name)


def plot(
    title: str,
    x: Axis,
    y: Axis,
    curves: Mapping[str, Sequence[Point]],
    marks: Sequence[tuple[float, str]] = (),
    *,
    dotted: bool = True,
) -> str:
    """
    @param title: What those are told who do not see it.

    @param curves: At most three, by name.  One alone needs no name.

    @param marks: Where something begins.

    @param dotted: Whether there are dots at the points.

    @return: The whole file.
    """
    points = [point for curve in curves.values() for point in curve]
    drawing = _Drawing(
        _Scale(x, [point[0] for point in points]),
        _Scale(y, [point[1] for point in points]),
    )
    drawing.axes(x, y)
    for number, (value, label) in enumerate(marks):
        drawing.mark(number, value, label)
    for number, curve in enumerate(curves.values()):
        drawing.curve(number, curve, dotted=dotted)
    if len(curves) > 1:
        drawing.legend(list(curves), dotted=dotted)
    return _file(title, drawing.parts)


def _file(title: str, parts: Sequence[str]) -> str:
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>',
        *parts,
        "</svg>\n",
    ]
    return "\n".join(lines)
