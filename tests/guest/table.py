# SPDX-License-Identifier: Apache-2.0
"""The results of all guests as a Markdown table: what works where."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

from tests.guest.settings import ITS_OWN, SETTINGS, Case, Setting

BEGIN, END = "<!-- kernels -->", "<!-- /kernels -->"

_PLACE = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.S)
_WAYS = list(dict.fromkeys(way for s in SETTINGS.values() for way in s.runs))


def markdown(
    passed: Mapping[Case, bool], about: Mapping[str, Mapping[str, str]]
) -> str:
    """A row for each setting, a column for each way, and the date.

    Parameters
    ----------
    passed
        Whether each test did.
    about
        By setting, what its guest told: ``kernel`` and ``userland``.
    """
    titles = ["other tests" if way == ITS_OWN else way for way in _WAYS]
    rows = [
        ["kernel", "the agent's userland", *titles],
        ["---"] * (len(_WAYS) + 2),
        *(_row(s, passed, about.get(s.name, {})) for s in SETTINGS.values()),
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", f"Tests that passed on {datetime.date.today()}."])


def _row(
    setting: Setting, passed: Mapping[Case, bool], about: Mapping[str, str]
) -> list[str]:
    kernel = about.get("kernel", setting.kernel)
    extras = ["its headers"] * setting.headers + [f"`{word}`" for word in setting.boot]
    extras += [f"{setting.cpus} processors"] * (setting.cpus > 1)
    return [
        " with ".join([kernel, *extras]),
        about.get("userland", "none: it did not come up"),
        *(_cell(passed, setting.name, way) for way in _WAYS),
    ]


def _cell(passed: Mapping[Case, bool], setting: str, way: str) -> str:
    here = [
        yes
        for case, yes in passed.items()
        if (case.setting, case.way) == (setting, way)
    ]
    if all(here):
        return f"✓ {len(here)}" if here else ""
    return f"✗ {sum(here)} of {len(here)}"


def check(path: Path) -> None:
    """See that `put` will find its place in a file.

    Raises
    ------
    ValueError
        There is none, or several.
    """
    places = len(_PLACE.findall(path.read_text()))
    if places != 1:
        raise ValueError(f"{path} has {places} places between {BEGIN} and {END}")


def put(path: Path, table: str) -> None:
    """Replace what a file has between `BEGIN` and `END`."""
    path.write_text(_PLACE.sub(lambda _: f"\n{table}\n\n", path.read_text()))
