# SPDX-License-Identifier: Apache-2.0
"""Counts of calls agree with what was called, and with bpftrace's."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import skbnb
from skbnb.counts import Counts
from skbnb.errors import OptionError
from skbnb.transport import AgentTransport
from tests.live.bpftrace import count_calls
from tests.live.traffic import apart, run

HEADER = Path(f"/usr/include/{os.uname().machine}-linux-gnu/asm/unistd_64.h")

HAS_KPROBES = " register_kprobe\n" in Path("/proc/kallsyms").read_text()

# Nobody else calls these meanwhile, and each may fail.
RARE = (
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "timer_getoverrun",
    "mq_unlink",
    "io_cancel",
    "inotify_rm_watch",
    "ioprio_get",
    "getsid",
    "personality",
)


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentTransport]:
    made = AgentTransport()
    yield made
    made.close()


def numbers() -> dict[str, int]:
    """The system calls as the C library's header has them: its own names of them."""
    found = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    return {name: int(number) for name, number in found}


def calls_of(counts: Counts) -> Counter[str]:
    return Counter(dict(counts.everything[["func", "count"]].values.tolist()))


def test_system_calls_are_counted_exactly_by_their_names(agent: AgentTransport) -> None:
    known, libc = numbers(), ctypes.CDLL(None)
    with skbnb.funccount("sys_*", transport=agent) as counts:
        for times, name in enumerate(RARE, 1):
            for _ in range(100 * times):
                libc.syscall(known[name], -1, -1, -1, -1)
    assert {name: calls_of(counts)[f"sys_{name}"] for name in RARE} == {
        name: 100 * times for times, name in enumerate(RARE, 1)
    }
    assert counts.about["missed"] == 0


def test_every_processor_counts(agent: AgentTransport) -> None:
    code = "import os\nfor _ in range(50_000): os.getsid(0)"
    with skbnb.funccount("sys_getsid", transport=agent) as counts:
        running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
        for process in running:
            assert process.wait() == 0
    assert counts.table["count"].tolist() == [200_000]


def test_nothing_before_the_block_and_nothing_after(agent: AgentTransport) -> None:
    counting = skbnb.funccount("sys_getsid", transport=agent)
    os.getsid(0)
    counts = counting.begin()
    for _ in range(3):
        os.getsid(0)
    counting.end()
    os.getsid(0)
    assert counts.table["count"].tolist() == [3]
    with skbnb.funccount("sys_getsid", transport=agent) as again:
        pass
    assert again.table.empty
    assert again.everything["count"].tolist() == [0]


IN_32_BITS = """
int main(void)
{
	/* 64 is getppid() of 32 bits, and semget() of 64. */
	for (int i = 0; i < 1000; i++) {
		long number = 64;
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
		if (number <= 0)
			return 1;
	}
	return 0;
}
"""


def test_calls_of_32_bits_are_no_others(agent: AgentTransport, tmp_path: Path) -> None:
    program = tmp_path / "program"
    (tmp_path / "program.c").write_text(IN_32_BITS)
    run("gcc", "-o", str(program), str(tmp_path / "program.c"))
    with skbnb.funccount("sys_semget", "sys_getppid", transport=agent) as counts:
        run(str(program))
    assert calls_of(counts)["sys_semget"] == 0
    assert counts.about["compat"] >= 1000
    assert "of 32-bit programs not among them" in counts.receipt()


@contextmanager
def agreeing(
    agent: AgentTransport, probes: str, *patterns: str, mostly: str
) -> Iterator[None]:
    """Count a block in both ways, and compare function by function.

    `mostly` is one of them that nobody else calls as often at any other time.
    The agent begins to count in one bpf(2) call, and ends it in the next. What is
    called between the two is in both counts; what other CPUs call in them may be.
    """
    tracer = count_calls(agent.pid, *probes.split())
    try:
        with skbnb.funccount(*patterns, transport=agent) as counts:
            yield
        then: dict[int, Counter[str]] = defaultdict(Counter)
        for (time_, name), calls in tracer.counts().items():
            then[time_][name] += calls
    finally:
        tracer.close()
    within = max(then, key=lambda time_: then[time_][mostly])
    assert within % 2 == 0
    least = then[within]
    most = least + then[within - 1] + then[within + 1]
    ours = calls_of(counts)
    assert not counts.about["missed"]
    assert ours.keys() >= most.keys()
    assert ours[mostly] > 0
    both = {name: (least[name], ours[name], most[name]) for name in ours}
    assert [one for one in both.items() if list(one[1]) != sorted(one[1])] == []


