# SPDX-License-Identifier: Apache-2.0
"""Records: all that is known of each call, and what is read beside them at the end."""

from __future__ import annotations

import struct
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

from ..config import Config
from ..wire import BYTES_SIZE, CALL_KINDS, KIND_AT, RECORD_SIZE, SOCKET, pack_stack
from . import buffers, memory, owners
from .attach import Attachment
from .probes import FOLLOW_TASKS, Probe
from .program import Buffered, defines
from .symbols import function_names
from .viewer import Viewer

# enum option of bpf/skb_count.h
_FOLLOW, _COPY = 1, 2

_IN_PAGES = "what TCP and sendfile() keep in pages, which are not to be found here"

_NO_LIMIT = (1 << 64) - 1


_ADDRESS = struct.Struct("=Q")


class _Socket(NamedTuple):
    """``struct skb_socket_key`` and ``struct skb_socket`` of bpf/skb_event.h."""

    sk: int
    sock_hash: int
    cookie: int
    cgroup: int
    inode: int
    pid: int
    comm: bytes


class Recorder(Buffered):
    """One record for each call, and further ones as its clone is seen again."""

    counts_anew = False

    @classmethod
    def source(cls, probe: Probe) -> str:
        """Each probe's own."""
        return probe.source

    def _flags(
        self, config: Config, read_source: Callable[[str], str]
    ) -> Sequence[str]:
        self._size = config.ring_mib << 20
        self._buffer = buffers.choose(config.buffer, self._size, config.snaplen)
        self.buffer_name, self.buffer_why = self._buffer.name, self._buffer.why
        flags = [*self._buffer.flags]
        if config.stacks:
            flags.append("-DSTACKS")
        if config.snaplen:
            flags.append(f"-DSNAPLEN={config.snaplen}")
            found = memory.find(read_source)
            self.bytes_missing = _IN_PAGES if found is None else ""
            flags += defines(found or {})
        return flags

    def __init__(
        self,
        probe: Probe,
        config: Config,
        read_source: Callable[[str], str],
        viewer: Viewer,
    ) -> None:
        super().__init__(probe, config, read_source, viewer)
        records, size = self.maps["records"], _record_size(config)
        self._read_from(self._buffer.reader(records, self._size, size))
        # The first lookup reads the whole symbol table: not when a trace ends.
        function_names()

    @classmethod
    def key(cls, probe: Probe, config: Config) -> tuple[object, ...]:
        """Records need a program of their own for each size and form."""
        form = config.ring_mib, config.buffer, config.stacks, config.snaplen
        return (*super().key(probe, config), *form)

    def _needed(self) -> Sequence[Attachment]:
        return FOLLOW_TASKS + self.probe.attachments

    def _wanted(self, config: Config) -> Sequence[Attachment]:
        copies = self.probe.copies if config.also == "copy" else ()
        return self.probe.attachments + copies

    def _prepare(self, config: Config, before: Mapping[str, int]) -> None:
        limit = before["calls"] + config.max_events if config.max_events else _NO_LIMIT
        options = _FOLLOW * config.follow | _COPY * (config.also == "copy")
        settings = struct.pack("=QQQ", limit, self._wakeup_mask(), options)
        self.maps["settings"].set(bytes(4), settings)
        self._forget()
        self._follow_tasks(config)

    def _forget(self) -> None:
        # What an earlier trace left.
        self._reader.skip()
        for name in ("callers", "sockets", "living"):
            self.maps[name].clear()
        for name in ("named", "users", "known_callers"):
            self.maps[name].clear_element(bytes(4))
        if "stacks" in self.maps:
            stacks = self.maps["stacks"]
            for key, _ in list(stacks.items()):
                stacks.delete(key)

    def _calls_in(self, block: memoryview) -> int:
        # A record can be of something else; its kind is one byte.
        kinds = bytes(block[self.offset + KIND_AT :: self.stride])
        return sum(map(kinds.count, CALL_KINDS))

    def _wakeup_mask(self) -> int:
        # Wake the reader when about an eighth of the ring has filled: 2 ** n calls,
        # less one.
        return (1 << (self._size // self._reader.stride // 8).bit_length() - 1) - 1

    def sockets(self) -> tuple[list[bytes], set[int]]:
        """The sockets that records name, each its key and its value.

        And the ids of the control groups that they are in.
        """
        items = self.maps["sockets"].items()
        found = [_Socket(*SOCKET.unpack(key + value)) for key, value in items]
        unused = {one.inode for one in found if one.inode and not one.pid}
        pids = filter(self._viewer.sees, owners.processes())
        held_by = owners.holders(unused, pids) if unused else {}
        cgroups = {one.cgroup for one in found if one.cgroup}
        return [SOCKET.pack(*self._told(one, held_by)) for one in found], cgroups

    def _told(self, one: _Socket, held_by: Mapping[int, tuple[int, bytes]]) -> _Socket:
        pid, comm = held_by.get(one.inode, (one.pid, one.comm))
        return one._replace(sk=self._viewer.data(one.sk), pid=pid, comm=comm)

    def gone_cgroups(self, ids: set[int]) -> dict[int, bytes]:
        """Id -> path of those of these control groups that were removed in a trace."""
        paths = self.maps["gone_cgroups"]
        found = {number: paths.get(struct.pack("=Q", number)) for number in ids}
        return {n: path.split(b"\0")[0] for n, path in found.items() if path}

    def stacks(self) -> dict[int, list[int]]:
        """The kernel stacks by their ids: addresses, innermost first."""
        if "stacks" not in self.maps:
            return {}
        # What is not used of each is zero.
        return {
            int.from_bytes(key, "little"): [
                ip for (ip,) in _ADDRESS.iter_unpack(ips) if ip
            ]
            for key, ips in self.maps["stacks"].items()
        }

    def told_stacks(self, stacks: Mapping[int, Sequence[int]]) -> Iterator[bytes]:
        """Stacks, packed."""
        for number, addresses in stacks.items():
            yield pack_stack(number, [self._viewer.text(ip) for ip in addresses])

    def functions(
        self, addresses: Iterable[int]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Where every caller and these addresses lie: address in hex -> function.

        And the same -> module, where it is in one. The addresses are those told.
        """
        names = function_names()
        # BPF programs, which come and go, are on stacks only.
        names.refresh(always="stacks" in self.maps)
        keys = (key for key, _ in self.maps["callers"].items())
        callers = (int.from_bytes(key, "little") for key in keys)
        told = self._viewer.text
        found = {f"{told(a):#x}": names.name(a) for a in {*callers, *addresses}}
        return (
            {address: name for address, (name, _) in found.items() if name},
            {address: module for address, (_, module) in found.items() if module},
        )


def _record_size(config: Config) -> int:
    """Bytes of a record and the packet's bytes behind it, which fill up to eight."""
    bytes_size = BYTES_SIZE + (config.snaplen + 7) // 8 * 8 if config.snaplen else 0
    return RECORD_SIZE + bytes_size
