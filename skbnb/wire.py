# SPDX-License-Identifier: Apache-2.0
"""The stream between agent and notebook, which is also the recording format.

A stream is `MAGIC` and then frames; a trace is one run of frames from HELLO to END. A
frame is eight bytes, ``<II`` kind and payload length, and the payload: packed records
for EVENTS, SOCKETS and STACKS, UTF-8 JSON for all others. Standard library only, and
Python 3.8: the agent shares this module.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import struct
import threading
from enum import IntEnum
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Union

from .errors import StreamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "ABI",
    "BYTES_SIZE",
    "CALL_KINDS",
    "FIELDS",
    "HANDBOOK",
    "HEADER",
    "KIND_AT",
    "LOST",
    "MAGIC",
    "MAX_CONTROL",
    "MAX_EVENTS",
    "PARTS",
    "RECORD_SIZE",
    "SOCKET",
    "TALLY",
    "TAP",
    "BufferReader",
    "Frame",
    "Kind",
    "Payload",
    "Reader",
    "checked",
    "control",
    "pack_header",
    "pack_stack",
    "unpack_stacks",
]

# As PNG's: a byte that is no text, a line ending that text mode would change, a
# version.
MAGIC = b"\x89SKBT\r\n\x01"
HEADER = struct.Struct("<II")
# SKB_EVENT_ABI and the sizes of the structs of bpf/skb_event.h.
ABI = 7
RECORD_SIZE = 184
KIND_AT = 176  # where a record says its kind, in one byte
CALL_KINDS = (1, 2)  # KIND_CLONE and KIND_FAILED: records of a call of skb_clone()
SOCKET = struct.Struct("<QI4xQQII16s")  # struct skb_socket_key and skb_socket
BYTES_SIZE = 8  # of struct skb_bytes, without the bytes
HANDBOOK = struct.Struct("<QQI4x16s")  # struct handbook_event
TALLY = struct.Struct("<II16sQ")  # struct tally_key, and the sum
MAX_EVENTS = 4 << 20  # of any frame of packed records
MAX_CONTROL = 4 << 20


class Kind(IntEnum):
    """The kinds of frames, in the order in which a trace has them."""

    HELLO = 1
    READY = 2
    EVENTS = 3
    PROGRESS = 4
    SOCKETS = 5
    STACKS = 6
    SYMBOLS = 7
    TAPS = 8
    STATS = 9
    LOG = 10
    ERROR = 11
    END = 12
    TALLIES = 13  # before STATS, in the place of all from EVENTS on
    # Of a count of calls, and of no trace.
    FUNCTIONS = 20
    ATTACHING = 21
    COUNTS = 22


# The account of a trace. Its `calls` are those of skb_clone() on the whole machine that
# the probe can see, and each is in exactly one of these:
#
# emitted      the agent handed it over: counted there, in what was written
# missed       fentry and kprobe: the kernel left our program out, because the call
#              interrupted it at work on that CPU (Linux tells so since 5.12, and of
#              kprobes since 6.7); kprobe: or it did not report the return
# lost_full    no room in the buffer; via trace: its line was overwritten, or read by
#              another; via count: no room for its process
# lost_limit   it was past max_events
# lost_reader  no room, from when a write had to wait for the reader of the agent's pipe
#              until the agent had caught up
#
# So calls = emitted + missed + lost, where lost is the sum of the last three. Beside
# them `captured` is how many calls are in the rows, which the notebook counts: as many
# as were emitted, unless some went astray. Runs of other programs that the kernel left
# out (`skipped`) are in none of them: `tracepoint` may miss a call by one.
LOST = ("lost_full", "lost_limit", "lost_reader")
PARTS = ("emitted", "missed", *LOST)

_OPTIONAL_INT = (int, type(None))
_OPTIONAL_NUMBER = (int, float, type(None))
_OPTIONAL_STR = (str, type(None))

# What a control frame of a trace says, and the types of it.
FIELDS: dict[Kind, dict[str, type | tuple[type, ...]]] = {
    Kind.HELLO: {
        "abi": int,
        "version": str,
        "stride": int,  # bytes from one record to the next
        "offset": int,  # of the record in them
        "sees": str,  # whose events are told in full: "all" or "own"
        "kernel": str,
        "machine": str,
        "probe": str,
        "coverage": str,  # what the probe misses; empty for nothing
        "via": str,  # what the kernel gives for each call: config.WAYS
        "probes": dict,  # every probe tried -> "attached", or why not
        "buffer": str,  # "ring" or "perf"; empty for neither
        "buffer_why": str,  # why not the better one; empty for none
        "layout": str,  # struct members from "btf" or "headers"
        "skb_size": _OPTIONAL_INT,  # bytes allocated for each struct sk_buff
        "stacks": bool,  # what was asked for
        "also": str,
        "follow": bool,
        "snaplen": int,
        "bytes_missing": str,  # what it leaves out; empty for nothing
        "ring_mib": int,
        "max_events": _OPTIONAL_INT,
        "max_seconds": _OPTIONAL_NUMBER,
        "monotonic": int,  # both clocks at one moment, ns
        "realtime": int,
    },
    Kind.READY: {"ts": int, "base": int},  # when; calls counted before
    # So far; a few times a second, where any of them has grown.
    Kind.PROGRESS: {
        "calls": int,
        **dict.fromkeys(LOST, int),
        "lost_full": _OPTIONAL_INT,  # not known while it runs, where it is None
    },
    Kind.SYMBOLS: {
        "functions": dict,  # address in hex -> name
        "modules": dict,  # address in hex -> module, where it is in one
        "drop_reasons": dict,  # number -> name
        "netns": dict,  # inode number of a network namespace -> name
        "cgroups": dict,  # id of a control group -> path
    },
    Kind.TAPS: {
        "sockets": list,  # each with the fields of TAP
        "more": int,  # how many are left out
    },
    Kind.STATS: {
        "calls": int,
        **dict.fromkeys(PARTS, int),
        "failed": int,
        "sightings": int,
        "sightings_lost": int,
        "tasks_lost": int,
        "skipped": int,  # runs of other programs than a call's that were left out
        "copies": int,
        "copies_lost": int,
        "copies_missed": int,  # as missed
        "ends_lost": int,
        "untracked": int,
        "stacks_collided": int,
        "stacks_failed": int,
        "sent_other": int,
        "sent_notebook": int,
        "sent_cell": int,
        "counted": int,  # calls, as a first program counts them
        "foreign": int,  # lines of others in the trace pipe
        "began": int,  # ns, monotonic
        "ended": int,
        "monotonic": int,
        "realtime": int,
    },
    Kind.LOG: {"text": str},  # what clang or BCC printed
    Kind.ERROR: {"code": str, "message": str, "hint": str},
    Kind.END: {"why": str},
    # What can be counted; its numbers go on from one frame to the next.
    Kind.FUNCTIONS: {
        "of": str,  # "function", "tracepoint" or "syscall"
        "names": list,  # "name" or "name [module]"; of tracepoints "category:name"
        "barred": list,  # names of functions that the kernel forbids to trace
        "why": str,  # why there are none; empty if there are
    },
    Kind.ATTACHING: {"done": int, "total": int},
    Kind.COUNTS: {
        "counts": list,  # of what was asked for, in that order; null: not attached
        "refused": dict,  # number, as in the request -> why
        "how": dict,  # kind of attachment -> how many, as text
        "compat": int,  # system calls of 32-bit programs, which are not counted
        "missed": int,  # runs that the kernel left out
        "began": int,  # ns, monotonic
        "ended": int,
    },
}

# What a TAPS frame says of a packet socket that receives something.
TAP: dict[str, type | tuple[type, ...]] = {
    "netns": int,  # inode of its network namespace
    "ifindex": int,  # the device; 0: any
    "dev": _OPTIONAL_STR,  # its name
    "protocol": int,  # 3: all, and what is sent, too
    "everywhere": bool,  # it has what other namespaces send cloned, too
    "inode": int,  # its own, as in /proc/PID/fd
    "pid": _OPTIONAL_INT,  # who has it open
    "comm": _OPTIONAL_STR,
}


Payload = Union[bytes, memoryview]
"""Of a mapped recording, a view into the map."""


class Frame(NamedTuple):
    """One frame: its kind and its payload, untouched."""

    kind: Kind
    payload: Payload

    @property
    def json(self) -> dict[str, Any]:
        """The payload of a control frame as a dict."""
        try:
            value = json.loads(bytes(self.payload))
        except (ValueError, RecursionError) as error:
            raise StreamError(f"a {self.kind.name} frame is not JSON") from error
        if not isinstance(value, dict):
            raise StreamError(f"a {self.kind.name} frame is no JSON object")
        return value

    @property
    def fields(self) -> dict[str, Any]:
        """The payload of a control frame of a trace, every field there and of its type.

        Raises
        ------
        StreamError
            One is not; further fields are allowed.
        """
        return checked(self.json, FIELDS[self.kind], f"a {self.kind.name} frame")

    def pack(self) -> bytes:
        """The frame as it stands in a stream."""
        return pack_header(self.kind, len(self.payload)) + bytes(self.payload)


def checked(
    value: Any, fields: dict[str, type | tuple[type, ...]], what: str
) -> dict[str, Any]:
    """A dict that came in JSON, if it has these fields.

    Raises
    ------
    StreamError
        It has not: `what` says of what.
    """
    if not isinstance(value, dict):
        raise StreamError(f"{what} that is no JSON object")
    for name, kind in fields.items():
        if not _is_a(kind, value.get(name, ...)):
            raise StreamError(f"{what} with a bad {name!r}")
    return value


def _is_a(kind: type | tuple[type, ...], value: object) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if not isinstance(value, kind):
        return False
    if isinstance(value, dict):
        return all(isinstance(text, str) for text in value.values())
    return not isinstance(value, (int, float)) or 0 <= value < 1 << 62


def pack_header(kind: Kind, length: int) -> bytes:
    """The eight bytes before a payload."""
    return HEADER.pack(kind, length)


def pack_stack(number: int, addresses: Sequence[int]) -> bytes:
    """One stack of a STACKS frame: its id, and its addresses, innermost first."""
    depth = len(addresses)
    return struct.pack(f"<II{depth}Q", number, depth, *addresses)


def unpack_stacks(payload: Payload) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The stacks of a STACKS frame, as `pack_stack` took them.

    Raises
    ------
    StreamError
        It holds no whole number of them.
    """
    at = 0
    try:
        while at < len(payload):
            number, depth = struct.unpack_from("<II", payload, at)
            addresses = struct.unpack_from(f"<{depth}Q", payload, at + 8)
            yield number, addresses
            at += 8 + 8 * depth
    except struct.error:
        raise StreamError("a STACKS frame that ends inside a stack") from None


