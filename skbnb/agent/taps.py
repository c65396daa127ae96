# SPDX-License-Identifier: Apache-2.0
"""The packet sockets that are open, and who holds them: whoever sniffs."""

from __future__ import annotations

import functools
import os
import re
from typing import Iterator, NamedTuple

from . import owners
from .symbols import kernel_symbols
from .viewer import Viewer

ALL = 0x0003  # ETH_P_ALL of include/uapi/linux/if_ether.h

# As many as are told of. Anyone can open thousands, in a namespace of his own.
MOST = 256

# What begins with a device's number and name: net/ipv4/igmp.c, net/ipv6/mcast.c,
# net/core/net-procfs.c. The first has every device that is up, and the others some.
_NUMBERED = ("igmp", "igmp6", "dev_mcast")
_DEVICE = re.compile(rb"^(\d+)\s+([^\s:]+)", re.M)


class Tap(NamedTuple):
    """A packet socket that receives something.

    One of all protocols (`ALL`) also gets every packet that is sent, for which the
    kernel makes a clone before it asks the socket's filter: so does that of a DHCP
    client of the kind that listens to all. One of a single protocol gets only what is
    received.
    """

    netns: int
    ifindex: int  # 0: of any device
    dev: bytes  # empty where the kernel does not tell
    protocol: int
    inode: int

    @property
    def everywhere(self) -> bool:
        """Whether it has what other namespaces send cloned, too, and then refuses it.

        One of any device does before Linux 6.15, which has a list for each namespace.
        """
        anything = self.protocol == ALL and not self.ifindex
        return anything and not _each_namespace_has_its_own()


@functools.lru_cache(maxsize=1)
def _each_namespace_has_its_own() -> bool:
    # It came with them: kernel commit c353e8983e0d.
    return kernel_symbols().bounds("dev_nit_active_rcu") is not None


class Taps:
    """The taps that were open when a trace began or when it ended.

    What was opened and closed in between is not among them, nor what is open in a
    namespace that no process is in.

    Parameters
    ----------
    viewer
        Whom they are told to: of others than themselves a user is only told that they
        are there, and only in his own network namespace.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._seen: dict[Tap, owners.Holder | None] = {}
        # Asking each process takes longest: once in a trace. One that changes its
        # namespace meanwhile is missed, unless another one is there.
        self._namespaces: dict[int, str] = {}
        # Looking through all open files takes longer still: once for each socket.
        self._holders: dict[int, owners.Holder | None] = {}

    def begin(self) -> None:
        """Forget what was seen, and look."""
        self._seen.clear()
        self._namespaces.clear()
        self.look()

    def look(self) -> None:
        """Take note of what is open now."""
        pids = owners.processes()
        taps = list(_taps(pids, self._namespaces))
        self._find_holders({tap.inode for tap in taps}, pids)
        for tap in taps:
            self._seen[tap] = self._seen.get(tap) or self._holders[tap.inode]

    def _find_holders(self, inodes: set[int], pids: list[int]) -> None:
        known = {i: held for i, held in self._holders.items() if i in inodes}
        before = sorted({held.pid for held in known.values() if held})
        # What nobody was found to hold is not looked for again.
        wanted = inodes - {inode for inode, held in known.items() if not held}
        # Who sniffs came lately, as a rule, and has a high id.
        order = [*before, *reversed(pids)]
        found = owners.holders(wanted, order) if wanted else {}
        self._holders = {inode: found.get(inode) for inode in inodes}

    def told(self, notebook_pid: int) -> dict[str, object]:
        """What a TAPS frame says of those seen, for a notebook."""
        # Those of all protocols first: they are few, and cost most.
        taps = sorted(self._seen, key=lambda tap: (tap.protocol != ALL, tap))
        if not self._viewer.sees_all:
            here = _number_of(self._namespaces.get(notebook_pid, ""))
            taps = [tap for tap in taps if tap.netns == here]
        return {
            "sockets": [self._told(tap) for tap in taps[:MOST]],
            "more": len(taps[MOST:]),
        }

    def _told(self, tap: Tap) -> dict[str, object]:
        holder = self._seen[tap]
        if holder and not self._viewer.sees(holder.pid):
            holder = None
        return {
            **tap._asdict(),
            "dev": _text(tap.dev) if tap.dev else None,
            "everywhere": tap.everywhere,
            "pid": holder.pid if holder else None,
            "comm": _text(holder.comm) if holder else None,
        }


def _number_of(namespace: str) -> int | None:
    # As "net:[4026531840]".
    found = re.fullmatch(r"net:\[(\d+)\]", namespace)
    return int(found.group(1)) if found else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _taps(pids: list[int], namespaces: dict[int, str]) -> Iterator[Tap]:
    if not os.path.exists("/proc/self/net/packet"):
        return  # in no namespace, as long as nobody needs the module
    done: set[str] = set()
    for pid in pids:
        try:
            namespace = namespaces.get(pid) or _namespace(pid)
            namespaces[pid] = namespace
            if namespace in done:
                continue
            table = _read(f"/proc/{pid}/net/packet")
            if _namespace(pid) != namespace:
                continue
        except OSError:  # it ended; another process is in this namespace, perhaps
            continue
        done.add(namespace)
        yield from _of_namespace(namespace, table, f"/proc/{pid}/net")


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def _of_namespace(namespace: str, table: bytes, folder: str) -> Iterator[Tap]:
    # packet_seq_show() of net/packet/af_packet.c: sk RefCnt Type Proto Iface R Rmem
    # User Inode. R is whether it receives: not of protocol 0, nor of a device that is
    # down.
    rows = [line.split() for line in table.splitlines()[1:]]
    running = [row for row in rows if row[5] == b"1"]
    names = _device_names(folder) if any(row[4] != b"0" for row in running) else {}
    for row in running:
        ifindex = int(row[4])
        yield Tap(
            netns=_number_of(namespace) or 0,
            ifindex=ifindex,
            dev=names.get(ifindex, b""),
            protocol=int(row[3], 16),
            inode=int(row[8]),
        )


def _device_names(folder: str) -> dict[int, bytes]:
    names: dict[int, bytes] = {}
    for file in _NUMBERED:
        try:
            text = _read(f"{folder}/{file}")
        except OSError:  # a kernel without it
            continue
        names.update((int(number), name) for number, name in _DEVICE.findall(text))
    return names


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
