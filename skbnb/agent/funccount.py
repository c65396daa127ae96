# SPDX-License-Identifier: Apache-2.0
"""Count calls: attach, count from one moment to another, detach."""

from __future__ import annotations

import os
import struct
import time
from typing import Callable, Iterator, Sequence

from ..config import MAX_COUNTED, Counting, Listing
from ..errors import LayoutError, RequestError
from ..wire import Kind
from . import calls, kept, syscalls
from .compiler import expand
from .functions import Countable, Group, functions, perf_number, tracepoints
from .layout import Btf, Layout
from .loaded import Loaded
from .peek import Peeks

__all__ = ["FunctionCounter"]

# The last slot is that of system calls of the 32-bit kind.
_SLOTS = MAX_COUNTED + 1
_COMPAT = MAX_COUNTED

# The number that stands for the slot in count_one() of bpf/funccount.c.
_MARK = 0x51075107

# Names in a frame, so that it stays far below the most that one may have.
_NAMES_IN_A_FRAME = 20_000

_PROGRESS_SECONDS = 0.2

# Of thread_info, what says that a task is in a 32-bit system call:
# arch/x86/include/asm/thread_info.h (TS_COMPAT), arch/arm64's (TIF_32BIT).
_COMPAT_BITS = {"x86_64": ("status", 1 << 1), "aarch64": ("flags", 1 << 22)}


class FunctionCounter:
    """One client's counts, one after the other.

    Parameters
    ----------
    send
        Sends a frame of a kind, with these fields.
    read_source
        Gives the text of a file of ``bpf/``.
    is_wanted
        Whether the client is still there.
    """

    def __init__(
        self,
        send: Callable[..., None],
        read_source: Callable[[str], str],
        is_wanted: Callable[[], bool],
    ) -> None:
        self._send = send
        self._read_source = read_source
        self._is_wanted = is_wanted
        self._programs: _Programs | None = None
        self._listed: list[Countable] = []
        self._run: _Run | None = None

    @property
    def running(self) -> bool:
        """Whether something is being counted."""
        return self._run is not None

    def take(self, request: Listing | Counting) -> None:
        """Do what is asked.

        Raises
        ------
        ProbeError
            The programs do not load.
        RequestError
            It asks for what was not listed.
        """
        if isinstance(request, Listing):
            self._list()
        else:
            self._count(request)

    def _loaded(self) -> _Programs:
        if not self._programs:
            self._programs = _Programs(expand("funccount.c", self._read_source))
        return self._programs

    def _list(self) -> None:
        programs = self._loaded()
        groups = {
            "function": functions(),
            "tracepoint": tracepoints(),
            "syscall": _system_calls(programs),
        }
        self._listed = []
        for kind, group in groups.items():
            self._listed += group.found
            self._send_group(kind, group)
        self._send(Kind.READY, ts=time.monotonic_ns(), base=0)
        self._send(Kind.END, why="listed")

    def _send_group(self, kind: str, group: Group) -> None:
        names = [f"{c.name} [{c.module}]" if c.module else c.name for c in group.found]
        self._send(
            Kind.FUNCTIONS, of=kind, names=[], barred=group.barred, why=group.why
        )
        for first in range(0, len(names), _NAMES_IN_A_FRAME):
            some = names[first : first + _NAMES_IN_A_FRAME]
            self._send(Kind.FUNCTIONS, of=kind, names=some, barred=[], why="")

    def _count(self, request: Counting) -> None:
        if max(request.functions) >= len(self._listed):
            raise RequestError("a count of what was not listed")
        wanted = [self._listed[number] for number in request.functions]
        run = _Run(self._loaded(), wanted)
        try:
            self._tell(run.attach(), len(wanted))
        except BaseException:
            run.detach_all()
            raise
        self._run = run
        self._send(Kind.READY, ts=run.begin(), base=0)

    def stop(self) -> None:
        """Detach, and send what was counted."""
        run, self._run = self._run, None
        if run:
            run.end()
            self._tell(run.detach(), run.attachments)
            self._send(Kind.COUNTS, **run.told())
            self._send(Kind.END, why="stop")

    def _tell(self, steps: Iterator[int], total: int) -> None:
        """Say how far something is, now and then, to a client that is there."""
        told = time.monotonic()
        for done in steps:
            now = time.monotonic()
            if now - told > _PROGRESS_SECONDS:
                told = now
                self._send(Kind.ATTACHING, done=done, total=total)
                if not self._is_wanted():
                    raise BrokenPipeError


