# SPDX-License-Identifier: Apache-2.0
"""What a trace is asked to do: the only words that cross to the part that runs as root.

A closed vocabulary of numbers and names, validated on both sides. Standard library
only, and Python 3.8: the agent shares this module.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Callable, ClassVar, Union

from .errors import OptionError, RequestError

__all__ = [
    "ALSO",
    "BUFFERS",
    "LAYOUTS",
    "MAX_COUNTED",
    "MAX_LINE",
    "MAX_SNAPLEN",
    "PROBES",
    "SCOPES",
    "WAYS",
    "Config",
    "Counting",
    "Listing",
    "Request",
    "parse_request",
    "start_request",
    "stop_request",
]

MAX_LINE = 64 << 10
MAX_SNAPLEN = 9216  # a jumbo frame
MAX_COUNTED = 8000  # functions; their numbers must fit in a line

# What agents keep for the next one, until the machine is turned off.
COMPILED = "/run/skbnb"
# How many objects: those that were made last. Each has some 100 kB.
COMPILED_MOST = 32

PROBES = ("auto", "fentry", "kprobe", "tracepoint")
SCOPES = ("cell", "notebook", "all")
WAYS = ("ring", "perf", "trace", "count")
BUFFERS = ("auto", "ring", "perf")
LAYOUTS = ("auto", "btf", "headers")
ALSO = ("nothing", "copy")

_U32 = (1 << 32) - 1
_I64 = (1 << 63) - 1


@dataclass(frozen=True)
class Config:
    """One trace.

    Parameters
    ----------
    probe
        ``auto`` (the first that really attaches) or a probe's name.
    via
        What the kernel gives for each call. ``ring``: a record with all that is known
        of it. ``trace`` and ``perf``: what the two first programs of a handbook give, a
        line in the kernel's trace buffer or a struct in a perf buffer. ``count``:
        nothing, calls are added up by process.
    buffer
        What takes records from the kernel to the agent: the BPF ``ring`` buffer or, one
        for each CPU, ``perf`` buffers. ``auto``: the ring where the kernel has one.
    layout
        Where the kernel's struct members are learnt: from its own ``btf`` or from its
        ``headers``. ``auto``: from BTF where the kernel has it.
    stacks
        Whether every event's kernel stack is kept.
    also
        What else is recorded: ``copy``, packets that are copied and not cloned.
    follow
        Whether each clone's end is recorded.
    snaplen
        How many of the first bytes of each packet are kept, at most 9,216.
    ring_mib
        Size of the buffer (of all perf buffers together) in MiB, a power of two from 1
        to 256.
    max_events
        Keep at most this many clones; later ones are only counted. None: no limit.
    max_seconds
        Detach after this many seconds. None: no limit.
    cell_tid
        Thread id (of the kernel's numbering) of the thread that runs the cell.
    notebook_pid
        Process id of the notebook kernel.
    """

    op: ClassVar[str] = "start"

    cell_tid: int
    notebook_pid: int
    probe: str = "auto"
    via: str = "ring"
    buffer: str = "auto"
    layout: str = "auto"
    stacks: bool = False
    also: str = "nothing"
    follow: bool = False
    snaplen: int = 0
    ring_mib: int = 32
    max_events: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, (valid, wanted) in _RULES.items():
            value = getattr(self, name)
            if not valid(value):
                raise OptionError(f"{name} is {value!r:.80}, not {wanted}")
        defaults = {field.name: field.default for field in fields(self)}
        for name in _OF_RING if self.via != "ring" else ():
            if getattr(self, name) != defaults[name]:
                raise OptionError(
                    f"{name} is for records, which via {self.via} has none of",
                    f"Leave {name} away, or take via ring.",
                )


# What says how records are made and kept.
_OF_RING = ("buffer", "stacks", "also", "follow", "snaplen", "max_events")


def _is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 366 * 86400


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "probe": (lambda v: type(v) is str and v in PROBES, " or ".join(PROBES)),
    "via": (lambda v: type(v) is str and v in WAYS, " or ".join(WAYS)),
    "buffer": (lambda v: type(v) is str and v in BUFFERS, " or ".join(BUFFERS)),
    "layout": (lambda v: type(v) is str and v in LAYOUTS, " or ".join(LAYOUTS)),
    "stacks": (lambda v: type(v) is bool, "true or false"),
    "also": (lambda v: type(v) is str and v in ALSO, " or ".join(ALSO)),
    "follow": (lambda v: type(v) is bool, "true or false"),
    "snaplen": (
        lambda v: _is_int(v, 0, MAX_SNAPLEN),
        f"a number of bytes, at most {MAX_SNAPLEN:,}",
    ),
    "ring_mib": (
        lambda v: _is_int(v, 1, 256) and v & (v - 1) == 0,
        "a power of two from 1 to 256",
    ),
    "max_events": (
        lambda v: v is None or _is_int(v, 1, _I64),
        "a whole number above zero",
    ),
    "max_seconds": (
        lambda v: v is None or _is_seconds(v),
        "a number of seconds above zero, at most a year",
    ),
    "cell_tid": (lambda v: _is_int(v, 1, _U32), "a thread id"),
    "notebook_pid": (lambda v: _is_int(v, 1, _U32), "a process id"),
}


@dataclass(frozen=True)
class Listing:
    """What can be counted is asked for."""

    op: ClassVar[str] = "list"


@dataclass(frozen=True)
class Counting:
    """Calls to be counted, until a stop.

    Parameters
    ----------
    functions
        Numbers of what was listed last, from 0; each once.
    """

    op: ClassVar[str] = "count"

    functions: list[int]

    def __post_init__(self) -> None:
        numbers = self.functions
        if not (
            type(numbers) is list
            and 0 < len(numbers) <= MAX_COUNTED
            and all(_is_int(number, 0, 9_999_999) for number in numbers)
            and len(set(numbers)) == len(numbers)
        ):
            raise OptionError(
                f"functions is not a list of 1 to {MAX_COUNTED:,} numbers, each once"
            )


Request = Union[Config, Listing, Counting]
_REQUESTS: dict[str, type[Request]] = {
    kind.op: kind for kind in (Config, Listing, Counting)
}


def start_request(request: Request) -> bytes:
    """The line that asks for something."""
    fields = {"op": request.op, **asdict(request)}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def stop_request() -> bytes:
    """The line that stops it."""
    return b'{"op": "stop"}\n'


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name that is there twice")
    return found


def parse_request(line: bytes) -> Request | None:
    """Read one line that came from the notebook.

    Returns
    -------
    Config, Listing, Counting or None
        What to do; None is a stop.

    Raises
    ------
    RequestError
        Anything else than exactly one of the requests.
    """
    try:
        request = json.loads(line.decode(), object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        raise RequestError("a request that is not JSON") from None
    if not isinstance(request, dict):
        raise RequestError("a request that is no JSON object")
    op = request.pop("op", None)
    if op == "stop" and not request:
        return None
    kind = _REQUESTS.get(op) if isinstance(op, str) else None
    if kind is None:
        raise RequestError(f"an unknown request: {op!r:.80}")
    if set(request) != {field.name for field in fields(kind)}:
        raise RequestError(
            f"a {op} request with other fields than those of this version"
        )
    try:
        return kind(**request)
    except OptionError as error:
        raise RequestError(error.args[0]) from None
