# SPDX-License-Identifier: Apache-2.0
"""What the lessons say of a name that there is not."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ..errors import LessonError
from ..units import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["unknown"]


def unknown(noun: str, name: object, names: Sequence[str]) -> LessonError:
    """An error that names what there is, and the nearest of it."""
    near = difflib.get_close_matches(str(name), names, 1)
    guess = f"Did you mean {near[0]}? " if near else ""
    asked = printable(repr(name), 60)
    hint = f"{guess}There are {', '.join(names)}."
    return LessonError(f"there is no {noun} {asked}", hint)
