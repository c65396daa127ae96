# SPDX-License-Identifier: Apache-2.0
"""What records the lessons, on whatever kernel runs it: one archive for each probe."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import skbnb
from skbnb import notebook
from skbnb.lessons import probes
from skbnb.lessons.experiments import EXPERIMENTS, live
from skbnb.lessons.shell import traced_name
from skbnb.lessons.stage import LESSONS
from skbnb.session import Session
from tests.lessons import player

PATIENCE = 600  # an emulated processor takes that long to compile

_trace = notebook.trace


def main(folder: Path) -> None:
    """Record by each probe that `folder` has in ``asked``; what went wrong is told."""
    os.environ["XDG_CACHE_HOME"] = os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
    # Nothing to be recorded, and nothing for an emulated processor.
    vars(probes)["cost"] = lambda: None
    vars(notebook)["Session"] = functools.partial(Session, patience=PATIENCE)
    with (folder / "told").open("a", buffering=1) as told:
        for probe in json.loads((folder / "asked").read_text()):
            try:
                path = record(probe, folder, lambda line: print(line, flush=True))
                told.write(json.dumps({"made": path.name}) + "\n")
            except Exception:
                told.write(json.dumps({"failed": traceback.format_exc()}) + "\n")


def record(probe: str, folder: Path, say: Callable[[str], None]) -> Path:
    """Play all lessons and make all experiments; put their traces in one archive.

    Parameters
    ----------
    probe
        By which; ``auto`` for the best, so that the traces tell why not by another.
    """
    part = folder / "part"
    used = ""
    vars(notebook)["trace"] = functools.partial(_by, probe)
    with zipfile.ZipFile(part, "w") as archive, tempfile.TemporaryDirectory() as place:
        file = Path(place, "trace.skbt")
        for name, trace in traces():
            say(f"{probe} {name}")
            made = trace.events.attrs["skbnb"]
            used = used or made["probe"]
            assert made["probe"] == used
            assert not any(made[name] for name in ("lost", "truncated", "missed"))
            trace.save(file)
            entry = zipfile.ZipInfo(f"{name}.skbt")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes(), compresslevel=9)
    major, minor = os.uname().release.split(".")[:2]
    return part.rename(folder / f"{major}.{minor}-{used}.zip")


def _by(best: str, /, **options: Any) -> Any:
    if options.get("probe", "auto") == "auto":
        options["probe"] = best
    return _trace(**options)


def traces() -> Iterator[tuple[str, skbnb.Trace]]:
    """What there is to record, made one after the other."""
    for name in EXPERIMENTS:
        yield f"experiments/{name}", live(name)
    for lesson in LESSONS:
        if not (player.FOLDER / f"{lesson}.ipynb").exists():
            continue
        for code, _ in player.play(lesson):
            variable = traced_name(code)
            if variable and skbnb.last:
                yield f"{lesson}/{variable}", skbnb.last


if __name__ == "__main__":
    main(Path(sys.argv[1]))
