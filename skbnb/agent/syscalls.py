# SPDX-License-Identifier: Apache-2.0
"""What the agent asks of the kernel itself: system calls that Python does not know.

These are bpf(2), perf_event_open(2), open_by_handle_at(2) and fsopen(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import struct
from typing import Callable, Sequence

# (bpf, perf_event_open); newer machines have those of asm-generic/unistd.h.
_NUMBERS = {"x86_64": (321, 298), "ppc64le": (361, 319)}
_GENERIC = (280, 241)

# enum bpf_cmd, enum bpf_map_type, enum bpf_prog_type and enum bpf_attach_type of
# include/uapi/linux/bpf.h
_MAP_CREATE, _PROG_LOAD, _PROG_TEST_RUN = 0, 5, 10
_OBJ_GET_INFO_BY_FD, _RAW_TRACEPOINT_OPEN, _LINK_CREATE = 15, 17, 28
_MAP_TYPE_RINGBUF = 27
_PROG_TYPE_SOCKET_FILTER = 1
PROG_TYPE_KPROBE, PROG_TYPE_TRACEPOINT = 2, 5
PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING = 17, 26
TRACE_FENTRY, TRACE_FEXIT, TRACE_KPROBE_MULTI = 24, 25, 42
_PERF_EVENT = 41

# An instruction that calls, and what stands in the place of its registers where that is
# a function of the kernel's own, by its BTF id (BPF_PSEUDO_KFUNC_CALL), and no helper.
CALL, KERNELS_OWN = 0x85, 0x20

# Of all machines alike: fsopen(2), fsconfig(2) and fsmount(2), since Linux 5.2.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6

# include/uapi/linux/perf_event.h
_TYPE_SOFTWARE, _TYPE_TRACEPOINT = 1, 2
_COUNT_SW_BPF_OUTPUT = 10
_SAMPLE_RAW = 1 << 10
_WATERMARK = 1 << 14
_FLAG_FD_CLOEXEC = 8
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise _error()
    return result


def _error() -> OSError:
    error = ctypes.get_errno()
    return OSError(error, os.strerror(error))


def bpf(command: int, attributes: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """``bpf(2)``: what it returns.

    Parameters
    ----------
    command
        ``enum bpf_cmd``.
    attributes
        The command's part of ``union bpf_attr``.

    Raises
    ------
    OSError
        The kernel's reason.
    """
    number = _NUMBERS.get(os.uname().machine, _GENERIC)[0]
    return _call(number, ctypes.c_int(command), attributes, len(attributes))


def _works(make: Callable[..., int], *arguments: object) -> bool:
    try:
        os.close(make(*arguments))
    except OSError:
        return False
    return True


@functools.lru_cache(maxsize=1)
def has_ring_buffer() -> bool:
    """Whether the kernel has ring buffers: it makes one (since Linux 5.8)."""
    attributes = struct.pack("=IIII", _MAP_TYPE_RINGBUF, 0, 0, 4096)
    return _works(bpf, _MAP_CREATE, attributes)


# r0 = 0; *(u64 *)(r10 - 8) = r0; r0 = atomic_fetch_add((u64 *)(r10 - 8), r0); return 0
_FETCH = struct.pack(
    "=" + "BBhi" * 5,
    *(0xB7, 0x00, 0, 0),
    *(0x7B, 0x0A, -8, 0),
    *(0xDB, 0x0A, -8, 0x01),
    *(0xB7, 0x00, 0, 0),
    *(0x95, 0x00, 0, 0),
)


@functools.lru_cache(maxsize=1)
def has_fetching_atomics() -> bool:
    """Whether an atomic add can give the value: it loads one (since Linux 5.12)."""
    return _works(load_program, _PROG_TYPE_SOCKET_FILTER, _FETCH)


@functools.lru_cache(maxsize=None)
def can_cast(function: int, kind: int, offset: int) -> bool:
    """Whether a program may take a number for a struct's address, and load from there.

    Parameters
    ----------
    function
        The BTF id of the function that casts.
    kind
        The struct's.
    offset
        Where in it there are bytes, that a number is loaded from.
    """
    # r1 = *(u64 *)(r1 + 0); r2 = kind; call; r0 = *(u64 *)(r0 + offset + 3)
    code = struct.pack(
        "=" + "BBhi" * 4,
        *(0x79, 0x11, 0, 0),
        *(0xB7, 0x02, 0, kind),
        *(CALL, KERNELS_OWN, 0, function),
        *(0x79, 0x00, offset + 3, 0),
    )
    return _works(load_program, PROG_TYPE_RAW_TRACEPOINT, code + RETURN)


# Bytes that the verifier may say of a program: the most before Linux 5.12, less one.
_LOG_SIZE = (1 << 24) - 1

# r0 = 0; return 0
RETURN = struct.pack("=" + "BBhi" * 2, *(0xB7, 0, 0, 0), *(0x95, 0, 0, 0))


def load_program(
    kind: int,
    code: bytes,
    attach_type: int = 0,
    function: int = 0,
    name: str = "skbnb",
) -> int:
    """Load a program.

    Parameters
    ----------
    kind
        Its type, as ``PROG_TYPE_KPROBE``.
    code
        Its instructions.
    attach_type
        What it will be attached to, where its type does not tell.
    function
        The BTF id of the one function that it will be attached to, where it has one.
    name
        What the kernel calls it; of this the first 15 bytes.

    Returns
    -------
    int
        Its file descriptor.

    Raises
    ------
    OSError
        The kernel's reason, and what its verifier said last.
    """
    text = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    at = ctypes.addressof

    def load(log_level: int, log_size: int, log: int) -> int:
        return bpf(
            _PROG_LOAD,
            struct.pack(
                "=IIQQIIQII15sxIIIIQIIQII",
                *(kind, len(code) // 8, at(text), at(licence)),
                *(log_level, log_size, log, 0, 0, name.encode(), 0, attach_type),
                *(0, 0, 0, 0, 0, 0, 0, function),
            ),
        )

    try:
        return load(0, 0, 0)
    except OSError as error:
        refused = error
    log = ctypes.create_string_buffer(_LOG_SIZE)
    try:
        return load(1, _LOG_SIZE, at(log))
    except OSError:
        said = _last_word(log.value.decode("utf-8", "replace"))
    raise OSError(refused.errno, ": ".join(filter(None, [refused.strerror, said])))


def _last_word(log: str) -> str:
    """The last line of the verifier's, but for its statistics."""
    lines = [line for line in log.splitlines() if line.strip()]
    return next((s for s in reversed(lines) if not s.startswith("processed ")), "")