class _Programs:
    """The C files, compiled."""

    def __init__(self, text: str) -> None:
        place, self.compat_why = _compat_place()
        flags = [
            f"-DSLOTS={_SLOTS}",
            f"-DSLOT_GOES_HERE={_MARK:#x}",
            f"-DSYSTEM_CALLS={calls.MOST}",
            f"-DPEEK_BYTES={calls.PIECE}",
            f"-DCOMPAT_PLACE={place}",
            f"-DCOMPAT_BIT={_COMPAT_BITS.get(os.uname().machine, ('', 0))[1]}",
        ]
        # It needs no struct of the kernel's.
        self._loaded = Loaded(kept.compiled(text, flags, Layout("btf", [])))
        self._one = self._loaded.code("count_one")
        self._counts = self._loaded.maps["counts"]

    def count_one(self, kind: int, slot: int) -> int:
        """Load a program that counts in one slot."""
        mark = struct.pack("=i", _MARK)
        code = self._one
        # The last four bytes of an instruction are its constant.
        places = [at for at in range(4, len(code), 8) if code[at : at + 4] == mark]
        (place,) = places
        code = code[:place] + struct.pack("=i", slot) + code[place + 4 :]
        return syscalls.load_program(kind, code)

    def count_many(self) -> int:
        """Load the program that is told its slot."""
        code = self._loaded.code("count_many")
        kprobe, many = syscalls.PROG_TYPE_KPROBE, syscalls.TRACE_KPROBE_MULTI
        return syscalls.load_program(kprobe, code, many)

    def choose_calls(self, slots: dict[int, int]) -> None:
        """Say which system calls are counted: number -> slot."""
        table = self._loaded.maps["slots_of_calls"]
        for number in range(calls.MOST):
            table.set(_index(number), _index(slots.get(number, -1) + 1))

    def count_calls(self) -> int:
        """Load the program that counts them at perf's tracepoint."""
        code = self._loaded.code("count_call")
        return syscalls.load_program(syscalls.PROG_TYPE_TRACEPOINT, code)

    def count_raw_calls(self) -> int:
        """Load the program that counts them at the raw tracepoint."""
        code = self._loaded.code("count_raw_call")
        return syscalls.load_program(syscalls.PROG_TYPE_RAW_TRACEPOINT, code)

    def memory(self) -> Peeks:
        """What reads the kernel's memory."""
        return Peeks(self._loaded)

    def switch(self, on: bool) -> None:
        """Begin to count, or end it."""
        self._loaded.maps["counting"].set(_index(0), _index(int(on)))

    def clear(self, slots: Sequence[int]) -> None:
        """Set counters to zero."""
        for slot in slots:
            self._counts.clear_element(_index(slot))

    def counts(self, slots: Sequence[int]) -> list[int]:
        """What the counters say, all CPUs together."""
        return [self._count(slot) for slot in slots]

    def _count(self, slot: int) -> int:
        per_cpu = self._counts.get(_index(slot)) or b""
        return sum(struct.unpack(f"={len(per_cpu) // 8}Q", per_cpu))


def _index(number: int) -> bytes:
    """A number of 32 bits, as maps have them."""
    return struct.pack("=I", number)


