# SPDX-License-Identifier: Apache-2.0
"""``skbnb source``: a C program, with the files that it includes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..agent.compiler import expand
from ..agent.probes import candidates
from ..agent.ways import WAYS
from ..transport import bpf_folder

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(given: argparse.Namespace) -> int:
    """Print what BCC is given; its constants are names until it is compiled."""
    (probe,) = candidates(given.probe)
    source = WAYS[given.via].source(probe)
    print(expand(source, lambda name: (bpf_folder() / name).read_text()))
    return 0
