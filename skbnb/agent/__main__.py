# SPDX-License-Identifier: Apache-2.0
"""The agent: requests in as JSON lines, frames out, until its stdin ends.

The only program of this project that runs as root. It loads its programs before it is
asked, so that a first trace finds them warm; attaches them while a trace runs; writes
no file but the stub headers that it removes at once and what it keeps for the next
agent, opens no socket, and takes no program text from anyone.
"""

from __future__ import annotations

import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from itertools import chain
from typing import Iterable

from .. import __version__
from ..config import MAX_LINE, Config, Request, parse_request
from ..errors import CODES, ProbeError, RequestError, SkbnbError, code_of
from ..wire import ABI, MAGIC, MAX_EVENTS, Kind, control, pack_header
from . import layout, lockdown, messages, places, privileges
from .funccount import FunctionCounter
from .outlet import Outlet
from .probes import PROBES, Probe, candidates
from .program import Program, clock, skb_size
from .recorder import Recorder
from .running import Running
from .tally import Tally
from .taps import Taps
from .viewer import Viewer, whoever_asks
from .ways import WAYS

# The reader is woken when an eighth of the ring is full, and this often anyway.
TICK_SECONDS = 0.1

# The least time between two frames that say how far a trace is.
PROGRESS_SECONDS = 0.25

# How long a reader that asks for nothing any more may take to read a little.
LAST_SECONDS = 3.0

# How much is kept for a reader that is late: so many times the kernel's buffer.
KEPT_BUFFERS = 4

# What traces ask for as a rule: loaded before the first.
_USUAL = Config(cell_tid=1, notebook_pid=1)


