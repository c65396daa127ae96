# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on real machines, provoked: one clear line, and nothing lost."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import skbnb
from skbnb.agent.privileges import KEPT, SYS_ADMIN
from skbnb.agent.probes import FOLLOW_TASKS, candidates
from skbnb.config import COMPILED, WAYS
from skbnb.errors import (
    BccError,
    LayoutError,
    PrivilegeError,
    ProbeError,
    RequestError,
    SkbnbError,
    TruncatedWarning,
)
from skbnb.transport import AGENT_PYTHON, AgentTransport, agent_archive
from skbnb.views import receipt
from skbnb.wire import Kind, Reader
from tests.ledger import Fault
from tests.live.leftovers import Watch, held_by
from tests.live.traffic import Server, apart, curl

KALLSYMS = Path("/proc/kallsyms")


@pytest.fixture
def agent_run_by() -> Iterator[Callable[[Sequence[str]], AgentTransport]]:
    made: list[AgentTransport] = []

    def start(prefix: Sequence[str]) -> AgentTransport:
        made.append(AgentTransport([*prefix, "-I", str(agent_archive())]))
        return made[-1]

    yield start
    for agent in made:
        agent.close()


def fails(agent: AgentTransport, **options: Any) -> SkbnbError:
    with pytest.raises(SkbnbError) as caught, skbnb.trace(transport=agent, **options):
        pytest.fail("the block ran")
    assert "\n" not in str(caught.value)
    assert not agent.usable
    return caught.value


def in_a_namespace(*mounts: str) -> list[str]:
    """Run the agent where these mounts are made first, seen by nobody else."""
    script = " && ".join([*mounts, f'exec {AGENT_PYTHON} "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


# An agent that finds nothing kept, and keeps nothing: others may enter this folder.
ANEW = (f"mkdir -p -m 700 {COMPILED}", f"mount -t tmpfs none {COMPILED}")

Start = Callable[[Sequence[str]], AgentTransport]


def test_a_python_without_bcc(agent_run_by: Start) -> None:
    error = fails(agent_run_by([sys.executable]))
    assert type(error) is BccError
    assert "has no BCC" in str(error)
    assert "python3-bpfcc" in str(error)


def test_the_wrong_bcc(agent_run_by: Start, tmp_path: Path) -> None:
    # PyPI's package of that name has no BPF in it.
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "bcc").mkdir()
    (site / "bcc" / "__init__.py").write_text("class Lattice: pass\n")
    error = fails(agent_run_by([str(tmp_path / "venv" / "bin" / "python")]))
    assert type(error) is BccError
    assert "is not BCC but PyPI's package of that name" in str(error)
    assert "pip uninstall bcc" in str(error)


def test_no_btf_and_no_headers(agent_run_by: Start) -> None:
    prefix = in_a_namespace("mount -t tmpfs none /sys/kernel/btf")
    error = fails(agent_run_by(prefix))
    assert type(error) is LayoutError
    assert "this kernel has no BTF" in str(error)
    assert f"no kernel headers for {os.uname().release}" in str(error)
    assert "linux-headers-$(uname -r)" in str(error)


@pytest.mark.parametrize(
    ("lack", "why"),
    [
        (
            "import bcc.table; del bcc.table.BPF_MAP_TYPE_RINGBUF",
            "this BCC knows no ring buffer (0.16 or newer does)",
        ),
        (
            "from skbnb.agent import syscalls; syscalls.has_ring_buffer = lambda: 0",
            "the kernel has no BPF ring buffer (Linux 5.8 or newer has)",
        ),
    ],
)
def test_without_a_ring_perf_buffers_are_taken(
    agent_run_by: Start, lack: str, why: str
) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[2])"
    code += f"\n{lack}\nfrom skbnb.agent.__main__ import main\nsys.exit(main())"
    agent = agent_run_by([AGENT_PYTHON, "-c", code])
    with skbnb.trace(transport=agent) as trace:
        apart("timestamping", 15)
    assert len(trace.events) == 15
    about = trace.events.attrs["skbnb"]
    assert (about["buffer"], about["buffer_why"]) == ("perf", why)
    assert f" · perf buffer: {why} · " in receipt(trace.events)
    error = fails(agent_run_by([AGENT_PYTHON, "-c", code]), buffer="ring")
    assert type(error) is RequestError
    assert why in str(error)
    assert "--buffer perf" in str(error)