def run_program(program: int, *arguments: int) -> int:
    """Run a raw tracepoint's program once, with these arguments (since Linux 5.10).

    Returns
    -------
    int
        Its result.
    """
    context = struct.pack(f"={len(arguments)}Q", *arguments)
    place = ctypes.create_string_buffer(context, len(context))
    values = struct.pack(
        "=IIIIQQIIIIQQII",
        *(program, 0, 0, 0, 0, 0, 0, 0, len(context), 0),
        *(ctypes.addressof(place) if arguments else 0, 0, 0, 0),
    )
    attributes = ctypes.create_string_buffer(values, len(values))
    bpf(_PROG_TEST_RUN, attributes)
    result: int = struct.unpack_from("=I", attributes, 4)[0]
    return result


def create_map(
    kind: int, key_size: int, value_size: int, entries: int, flags: int, name: str
) -> int:
    """Make a map; gives its file descriptor.

    Parameters
    ----------
    kind
        ``enum bpf_map_type``.
    key_size, value_size
        In bytes.
    entries
        How many it has room for.
    flags
        Such as ``BPF_F_NO_PREALLOC``.
    name
        What the kernel calls it; of this the first 15 bytes.
    """
    return bpf(
        _MAP_CREATE,
        struct.pack(
            "=IIIIIII15sx",
            *(kind, key_size, value_size, entries, flags, 0, 0, name.encode()),
        ),
    )


# struct bpf_map_info up to map_flags.
_MAP_INFO = struct.Struct("=IIIIII")


