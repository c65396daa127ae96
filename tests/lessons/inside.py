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
from skbnb.lessons import shelf
from skbnb.lessons.experiments import EXPERIMENTS, live
from skbnb.lessons.shell import traced_name
from skbnb.lessons.stage import LESSONS
from skbnb.lessons.traffic import PROGRAMS
from skbnb.session import Session
from tests.lessons import player

OURS = {"curl", *(name[:15] for name in PROGRAMS), "racer-0", "racer-1"}
"""What may run in a recording."""

PATIENCE = 600  # an emulated processor takes that long to compile

_trace = notebook.trace


def main(folder: Path) -> None:
    """Record by each probe that `folder` has in ``asked``; what went wrong is told."""
    os.environ["XDG_CACHE_HOME"] = os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
    # Those that there are may be of a form that is no longer read.
    vars(shelf)["FOLDER"] = folder / "none"
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
            assert not any(made[what] for what in ("lost", "truncated", "missed"))
            assert is_good(trace)
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


def is_good(trace: skbnb.Trace) -> bool:
    """Whether a trace shows what the lessons sent, and nothing else of this machine."""
    return set(trace.select("all")["comm"]) <= OURS


def is_race(name: str | None, trace: skbnb.Trace) -> bool:
    """Whether a trace by the handbook's program lost calls from its count."""
    about = trace.events.attrs["skbnb"]
    one_processor = len(os.sched_getaffinity(0)) < 2
    return name != "handbook" or one_processor or about["counted"] < about["calls"]


def cell_is_good(code: str) -> bool:
    """Whether a cell that made a trace need not make another."""
    name = traced_name(code)
    if not name or not skbnb.last:
        return True
    return is_good(skbnb.last) and is_race(name, skbnb.last)


def experiment(name: str) -> skbnb.Trace:
    """Make an experiment, again where something else came in between."""
    made = (live(name) for _ in range(player.ATTEMPTS))
    return next(trace for trace in made if is_good(trace))


def traces() -> Iterator[tuple[str, skbnb.Trace]]:
    """What there is to record, made one after the other."""
    for name in EXPERIMENTS:
        yield f"experiments/{name}", experiment(name)
    for lesson in LESSONS:
        wanted = {name for name in map(traced_name, player.cells(lesson)) if name}
        playing = player.play(lesson, good=cell_is_good)
        while wanted:  # what comes after the last of them need not be played
            code, _ = next(playing)
            name = traced_name(code) or ""
            if name and skbnb.last:
                wanted.discard(name)
                yield f"{lesson}/{name}", skbnb.last
        playing.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
