# SPDX-License-Identifier: Apache-2.0
"""All checks in their order, from what all else needs to a clone seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import SkbnbError
from . import checks, tracing
from .finding import CLONE, Finding, Verdict
from .machine import Machine

__all__ = ["CHECKS", "diagnose", "make"]

Check = Callable[[Machine], Iterator[Finding]]

# What a check is about, if it cannot say itself; and the check.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("kernel", checks.kernel),
    ("libraries", checks.libraries),
    ("widgets", checks.widget_manager),
    ("BCC", checks.bcc),
    ("PyPI's bcc", checks.wrong_bcc),
    ("C headers", checks.c_headers),
    ("compile", checks.compiling),
    ("BTF", checks.struct_layout),
    ("tracefs", checks.tracefs),
    ("kptr_restrict", checks.symbols),
    ("lockdown", checks.lockdown_level),
    ("memlock", checks.memory_lock),
    ("agent", checks.agent),
    ("probes", tracing.probes),
    (CLONE, tracing.trace),
)


def diagnose(machine: Machine) -> Iterator[Finding]:
    """Make every check, whatever becomes of the others.

    Yields
    ------
    Finding
        One after the other, as they are made.
    """
    for name, check in CHECKS:
        yield from make(name, check, machine)


def make(name: str, check: Check, machine: Machine) -> Iterator[Finding]:
    """Make one check; what it raises is a finding, too."""
    try:
        yield from check(machine)
    except SkbnbError as error:
        advice = checks.remedy(machine, error)
        yield Finding(name, Verdict.FAILS, str(error.args[0]), advice)
    except Exception as error:
        found = f"this check itself went wrong: {type(error).__name__}: {error}"
        advice = "skbnb doctor --json  # and report it, please"
        yield Finding(name, Verdict.FAILS, found, advice)