def shape_of(map_fd: int) -> tuple[int, int, int, int, int]:
    """What a map was made with: kind, key size, value size, entries, flags."""
    info = ctypes.create_string_buffer(_MAP_INFO.size)
    place = ctypes.addressof(info)
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", map_fd, _MAP_INFO.size, place))
    kind, _, *rest = _MAP_INFO.unpack(info)
    return (kind, *rest)


# struct bpf_prog_info up to recursion_misses, its last member here (since Linux 5.12).
_PROG_INFO_SIZE = 216


def skipped_runs(program: int) -> int:
    """How often the kernel did not run a program, as it was running on that CPU."""
    info = ctypes.create_string_buffer(_PROG_INFO_SIZE)
    place = ctypes.addressof(info)
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program, _PROG_INFO_SIZE, place))
    skipped: int = struct.unpack_from("=Q", info, _PROG_INFO_SIZE - 8)[0]
    return skipped


def attach_raw_tracepoint(program: int, name: str) -> int:
    """Attach a program to a tracepoint; it stays while the result is open."""
    text = ctypes.create_string_buffer(name.encode())
    return bpf(
        _RAW_TRACEPOINT_OPEN, struct.pack("=QIxxxx", ctypes.addressof(text), program)
    )


def attach_trampoline(program: int, _target: str) -> int:
    """Attach an fentry or fexit program, which was loaded for its target."""
    return bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QIxxxx", 0, program))


def attach_many_kprobes(
    program: int, addresses: Sequence[int], cookies: Sequence[int]
) -> int:
    """Attach a program to many functions at once (Linux 5.18).

    Parameters
    ----------
    program
        It was loaded for `TRACE_KPROBE_MULTI`.
    addresses
        Where the functions begin.
    cookies
        What the program is told at each.
    """
    numbers = ctypes.c_uint64 * len(addresses)
    places, told = numbers(*addresses), numbers(*cookies)
    at = ctypes.addressof
    return bpf(
        _LINK_CREATE,
        struct.pack(
            "=IIIIIIQQQ",
            *(program, 0, TRACE_KPROBE_MULTI, 0, 0, len(addresses)),
            *(0, at(places), at(told)),
        ),
    )


def attach_kprobe_at(program: int, address: int) -> int:
    """Attach a program to the function that begins at an address."""
    return _attach_kprobe(program, config2=address)


def attach_kprobe(program: int, function: str, returns: bool = False) -> int:
    """Attach a program to the entry of a function; it stays while the result is open.

    Through the performance monitoring unit ``kprobe`` (Linux 4.17), which needs neither
    tracefs nor a name that could clash. What it missed: `missed_runs`.
    """
    name = ctypes.create_string_buffer(function.encode())
    # A return is bit 0 of config: devices/kprobe/format/retprobe.
    return _attach_kprobe(program, int(returns), config1=ctypes.addressof(name))


def _attach_kprobe(program: int, config: int = 0, **place: int) -> int:
    with open("/sys/bus/event_source/devices/kprobe/type") as file:
        unit = int(file.read())
    event = _perf_event_open(0, type=unit, config=config, **place)
    try:
        # A link tells what was missed, which the event does not; since Linux 5.15.
        link = bpf(
            _LINK_CREATE, struct.pack("=IIIIQ", program, event, _PERF_EVENT, 0, 0)
        )
    except OSError:
        return _with_program(event, program)
    try:
        fcntl.ioctl(event, _IOC_ENABLE, 0)
    except OSError:
        os.close(link)
        raise
    finally:
        os.close(event)
    return link


# struct bpf_link_info up to perf_event.kprobe.missed (since Linux 6.7).
_LINK_INFO_SIZE = 56


def missed_runs(link: int) -> int:
    """How often a kprobe was hit and not run, as it interrupted another on that CPU.

    0 for what attaches elsewhere, and where the kernel does not tell.
    """
    info = ctypes.create_string_buffer(_LINK_INFO_SIZE)
    place = ctypes.addressof(info)
    try:
        bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", link, _LINK_INFO_SIZE, place))
    except OSError:
        return 0
    missed: int = struct.unpack_from("=Q", info, _LINK_INFO_SIZE - 8)[0]
    return missed