def test_without_the_companions_function(
    agent_run_by: Start, server: Server, tmp_path: Path
) -> None:
    symbols = re.sub(r"\n.* __tcp_transmit_skb\n", "\n", KALLSYMS.read_text())
    # So that it is not for something else that the other probes are not tried.
    symbols = re.sub(
        r"\n(\w+ T )skb_clone\n",
        r"\g<0>\1register_kprobe\n\1bpf_trampoline_link_prog\n",
        symbols,
    )
    (tmp_path / "kallsyms").write_text(symbols)
    prefix = in_a_namespace(f"mount --bind {tmp_path}/kallsyms {KALLSYMS}")
    lack = "the kernel has no function __tcp_transmit_skb(), by which TCP sends"
    for probe in ("fentry", "kprobe"):
        error = fails(agent_run_by(prefix), probe=probe)
        assert str(error).startswith(
            f"no probe works on this kernel ({probe}: {lack})."
        )
    with skbnb.trace(transport=agent_run_by(prefix)) as trace:
        curl(server.url)
    probes = trace.events.attrs["skbnb"]["probes"]
    assert probes == {"fentry": lack, "kprobe": lack, "tracepoint": "attached"}
    mine = trace.events[trace.events["comm"] == "curl"]
    assert mine["tcp_flags"].tolist() == ["SYN", "PSH|ACK", "FIN|ACK"]
    # Who asked for them is not known then, and not guessed.
    assert mine["reason"].isna().all()


def test_hidden_symbols(agent_run_by: Start, tmp_path: Path) -> None:
    # As with kernel.kptr_restrict=2.
    hidden = tmp_path / "kallsyms"
    hidden.write_text("0000000000000000 T skb_clone\n0000000000000000 T tcp_wfree\n")
    error = fails(agent_run_by(in_a_namespace(f"mount --bind {hidden} /proc/kallsyms")))
    assert type(error) is ProbeError
    assert "tracepoint: the kernel hides its symbols" in str(error)
    assert "sysctl kernel.kptr_restrict=1" in str(error)


def test_no_probe_attaches_without_the_right_to(agent_run_by: Start) -> None:
    drop = ",".join(f"-{name}" for name in ("sys_admin", "bpf", "perfmon"))
    error = fails(agent_run_by(["setpriv", f"--bounding-set={drop}", AGENT_PYTHON]))
    assert type(error) is ProbeError
    assert str(error).startswith(
        "no probe works on this kernel (fentry, tracepoint: does not load: Operation "
        "not permitted; kprobe: the kernel has no kprobes)"
    )


def test_a_container_with_process_ids_of_its_own() -> None:
    code = "import skbnb\nwith skbnb.trace(): print('it ran')\n"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )
    assert "RequestError: process ids here are a container's own" in done.stderr
    assert "--pid=host" in done.stderr
    assert not done.stdout


