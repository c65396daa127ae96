# SPDX-License-Identifier: Apache-2.0
"""What an administrator allows users who are not root: ``/etc/skbnb.toml``.

Of TOML only lines ``name = value`` are understood, with whole numbers, and texts
between double quotes in brackets: Python has no reader of TOML before 3.11.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, NamedTuple, NoReturn

from ..errors import PrivilegeError

__all__ = ["PATH", "Settings", "parse", "read"]

PATH = "/etc/skbnb.toml"

_MAX_SIZE = 64 << 10
_LINE = re.compile(r"[ \t]*(?:([A-Za-z0-9_-]+)[ \t]*=[ \t]*([^ \t#].*)|(?:#.*)?)")
_NAME = re.compile(r"%?[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?")


class Settings(NamedTuple):
    """What it says, or what holds where it says nothing.

    Parameters
    ----------
    see_all
        Users, and with a % before their names groups, who see what everyone does.
    max_events, max_seconds, max_ring_mib, max_functions
        The most that a user may ask for: clones kept of one trace, its seconds, MiB of
        its buffer, functions counted at once.
    """

    see_all: tuple[str, ...] = ()
    max_events: int = 100_000_000
    max_seconds: int = 86_400
    max_ring_mib: int = 64
    max_functions: int = 1_000


def read(path: str = PATH) -> Settings:
    """Read the file, if there is one.

    Raises
    ------
    PrivilegeError
        Others than root can change it, or it is not understood.
    """
    try:
        # Opened without waiting, in case it is no file.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            _refuse(path, "is not a file")
        if about.st_uid != 0 or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            _refuse(path, "can be changed by others than root")
        data = os.read(fd, _MAX_SIZE + 1)
    finally:
        os.close(fd)
    try:
        return parse(data)
    except ValueError as error:
        _refuse(path, f"is not understood: {error}")


def _refuse(path: str, why: str) -> NoReturn:
    raise PrivilegeError(f"{path} {why}", "Ask an administrator to mend it.")


def parse(data: bytes) -> Settings:
    """What such a file says.

    Raises
    ------
    ValueError
        The line, and what is wrong with it.
    """
    if len(data) > _MAX_SIZE:
        raise ValueError(f"it has more than {_MAX_SIZE} bytes")
    try:
        lines = data.decode().replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    found: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        try:
            found.update(_setting(line, found))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return Settings(**found)


def _setting(line: str, found: dict[str, Any]) -> dict[str, Any]:
    """The setting in a line: none, or one by its name."""
    match = _LINE.fullmatch(line)
    # What TOML allows nowhere, and what only JSON reads so.
    if not match or re.search(r"[\0-\x08\x0b-\x1f\x7f\\]", line):
        raise ValueError("not of the form NAME = VALUE")
    name, text = match.groups()
    if name is None:
        return {}
    if name not in Settings._fields:
        raise ValueError(f"there is no setting {name!r:.40}")
    if name in found:
        raise ValueError(f"{name} is there twice")
    return {name: _value(name, text)}


def _value(name: str, text: str) -> Any:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is no number, and no list of names") from None
    if not re.fullmatch(r"[ \t]*(?:#.*)?", text[end:]):
        raise ValueError(f"more than one value of {name}")
    if name == "see_all":
        return _names(value)
    if type(value) is not int or not 0 < value < 1 << 62:
        raise ValueError(f"{name} is not a whole number above zero")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(name) is str for name in value):
        raise ValueError("see_all is not a list of names")
    for name in value:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r:.40} is not the name of a user or of a %group")
    return tuple(value)
