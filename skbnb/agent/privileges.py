# SPDX-License-Identifier: Apache-2.0
"""What the agent gives up, before anyone asks: most of what root may do."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct

from . import memory, syscalls

__all__ = ["KEPT", "give_up"]

# Number in include/uapi/linux/capability.h, and what for.
KEPT = {
    "DAC_READ_SEARCH": (2, "open files of other users in /proc, and control groups"),
    "IPC_LOCK": (14, "memory of perf buffers"),
    "SYS_PTRACE": (19, "who has a socket open"),
    "SYSLOG": (34, "addresses of the kernel's functions"),
    "PERFMON": (38, "programs that read the kernel's memory, and attaching them"),
    "BPF": (39, "programs and maps"),
}

# Before Linux 5.8 the last two were a part of this. Debian's and Ubuntu's kernels let
# nobody without it call perf_event_open(2), where this setting is above 2.
SYS_ADMIN = 21
_PARANOID = "/proc/sys/kernel/perf_event_paranoid"

# include/uapi/linux/prctl.h
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_CAPABILITY_VERSION_3 = 0x20080522

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

_libc = ctypes.CDLL(None, use_errno=True)


def give_up() -> None:
    """Keep only what tracing needs, for this process and all that it may start.

    What needs more is done first: limits are raised, and what only root can open is.
    """
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    os.chdir("/")
    os.umask(0o077)
    _raise_limits()
    syscalls.hold_file_systems()
    with contextlib.suppress(OSError):  # there may be none
        memory.hold_pagemap()
    last = _number_in("/proc/sys/kernel/cap_last_cap")
    kept = {number for number, _ in KEPT.values() if number <= last}
    if len(kept) < len(KEPT) or _number_in(_PARANOID) > 2:
        kept.add(SYS_ADMIN)
    _keep(kept, last)


def _raise_limits() -> None:
    # Each attachment is a file or two.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Before Linux 5.11 programs and maps count as locked memory.
    with contextlib.suppress(ValueError, OSError):
        infinite = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinite, infinite))


def _number_in(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def _keep(kept: set[int], last: int) -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    with contextlib.suppress(PermissionError):  # of one who may not even give up
        for number in set(range(last + 1)) - kept:
            _prctl(_PR_CAPBSET_DROP, number)
    permitted = sum(1 << number for number in kept) & _permitted()
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    # struct __user_cap_header_struct, and twice effective, permitted, inheritable
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)))


def _permitted() -> int:
    with open("/proc/self/status", "rb") as file:
        lines = dict(line.split(b":", 1) for line in file)
    return int(lines[b"CapPrm"], 16)


def _prctl(option: int, argument: int) -> None:
    none = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(argument), none, none, none))


def _check(result: int) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