def test_neither_root_nor_sudo(tmp_path: Path) -> None:
    # A forked child: this machine's Python need not be readable for an ordinary user.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os.environ.update(PATH=str(tmp_path), XDG_CACHE_HOME="/tmp/skbnb-nobody")
        try:
            with skbnb.trace():
                said = "it ran"
        except PrivilegeError as error:
            said = str(error)
        except BaseException as error:
            said = repr(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        said = pipe.read()
    assert said.startswith(
        "tracing needs root, and there is no sudo. Start Jupyter as "
    )


def test_killed_while_it_compiles(agent_run_by: Start) -> None:
    agent = agent_run_by(in_a_namespace(*ANEW))
    temporary = Path(tempfile.gettempdir())
    while not (left := list(temporary.glob(f"skbnb-{agent.pid}-*"))):
        assert agent.usable
    agent.kill()
    agent.close()
    (folder,) = left
    assert folder.exists()
    # The next one, when it is a minute old.
    os.utime(folder, (0, 0))
    with skbnb.trace(transport=agent_run_by(in_a_namespace(*ANEW))):
        assert not folder.exists()


def test_killed_in_the_middle() -> None:
    agent = AgentTransport()
    with (
        pytest.warns(TruncatedWarning, match="signal 9"),
        skbnb.trace(transport=agent) as trace,
    ):
        apart("timestamping", 15)
        time.sleep(0.3)  # longer than the agent's tick: all of these have come
        os.kill(agent.pid, signal.SIGKILL)
        apart("timestamping", 15)
    agent.close()
    assert len(trace.events) == 15
    about = trace.events.attrs["skbnb"]
    assert about["lost"] is None
    assert about["ended"] == "truncated"
    # The next trace has a fresh agent.
    with skbnb.trace() as trace:
        apart("timestamping", 15)
    assert len(trace.events) == 15


ENDS: dict[int | None, str] = {
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGKILL: "ended by SIGKILL",
    None: "told to go",
}


@pytest.mark.parametrize("how", ENDS, ids=ENDS.__getitem__)
def test_nothing_is_left_after_the_agent(
    how: int | None, watch: Watch, fault: Fault
) -> None:
    agent = AgentTransport()
    tracing = skbnb.trace(transport=agent)
    trace = tracing.begin()
    watch.look()
    # One for each C function.
    (probe,) = candidates("tracepoint")
    functions = {a.function for a in FOLLOW_TASKS + probe.attachments}
    assert len(watch.held["prog"]) == len(functions)
    apart("timestamping", 15)
    time.sleep(0.3)
    if how is not None:
        os.kill(agent.pid, how)
    tracing.end()
    agent.close()
    assert len(trace.events) == 15
    cut = "nothing that had come; the trace says that it was cut short"
    fault(f"The agent {ENDS[how]} while it traces", "nothing" if how is None else cut)


@pytest.mark.parametrize("how", list(ENDS)[:2], ids=ENDS.__getitem__)
def test_nothing_is_left_after_the_notebook(
    how: int, watch: Watch, fault: Fault
) -> None:
    code = "import skbnb\nwith skbnb.trace():\n    print(1, flush=True)\n    input()\n"
    notebook = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert notebook.stdout
    assert notebook.stdout.readline() == b"1\n"
    watch.look()
    notebook.send_signal(how)
    notebook.communicate()
    fault(f"The notebook's process {ENDS[how]} while it traces", "its trace")


def test_a_hundred_traces_leave_nothing(watch: Watch, fault: Fault) -> None:
    agent = AgentTransport()
    for _ in range(100):
        with skbnb.trace(transport=agent):
            pass
    held = held_by(agent.pid)
    descriptors = len(list(Path(f"/proc/{agent.pid}/fd").iterdir()))
    with skbnb.trace(transport=agent) as trace:
        watch.look()
        apart("timestamping", 15)
    assert held_by(agent.pid) == held
    assert len(list(Path(f"/proc/{agent.pid}/fd").iterdir())) == descriptors
    agent.close()
    assert len(trace.events) == 15
    fault("A hundred traces, one after the other", "nothing")


REQUESTS = [
    b"hello\n",
    b'{"op": "start", "text": "int f() {}"}\n',
    b"\xff\xfe\n",
    b'{"op": "start"}' + b" " * (64 << 10) + b"\n",
    b"[" * 5000 + b"\n",
]


@pytest.mark.parametrize("line", REQUESTS)
def test_what_is_no_request_is_refused(line: bytes) -> None:
    done = subprocess.run(
        [AGENT_PYTHON, "-I", str(agent_archive())], input=line, stdout=subprocess.PIPE
    )
    frames = list(Reader(io.BytesIO(done.stdout)))
    assert [frame.kind for frame in frames] == [Kind.ERROR]
    assert frames[0].json["code"] == "request"
    assert done.returncode == 1


def test_no_c_headers(agent_run_by: Start) -> None:
    mounts = (*ANEW, "mount -t tmpfs none /usr/include/linux")
    error = fails(agent_run_by(in_a_namespace(*mounts)))
    assert type(error) is LayoutError
    assert "Install linux-libc-dev" in str(error)


def test_what_clang_prints_does_not_get_into_the_frames(
    agent_run_by: Start, tmp_path: Path
) -> None:
    broken = tmp_path / "types.h"
    whole = Path("/usr/include/linux/types.h").read_text()
    broken.write_text(whole + "\n#error broken on purpose\n")
    mount = f"mount --bind {broken} /usr/include/linux/types.h"
    error = fails(agent_run_by(in_a_namespace(*ANEW, mount)))
    assert type(error) is ProbeError
    assert "does not compile: " in str(error)
    assert "broken on purpose" in str(error)


def status_of(process: int) -> dict[str, str]:
    text = Path(f"/proc/{process}/status").read_text()
    return dict(re.findall(r"^(\w+):\s+(\S+)", text, re.M))


def test_the_agent_keeps_little_of_what_root_may_do(tmp_path: Path) -> None:
    kept = sum(1 << number for number, _ in KEPT.values())
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) > 2:
        kept |= 1 << SYS_ADMIN  # a setting of Debian's and Ubuntu's kernels
    with skbnb.trace():
        pass
    agent = skbnb.notebook.agent()
    assert isinstance(agent, AgentTransport)
    found = status_of(agent.pid)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(found[name], 16) == kept
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    process = Path(f"/proc/{agent.pid}")
    assert (process / "cwd").readlink() == Path("/")
    variables = (process / "environ").read_bytes().split(b"\0")
    assert {v.partition(b"=")[0] for v in variables if v} == {b"PATH", b"LANG"}


def test_what_the_agent_kept_is_enough_for_every_way() -> None:
    agent = AgentTransport()
    for via, buffer in [("ring", "perf"), *((via, "auto") for via in WAYS)]:
        with skbnb.trace(transport=agent, via=via, buffer=buffer) as trace:
            apart("timestamping", 5)
        about = trace.events.attrs["skbnb"]
        assert about["calls"] >= 5
        assert about["lost"] == 0
    with skbnb.trace(transport=agent, snaplen=64) as trace:
        pass
    assert trace.events.attrs["skbnb"]["bytes_missing"] == ""
    agent.close()


@pytest.mark.parametrize("variable", ["TMPDIR", "PYTHONPATH", "BCC_KERNEL_SOURCE"])
def test_the_agent_looks_at_no_variable(tmp_path: Path, variable: str) -> None:
    (tmp_path / "bcc.py").write_text("raise SystemExit('a user wrote this')\n")
    code = ["env", f"{variable}={tmp_path}", AGENT_PYTHON, "-I", str(agent_archive())]
    agent = AgentTransport(code)
    with skbnb.trace(transport=agent) as trace:
        apart("timestamping", 5)
    agent.close()
    assert len(trace.events) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["bcc.py"]
