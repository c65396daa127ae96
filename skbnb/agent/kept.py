# SPDX-License-Identifier: Apache-2.0
"""What outlives an agent, until the machine is turned off: what it has compiled.

To compile takes two seconds, and the same text gives the same object. Those of the last
agents are in a folder of root's, which nobody else may look into. What is in them holds
for this boot: the kernel lies at another place after the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from typing import Sequence

from .. import __version__
from ..config import COMPILED, COMPILED_MOST
from . import kheaders
from .compiler import compiled as _compiled
from .compiler import import_bcc
from .layout import Layout
from .objects import Object

__all__ = ["compiled", "secret"]

_SECRET = "secret"
_SECRET_SIZE = 32


def compiled(text: str, flags: Sequence[str], layout: Layout) -> Object:
    """The object of a C text: as `compiler.compiled`, or what that gave before.

    Raises
    ------
    ProbeError
        It does not compile.
    """
    # What real headers say is not in the text.
    if layout.name != "btf" or not _is_ours():
        return _compiled(text, flags, layout)
    path = os.path.join(COMPILED, _name(text, [*flags, *layout.flags]))
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return Object.unpack(_read(path))
    made = _compiled(text, flags, layout)
    with contextlib.suppress(OSError):  # it may have no room
        _write(path, made.pack())
        _remove_oldest()
    return made


def secret(purpose: str) -> int:
    """A number of 64 bits that nobody can guess: the same until the next boot.

    So that what it is compiled into can be kept. Where there is no folder to have it
    from, it is another one each time.
    """
    return int.from_bytes(
        hashlib.blake2b(purpose.encode(), key=_key(), digest_size=8).digest(), "little"
    )


def _key() -> bytes:
    fresh = secrets.token_bytes(_SECRET_SIZE)
    if not _is_ours():
        return fresh
    path = os.path.join(COMPILED, _SECRET)
    with contextlib.suppress(OSError):
        _write(path, fresh, anew=False)
    with contextlib.suppress(OSError):
        known = _read(path)
        if len(known) == _SECRET_SIZE:
            return known
    return fresh


def _is_ours() -> bool:
    """Whether the folder is there, or can be made, and nobody else may enter it."""
    with contextlib.suppress(OSError):
        os.mkdir(COMPILED, 0o700)
    try:
        about = os.lstat(COMPILED)
    except OSError:
        return False
    is_private = not about.st_mode & 0o077
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and is_private


def _name(text: str, flags: Sequence[str]) -> str:
    """The name of what becomes of a text on this machine."""
    rests_on = (
        __version__,
        getattr(import_bcc(), "__version__", ""),
        os.uname()[2:],
        sorted(kheaders.HEADERS.items()),
        text,
        list(flags),
    )
    return hashlib.sha256(repr(rests_on).encode()).hexdigest()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes, anew: bool = True) -> None:
    """Write a file, which is there as a whole or not at all.

    Parameters
    ----------
    anew
        Whether it takes the place of one that is there.
    """
    whole = f"{path}.{os.getpid()}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(whole, flags, 0o600), "wb") as file:
            file.write(data)
        if anew:
            os.replace(whole, path)
        else:
            os.link(whole, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(whole)


def _remove_oldest() -> None:
    with os.scandir(COMPILED) as entries:
        objects = [entry for entry in entries if entry.name != _SECRET]
    objects.sort(key=lambda entry: entry.stat().st_mtime)
    for entry in objects[:-COMPILED_MOST]:
        with contextlib.suppress(FileNotFoundError):  # another agent was first
            os.unlink(entry.path)