class Agent:
    """One client's traces, one after the other.

    Parameters
    ----------
    requests
        File descriptor to read JSON lines from.
    outlet
        Where frames go.
    viewer
        Whose they are.
    """

    def __init__(self, requests: int, outlet: Outlet, viewer: Viewer) -> None:
        self._viewer = viewer
        self._requests = requests
        self._outlet = outlet
        self._pending = b""
        self._lines: list[bytes] = []
        self._ended = False
        self._refusal: RequestError | None = None
        self._programs: dict[tuple[object, ...], Program] = {}
        self._refused: dict[str, ProbeError] = {}
        self._trace: Running | None = None
        self._taps = Taps(viewer)
        self._poll = select.epoll()
        self._poll.register(requests, select.EPOLLIN)
        self._poll.register(outlet.fd, 0)
        self._buffers = select.epoll()  # of the kernel's: some have filled a bit more
        self._poll.register(self._buffers.fileno(), select.EPOLLIN)
        self._watch_parent()
        self._counter = FunctionCounter(self._send, read_source, self._is_wanted)

    def _watch_parent(self) -> None:
        # EOF is the contract; this covers a child of the notebook that holds our stdin
        # open.
        pidfd_open = getattr(os, "pidfd_open", None)  # Python 3.9
        self._parent = pidfd_open(os.getppid()) if pidfd_open else -1
        if pidfd_open:
            self._poll.register(self._parent, select.EPOLLIN)

    def serve(self) -> None:
        """Work until the requests end."""
        try:
            self._serve()
        finally:
            # Whatever is still to be said, tracing costs nothing meanwhile.
            if self._trace:
                self._trace.detach("error")

    def _serve(self) -> None:
        self._preload()
        self._taps.look()
        while not self._ended:
            room = select.EPOLLOUT if self._outlet else 0
            self._poll.modify(self._outlet.fd, room)
            ready = dict(self._poll.poll(self._timeout()))
            self._buffers.poll(0)
            if ready.get(self._outlet.fd, 0) & select.EPOLLERR:
                raise BrokenPipeError
            # At once: a write that waits reads them, too, and then there are none.
            if self._requests in ready:
                self._read_requests()
            self._outlet.flush()
            if self._trace:
                self._trace.drain(self._send_events, MAX_EVENTS)
                self._send_progress()
            if self._parent in ready:
                break
            self._take_requests()
        if self._trace:
            self._trace.detach("eof")
            self._finish()

    def _timeout(self) -> float | None:
        if not self._trace:
            return None
        return max(0.0, min(TICK_SECONDS, self._trace.deadline - time.monotonic()))

    # ---------------------------------------------------------------- requests

    def _read_requests(self) -> None:
        data = os.read(self._requests, MAX_LINE)
        self._ended = not data
        self._pending += data
        *lines, self._pending = self._pending.split(b"\n")
        if max(map(len, [*lines, self._pending])) > MAX_LINE:
            self._refusal = RequestError(f"a request of more than {MAX_LINE} bytes")
        else:
            self._lines += lines

    def _take_requests(self) -> None:
        """Do what was asked, and end the trace if it is time."""
        self._end_if_due()
        while True:
            if self._refusal:
                raise self._refusal
            if self._trace and self._trace.why:
                self._finish()
            elif self._lines:
                self._take(parse_request(self._lines.pop(0)))
            else:
                return

    def _take(self, request: Request | None) -> None:
        if request and (self._trace or self._counter.running):
            raise RequestError(f"a {request.op} while a trace is running")
        if request:
            request = self._viewer.granted(request)
        if isinstance(request, Config):
            self._start(request)
        elif request:
            self._counter.take(request)
        elif self._trace:
            self._trace.detach("stop")
        else:
            self._counter.stop()

    def _end_if_due(self) -> None:
        if self._trace and time.monotonic() >= self._trace.deadline:
            self._trace.detach("max_seconds")

    def _is_wanted(self) -> bool:
        """Whether the notebook is still there; for what takes long."""
        gone = select.EPOLLHUP | select.EPOLLERR
        return not any(
            fd == self._parent or events & gone for fd, events in self._poll.poll(0)
        )

    def _preload(self) -> None:
        # What goes wrong here, but for a probe, goes wrong again at the first start.
        for probe in PROBES:
            try:
                self._program(probe, _USUAL).try_out()
                return
            except ProbeError as error:
                self._refused[probe.name] = error
            except SkbnbError:
                return

    def _program(self, probe: Probe, config: Config) -> Program:
        # Two stay loaded: they are large, and the first is the one that is mostly used.
        way = WAYS[config.via]
        key = way.key(probe, config)
        if key not in self._programs:
            while len(self._programs) > 1:
                self._programs.popitem()[1].close()
            self._programs[key] = way(probe, config, read_source, self._viewer)
        return self._programs[key]

    def _start(self, config: Config) -> None:
        self._taps.begin()
        refused = dict(self._refused) if config.probe == "auto" else {}
        for probe in candidates(config.probe):
            if probe.name in refused:
                continue
            try:
                program = self._program(probe, config)
                before = program.attach(config)
            except ProbeError as error:
                refused[probe.name] = error
                continue
            self._begin(program, config, before, refused)
            return
        raise _no_probe(refused)

    def _begin(
        self,
        program: Program,
        config: Config,
        before: dict[str, int],
        refused: dict[str, ProbeError],
    ) -> None:
        for fd in program.fds:
            self._buffers.register(fd, select.EPOLLIN | select.EPOLLET)
        self._outlet.limit(KEPT_BUFFERS * (config.ring_mib << 20))
        verdicts = {name: error.args[0] for name, error in refused.items()}
        began = time.monotonic_ns()
        namespaces = places.namespaces(self._viewer.sees_all)
        trace = self._trace = Running(program, config, before, namespaces, began)
        self._send(
            Kind.HELLO,
            abi=ABI,
            version=__version__,
            stride=program.stride,
            offset=program.offset,
            sees="all" if self._viewer.sees_all else "own",
            kernel=os.uname().release,
            machine=os.uname().machine,
            probe=program.probe.name,
            coverage=program.probe.coverage,
            via=config.via,
            probes={**verdicts, program.probe.name: "attached"},
            buffer=program.buffer_name,
            buffer_why=program.buffer_why,
            layout=program.layout.name,
            skb_size=skb_size(),
            stacks=config.stacks,
            also=config.also,
            follow=config.follow,
            snaplen=config.snaplen,
            bytes_missing=program.bytes_missing if config.snaplen else "",
            ring_mib=config.ring_mib,
            max_events=config.max_events,
            max_seconds=config.max_seconds,
            **clock(),
        )
        printed = messages.take()
        if printed:
            self._send(Kind.LOG, text=printed)
        base = 0 if program.counts_anew else before["calls"]
        trace.began = time.monotonic_ns()
        self._send(Kind.READY, ts=trace.began, base=base)

    def _finish(self) -> None:
        """Tell the rest of a trace that is detached."""
        trace = self._trace
        assert trace
        self._taps.look()
        for fd in trace.program.fds:
            self._buffers.unregister(fd)
        account = trace.settle(self._send_events, MAX_EVENTS)
        if isinstance(trace.program, Recorder):
            self._send_found(trace, trace.program)
        if isinstance(trace.program, Tally):
            self._send_packed(Kind.TALLIES, trace.program.tallies())
        times = {"began": trace.began, "ended": trace.ended}
        self._send(Kind.STATS, **account, **times, **clock())
        self._send(Kind.END, why=trace.why)
        self._outlet.limit(0)
        self._trace = None

    def _send_found(self, trace: Running, program: Recorder) -> None:
        """What records speak of, by numbers and addresses."""
        sockets, cgroups = program.sockets()
        self._send_packed(Kind.SOCKETS, sockets)
        stacks = program.stacks()
        self._send_packed(Kind.STACKS, program.told_stacks(stacks))
        functions, modules = program.functions(chain(*stacks.values()))
        reasons = layout.drop_reasons() if trace.config.follow else {}
        gone = program.gone_cgroups(cgroups)
        self._send(
            Kind.SYMBOLS,
            functions=functions,
            modules=modules,
            drop_reasons=reasons,
            netns=places.at_any_time(
                trace.namespaces, places.namespaces(self._viewer.sees_all)
            ),
            cgroups=places.control_groups(cgroups, gone),
        )
        self._send(Kind.TAPS, **self._taps.told(trace.config.notebook_pid))

    # ---------------------------------------------------------------- frames

    def _send_progress(self) -> None:
        trace = self._trace
        assert trace
        now = time.monotonic()
        if trace.why or now < trace.next_progress:
            return
        trace.next_progress = now + PROGRESS_SECONDS
        told = trace.so_far()
        if told != trace.told:
            trace.told = told
            self._send(Kind.PROGRESS, **told)

    def _send_events(self, block: memoryview) -> None:
        self._write(pack_header(Kind.EVENTS, len(block)))
        self._write(block)

    def _send_packed(self, kind: Kind, pieces: Iterable[bytes]) -> None:
        payload = bytearray()
        for piece in pieces:
            if len(payload) + len(piece) > MAX_EVENTS:
                self._write(pack_header(kind, len(payload)) + payload)
                payload.clear()
            payload += piece
        if payload:
            self._write(pack_header(kind, len(payload)) + payload)

    def _send(self, kind: Kind, **fields: object) -> None:
        self._write(control(kind, **fields).pack())

    def _write(self, data: bytes | memoryview) -> None:
        rest = self._outlet.write(memoryview(data))
        while rest and not (self._must_not_wait and self._outlet.keep(rest)):
            self._wait()
            rest = self._outlet.write(rest)

    @property
    def _must_not_wait(self) -> bool:
        """Whether the kernel's buffer will have no room before long."""
        trace = self._trace
        return trace is not None and not trace.why and trace.program.is_filling

    def _wait(self) -> None:
        """Wait until the reader makes room, or something that must not wait for it.

        Raises
        ------
        BrokenPipeError
            The reader is not to be expected any more.
        """
        trace = self._trace
        is_running = trace is not None and not trace.why
        poll = select.poll()
        poll.register(self._outlet.fd, select.POLLOUT)
        if self._parent >= 0:
            poll.register(self._parent, select.POLLIN)
        if not self._ended:
            # Once a trace has ended only their end is of interest.
            poll.register(self._requests, select.POLLIN if is_running else 0)
        if is_running:
            poll.register(self._buffers, select.POLLIN)
        if trace:
            trace.wait()
        ready = {fd for fd, _ in poll.poll(self._patience(is_running))}
        self._buffers.poll(0)
        if self._parent in ready or (self._ended and not ready):
            raise BrokenPipeError
        if self._requests in ready:
            self._obey(is_running)
        self._end_if_due()

    def _patience(self, is_running: bool) -> float | None:
        """How long a write may wait, in milliseconds; None: for ever."""
        if self._ended:
            return LAST_SECONDS * 1000
        if not (is_running and self._trace and self._trace.config.max_seconds):
            return None
        return max(0.0, self._trace.deadline - time.monotonic()) * 1000

    def _obey(self, is_running: bool) -> None:
        """Detach if a request, or their end, says so, while a write waits."""
        if not is_running:
            self._ended = True
            return
        self._read_requests()
        try:
            while self._lines and self._trace and not self._trace.why:
                self._take(parse_request(self._lines.pop(0)))
        except RequestError as error:
            self._refusal = error  # which is told when the frame is whole
        if self._trace and (self._ended or self._refusal):
            self._trace.detach("eof")


