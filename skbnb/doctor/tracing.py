# SPDX-License-Identifier: Apache-2.0
"""Checks that trace: every probe is attached, and known clones are looked for."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ..config import PROBES, Config
from ..errors import ProbeError
from ..session import Session
from ..units import counted, duration
from ..wire import Kind
from . import traffic
from .checks import remedy
from .finding import CLONE, Finding, Verdict
from .machine import Machine

if TYPE_CHECKING:
    from ..traces import Trace

__all__ = ["probes", "trace"]

OK, NOTE, FAILS = Verdict.OK, Verdict.NOTE, Verdict.FAILS

_DATAGRAMS = 5


@contextmanager
def _session(machine: Machine, probe: str) -> Iterator[Session]:
    config = Config(
        cell_tid=threading.get_native_id(), notebook_pid=os.getpid(), probe=probe
    )
    with closing(machine.transport()) as transport:
        session = Session(transport, config)
        session.start()
        try:
            yield session
        finally:
            session.stop()


def probes(machine: Machine) -> Iterator[Finding]:
    """Attach each probe; any one of them will do."""
    for probe in PROBES[1:]:
        name = f"probe {probe}"
        try:
            with _session(machine, probe) as session:
                hello = _hello(session)
        except ProbeError as error:
            yield Finding(name, NOTE, _why_not(error), remedy(machine, error))
            continue
        missed = hello["coverage"]
        sees = f"misses: {missed}" if missed else "sees every clone"
        yield Finding(name, OK, f"attaches; {sees}")


def _hello(session: Session) -> dict[str, object]:
    return next(f.fields for f in session.frames if f.kind is Kind.HELLO)


def _why_not(error: ProbeError) -> str:
    """The agent's reason, of one probe."""
    said = str(error.args[0])
    found = re.fullmatch(r"no probe works on this kernel \(\w+: (.*)\)", said)
    return found[1] if found else said


def trace(machine: Machine) -> Iterator[Finding]:
    """Trace what is sent over loopback, as a user's trace would, and count."""
    from ..traces import Trace

    since = time.monotonic()
    with _session(machine, "auto") as session:
        ready = duration(time.monotonic() - since)
        hello = _hello(session)
        found = f"the kernel takes them; ready to trace after {ready}"
        yield Finding("programs", OK, found)
        if hello["buffer"] == "ring":
            yield Finding("buffer", OK, "a BPF ring buffer")
        else:
            yield _perf(machine, str(hello["buffer_why"]))
        try:
            traffic.send(_DATAGRAMS)
        except OSError as error:
            found = f"loopback does not work: {error.strerror or error}"
            yield Finding(CLONE, FAILS, found, f"{machine.sudo}ip link set dev lo up")
            return
    yield _compared(Trace(session.frames, truncated=session.truncated))


def _perf(machine: Machine, why: str) -> Finding:
    if "BCC" in why:
        advice = machine.install("bcc")
    else:
        advice = f"{machine.install('kernel')}  # and boot it"
    return Finding("buffer", NOTE, f"perf buffers: {why}", advice)


def _compared(made: Trace) -> Finding:
    """Whether exactly the clones are in the trace that were made."""
    events = made.events
    mine = events["tid"] == threading.get_native_id()
    seen = int((mine & (events["caller"] == traffic.CALLER)).sum())
    about = events.attrs["skbnb"]
    lost = "unknown how many" if about["lost"] is None else f"{about['lost']:,}"
    sent = f"{_DATAGRAMS} datagrams, of which the kernel clones each once"
    found = f"{counted(seen, 'clone')} seen of {sent}; {lost} lost; {about['probe']}"
    if seen == _DATAGRAMS:
        return Finding(CLONE, OK, found)
    return Finding(CLONE, FAILS, found, "skbnb doctor --json  # and report it, please")
