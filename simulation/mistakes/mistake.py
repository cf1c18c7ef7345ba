# -*- test-case-name: tests.simulation.test_mistakes -*-
"""
What a planted mistake is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final


__all__ = ["ROOT", "Mistake"]

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mistake:
    """
    A text of the library, and what is put in its place.

    @ivar rules: Which rules may break by that.
    """

    name: str
    file: str
    old: str
    new: str
    rules: tuple[str, ...]

    def planted(self, text: str) -> str:
        """
        @param text: What is in the file.

        @return: The same with the mistake.

        @raise ValueError: The text is not there, or not once: the library has
            changed, and this has to follow.
        """
        number = text.count(self.old)
        if number != 1:
            raise ValueError(f"{self.name}: its text is {number} times in {self.file}")
        return text.replace(self.old, self.new)

    def plant(self, root: Path) -> None:
        """
        Make it, in a copy of the library.

        @raise ValueError: See L{planted}.
        """
        path = root / "txsessionsock" / self.file
        path.write_text(self.planted(path.read_text("utf-8")), "utf-8")
