# SPDX-License-Identifier: Apache-2.0
"""Who holds a socket open, for sockets that nobody used while a trace ran."""

from __future__ import annotations

import os
import re
from typing import Iterable, Iterator, NamedTuple

_SOCKET = re.compile(r"socket:\[(\d+)\]")


class Holder(NamedTuple):
    """A process."""

    pid: int
    comm: bytes


def processes() -> list[int]:
    """Every process's id, from the lowest."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def holders(inodes: set[int], pids: Iterable[int]) -> dict[int, Holder]:
    """Socket inode -> the process that has it open; the first of `pids` that has."""
    found: dict[int, Holder] = {}
    for pid in pids:
        if len(found) == len(inodes):
            break
        for inode in _sockets(pid):
            if inode in inodes and inode not in found:
                found[inode] = Holder(pid, _comm(pid))
    return found


def _sockets(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # it ended, or it is no business of ours
        return
    for name in names:
        try:
            match = _SOCKET.fullmatch(os.readlink(f"{folder}/{name}"))
        except OSError:
            continue
        if match:
            yield int(match.group(1))


def _comm(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().rstrip(b"\n")
    except OSError:
        return b""
