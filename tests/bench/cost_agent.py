# SPDX-License-Identifier: Apache-2.0
"""The root side of what the cost of skbnb's programs is compared with.

Run by the distribution's Python as ``cost_agent.py WAY PROBE``: a way of `WAYS`, and
the probe of skbnb's in whose place it stands. It loads its programs, and takes lines on
stdin: `start` attaches them, `stop` detaches them, and each is answered.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
sys.path.insert(0, str(CHECKOUT))


from skbnb.agent import layout  # noqa: E402
from skbnb.agent.attach import Attachment, attach, load  # noqa: E402
from skbnb.agent.compiler import compiled, expand  # noqa: E402
from skbnb.agent.loaded import Loaded  # noqa: E402
from skbnb.agent.probes import FOLLOW_TASKS, PROBES, Probe  # noqa: E402
from skbnb.agent.program import defines, symbol_constants  # noqa: E402
from skbnb.agent.symbols import kernel_symbols  # noqa: E402


class Way(NamedTuple):
    """Programs in the place of skbnb's.

    Parameters
    ----------
    source
        Their file, beside this one.
    flags
        For clang.
    """

    source: str
    flags: tuple[str, ...]


def everywhere(probe: Probe) -> tuple[Attachment, ...]:
    """Where skbnb's programs are attached."""
    return FOLLOW_TASKS + probe.attachments


WAYS = {
    "empty": Way("bare.c", ()),
    "context": Way("bare.c", ("-DBARE_CONTEXT",)),
}


def read_source(name: str) -> str:
    """The text of a C file: of ours, else of skbnb's."""
    own = HERE / name
    return (own if own.exists() else CHECKOUT / "bpf" / name).read_text()


def loaded(way: Way, probe: Probe) -> Loaded:
    """A way's programs, loaded."""
    flags = [*way.flags, *defines(symbol_constants(probe, kernel_symbols()))]
    text = expand(way.source, read_source)
    programs = Loaded(compiled(text, flags, layout.choose("auto")))
    for attachment in everywhere(probe):
        load(programs, attachment)
    return programs


def attached(
    programs: Loaded, attachments: tuple[Attachment, ...]
) -> contextlib.ExitStack:
    """What holds the programs in place."""
    with contextlib.ExitStack() as stack:
        for attachment in attachments:
            # Where it is not optional, skbnb has not taken this probe.
            with contextlib.suppress(FileNotFoundError):
                stack.callback(os.close, attach(programs, attachment))
        return stack.pop_all()


def serve(way: Way, probe: Probe) -> None:
    """Attach and detach until stdin ends."""
    programs = loaded(way, probe)
    holding = contextlib.ExitStack()
    for line in sys.stdin:
        if line == "start\n":
            holding = attached(programs, everywhere(probe))
            print("started", flush=True)
        else:
            holding.close()
            print("stopped", flush=True)


if __name__ == "__main__":
    named, taken = sys.argv[1:]
    serve(WAYS[named], next(probe for probe in PROBES if probe.name == taken))
