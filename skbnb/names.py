# SPDX-License-Identifier: Apache-2.0
"""What the numbers in a trace's records are called, as its last frames tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .containers import container_of
from .units import printable
from .wire import Payload, unpack_stacks

__all__ = ["Names"]

# What lies between a probe and the function's caller.
_CALLED = ("skb_clone", "skb_copy", "__pskb_copy_fclone")

# The name of no address: the caller of whom nobody knows.
_NOBODY = "0x0"


@dataclass(frozen=True)
class Names:
    """Numbers -> names, of one trace.

    Parameters
    ----------
    functions, modules
        Address in hex -> name. An address in the kernel proper has no module.
    drop_reasons
        Number -> name.
    netns
        Inode number of a network namespace -> name, where it has one.
    cgroups
        Id of a control group -> path.
    stacks
        Id -> addresses, innermost first.
    """

    functions: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    drop_reasons: Mapping[str, str] = field(default_factory=dict)
    netns: Mapping[str, str] = field(default_factory=dict)
    cgroups: Mapping[str, str] = field(default_factory=dict)
    stacks: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, symbols: Mapping[str, Any], payloads: Sequence[Payload]) -> Names:
        """Those of a SYMBOLS frame, which may be missing, and of STACKS payloads.

        Raises
        ------
        StreamError
            A payload holds no stacks.
        """
        stacks = {n: ips for payload in payloads for n, ips in unpack_stacks(payload)}
        names = ("functions", "modules", "drop_reasons", "netns", "cgroups")
        return cls(**{n: symbols.get(n, {}) for n in names}, stacks=stacks)

    def function(self, address: int) -> str:
        """The function that an address lies in, or the address."""
        return printable(self.functions.get(f"{address:#x}", f"{address:#x}"))

    def drop_reason(self, number: int) -> str:
        """The kernel's word for a reason to drop a packet, or the number."""
        return printable(self.drop_reasons.get(str(number), f"{number:#x}"))

    def namespace(self, inode: int) -> str | None:
        """The name of a network namespace, if it has one."""
        return _printable(self.netns.get(str(inode)))

    def cgroup(self, number: int) -> str | None:
        """The path of a control group; None if it is not known."""
        return _printable(self.cgroups.get(str(number)))

    def container(self, cgroup: int) -> str | None:
        """The container that a control group is of, if any."""
        return _printable(container_of(self.cgroups.get(str(cgroup), "")))

    def folded(self, stack: int, caller: int) -> str:
        """One stack, from the outermost function to this caller's, with ``;`` between.

        The frames of the probe itself, below the caller, are left out. Empty if the
        caller is not there: before Linux 5.15 other tools' kretprobes hide it.
        """
        addresses = self.stacks.get(stack, ())
        functions = [self.function(address) for address in addresses]
        start = _caller_in(functions, self.function(caller))
        return ";".join(map(self._frame, reversed(addresses[start:])))

    def _frame(self, address: int) -> str:
        module = printable(self.modules.get(f"{address:#x}", ""))
        name = self.function(address) + (f" [{module}]" if module else "")
        return name.replace(";", ":")


def _printable(name: str | None) -> str | None:
    return None if name is None else printable(name)


def _caller_in(functions: Sequence[str], caller: str) -> int:
    """Where the caller stands; the end if it is hidden.

    One that nobody knows is above what it called.
    """
    if caller in functions:
        return functions.index(caller)
    called = [number for number, name in enumerate(functions, 1) if name in _CALLED]
    hidden = caller != _NOBODY or "kretprobe_trampoline" in functions
    return len(functions) if hidden else max(called, default=len(functions))
