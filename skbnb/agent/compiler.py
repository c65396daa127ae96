# SPDX-License-Identifier: Apache-2.0
"""From the C files to a ``bcc.BPF`` object: one text, and the headers that it needs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from typing import Any, Callable, Iterator

from ..errors import BccError, ProbeError
from . import kheaders, messages
from .layout import Layout

__all__ = ["compiled", "expand", "import_bcc"]

# Seconds after which nobody compiles any more.
_OLD = 60


def import_bcc() -> Any:
    """The distribution's bcc, told apart from PyPI's package of that name."""
    try:
        import bcc
    except ImportError as error:
        raise BccError(
            f"{os.path.realpath('/proc/self/exe')} has no BCC ({error})"
        ) from None
    if not hasattr(bcc, "BPF"):
        raise BccError(
            f"the module bcc at {getattr(bcc, '__file__', '?')} is not BCC but PyPI's "
            "package of that name",
            "Run `pip uninstall bcc`, then install python3-bpfcc (Debian, Ubuntu), "
            "python3-bcc (Fedora) or python-bcc (Arch).",
        )
    return bcc


def compiled(text: str, flags: list[str], layout: Layout) -> Any:
    """A ``bcc.BPF`` object of a C text.

    Parameters
    ----------
    text
        All of it: BCC sees no other file of ours.
    flags
        For clang.
    layout
        Where the kernel's members lie.

    Raises
    ------
    ProbeError
        It does not compile, or this kernel does not take it.
    """
    include = kheaders.user_include_flags()
    flags = [*flags, *layout.flags, *include, "-Wno-everything"]
    with stub_headers() if layout.name == "btf" else contextlib.nullcontext():
        try:
            return import_bcc().BPF(text=text, cflags=flags)
        except Exception as error:
            said = messages.take_error() or str(error)
            raise ProbeError(f"does not load: {said}") from error


@contextlib.contextmanager
def stub_headers() -> Iterator[None]:
    """Point BCC at stub headers, which is enough where the layout is from BTF."""
    _remove_left()
    # Its name says whose it is.
    with tempfile.TemporaryDirectory(prefix=f"skbnb-{os.getpid()}-") as folder:
        kheaders.write(folder)
        os.environ["BCC_KERNEL_SOURCE"] = folder
        try:
            yield
        finally:
            del os.environ["BCC_KERNEL_SOURCE"]


def _remove_left() -> None:
    """Remove the folders of agents that were killed while they compiled."""
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            named = re.fullmatch(r"skbnb-(\d+)-\w+", entry.name)
            if named and _is_left(entry, named[1]):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str], pid: str) -> bool:
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    # In a container another's processes are not seen: not what may be in use.
    is_old = time.time() - about.st_mtime > _OLD
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    return ours and is_old and not os.path.exists(f"/proc/{pid}")


def expand(name: str, read_source: Callable[[str], str]) -> str:
    """One text of a C file and the files of ``bpf/`` that it includes.

    BCC rewrites only the main file, so includes cannot be left to clang; ``#line``
    keeps its messages right.
    """
    lines = [f'#line 1 "bpf/{name}"']
    for number, line in enumerate(read_source(name).splitlines(), 1):
        include = re.match(r'#include "(\w+\.h)"', line)
        if include:
            lines.append(expand(include.group(1), read_source))
            lines.append(f'#line {number + 1} "bpf/{name}"')
        else:
            lines.append(line)
    return "\n".join(lines)
