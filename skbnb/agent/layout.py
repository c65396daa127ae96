# SPDX-License-Identifier: Apache-2.0
"""Where the running kernel keeps its struct members, as ``-D`` constants."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from typing import NamedTuple

from ..errors import LayoutError
from . import syscalls
from .objects import is_no_helper

BTF_PATH = "/sys/kernel/btf/vmlinux"

# constant -> (struct, member). A tuple of constants takes (byte, bit) of a bit-field.
MEMBERS = {
    "SKB_LEN": ("sk_buff", "len"),
    "SKB_DATA_LEN": ("sk_buff", "data_len"),
    "SKB_HEAD": ("sk_buff", "head"),
    "SKB_DATA": ("sk_buff", "data"),
    "SKB_END": ("sk_buff", "end"),
    "SKB_MAC_HEADER": ("sk_buff", "mac_header"),
    "SKB_NETWORK_HEADER": ("sk_buff", "network_header"),
    "SKB_PROTOCOL": ("sk_buff", "protocol"),
    "SKB_SK": ("sk_buff", "sk"),
    "SKB_TSTAMP": ("sk_buff", "tstamp"),
    "SKB_DEV": ("sk_buff", "dev"),
    "SKB_IIF": ("sk_buff", "skb_iif"),
    "SKB_DESTRUCTOR": ("sk_buff", "destructor"),
    "SKB_CB": ("sk_buff", "cb"),
    "SHARED_NR_FRAGS": ("skb_shared_info", "nr_frags"),
    "SHARED_FRAGS": ("skb_shared_info", "frags"),
    "TCP_CB_SEQ": ("tcp_skb_cb", "seq"),
    "TCP_CB_END_SEQ": ("tcp_skb_cb", "end_seq"),
    "TCP_CB_FLAGS": ("tcp_skb_cb", "tcp_flags"),
    "TCP_SND_NXT": ("tcp_sock", "snd_nxt"),
    "TCP_TOTAL_RETRANS": ("tcp_sock", "total_retrans"),
    "SK_FAMILY": ("sock_common", "skc_family"),
    "SK_DADDR": ("sock_common", "skc_daddr"),
    "SK_RCV_SADDR": ("sock_common", "skc_rcv_saddr"),
    "SK_DPORT": ("sock_common", "skc_dport"),
    "SK_NUM": ("sock_common", "skc_num"),
    "SK_HASH": ("sock_common", "skc_hash"),
    "SK_STATE": ("sock_common", "skc_state"),
    "SK_COOKIE": ("sock_common", "skc_cookie"),
    "SK_SOCKET": ("sock", "sk_socket"),
    "SK_UID": ("sock", "sk_uid"),
    "DEV_IFINDEX": ("net_device", "ifindex"),
    "DEV_NAME": ("net_device", "name"),
    "DEV_NET": ("net_device", "nd_net"),
    "TASK_PID": ("task_struct", "pid"),
    "TASK_FLAGS": ("task_struct", "flags"),
    "TASK_STACK": ("task_struct", "stack"),
}
# constant -> what is added up: a member of a member.
SUMS: dict[str, tuple[tuple[str, str], ...]] = {
    "NET_INUM": (("net", "ns"), ("ns_common", "inum")),
    "SK_LAST_RECEIVED": (("sock", "sk_receive_queue"), ("sk_buff_head", "prev")),
    "SOCKET_INODE": (("socket_alloc", "vfs_inode"), ("inode", "i_ino")),
}
# Not in every kernel; what rests on them is then absent.
OPTIONAL: dict[str, tuple[tuple[str, str], ...]] = {
    "SK_V6_DADDR": (("sock_common", "skc_v6_daddr"),),
    "SK_V6_RCV_SADDR": (("sock_common", "skc_v6_rcv_saddr"),),
    "SK_CGROUP": (("sock", "sk_cgrp_data"), ("sock_cgroup_data", "cgroup")),
    "SK_CGROUP_OR_CLASS": (("sock", "sk_cgrp_data"), ("sock_cgroup_data", "val")),
    "CGROUP_NODE": (("cgroup", "kn"),),
    "CGROUP_ROOT": (("cgroup", "root"),),
    "HIERARCHY_ID": (("cgroup_root", "hierarchy_id"),),
    "NODE_ID": (("kernfs_node", "id"),),
    # A bit-field before Linux 5.6.
    "SK_PROTOCOL": (("sock", "sk_protocol"),),
    # Of Linux 6.18, in which UDP began to free what was read later and without a sign
    # (commit 6471658dc66c, "udp: use skb_attempt_defer_free()").
    "UDP_DEFERS_FREE": (("udp_prod_queue", "ll_root"),),
}
# Where the count is of what is going on on a CPU: in the task itself, or, on x86, where
# the CPU has it. There it is found from a pointer that every task has to what is this
# CPU's own (kernel/sched/sched.h: runqueues).
_COUNT_OF_TASK = (("task_struct", "thread_info"), ("thread_info", "preempt_count"))
_RUNQUEUE = {
    "TASK_CFS_RQ": (("task_struct", "se"), ("sched_entity", "cfs_rq")),
    "CFS_RQ_RQ": (("cfs_rq", "rq"),),
}
# constant -> struct whose size in bytes it is.
SIZES = {
    "SKB_SIZE": "sk_buff",
    "SK_COMMON_SIZE": "sock_common",
    "STRUCT_PAGE_SIZE": "page",
}
BIT_FIELDS = {
    ("SKB_FCLONE_BYTE", "SKB_FCLONE_BIT"): ("sk_buff", "fclone"),
    ("SKB_CLONED_BYTE", "SKB_CLONED_BIT"): ("sk_buff", "cloned"),
}

# What a program may take any address for, since Linux 6.2, and a member of it that has
# more bytes than any struct of which it reads: bpf/skb_memory.h.
_CAST = "bpf_rdonly_cast"
_BYTES = ("perf_event_mmap_page", "__reserved")

# The kernel's reasons to drop a packet, since Linux 5.17.
_DROP_REASONS = "skb_drop_reason"

_STRUCT, _UNION, _ENUM, _FUNCTION, _VARIABLE, _SECTION = 4, 5, 6, 12, 14, 15
_MODIFIERS = (8, 9, 10, 11)  # typedef, volatile, const, restrict
_MOST_MODIFIERS = 32  # of one type, far more than there are


class _Type(ctypes.Structure):
    # struct btf_type of include/uapi/linux/btf.h
    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("size_or_type", ctypes.c_uint32),
    )


class _Member(ctypes.Structure):
    # struct btf_member
    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    )


class _Constant(ctypes.Structure):
    # struct btf_enum
    _fields_ = (("name_off", ctypes.c_uint32), ("value", ctypes.c_uint32))


class _InSection(ctypes.Structure):
    # struct btf_var_secinfo
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    )


class Place(NamedTuple):
    """Where a member lies in its struct."""

    byte: int
    bit: int


class Btf:
    """The running kernel's BTF, read by libbpf (which BCC's library depends on)."""

    def __init__(self) -> None:
        lib = _libbpf()
        pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
        # Before libbpf 0.5 by its older name.
        load = getattr(lib, "btf__load_vmlinux_btf", None) or lib.libbpf_find_kernel_btf
        load.restype = pointer
        lib.btf__find_by_name_kind.argtypes = [pointer, ctypes.c_char_p, u32]
        lib.btf__type_by_id.argtypes = [pointer, u32]
        lib.btf__type_by_id.restype = pointer
        lib.btf__name_by_offset.argtypes = [pointer, u32]
        lib.btf__name_by_offset.restype = ctypes.c_char_p
        lib.btf__free.argtypes = [pointer]
        self._lib = lib
        self._btf = load()
        # Before libbpf 1.0 an error is a small negative number in the pointer's place.
        if not self._btf or self._btf > (1 << 64) - 4096:
            self._btf = None
            raise LayoutError("this kernel's BTF cannot be read")

    def close(self) -> None:
        """Free it: 20 MB that are needed once."""
        self._lib.btf__free(self._btf)

    def _find(self, name: str, kind: int, what: str) -> int:
        found: int = self._lib.btf__find_by_name_kind(self._btf, name.encode(), kind)
        if found < 0:
            raise LayoutError(f"this kernel's BTF has no {what} {name}")
        return found

    def struct(self, name: str) -> int:
        """The id of a struct."""
        return self._find(name, _STRUCT, "struct")

    def function(self, name: str) -> int:
        """The id of a function of the kernel's."""
        return self._find(name, _FUNCTION, "function")

    def per_cpu(self, variable: str) -> int:
        """Where a variable lies among those that each CPU has of its own, in bytes."""
        wanted = self._find(variable, _VARIABLE, "variable")
        address = self._type(self._find(".data..percpu", _SECTION, "section"))
        count = _Type.from_address(address).info & 0xFFFF
        array = (_InSection * count).from_address(address + ctypes.sizeof(_Type))
        for one in array:
            if one.type == wanted:
                return int(one.offset)
        raise LayoutError(f"this kernel's BTF has no place of {variable}")

    def enum(self, name: str) -> dict[int, str]:
        """The constants of an enum: value -> name; none if there is no such enum."""
        found = self._lib.btf__find_by_name_kind(self._btf, name.encode(), _ENUM)
        if found < 0:
            return {}
        address = self._type(found)
        count = _Type.from_address(address).info & 0xFFFF
        array = (_Constant * count).from_address(address + ctypes.sizeof(_Type))
        return {c.value: self._name(c.name_off) for c in array}

    def size(self, struct: str) -> int:
        """Size of a struct in bytes."""
        address = self._type(self.struct(struct))
        return int(_Type.from_address(address).size_or_type)

    def place(self, struct: str, member: str) -> Place:
        """Where a member lies, looking into anonymous structs and unions."""
        bits = self._search(self.struct(struct), member)
        if bits is None:
            raise LayoutError(f"this kernel's struct {struct} has no member {member}")
        return Place(bits // 8, bits % 8)

    def sum(self, places: tuple[tuple[str, str], ...]) -> int:
        """Where a member of a member lies in the first struct, in bytes."""
        return sum(self.place(*where).byte for where in places)

    def _search(self, outermost: int, wanted: str) -> int | None:
        pending, seen = [(outermost, 0)], set()
        while pending:
            type_id, base = pending.pop()
            if type_id in seen:
                continue
            seen.add(type_id)
            for name, member_type, bits in self._members(type_id):
                if name == wanted:
                    return base + bits
                if not name:
                    pending.append((member_type, base + bits))
        return None

    def _type(self, type_id: int) -> int:
        address: int | None = self._lib.btf__type_by_id(self._btf, type_id)
        if not address:
            raise LayoutError(f"this kernel's BTF has no type {type_id}")
        return address

    def _members(self, type_id: int) -> list[tuple[str, int, int]]:
        address = self._type(type_id)
        for _ in range(_MOST_MODIFIERS):
            if (_Type.from_address(address).info >> 24) & 0x1F not in _MODIFIERS:
                break
            address = self._type(_Type.from_address(address).size_or_type)
        info = _Type.from_address(address).info
        if (info >> 24) & 0x1F not in (_STRUCT, _UNION):
            return []
        # With kind_flag set, the upper byte of an offset is a bit-field's width.
        mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF
        array = (_Member * (info & 0xFFFF)).from_address(address + ctypes.sizeof(_Type))
        return [(self._name(m.name_off), m.type, m.offset & mask) for m in array]

    def _name(self, offset: int) -> str:
        name: bytes | None = self._lib.btf__name_by_offset(self._btf, offset)
        if name is None:
            raise LayoutError(f"this kernel's BTF has no name at {offset}")
        return name.decode("ascii", "replace")


def _libbpf() -> ctypes.CDLL:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise LayoutError(
        "libbpf is missing, so the kernel's BTF cannot be read",
        "Install libbpf1 (Debian, Ubuntu) or libbpf (Fedora, Arch).",
    )


class Layout(NamedTuple):
    """Where the running kernel keeps its struct members.

    Parameters
    ----------
    name
        Who says so, as in ``--layout``: ``btf`` or ``headers``.
    flags
        Compiler flags that tell the C files.
    """

    name: str
    flags: list[str]


def choose(name: str) -> Layout:
    """The layout for a ``--layout`` value: BTF, or else the headers.

    Raises
    ------
    LayoutError
        Neither is there, or not the one that was asked for.
    """
    if name == "headers":
        return from_headers()
    try:
        return from_btf()
    except LayoutError as no_btf:
        if name == "btf":
            raise
        try:
            return from_headers()
        except LayoutError as no_headers:
            raise LayoutError(
                f"{no_btf.args[0]} and {no_headers.args[0]}", no_headers.hint
            ) from None


def from_btf() -> Layout:
    """The layout as the kernel itself tells it."""
    if not os.path.exists(BTF_PATH):
        raise LayoutError("this kernel has no BTF (/sys/kernel/btf/vmlinux)")
    btf = Btf()
    try:
        constants = {name: btf.place(*where).byte for name, where in MEMBERS.items()}
        for names, where in BIT_FIELDS.items():
            constants.update(zip(names, btf.place(*where)))
        for name, places in SUMS.items():
            constants[name] = btf.sum(places)
        for name, places in OPTIONAL.items():
            with contextlib.suppress(LayoutError):
                constants[name] = btf.sum(places)
        constants.update({name: btf.size(struct) for name, struct in SIZES.items()})
        constants.update(_of_counts(btf))
        constants.update(_of_casts(btf))
        if btf.enum(_DROP_REASONS):
            constants["DROP_REASONS"] = 1
    finally:
        btf.close()
    return Layout("btf", [f"-D{name}={value}" for name, value in constants.items()])


def _of_counts(btf: Btf) -> dict[str, int]:
    """Where the count is of what is going on on a CPU; empty where it is not known."""
    with contextlib.suppress(LayoutError):
        btf.place("task_struct", "softirq_disable_cnt")
        return {}  # PREEMPT_RT counts softirqs there, and in no two places
    with contextlib.suppress(LayoutError):
        return {"TASK_PREEMPT_COUNT": btf.sum(_COUNT_OF_TASK)}
    with contextlib.suppress(LayoutError):
        found = {name: btf.sum(places) for name, places in _RUNQUEUE.items()}
        found["COUNT_FROM_RQ"] = _count_of_cpu(btf) - btf.per_cpu("runqueues")
        return found
    return {}


def _of_casts(btf: Btf) -> dict[str, int]:
    """How any memory is taken for bytes; empty where the kernel forbids it."""
    with contextlib.suppress(LayoutError):
        bytes_at = btf.place(*_BYTES).byte
        kind = btf.struct(_BYTES[0])
        cast = btf.function(_CAST)
        if is_no_helper(cast) and syscalls.can_cast(cast, kind, bytes_at):
            return {
                "RDONLY_CAST": cast,
                "BYTES_TYPE": kind,
                "BYTES_OFFSET": bytes_at,
            }
    return {}


def _count_of_cpu(btf: Btf) -> int:
    with contextlib.suppress(LayoutError):
        return btf.per_cpu("__preempt_count")
    # From Linux 6.2 to 6.14.
    return btf.per_cpu("pcpu_hot") + btf.place("pcpu_hot", "preempt_count").byte


@functools.lru_cache(maxsize=None)
def function_id(name: str) -> int:
    """The BTF id of a function of the kernel's.

    Raises
    ------
    LayoutError
        There is no BTF, or it has no such function.
    """
    with contextlib.closing(Btf()) as btf:
        return btf.function(name)


def drop_reasons() -> dict[int, str]:
    """The kernel's reasons to drop a packet: number -> name, where BTF tells."""
    try:
        btf = Btf()
    except LayoutError:
        return {}
    try:
        names = btf.enum(_DROP_REASONS)
    finally:
        btf.close()
    return {
        value: name[len("SKB_DROP_REASON_") :]
        for value, name in names.items()
        if name.startswith("SKB_DROP_REASON_")
    }


def from_headers() -> Layout:
    """The layout for kernels without BTF: their real headers say it (offsetof)."""
    release = os.uname().release
    if not os.path.isdir(f"/lib/modules/{release}/build"):
        raise LayoutError(f"there are no kernel headers for {release}")
    return Layout("headers", ["-DLAYOUT_FROM_HEADERS"])