class _Run:
    """One count.

    Parameters
    ----------
    programs
        What counts.
    wanted
        What is counted; each has the slot of its place here.
    """

    def __init__(self, programs: _Programs, wanted: Sequence[Countable]) -> None:
        self._programs = programs
        self._wanted = wanted
        self._refused: dict[int, str] = {}
        self._how = {"kprobe-multi": 0, "kprobe": 0, "tracepoint": 0, "syscall": 0}
        self._held: list[int] = []
        self._loaded: list[int] = []
        # The program that counts in a slot, and in no other; what it was not run for.
        self._of_slot: dict[int, int] = {}
        self._skipped: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._began = self._ended = self._missed = 0

    def _slots(self, kind: str) -> list[int]:
        return [slot for slot, one in enumerate(self._wanted) if one.kind == kind]

    def attach(self) -> Iterator[int]:
        """Attach all that can be, giving how many of it are done, now and then."""
        self._programs.switch(False)
        self._programs.clear([*range(len(self._wanted)), _COMPAT])
        self._attach_calls(self._slots("syscall"))
        done = len(self._slots("syscall"))
        for slot in self._slots("tracepoint"):
            self._attach_tracepoint(slot)
            done += 1
            yield done
        slots = self._slots("function")
        if self._attach_many(slots):
            return
        for slot in slots:
            self._attach_kprobes(slot)
            done += 1
            yield done

    def _attach_calls(self, slots: list[int]) -> None:
        if not slots:
            return
        numbers = {self._wanted[slot].places[0]: slot for slot in slots}
        self._programs.choose_calls(numbers)
        known_to_perf = perf_number("raw_syscalls:sys_enter")
        if known_to_perf is None:
            program = self._programs.count_raw_calls()
            held = syscalls.attach_raw_tracepoint(program, "sys_enter")
        else:
            program = self._programs.count_calls()
            held = syscalls.attach_perf_tracepoint(program, known_to_perf)
        self._loaded.append(program)
        self._held.append(held)
        self._how["syscall"] = len(slots)

    def _attach_tracepoint(self, slot: int) -> None:
        name = self._wanted[slot].name.partition(":")[2]
        kind = syscalls.PROG_TYPE_RAW_TRACEPOINT
        try:
            program = self._programs.count_one(kind, slot)
            self._loaded.append(program)
            self._of_slot[slot] = program
            self._held.append(syscalls.attach_raw_tracepoint(program, name))
        except OSError as error:
            self._refused[slot] = _why(error)
        else:
            self._how["tracepoint"] += 1

    def _attach_many(self, slots: list[int]) -> bool:
        """Attach functions all at once; whether this kernel can."""
        if not slots:
            return True
        try:
            program = self._programs.count_many()
        except OSError:  # before Linux 5.18
            return False
        self._loaded.append(program)
        return self._attach_some(program, slots)

    def _attach_some(self, program: int, slots: list[int]) -> bool:
        pairs = [(at, slot) for slot in slots for at in self._wanted[slot].places]
        addresses, told = zip(*pairs)
        try:
            link = syscalls.attach_many_kprobes(program, addresses, told)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            if len(slots) == 1:
                self._refused[slots[0]] = _why(error)
                return True
            # One that cannot be attached spoils all with it: find it by halves.
            half = len(slots) // 2
            return self._attach_some(program, slots[:half]) and self._attach_some(
                program, slots[half:]
            )
        self._held.append(link)
        self._how["kprobe-multi"] += len(slots)
        return True

    def _attach_kprobes(self, slot: int) -> None:
        # All places of one name, or none: a part of a count would be wrong.
        held: list[int] = []
        try:
            program = self._programs.count_one(syscalls.PROG_TYPE_KPROBE, slot)
            self._loaded.append(program)
            self._of_slot[slot] = program
            for address in self._wanted[slot].places:
                held.append(syscalls.attach_kprobe_at(program, address))
        except OSError as error:
            self._refused[slot] = _why(error)
            for fd in held:
                os.close(fd)
        else:
            self._held += held
            self._how["kprobe"] += 1

    def begin(self) -> int:
        """Count from now on; gives this moment."""
        self._before = self._skips()
        self._programs.switch(True)
        self._began = time.monotonic_ns()
        return self._began

    def end(self) -> None:
        """Count no more."""
        self._programs.switch(False)
        self._ended = time.monotonic_ns()
        after = self._skips()
        skipped = {program: after[program] - self._before[program] for program in after}
        # Where a program has one slot, what it was not run for was a call of that.
        self._skipped = {
            slot: skipped.pop(program) for slot, program in self._of_slot.items()
        }
        self._missed = sum(skipped.values())

    def _skips(self) -> dict[int, int]:
        """How often the kernel did not run each program, as it was running already."""
        return {program: syscalls.skipped_runs(program) for program in self._loaded}

    @property
    def attachments(self) -> int:
        """How many there are to let go of."""
        return len(self._held) + len(self._loaded)

    def detach(self) -> Iterator[int]:
        """Let go of everything, giving how many attachments there still are."""
        # Each kprobe waits for all CPUs in turn.
        for fds in (self._held, self._loaded):
            while fds:
                os.close(fds.pop())
                yield self.attachments

    def detach_all(self) -> None:
        """Let go of everything."""
        for _ in self.detach():
            pass

    def told(self) -> dict[str, object]:
        """What a COUNTS frame says."""
        *counts, compat = self._programs.counts([*range(len(self._wanted)), _COMPAT])
        return {
            "counts": [
                None if slot in self._refused else count + self._skipped.get(slot, 0)
                for slot, count in enumerate(counts)
            ],
            "refused": {str(slot): why for slot, why in self._refused.items()},
            "how": {how: str(number) for how, number in self._how.items() if number},
            "compat": compat,
            "missed": self._missed,
            "began": self._began,
            "ended": self._ended,
        }


# EOPNOTSUPP: a kernel without fprobes.
_NOT_THERE = (95,)


def _why(error: OSError) -> str:
    return _WHY.get(error.errno or 0) or os.strerror(error.errno or 0)


_WHY = {
    2: "there is no such place in this kernel",  # ENOENT
    19: "its module is gone",  # ENODEV
    22: "the kernel does not allow it",  # EINVAL
    24: "too many files are open",  # EMFILE
    84: "the kernel cannot trace its first instruction",  # EILSEQ
}


def _system_calls(programs: _Programs) -> Group:
    if programs.compat_why:
        return Group([], [], programs.compat_why)
    try:
        return calls.system_calls(programs.memory().read)
    except OSError as error:
        return Group([], [], f"the kernel's memory cannot be read ({error.strerror})")


def _compat_place() -> tuple[int, str]:
    """Where a task says of which kind its system call is; or why that is unknown."""
    member, _ = _COMPAT_BITS.get(os.uname().machine, ("", 0))
    if not member:
        return 0, f"not on this machine ({os.uname().machine})"
    try:
        btf = Btf()
    except LayoutError as error:
        return 0, f"{error.args[0]}, and so 32-bit system calls cannot be told apart"
    try:
        where = (("task_struct", "thread_info"), ("thread_info", member))
        return btf.sum(where), ""
    except LayoutError as error:
        return 0, str(error.args[0])
    finally:
        btf.close()
