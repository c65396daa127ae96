# SPDX-License-Identifier: Apache-2.0
"""The system calls that not every BCC has: bpf(2) and perf_event_open(2)."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import struct

# (bpf, perf_event_open); newer machines have those of asm-generic/unistd.h.
_NUMBERS = {"x86_64": (321, 298), "ppc64le": (361, 319)}
_GENERIC = (280, 241)

# enum bpf_cmd, enum bpf_map_type and enum bpf_prog_type of include/uapi/linux/bpf.h
_MAP_CREATE, _MAP_UPDATE_ELEM, _PROG_LOAD = 0, 2, 5
_MAP_TYPE_RINGBUF = 27
_PROG_TYPE_SOCKET_FILTER = 1

# include/uapi/linux/perf_event.h
_TYPE_SOFTWARE = 1
_COUNT_SW_BPF_OUTPUT = 10
_SAMPLE_RAW = 1 << 10
_WATERMARK = 1 << 14
_FLAG_FD_CLOEXEC = 8
_IOC_ENABLE = 0x2400

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _bpf(command: int, attributes: bytes) -> int:
    number = _NUMBERS.get(os.uname().machine, _GENERIC)[0]
    return _call(number, ctypes.c_int(command), attributes, len(attributes))


def _works(command: int, attributes: bytes) -> bool:
    try:
        os.close(_bpf(command, attributes))
    except OSError:
        return False
    return True


@functools.lru_cache(maxsize=1)
def has_ring_buffer() -> bool:
    """Whether the kernel has ring buffers: it makes one (since Linux 5.8)."""
    return _works(_MAP_CREATE, struct.pack("=IIII", _MAP_TYPE_RINGBUF, 0, 0, 4096))


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
    code = ctypes.create_string_buffer(_FETCH, len(_FETCH))
    licence = ctypes.create_string_buffer(b"GPL")
    return _works(
        _PROG_LOAD,
        struct.pack(
            "=IIQQ",
            _PROG_TYPE_SOCKET_FILTER,
            len(_FETCH) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
        ),
    )


def set_element(map_fd: int, key: int, value: int) -> None:
    """Set an element of a map whose keys and values are 32 bits each."""
    key_place = ctypes.c_uint32(key)
    value_place = ctypes.c_uint32(value)
    _bpf(
        _MAP_UPDATE_ELEM,
        struct.pack(
            "=IxxxxQQQ",
            map_fd,
            ctypes.addressof(key_place),
            ctypes.addressof(value_place),
            0,
        ),
    )


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
    attributes = struct.pack(
        "=IIQQQQQIIQ",
        _TYPE_SOFTWARE,
        64,  # PERF_ATTR_SIZE_VER0
        _COUNT_SW_BPF_OUTPUT,
        1,  # every one
        _SAMPLE_RAW,
        0,
        _WATERMARK,
        watermark,
        0,
        0,
    )
    number = _NUMBERS.get(os.uname().machine, _GENERIC)[1]
    flags = ctypes.c_ulong(_FLAG_FD_CLOEXEC)
    every_process, no_group = ctypes.c_int(-1), ctypes.c_int(-1)
    fd = _call(number, attributes, every_process, ctypes.c_int(cpu), no_group, flags)
    fcntl.ioctl(fd, _IOC_ENABLE)
    return fd