def control(kind: Kind, **fields: object) -> Frame:
    """A control frame with these fields."""
    return Frame(kind, json.dumps(fields, separators=(",", ":")).encode())


# Payloads of so many bytes are read into memory that has large pages, of so much each.
_LARGE = 1 << 16
_AT_ONCE = 16 << 20
_MADV_POPULATE_WRITE = 23  # include/uapi/asm-generic/mman-common.h


class _Memory:
    """Memory for payloads, which the kernel may make of large pages.

    To write to memory for the first time takes longer than to read a record, and the
    writer at the pipe's other end has to wait for that: so the next piece is written to
    beside, before it is needed. Where payloads are not kept, as those of a recording,
    two pieces take turns.
    """

    def __init__(self) -> None:
        self._left = memoryview(b"")
        self._now = self._before = _large_pages(mmap.PAGESIZE)
        self._next: mmap.mmap | None = None

    def room(self, length: int) -> memoryview:
        """So many bytes; of few a copy is to be kept, and not these."""
        if length < _LARGE:
            return memoryview(bytearray(length))
        if length > len(self._left):
            self._left = memoryview(b"")
            self._now, self._before = self._another(length), self._now
            self._left = memoryview(self._now)
        room, self._left = self._left[:length], self._left[length:]
        return room

    def _another(self, length: int) -> mmap.mmap:
        if length <= len(self._before) and _is_free(self._before):
            return self._before
        memory, self._next = self._next, None
        if len(self._before) >= _AT_ONCE:  # and it is looked at: payloads are kept
            self._next = _large_pages(_AT_ONCE)
            threading.Thread(target=_populate, args=(self._next,), daemon=True).start()
        if memory and length <= len(memory):
            return memory
        return _large_pages(max(length, _AT_ONCE))