def attach_perf_tracepoint(program: int, number: int) -> int:
    """Attach a program to a tracepoint, by the ``id`` that tracefs tells of it."""
    event = _perf_event_open(
        0,
        type=_TYPE_TRACEPOINT,
        config=number,
        sample_period=1,
        sample_type=_SAMPLE_RAW,
    )
    return _with_program(event, program)


def _with_program(fd: int, program: int) -> int:
    try:
        fcntl.ioctl(fd, _IOC_SET_BPF, program)
        fcntl.ioctl(fd, _IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def attach_kretprobe(program: int, function: str) -> int:
    """Attach a program to the return of a function, as `attach_kprobe` to its entry."""
    return attach_kprobe(program, function, returns=True)


def open_perf_buffer(cpu: int, watermark: int) -> int:
    """A perf event that takes what programs send on one CPU.

    Parameters
    ----------
    cpu
        Its number.
    watermark
        Bytes that wake the reader.

    Returns
    -------
    int
        Its file descriptor, to be mapped and polled.
    """
    fd = _perf_event_open(
        cpu,
        type=_TYPE_SOFTWARE,
        config=_COUNT_SW_BPF_OUTPUT,
        sample_period=1,  # every one
        sample_type=_SAMPLE_RAW,
        flags=_WATERMARK,
        wakeup=watermark,
    )
    fcntl.ioctl(fd, _IOC_ENABLE, 0)
    return fd


# Kind -> a root that is open, from `hold_file_systems` on.
_held: dict[str, int] = {}


def hold_file_systems() -> None:
    """Open tracefs and debugfs once and for all: later we may not any more."""
    for kind in ("tracefs", "debugfs"):
        with contextlib.suppress(OSError):
            _held[kind] = _open_file_system(kind)


def open_file_system(kind: str) -> int:
    """Open the root of a file system such as tracefs, without a place to mount it.

    It goes when the file descriptor is closed.
    """
    if kind not in _held:
        return _open_file_system(kind)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    return os.open(".", flags, dir_fd=_held[kind])


def _open_file_system(kind: str) -> int:
    # flags: FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
    context = _call(_FSOPEN, kind.encode(), ctypes.c_uint(1))
    try:
        _call(_FSCONFIG, context, ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, 0)
        return _call(_FSMOUNT, context, ctypes.c_uint(1), ctypes.c_uint(0))
    finally:
        os.close(context)


class _KernfsHandle(ctypes.Structure):
    # struct file_handle of include/linux/fs.h; FILEID_KERNFS of
    # include/linux/exportfs.h
    _fields_ = (
        ("handle_bytes", ctypes.c_uint32),
        ("handle_type", ctypes.c_int),
        ("id", ctypes.c_uint64),
    )


def open_kernfs_folder(mounted: int, number: int) -> int:
    """Open a folder of a file system such as cgroupfs by its id (since Linux 5.5).

    Parameters
    ----------
    mounted
        File descriptor of any folder of it.
    number
        The id: of a control group the one that ``bpf_get_current_cgroup_id()`` gives.

    Returns
    -------
    int
        A file descriptor that tells only where the folder is.

    Raises
    ------
    OSError
        There is no such folder any more.
    """
    handle = _KernfsHandle(handle_bytes=8, handle_type=0xFE, id=number)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fd: int = _libc.open_by_handle_at(mounted, ctypes.byref(handle), flags)
    if fd < 0:
        raise _error()
    return fd


class _PerfEventAttr(ctypes.Structure):
    # struct perf_event_attr, PERF_ATTR_SIZE_VER1
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
    )


def _perf_event_open(cpu: int, **attributes: int) -> int:
    # Of every process, in no group.
    attr = _PerfEventAttr(size=ctypes.sizeof(_PerfEventAttr), **attributes)
    number = _NUMBERS.get(os.uname().machine, _GENERIC)[1]
    everyone, alone = ctypes.c_int(-1), ctypes.c_int(-1)
    flags = ctypes.c_ulong(_FLAG_FD_CLOEXEC)
    return _call(number, ctypes.byref(attr), everyone, ctypes.c_int(cpu), alone, flags)
