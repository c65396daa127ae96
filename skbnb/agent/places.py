# SPDX-License-Identifier: Apache-2.0
"""Where packets were, in names: of network namespaces, and of control groups.

In a container that shares the host's process ids these are still the host's: what the
agent does not see in its own file system, it sees in that of the first process.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from typing import Iterator

from ..wire import MAX_CONTROL
from . import syscalls

# Processes whose file systems are looked at.
_VIEWS = (b"/proc/self", b"/proc/1")

# Where a namespace is given a name: by `ip netns` and container engines, by Docker.
_NETNS_FOLDERS = (b"/root/run/netns", b"/root/run/docker/netns")

# Of these, what any user may list.
_OPEN_FOLDERS = _NETNS_FOLDERS[:1]

_ROOT_ID = 1  # of a hierarchy's root (kernfs_create_root() of fs/kernfs/dir.c)

# Bytes that a table may take of a SYMBOLS frame.
_ROOM = MAX_CONTROL // 4


# ------------------------------------------------------------------ namespaces


def namespaces(sees_all: bool) -> dict[str, str]:
    """Inode number -> name of each network namespace that has one.

    For who may not see all: only of those that are named where any user may look.

    A name is a file that a namespace is mounted on, or a link to one; the first counts.
    """
    kernels_own = os.stat("/proc/self/ns/pid").st_dev
    found: dict[str, str] = {}
    folders = _NETNS_FOLDERS if sees_all else _OPEN_FOLDERS
    for view, folder in itertools.product(_VIEWS, folders):
        for entry in _entries(view + folder):
            with contextlib.suppress(OSError):
                about = entry.stat()
                # Else it is what was left of a name.
                if about.st_dev == kernels_own:
                    found.setdefault(str(about.st_ino), _text(entry.name))
    return found


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def at_any_time(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """What had a name when the trace began or when it ended.

    The kernel gives the number of a namespace that has ended to another. A number that
    had two names has none: which of the two a packet was in, it does not tell.
    """
    both = {**before, **after}
    unchanged = {n: name for n, name in both.items() if before.get(n, name) == name}
    return _fitting(unchanged)


# ------------------------------------------------------------------ control groups


def control_groups(ids: set[int], gone: dict[int, bytes]) -> dict[str, str]:
    """Id -> path of control groups of version 2, where it is known.

    The kernel is asked for each: a walk through all of them takes the longer the more
    there are, and longest when one that is looked for is gone.

    Parameters
    ----------
    ids
        Of those that are wanted.
    gone
        The paths of those that were removed while the trace ran. One that was removed
        before, and that sockets outlived, has none.
    """
    paths: dict[int, bytes | None] = {**gone}
    top = _open_hierarchy()
    if top is not None:
        with _held(top):
            paths.update((number, _path(top, number)) for number in ids - gone.keys())
    return _fitting({str(n): _text(path) for n, path in paths.items() if path})


def _open_hierarchy() -> int | None:
    """Open the root of all control groups, where it is mounted."""
    for view in _VIEWS:
        for device, point in _mounts(view):
            with contextlib.suppress(OSError):
                folder = os.open(view + b"/root" + point, os.O_RDONLY | os.O_DIRECTORY)
                if _is_root(folder, device):
                    return folder
                os.close(folder)
    return None


def _is_root(folder: int, device: bytes) -> bool:
    # In a container often only a part of the hierarchy is mounted; and anywhere another
    # file system may be mounted over it.
    about = os.fstat(folder)
    seen = b"%d:%d" % (os.major(about.st_dev), os.minor(about.st_dev))
    return about.st_ino == _ROOT_ID and seen == device


def _mounts(view: bytes) -> list[tuple[bytes, bytes]]:
    """Device and place of everything of type cgroup2 (proc_pid_mountinfo(5))."""
    try:
        with open(view + b"/mountinfo", "rb") as file:
            lines = [line.partition(b" - ") for line in file]
    except OSError:
        return []
    mounts = [left.split(b" ") for left, _, kind in lines if kind[:8] == b"cgroup2 "]
    return [(fields[2], _unescaped(fields[4])) for fields in mounts]


def _unescaped(path: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), path)


def _path(top: int, number: int) -> bytes | None:
    with contextlib.suppress(OSError), _held(
        syscalls.open_kernfs_folder(top, number)
    ) as group:
        path = _where(group)[len(_where(top)) :]
        # One that has gone since is said to be at "PATH (deleted)".
        if os.stat(b"." + path, dir_fd=top).st_ino == number:
            return path or b"/"
    return None


@contextlib.contextmanager
def _held(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _where(descriptor: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % descriptor)


# ------------------------------------------------------------------ both


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _fitting(names: dict[str, str]) -> dict[str, str]:
    """As many as a frame has room for; the others stay unknown."""
    sizes = itertools.accumulate(
        len(json.dumps({number: name})) for number, name in names.items()
    )
    return {
        number: name
        for (number, name), size in zip(names.items(), sizes)
        if size <= _ROOM
    }
