# SPDX-License-Identifier: Apache-2.0
"""What a guest tells: a line of JSON for each thing that happens in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = "tests/"


class Told:
    """What one guest has told so far.

    Parameters
    ----------
    path
        The file that ``inside.py`` writes.

    Attributes
    ----------
    about
        What it runs: its ``kernel`` and the agent's ``userland``. Empty until it is up.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._tests: dict[str, list[str]] = {}
        self._results: dict[tuple[str, str], dict[str, Any]] = {}
        self._status: dict[str, int] = {}
        self.about: dict[str, str] = {}

    def more(self) -> Iterator[str]:
        """Read what is new, and give a line about each of it."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            said = json.loads(line)
            if "way" in said:
                yield f"{said['way']} {self._take(said['way'], said)}"
            else:
                self.about = said
                yield f"is up: {', '.join(said.values())}"

    def _take(self, way: str, said: dict[str, Any]) -> str:
        if "tests" in said:
            self._tests[way] = said["tests"]
            return f"has {len(said['tests'])} tests"
        if "test" in said:
            self._results[way, said["test"]] = said
            name = said["test"].removeprefix(TESTS)
            line = f"{name} {said['outcome']} in {said['seconds']} s"
            return "\n".join([line, *said.get("said", "").splitlines()])
        self._status[way] = said["status"]
        return f"pytest ended with status {said['status']}"

    def verdict(self, way: str, test: str) -> str | None:
        """Why a test failed, its parameters taken together.

        Returns
        -------
        str or None
            Empty if it passed; None while it may yet.
        """
        known = self._tests.get(way, [])
        wanted = [(way, name) for name in known if _is_part(name, TESTS + test)]
        came = [self._results[key] for key in wanted if key in self._results]
        if wanted and len(came) == len(wanted):
            return "\n\n".join(filter(None, map(_why, came)))
        if way not in self._status:
            return None
        return (
            f"{len(came)} results of {len(wanted)} came before the guest's pytest "
            f"ended with status {self._status[way]}"
        )


def _is_part(name: str, test: str) -> bool:
    return name == test or name.startswith((f"{test}[", f"{test}::"))


def _why(said: dict[str, Any]) -> str:
    if said["outcome"] == "passed":
        return ""
    return f"{said['test']} {said['outcome']} in the guest\n{said['text']}"
