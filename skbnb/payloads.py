# SPDX-License-Identifier: Apache-2.0
"""What EVENTS frames hold, as records, whichever way the trace was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import StreamError
from .schema import BYTES, HANDBOOK, RECORD, Has, Kind, Scope
from .units import printable
from .wire import Payload

__all__ = ["Form", "name_of"]

# A record, and what is told of the packet's bytes behind it.
_WITH_BYTES = np.dtype(RECORD.descr + BYTES.descr)


@dataclass(frozen=True, slots=True)
class Form:
    """How the payloads of one trace are read.

    Attributes
    ----------
    struct
        What stands in them.
    stride, offset
        Bytes from one to the next, and before the first.
    """

    struct: np.dtype[Any] = RECORD
    stride: int = RECORD.itemsize
    offset: int = 0

    @classmethod
    def of(cls, hello: Mapping[str, Any]) -> Form:
        """As the fields of a HELLO frame say; without any, records and nothing else.

        Raises
        ------
        StreamError
            What stands there would not fit.
        """
        if hello.get("via") == "count":
            return cls()  # of nothing
        struct = _WITH_BYTES if hello.get("snaplen") else RECORD
        if hello.get("via", "ring") != "ring":
            struct = HANDBOOK
        form = cls(struct, hello.get("stride", struct.itemsize), hello.get("offset", 0))
        if not (form.offset >= 0 and form.offset + struct.itemsize <= form.stride):
            raise StreamError(
                f"records of {form.stride} bytes are no records of this ABI"
            )
        return form

    @property
    def record(self) -> np.dtype[Any]:
        """What `records` gives."""
        return RECORD if self.struct is HANDBOOK else self.struct

    def records(self, payload: Payload) -> npt.NDArray[Any]:
        """The records of a payload, without one that it ends in the middle of."""
        number = len(payload) // self.stride
        found: npt.NDArray[Any] = np.ndarray(
            number, self.struct, payload, self.offset, self.stride
        )
        return _as_records(found) if self.struct is HANDBOOK else found


def _as_records(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What a handbook's program says, in the members that it fills.

    Whose tasks they are it does not ask, so they are nobody's.
    """
    records = np.zeros(len(found), RECORD)
    for name in ("ts", "count", "pid", "comm"):
        records[name] = found[name]
    records["tid"] = found["pid"]
    records["kind"] = Kind.CLONE
    records["scope"] = Scope.OTHER
    records["present"] = Has.COUNT
    return records


def name_of(raw: bytes) -> str:
    """Text of a name from the kernel, with what does not print written out."""
    return printable(raw.partition(b"\0")[0].decode("utf-8", "backslashreplace"))