def test_tracepoints_agree_with_bpftrace(agent: AgentTransport) -> None:
    with agreeing(
        agent,
        "tracepoint:skb:kfree_skb tracepoint:net:*",
        *("t:skb:kfree_skb", "t:net:*"),
        mostly="net:net_dev_queue",
    ):
        apart("multicast", 4, 50)
        run("ping", "-q", "-i", "0.01", "-c", "20", "127.0.0.1")


def test_what_a_multicast_sends(agent: AgentTransport) -> None:
    with skbnb.funccount("t:net:net_dev_queue", transport=agent) as counts:
        apart("multicast", 4, 500)
    # Where the tests have the loopback for themselves these are all there are.
    assert calls_of(counts)["net:net_dev_queue"] >= 500


def test_a_pattern_of_functions_is_counted_or_refused_with_the_cause(
    agent: AgentTransport,
) -> None:
    if HAS_KPROBES:
        with skbnb.funccount("vfs_*", transport=agent) as counts:
            Path("/proc/self/stat").read_text()
        assert calls_of(counts)["vfs_read"] > 0
        return
    with (
        pytest.raises(OptionError, match="cannot be counted: this kernel has no kprob"),
        skbnb.funccount("vfs_*", transport=agent),
    ):
        pytest.fail("the block ran")
    with skbnb.funccount("vfs_*", "sys_getsid", transport=agent) as counts:
        os.getsid(0)
    assert counts.about["unmet"] == {"vfs_*": "this kernel has no kprobes"}
    assert calls_of(counts)["sys_getsid"] == 1


def functions_say(expected: str) -> str:
    """What is said of functions, where there are any to count."""
    return expected if HAS_KPROBES else ".* cannot be counted: this kernel has no kprob"


@pytest.mark.parametrize(
    ("pattern", "regex", "expected"),
    [
        ("sys_zzz*", False, r"'sys_zzz\*' matches none of \d{3} system calls"),
        ("t:skb:zzz", False, r"'t:skb:zzz' matches none of [\d,]+ tracepoints"),
        ("sys_*", False, r"'sys_\*' matches \d{3} system calls, and the limit is 99"),
        ("sys_(", True, r"sys_\( is no regular expression: "),
        ("vfz_*", False, functions_say(r"'vfz_\*' matches none of \d\d,\d{3} func")),
        ("*", False, functions_say(r"'\*' matches \d\d,\d{3} functions, and the lim")),
        (".", True, functions_say(r"'.' matches \d\d,\d{3} functions, and the lim")),
    ],
)
def test_what_cannot_be_counted_is_said_in_a_line(
    agent: AgentTransport, pattern: str, regex: bool, expected: str
) -> None:
    with (
        pytest.raises(OptionError, match=f"^{expected}") as caught,
        skbnb.funccount(pattern, regex=regex, limit=99, transport=agent),
    ):
        pytest.fail("the block ran")
    assert "\n" not in str(caught.value)
    assert agent.usable


def programs() -> set[int]:
    """The programs of counts that are in the kernel now."""
    lib = ctypes.CDLL("libbpf.so.1")
    found, last = set(), ctypes.c_uint32(0)
    while lib.bpf_prog_get_next_id(last, ctypes.byref(last)) == 0:
        fd = lib.bpf_prog_get_fd_by_id(last)
        if fd < 0:
            continue  # it ended just now
        # struct bpf_prog_info up to its member name.
        info, size = ctypes.create_string_buffer(80), ctypes.c_uint32(80)
        assert lib.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)) == 0
        os.close(fd)
        if info.raw[64:].rstrip(b"\0") == b"skbnb":
            found.add(last.value)
    return found


def until_only(expected: set[int]) -> None:
    deadline = time.monotonic() + 20
    while programs() - expected:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nothing_stays_behind(agent: AgentTransport) -> None:
    before = programs()
    with skbnb.funccount("sys_*", "t:net:*", transport=agent) as counts:
        attached = len(programs() - before)
    # One for all system calls, and one for each tracepoint.
    assert attached == 1 + counts.about["how"]["tracepoint"] > 10
    until_only(before)


COUNT_AND_WAIT = """
import skbnb, time
with skbnb.funccount("sys_*", "t:skb:*"):
    print("attached", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_notebook_that_dies_detaches(how: int) -> None:
    before = programs()
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT_AND_WAIT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == b"attached\n"
    assert programs() - before
    process.send_signal(how)
    assert process.wait(60)
    process.stdout.close()
    until_only(before)


def test_a_trace_and_a_count_share_an_agent(agent: AgentTransport) -> None:
    for _ in range(2):
        with skbnb.trace(transport=agent) as trace:
            apart("timestamping", 5)
        assert len(trace.events) == 5
        with skbnb.funccount("sys_getsid", transport=agent) as counts:
            os.getsid(0)
        assert counts.table["count"].tolist() == [1]
