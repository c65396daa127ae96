# SPDX-License-Identifier: Apache-2.0
"""The recordings that are shipped: one archive for each kernel and probe."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LessonError
from ..transport import ReplayTransport
from .words import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config import Request
    from ..traces import Trace
    from ..wire import Frame

__all__ = [
    "EXPERIMENTS",
    "FOLDER",
    "NoRecording",
    "Recording",
    "recording",
    "recordings",
]

FOLDER = Path(__file__).parent / "recordings"

EXPERIMENTS = "experiments"
"""The folder, in each archive, of what `check` measures; the others are lessons'."""


@dataclass(frozen=True)
class Recording:
    """All traces of the lessons, as one kernel and one probe gave them.

    Parameters
    ----------
    name
        Kernel and probe, as in ``6.1-fentry``.
    path
        The archive.
    """

    name: str
    path: Path

    @property
    def words(self) -> str:
        """As in ``Linux 6.1 by fentry``."""
        kernel, _, probe = self.name.partition("-")
        return f"Linux {kernel} by {probe}"

    def by(self, probe: str) -> Recording:
        """Itself, if it is by this probe (empty for any); else another that is."""
        names = [self.name, *recordings()]
        return recording(next(name for name in names if name.endswith(probe)))

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Names of traces, by lesson; and of experiments."""
        names: dict[str, list[str]] = {}
        with zipfile.ZipFile(self.path) as archive:
            for entry in archive.namelist():
                folder, _, file = entry.partition("/")
                names.setdefault(folder, []).append(file.removesuffix(".skbt"))
        return {folder: sorted(found) for folder, found in names.items()}

    def transport(self, folder: str, name: str | None) -> ReplayTransport | NoRecording:
        """What replays one trace of a lesson, or one of the experiments."""
        names = self.names.get(folder, [])
        if name in names:
            return ReplayTransport(zipfile.Path(self.path, f"{folder}/{name}.skbt"))
        return NoRecording(folder, name, names)

    def trace(self, folder: str, name: str) -> Trace:
        """One of its traces, loaded.

        Raises
        ------
        LessonError
            It has none of that name.
        """
        from .. import notebook

        with notebook.trace(transport=self.transport(folder, name)) as trace:
            pass
        return trace


class NoRecording:
    """In the place of a recording that there is none of: says so when it is asked."""

    usable = True

    def __init__(self, folder: str, name: str | None, names: list[str]) -> None:
        self._error = LessonError(
            f"{folder} has no recording {name!r}" if name else "a trace without a name",
            f"On recordings, write -o and one of {', '.join(names)}."
            if names
            else "Trace live.",
        )

    def start(self, request: Request) -> None:
        """Say that there is none."""
        raise self._error

    def frames(self) -> Iterator[Frame]:
        """Nothing ever comes."""
        raise self._error

    def stop(self) -> None:
        """Nothing is to be stopped."""

    def close(self) -> None:
        """Nothing is to be closed."""


def recordings() -> list[str]:
    """Names of the recordings that are shipped: kernel and probe, ``6.1-fentry``."""
    return sorted(path.stem for path in FOLDER.glob("*.zip"))


def recording(name: str | None = None) -> Recording:
    """One of the recordings that are shipped.

    Parameters
    ----------
    name
        Which of `recordings`; by default the first.

    Raises
    ------
    LessonError
        There is none of that name.
    """
    names = recordings()
    if not names:
        raise LessonError(f"the recordings are missing from {FOLDER}", "Install again.")
    if name is None:
        return recording(names[0])
    if name not in names:
        raise unknown("recording", name, names)
    return Recording(name, FOLDER / f"{name}.zip")
