# SPDX-License-Identifier: Apache-2.0
"""Files that take the place of others, of which somebody may still read.

A file that is mapped must not become shorter: who reads on behind its end is killed.
So none that may be mapped is emptied here; another one takes its name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from typing import BinaryIO

__all__ = ["is_regular", "new", "whole"]


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there, and neither a pipe nor a device."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def new(path: str | os.PathLike[str]) -> FileIO:
    """An empty file of this name, unbuffered; to be read, too, if it is no pipe.

    Raises
    ------
    OSError
        There cannot be one.
    """
    if os.path.exists(path) and not is_regular(path):
        return open(path, "wb", buffering=0)
    mode = _mode(path)
    # Where only the file may be changed, and not the folder, it is emptied after all.
    with contextlib.suppress(OSError):
        os.unlink(os.path.realpath(path))
    file = open(path, "w+b", buffering=0)  # noqa: SIM115 (the caller's)
    if mode is not None:
        os.fchmod(file.fileno(), mode)
    return file


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file that is there as a whole when the block ends, or else not at all.

    Raises
    ------
    OSError
        It cannot be written; one that was there before stays.
    """
    if os.path.exists(path) and not is_regular(path):
        with open(path, "wb") as file:
            yield file
        return
    target, mode = Path(os.path.realpath(path)), _mode(path)
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with open(made, "xb") as file:
        try:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            made.replace(target)
        except BaseException:
            made.unlink()
            raise


def _mode(path: str | os.PathLike[str]) -> int | None:
    """Who may read and write it, which shall stay so."""
    return stat.S_IMODE(os.stat(path).st_mode) if is_regular(path) else None
