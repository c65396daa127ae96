# SPDX-License-Identifier: Apache-2.0
"""Frames of a trace as a folder of Parquet files, all of one schema.

DuckDB, Dask, Polars and pandas read such a folder as one table.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import OptionError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    import pandas as pd

__all__ = ["check_folder", "need_pyarrow", "to_parquet"]

_UNFINISHED = ".unfinished"


def need_pyarrow() -> None:
    """Raise OptionError unless Parquet can be written."""
    if not importlib.util.find_spec("pyarrow"):
        raise OptionError(
            "Parquet needs pyarrow", "Run `pip install pyarrow`, or write a .csv."
        )


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Raise OptionError unless there is nothing where the folder is to be."""
    path = Path(folder)
    if path.is_dir():
        if any(path.iterdir()):
            raise OptionError(f"{folder} is not empty", "Choose another folder.")
    elif path.exists():
        raise OptionError(f"{folder} is no folder", "Choose another one.")


def to_parquet(
    frames: Iterable[pd.DataFrame],
    folder: str | os.PathLike[str],
    progress: Callable[[int], None],
) -> int:
    """Write each frame as a file, ``part-00000.parquet`` and so on.

    The files get their names when all have been written: of a run that was interrupted
    there is none. A column of names is a dictionary of strings with 32-bit keys, which
    pandas reads as categories; what can be absent is NULL. As when pandas writes a
    frame, its ``attrs`` are kept.

    Parameters
    ----------
    frames
        Of one trace.
    folder
        It must be empty, or not there yet.
    progress
        Called with how many rows have been written.

    Returns
    -------
    int
        How many files there are.

    Raises
    ------
    OptionError
        There is something in the folder, or pyarrow is not installed.
    OSError
        It cannot be written.
    """
    need_pyarrow()
    check_folder(folder)
    target = Path(folder)
    was_there = target.exists()
    unfinished = target / _UNFINISHED
    unfinished.mkdir(parents=True)
    try:
        names = _write(frames, unfinished, progress)
        for name in names:
            (unfinished / name).replace(target / name)
        unfinished.rmdir()
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):
            if not was_there:
                target.rmdir()
        raise
    return len(names)


def _write(
    frames: Iterable[pd.DataFrame], folder: Path, progress: Callable[[int], None]
) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names: list[str] = []
    schema: Any = None
    rows = 0
    for frame in frames:
        if schema is None:
            schema = _schema(frame)
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        names.append(f"part-{len(names):05}.parquet")
        # What pandas says of a column differs from frame to frame.
        table = table.replace_schema_metadata(schema.metadata)
        pq.write_table(table, folder / names[-1], compression="zstd")
        rows += len(frame)
        # Not two of them at a time.
        del frame, table
        progress(rows)
    return names


def _schema(frame: pd.DataFrame) -> Any:
    """What pyarrow makes of a frame, with keys and strings of one width."""
    import pyarrow as pa

    found = pa.Table.from_pandas(frame.head(0), preserve_index=False).schema
    names = pa.dictionary(pa.int32(), pa.string())
    fields = [
        field.with_type(names) if pa.types.is_dictionary(field.type) else field
        for field in found
    ]
    return pa.schema(fields, metadata=found.metadata)
