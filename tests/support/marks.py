"""
The marks of the tests in a directory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


__all__ = ["marking"]


def marking(conftest: str, *marks: str) -> Callable[[list[pytest.Item]], None]:
    """
    @param conftest: The file that says what the tests beside it need.

    @param marks: What they get.

    @return: The hook C{pytest_collection_modifyitems} of that file.
    """
    directory = Path(conftest).parent

    def mark(items: list[pytest.Item]) -> None:
        for item in items:
            if item.path.is_relative_to(directory):
                for name in marks:
                    item.add_marker(name)

    return mark
