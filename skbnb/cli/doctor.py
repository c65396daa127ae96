# SPDX-License-Identifier: Apache-2.0
"""``skbnb doctor``: every check as a line, as soon as it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..doctor import Machine, Report, diagnose
from ..doctor.report import lines

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(given: argparse.Namespace) -> int:
    """Print the findings; 0 if one can trace here."""
    report = Report()
    for finding in diagnose(Machine()):
        report.findings.append(finding)
        if not given.json:
            print("\n".join(lines(finding)), flush=True)
    print(report.json() if given.json else f"\n{report.verdict()}")
    return 0 if report.usable else 1