def _large_pages(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # A kernel may have none, and other systems no name for them.
    with contextlib.suppress(OSError, AttributeError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _populate(memory: mmap.mmap) -> None:
    # By madvise(2) itself: Python's own keeps the interpreter's lock meanwhile. Before
    # Linux 5.14 there is none of it, and each page is populated when it is needed.
    import ctypes

    first = ctypes.c_char.from_buffer(memory)
    length = ctypes.c_size_t(len(memory))
    ctypes.CDLL(None).madvise(ctypes.byref(first), length, _MADV_POPULATE_WRITE)


def _is_free(memory: mmap.mmap) -> bool:
    """Whether nothing looks at it any more: only then may its size be set."""
    try:
        memory.resize(len(memory))
    except (BufferError, SystemError):  # the second where no size can be set
        return False
    return True


class Reader:
    """Iterate over the frames of a binary stream.

    Parameters
    ----------
    stream
        An unbuffered or buffered binary file, anything with ``readinto``.

    Attributes
    ----------
    truncated : bool
        The stream ended inside a frame. What was whole of it has been given: for EVENTS
        a shorter payload, for others nothing.

    Raises
    ------
    StreamError
        The bytes are not such a stream.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._began = False
        self._memory = _Memory()
        self.truncated = False

    def _read(self, length: int) -> Payload:
        # In one place, and without joining: EVENTS payloads are megabytes.
        room = self._memory.room(length)
        filled = 0
        while filled < length:
            got: int | None = self._stream.readinto(room[filled:])  # type: ignore[attr-defined]
            if not got:
                break
            filled += got
        return room[:filled].toreadonly() if length >= _LARGE else bytes(room[:filled])

    def _begin(self) -> bool:
        magic = bytes(self._read(len(MAGIC)))
        if not MAGIC.startswith(magic):
            raise StreamError(f"not a skbnb stream: it begins with {magic!r}")
        self._began = True
        self.truncated = len(magic) < len(MAGIC)
        return not self.truncated

    def __iter__(self) -> Iterator[Frame]:
        if not self._began and not self._begin():
            return
        while True:
            header = self._read(HEADER.size)
            if len(header) < HEADER.size:
                self.truncated = self.truncated or bool(header)
                return
            kind, length = _known(*HEADER.unpack(header))
            payload = self._read(length)
            if len(payload) == length:
                yield Frame(kind, payload)
                continue
            self.truncated = True
            if kind is Kind.EVENTS and payload:
                yield Frame(kind, payload)
            return


class BufferReader(Reader):
    """The same of bytes that are there already: payloads are views of them.

    Parameters
    ----------
    buffer
        The whole stream.

    Attributes
    ----------
    at : int
        Where in it the next frame begins.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._began = False
        self.truncated = False
        self.at = 0

    def _read(self, length: int) -> Payload:
        piece = self._buffer[self.at : self.at + length]
        self.at += len(piece)
        return piece


def _known(kind: int, length: int) -> tuple[Kind, int]:
    try:
        known = Kind(kind)
    except ValueError:
        raise StreamError(f"a frame of unknown kind {kind}") from None
    if length > (MAX_CONTROL if known in FIELDS else MAX_EVENTS):
        raise StreamError(f"a {known.name} frame of {length} bytes")
    return known, length
