# SPDX-License-Identifier: Apache-2.0
"""Read many inputs: ``python -m tests.fuzz TARGET FIRST COUNT``.

Prints what came of them, as JSON. An input is known by its target and its number:
``python -m tests.fuzz TARGET NUMBER > FILE`` writes one. ``python -m tests.fuzz TARGET
kept`` reads those that are kept in ``corpus/``.
"""

from __future__ import annotations

import collections
import importlib
import json
import mmap
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")

# Bytes, beyond what is in use at the beginning: no length that is forged gets more.
_MEMORY = 512 << 20


def numbered(name: str, target: Any, numbers: range) -> Iterator[tuple[str, bytes]]:
    """Inputs that are made from their numbers."""
    for number in numbers:
        yield str(number), target.make(Random(f"{name} {number}"))


def kept(name: str) -> Iterator[tuple[str, bytes]]:
    """Inputs that something went wrong with once."""
    for path in sorted((CORPUS / name).glob("*")):
        yield path.name, path.read_bytes()


def read_all(target: Any, inputs: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """How many of them were read, and how many refused, by the error."""
    came: collections.Counter[str] = collections.Counter()
    # Which it is, in a file that outlives a crash.
    now = int(os.environ.get("FUZZ_NOW") or os.memfd_create("now"))
    for name, data in inputs:
        os.pwrite(now, f"{name}\n".encode(), 0)
        try:
            target.read(data)
        except target.REFUSALS as error:
            came[type(error).__name__] += 1
        else:
            came["read"] += 1
    return came


def limit_memory() -> None:
    """Let what takes much more than now fail."""
    with open("/proc/self/statm") as file:
        in_use = int(file.read().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _MEMORY,) * 2)


def main(name: str, first: str, count: str = "") -> None:
    """Do it."""
    assert name in TARGETS
    target = importlib.import_module(f"tests.fuzz.{name}")
    if first == "kept":
        inputs = kept(name)
    else:
        begin = int(first)
        inputs = numbered(name, target, range(begin, begin + int(count or 1)))
        if not count:
            sys.stdout.buffer.write(next(inputs)[1])
            return
    # A warning is a mistake, too: it would be shown to who opens a file.
    warnings.simplefilter("error")
    limit_memory()
    print(json.dumps(read_all(target, inputs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
