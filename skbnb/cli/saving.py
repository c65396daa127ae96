# SPDX-License-Identifier: Apache-2.0
"""A trace as a file, of the form that the file's name asks for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OptionError
from ..parquet import check_folder, need_pyarrow
from ..units import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..traces import Trace

__all__ = ["RECORDING", "check", "save"]

RECORDING = ".skbt"
_FOLDER = "/"


def _to_pcapng(trace: Trace, path: str) -> None:
    trace.to_pcapng(path)


def _to_folder(trace: Trace, path: str) -> None:
    trace.to_parquet(path, progress=_tell)


def _tell(done: int, total: int) -> None:
    """Say how far it is, in one line of a terminal that goes at its end."""
    if sys.stderr.isatty():
        line = f"written: {done:,} of {counted(total, 'row')}"
        sys.stderr.write(f"\r{line}" if done < total else f"\r{' ' * len(line)}\r")
        sys.stderr.flush()


_FORMS: dict[str, Callable[[Trace, str], None]] = {
    RECORDING: lambda trace, path: trace.save(path),
    ".csv": lambda trace, path: trace.events.skb.to_csv(path),
    ".html": lambda trace, path: trace.events.skb.to_html(path),
    ".json": lambda trace, path: trace.events.skb.to_perfetto(path),
    ".parquet": lambda trace, path: trace.events.to_parquet(path),
    ".pcapng": _to_pcapng,
    _FOLDER: _to_folder,
}


def check(path: str, snaplen: int) -> None:
    """See beforehand that a trace can be saved there.

    Raises
    ------
    OptionError
        Why it cannot be.
    """
    form = _form(path)
    if form == ".pcapng" and not snaplen:
        raise OptionError(f"{path} has no packets", "Say --snaplen N, too.")
    if form in (".parquet", _FOLDER):
        need_pyarrow()
    if form == _FOLDER:
        check_folder(path)
        return
    was_there = os.path.exists(path)
    try:
        with open(path, "ab"):
            pass
        if not was_there:
            os.unlink(path)
    except OSError as error:
        raise _cannot(path, error) from None


def save(trace: Trace, path: str) -> None:
    """Write the trace: a recording whole, in any other form what is selected of it.

    Raises
    ------
    OptionError
        Why it cannot be.
    """
    try:
        _FORMS[_form(path)](trace, path)
    except OSError as error:
        raise _cannot(path, error) from None


def _form(path: str) -> str:
    form = _FOLDER if path.endswith(os.sep) else Path(path).suffix.lower()
    if form not in _FORMS:
        raise OptionError(
            f"{path} has none of the endings {', '.join(_FORMS)}", "Choose one."
        )
    return form


def _cannot(path: str, error: OSError) -> OptionError:
    return OptionError(f"cannot write {path}: {error.strerror}", "Choose another file.")
