# SPDX-License-Identifier: Apache-2.0
"""What a check found: one line, and what to do if it is not well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CLONE", "Finding", "Verdict"]

CLONE = "clone"
"""The name of the check that decides: a clone was seen from end to end."""


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    NOTE = "note"  # one can trace without it
    FAILS = "fails"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Parameters
    ----------
    name
        What was looked at.
    verdict
        How it is.
    found
        In words.
    remedy
        A line for a shell, for what is not ``ok``; what no command can mend is a
        comment there.
    """

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""
