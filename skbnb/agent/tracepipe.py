# SPDX-License-Identifier: Apache-2.0
"""The kernel's trace pipe: lines of text, of which all but ours are somebody else's.

There is one for the whole machine, and who reads a line takes it from all others. Only
this file knows the lines' form, that of ``trace_print_context()`` in
``kernel/trace/trace_output.c``::

                curl-2522    [000] d..3.   653.177020: bpf_trace_printk: skbnb 2a 1
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from typing import Iterator

from ..errors import PipeError
from ..wire import HANDBOOK
from . import scope, syscalls
from .program import Sink

__all__ = ["TracePipe"]

_READ_SIZE = 1 << 20

# Seconds in which what was written must be there to read, from when nothing else is;
# and in all: a full buffer of 64 processors takes some ten.
_PATIENCE = 2.0
_MOST_PATIENCE = 60.0

# Clocks that count nanoseconds, which a line has in seconds and microseconds.
_CLOCKS = ("local", "global", "perf", "mono", "mono_raw", "boot", "tai")

# The name of the thread is filled up to 16 bytes, and may itself hold any.
_LINE = (
    rb"(?s)(.{16})-(\d+) +(?:\([\d -]+\) +)?\[\d+\] \S+ +"
    rb"(\d+)\.(\d{6}): \S+: %s (\S+)"
)

# In the place of a name that the kernel does not remember.
_UNKNOWN = b"<...>"


class TracePipe:
    """Our end of it.

    Parameters
    ----------
    mark
        What our lines begin with.

    Attributes
    ----------
    lines, foreign
        How many lines of ours and of others have been read, ever.
    is_behind
        Whether the last look at the pipe left lines in it.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._line = re.compile(_LINE % re.escape(mark))
        self._folder = self._pipe = -1
        self._rest = b""
        self._offset = 0
        self.lines = self.foreign = 0
        self.is_behind = False

    @property
    def fds(self) -> list[int]:
        """What to poll."""
        return [self._pipe]

    def open(self) -> None:
        """Take the pipe, and learn its clock.

        Raises
        ------
        PipeError
            Somebody else has it, or nothing would come out of it.
        """
        try:
            self._folder = _tracefs()
            self._pipe = self._open_pipe()
            self._refuse_others()
            self._refuse_settings()
            self._rest = b""
            self._offset = self._measure_offset()
        except BaseException:
            self.close()
            raise

    def _open_pipe(self) -> int:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open("trace_pipe", flags, dir_fd=self._folder)
        except OSError as error:
            # Since Linux 6.9 the kernel itself refuses a second reader.
            self._refuse_others()
            raise PipeError(f"cannot open the trace pipe: {error.strerror}") from None

    def _refuse_others(self) -> None:
        path = os.stat("trace_pipe", dir_fd=self._folder)
        for pid in _readers((path.st_dev, path.st_ino)):
            raise PipeError(
                f"process {pid} ({_name(pid)!a}) reads the trace pipe, and a line goes "
                "to one reader only",
                f"End it (kill {pid}), or leave via trace away.",
            )

    def _refuse_settings(self) -> None:
        clock = re.search(r"\[(\w+)\]", self._setting("trace_clock"))
        if not clock or clock[1] not in _CLOCKS:
            name = clock[1] if clock else "unknown"
            raise PipeError(
                f"the kernel's trace clock is {name}, which counts no nanoseconds",
                "echo local > /sys/kernel/tracing/trace_clock",
            )
        if self._setting("tracing_on").strip() != "1":
            raise PipeError(
                "tracing is off in the kernel, so no line would come",
                "echo 1 > /sys/kernel/tracing/tracing_on",
            )

    def _setting(self, name: str) -> str:
        with open(os.open(name, os.O_RDONLY, dir_fd=self._folder)) as file:
            return file.read()

    def _measure_offset(self) -> int:
        """From the lines' clock to the monotonic one, in ns: the best of five."""
        tries = {b"at%d" % n: self._write_marker(b"at%d" % n) for n in range(5)}
        came = {word: ts for _, ts, _, word in self._awaited(*tries)}
        both = ((*tries[word], came[word]) for word in tries if word in came)
        for before, after, ts in sorted(both, key=lambda each: each[1] - each[0]):
            return (before + after) // 2 - ts
        raise PipeError(
            "what is written to the trace buffer does not come out of the trace pipe",
            "Look whether /sys/kernel/tracing/trace_options has context-info, markers "
            "and not raw, hex, bin or verbose.",
        )

    def _write_marker(self, word: bytes) -> tuple[int, int]:
        fd = os.open("trace_marker", os.O_WRONLY, dir_fd=self._folder)
        try:
            before = time.monotonic_ns()
            os.write(fd, b"%s %s\n" % (self._mark, word))
            return before, time.monotonic_ns()
        except OSError as error:
            raise PipeError(
                f"the trace buffer takes no text: {error.strerror}",
                "echo markers > /sys/kernel/tracing/trace_options",
            ) from None
        finally:
            os.close(fd)

    def _awaited(self, *words: bytes) -> Iterator[tuple[bytes, int, int, bytes]]:
        """Our lines until some have come with these words; fewer if they do not come.

        They need not be in order: each CPU has a clock.
        """
        missing = set(words)
        now = time.monotonic()
        give_up, quiet_since = now + _MOST_PATIENCE, now
        while missing and now < min(give_up, quiet_since + _PATIENCE):
            select.select([self._pipe], [], [], 0.01)
            for line in self._read():
                missing.discard(line[3])
                yield line
            now = time.monotonic()
            if self.is_behind:
                quiet_since = now

    def _read(self) -> Iterator[tuple[bytes, int, int, bytes]]:
        """What is there: name, time (ns, of the lines' clock), thread id, last word."""
        data = self._rest + self._read_text()
        whole, newline, self._rest = data.rpartition(b"\n")
        whole += newline
        end = 0
        for found in self._line.finditer(whole):
            self._count_foreign(whole[end : found.start()])
            end = found.end()
            comm, tid, seconds, micros, word = found.groups()
            ts = int(seconds) * 1_000_000_000 + int(micros) * 1000
            comm = comm.lstrip(b" ")
            if comm == _UNKNOWN:
                comm = _running_name(tid) or comm
            yield comm, ts, int(tid), word
        self._count_foreign(whole[end:])

    def _read_text(self) -> bytes:
        # The kernel gives a page at a time.
        pieces: list[bytes] = []
        self.is_behind = True
        while sum(map(len, pieces)) < _READ_SIZE:
            try:
                pieces.append(os.read(self._pipe, _READ_SIZE))
            except BlockingIOError:
                self.is_behind = False
                break
        return b"".join(pieces)

    def _count_foreign(self, text: bytes) -> None:
        # The kernel's own say how many were overwritten: "CPU:0 [LOST 2 EVENTS]".
        lines = [line for line in text.split(b"\n") if line.strip()]
        self.foreign += sum(not line.endswith(b" EVENTS]") for line in lines)

    def drain(self, sink: Sink, most: int) -> int:
        """Hand what is there to `sink`, as ``struct handbook_event``."""
        return self._hand_over(self._read(), sink)

    def _hand_over(
        self, lines: Iterator[tuple[bytes, int, int, bytes]], sink: Sink
    ) -> int:
        packed = b"".join(
            HANDBOOK.pack(ts + self._offset, int(word), tid, comm)
            for comm, ts, tid, word in lines
            if word.isdigit()
        )
        number = len(packed) // HANDBOOK.size
        # Before the reader is waited for: these are not lost.
        self.lines += number
        if number:
            sink(memoryview(packed))
        return number

    def end(self, sink: Sink) -> None:
        """Hand over what was printed before now, and give the pipe back."""
        # Somebody may have turned tracing off meanwhile: what is missing is lost.
        with contextlib.suppress(PipeError):
            self._write_marker(b"end")
        self._hand_over(self._awaited(b"end"), sink)
        self.close()

    def close(self) -> None:
        """Give the pipe back."""
        for fd in (self._pipe, self._folder):
            if fd >= 0:
                os.close(fd)
        self._folder = self._pipe = -1


def _tracefs() -> int:
    try:
        return syscalls.open_file_system("tracefs")
    except OSError as error:
        raise PipeError(f"the kernel gives no tracefs: {error.strerror}") from None


def _running_name(tid: bytes) -> bytes:
    # The kernel keeps a thread's name when it next lets another one run there
    # (probe_sched_switch() in kernel/trace/trace_sched_switch.c); one whose line is
    # read sooner is still there to ask.
    if not scope.knows_kernels_ids():
        return b""
    try:
        with open(b"/proc/%s/comm" % tid, "rb") as file:
            return file.read()[:-1]
    except OSError:
        return b""


def _readers(pipe: tuple[int, int]) -> Iterator[int]:
    """Processes, but for this one, that have the pipe open."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            fds = os.listdir(folder) if int(pid) != os.getpid() else []
        except OSError:
            continue
        if any(_is(f"{folder}/{fd}", pipe) for fd in fds):
            yield int(pid)


def _is(link: str, pipe: tuple[int, int]) -> bool:
    try:
        if not os.readlink(link).endswith("/trace_pipe"):
            return False
        found = os.stat(link)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == pipe


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", errors="backslashreplace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return "?"