def _no_probe(refused: dict[str, ProbeError]) -> ProbeError:
    if lockdown.level() == "confidentiality":
        return ProbeError(
            "this kernel is locked down (confidentiality): no program may read its "
            "memory, which every probe does",
            "Boot it with lockdown=integrity or none.",
        )
    names: dict[str, list[str]] = {}
    for name, error in refused.items():
        names.setdefault(str(error.args[0]), []).append(name)
    reasons = "; ".join(f"{', '.join(n)}: {reason}" for reason, n in names.items())
    hints = {error.hint for error in refused.values()} - {ProbeError.hint}
    return ProbeError(
        f"no probe works on this kernel ({reasons})",
        hints.pop() if len(hints) == 1 else None,
    )


def read_source(name: str) -> str:
    """The text of a file of ``bpf/``, which stands in the same archive."""
    text = pkgutil.get_data("skbnb", f"bpf/{name}")
    assert text is not None
    return text.decode()


def main() -> int:
    """Serve stdin until it ends; 0 if all went well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outlet = Outlet(messages.capture())
    try:
        outlet.write(memoryview(MAGIC))
        viewer = whoever_asks(os.environ)
        privileges.give_up()
        Agent(0, outlet, viewer).serve()
    except BrokenPipeError:
        return 0
    except SkbnbError as error:
        return _fail(outlet, code_of(error), str(error.args[0]), error.hint)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(where.filename)}:{where.lineno}"
        said = f"{type(error).__name__} at {place}: {error}; {messages.take_error()}"
        return _fail(outlet, "internal", said, CODES["internal"].hint)
    return 0


def _fail(outlet: Outlet, code: str, message: str, hint: str) -> int:
    """Say why the agent ends."""
    outlet.end(control(Kind.ERROR, code=code, message=message, hint=hint).pack())
    return 1


if __name__ == "__main__":
    sys.exit(main())
