# SPDX-License-Identifier: Apache-2.0
"""How often BPF programs ran and for how long, by the kernel's own statistics."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skbnb.agent import syscalls

# enum bpf_cmd and enum bpf_stats_type of include/uapi/linux/bpf.h
_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _ENABLE_STATS = 13, 15, 32
_STATS_RUN_TIME = 0


class _Info(ctypes.Structure):
    # struct bpf_prog_info of include/uapi/linux/bpf.h, up to what is asked for here
    _fields_ = (
        ("up_to_name", ctypes.c_uint8 * 64),
        ("name", ctypes.c_char * 16),
        ("up_to_runs", ctypes.c_uint8 * 112),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Runs:
    """What programs of one name have run.

    Parameters
    ----------
    count
        How often.
    ns
        Nanoseconds in them, and in reading the clock.
    skipped
        How often one did not run, because it was running on that CPU already.
    """

    count: int = 0
    ns: int = 0
    skipped: int = 0

    def __add__(self, other: Runs) -> Runs:
        return Runs(
            self.count + other.count,
            self.ns + other.ns,
            self.skipped + other.skipped,
        )

    def __sub__(self, other: Runs) -> Runs:
        return Runs(
            self.count - other.count,
            self.ns - other.ns,
            self.skipped - other.skipped,
        )


@contextlib.contextmanager
def enabled() -> Iterator[None]:
    """Have the kernel time BPF programs while the block runs (since Linux 5.8).

    It does so while a file descriptor is open: in whatever way this process ends, the
    kernel is left as it was.
    """
    fd = syscalls.bpf(_ENABLE_STATS, struct.pack("=I", _STATS_RUN_TIME))
    try:
        yield
    finally:
        os.close(fd)


def runs(pid: int) -> dict[str, Runs]:
    """What the programs that a process holds have run since they were loaded.

    Returns
    -------
    dict of str to Runs
        By the names that the kernel has for them: 15 characters at most.
    """
    found: defaultdict[str, Runs] = defaultdict(Runs)
    for number in _programs(pid):
        info = _info(number)
        found[info.name.decode()] += Runs(
            info.run_cnt, info.run_time_ns, info.recursion_misses
        )
    return found


def runs_since(before: dict[str, Runs], pid: int) -> dict[str, Runs]:
    """Those that have run since an earlier `runs`, and what."""
    passed = {name: now - before[name] for name, now in runs(pid).items()}
    return {name: ran for name, ran in passed.items() if ran.count}


def _programs(pid: int) -> set[int]:
    # Ids of the programs themselves; what attaches one has its id, too, but no type.
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            lines = path.read_text().splitlines()
            said = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if "prog_type" in said:
                found.add(int(said["prog_id"]))
    return found


def _info(number: int) -> _Info:
    info = _Info()
    fd = syscalls.bpf(_PROG_GET_FD_BY_ID, struct.pack("=IIII", number, 0, 0, 0))
    try:
        # The kernel writes the length back, into bytes that nobody else has.
        syscalls.bpf(
            _OBJ_GET_INFO_BY_FD,
            struct.pack("=IIQ", fd, ctypes.sizeof(info), ctypes.addressof(info)),
        )
    finally:
        os.close(fd)
    return info
