# SPDX-License-Identifier: Apache-2.0
"""Every check of the doctor's, made to fail. Live twin: tests/live/test_doctor.py."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skbnb import doctor
from skbnb.agent import kheaders, layout
from skbnb.cli import main
from skbnb.config import Config, Request
from skbnb.doctor import Finding, Machine, Report, Verdict, checks, rounds, tracing
from skbnb.doctor.finding import CLONE
from skbnb.doctor.machine import Done
from skbnb.doctor.packages import PACKAGES, Names, distribution
from skbnb.doctor.report import impersonal, lines
from skbnb.errors import (
    CODES,
    BccError,
    LayoutError,
    PrivilegeError,
    ProbeError,
    RequestError,
    SkbnbError,
)
from skbnb.transport import AGENT_PYTHON, AgentTransport
from skbnb.wire import MAGIC, Frame, Kind, control
from tests.records import hello, record, stats, symbols

CHECKOUT = Path(__file__).parents[2]
FAKE = CHECKOUT / "tests" / "fake_agent.py"
CALLER = 0xFFFFFFFF81000010
OK, NOTE, FAILS = Verdict.OK, Verdict.NOTE, Verdict.FAILS

DEBIAN = 'PRETTY_NAME="Debian"\nID=debian\n'
VERSIONS = {
    "IPython": "9.18.1",
    "numpy": "2.4.6",
    "pandas": "3.1.1",
    "plotly": "7.1.0",
    "ipywidgets": "8.1.9",
    "anywidget": "0.11.0",
}
BCC_VERSIONS = ["3.11.2", "0.26.0", "14"]
MANAGER = "usr/share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager"


class Recording:
    """A transport in this process: an agent that sees what `doctor.traffic` sends."""

    def __init__(self, clones: int = 5, **said: Any) -> None:
        self.usable = True
        self._clones = clones
        self._said = said
        self._stopped = threading.Event()

    def start(self, request: Request) -> None:
        assert isinstance(request, Config)
        self._tid = request.cell_tid

    def frames(self) -> Iterator[Frame]:
        yield control(Kind.HELLO, **hello(**self._said))
        yield control(Kind.READY, ts=1_000, base=0)
        self._stopped.wait()
        sent = {"tid": self._tid, "caller": CALLER}
        for number in range(self._clones):
            yield Frame(Kind.EVENTS, record(ts=2_000 + number, **sent))
        # Of others, and of ours for another reason.
        yield Frame(Kind.EVENTS, record(ts=3_000, caller=CALLER))
        yield Frame(Kind.EVENTS, record(ts=3_001, tid=self._tid, caller=1))
        functions = {f"{CALLER:#x}": "__skb_tstamp_tx", "0x1": "__tcp_transmit_skb"}
        yield control(Kind.SYMBOLS, **symbols(functions=functions))
        yield control(Kind.TAPS, sockets=[], more=0)
        yield control(Kind.STATS, **stats(calls=self._clones + 2))
        yield control(Kind.END, why="stop")

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self.stop()
        self.usable = False


def answers(answer: Any = None, **more: Any) -> Callable[[Sequence[str]], Done]:
    """What runs says this, as the agent's Python does."""

    def run(command: Sequence[str]) -> Done:
        return Done(0, json.dumps({"answer": answer, **more}).encode(), "")

    return run


def refuses(error: SkbnbError) -> Callable[[Sequence[str]], Done]:
    (code,) = (c for c, kind in CODES.items() if kind is type(error))
    return answers(code=code, message=error.args[0], hint=error.hint)


def ends(status: int = 0, out: bytes = MAGIC, err: str = "") -> Callable[..., Done]:
    return lambda _: Done(status, out, err)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine where all is well; its files are in a folder."""
    made = Machine(
        root=tmp_path,
        environ={"HOME": "/home/ada", "USER": "ada"},
        uid=0,
        release="6.12.0-test",
        memlock=-1,
        prefix=Path("/usr"),
        run=answers(BCC_VERSIONS),
        agent=lambda: ["agent"],
        transport=Recording,
        load=VERSIONS.__getitem__,
        version=lambda name: {"jupyterlab": "4.6.6"}.get(name),
        folder=lambda name: None,
    )
    write(made, "etc/os-release", DEBIAN)
    write(made, AGENT_PYTHON, "")
    write(made, f"{MANAGER}/package.json", '{"version": "5.0.16"}')
    write(made, "proc/sys/kernel/kptr_restrict", "1\n")
    write(made, "proc/mounts", "none /sys/kernel/tracing tracefs rw 0 0\n")
    write(made, "sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    return made


def write(machine: Machine, name: str, text: str) -> None:
    path = machine.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


Check = Callable[[Machine], Iterator[Finding]]


def only(check: Check, machine: Machine) -> Finding:
    """The one finding of a check, as the rounds give it."""
    (title,) = (name for name, one in rounds.CHECKS if one is check)
    made = list(rounds.make(title, check, machine))
    assert len(made) == 1
    return made[0]


# ------------------------------------------------------------------ where all is well

WELL: list[tuple[Check, str]] = [
    (checks.kernel, "Linux 6.12.0-test, "),
    (checks.libraries, ", ipython 9.18.1, numpy 2.4.6, pandas 3.1.1, plotly 7.1.0"),
    (checks.widget_manager, "JupyterLab 4.6.6, widget manager 5.0.16"),
    (checks.bcc, "BCC 0.26.0, LLVM 14, in /usr/bin/python3 (3.11.2)"),
    (checks.tracefs, "at /sys/kernel/tracing; nothing here needs it"),
    (checks.symbols, "1"),
    (checks.lockdown_level, "integrity"),
    (checks.memory_lock, "no limit"),
]


@pytest.mark.parametrize(("check", "found"), WELL)
def test_all_is_well(check: Check, found: str, machine: Machine) -> None:
    made = only(check, machine)
    assert (made.verdict, made.remedy) == (OK, "")
    assert found in made.found


def test_what_the_agents_python_answers(machine: Machine) -> None:
    btf = replace(machine, run=answers(["btf", 55]))
    assert only(checks.struct_layout, btf) == Finding(
        "BTF", OK, "55 constants read from /sys/kernel/btf/vmlinux"
    )
    headers = replace(machine, run=answers(["-I/usr/include"]))
    assert only(checks.c_headers, headers).found == "in /usr/include"
    compiler = replace(machine, run=answers(0.25))
    assert only(checks.compiling, compiler).found.endswith("does nothing in 0.25 s")


def test_doors_that_this_kernel_has_not(machine: Machine) -> None:
    machine.path("sys/kernel/security/lockdown").unlink()
    machine.path("proc/sys/kernel/kptr_restrict").unlink()
    machine.path("proc/mounts").unlink()
    for check in (checks.lockdown_level, checks.symbols, checks.tracefs):
        assert only(check, machine).verdict is OK


# ------------------------------------------------------------------ what is amiss


def test_an_old_kernel(machine: Machine) -> None:
    made = only(checks.kernel, replace(machine, release="5.4.0-200-generic"))
    assert made.verdict is NOTE
    assert made.found.endswith("tests begin with 5.10")
    assert made.remedy.startswith("apt-get install linux-image-$(dpkg ")


def test_a_library_that_is_old_and_one_that_is_not_there(machine: Machine) -> None:
    def load(name: str) -> str:
        if name == "anywidget":
            raise ImportError("No module named 'anywidget'")
        return "2.3.3" if name == "pandas" else VERSIONS[name]

    made = only(checks.libraries, replace(machine, load=load))
    assert made.verdict is FAILS
    assert "pandas is older than 3" in made.found
    assert "anywidget cannot be imported (No module named 'anywidget')" in made.found
    assert made.remedy == (
        "python -m pip install --upgrade 'pandas>=3' 'anywidget>=0.10'"
    )


def test_no_widget_manager(machine: Machine) -> None:
    machine.path(f"{MANAGER}/package.json").unlink()
    made = only(checks.widget_manager, machine)
    assert made.verdict is NOTE
    assert made.found.startswith("JupyterLab 4.6.6: no widget manager here")
    assert made.remedy.endswith("install --upgrade jupyterlab jupyterlab-widgets")


@pytest.mark.parametrize(
    ("os_release", "remedy"),
    [
        (DEBIAN, "apt-get install python3-bpfcc"),
        ('ID=pop\nID_LIKE="ubuntu debian"\n', "apt-get install python3-bpfcc"),
        ("ID=fedora\n", "dnf install python3-bcc"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install python3-bcc"),
        ("ID=arch\n", "pacman --sync --needed python-bcc"),
    ],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_no_bcc(os_release: str, remedy: str, uid: int, machine: Machine) -> None:
    write(machine, "etc/os-release", os_release)
    error = BccError("/usr/bin/python3 has no BCC (No module named 'bcc')")
    made = only(checks.bcc, replace(machine, run=refuses(error), uid=uid))
    assert made.verdict is FAILS
    assert made.found == error.args[0]
    assert made.remedy == ("sudo " if uid else "") + remedy


def test_a_distribution_that_is_not_known(machine: Machine) -> None:
    write(machine, "etc/os-release", "ID=plan9\nNAME='unclosed\n")
    made = only(checks.bcc, replace(machine, run=refuses(BccError("no BCC"))))
    assert made.remedy == (
        "# apt-get install python3-bpfcc, or: dnf install python3-bcc, or: pacman "
        "--sync --needed python-bcc"
    )
    machine.path("etc/os-release").unlink()
    assert machine.distribution == ""


def test_the_wrong_bcc_in_the_agents_python(machine: Machine) -> None:
    error = BccError(
        "the module bcc at /usr/local/lib/bcc.py is not BCC but PyPI's package of that "
        "name"
    )
    made = only(checks.bcc, replace(machine, run=refuses(error), uid=1000))
    assert made.verdict is FAILS
    assert "not BCC but PyPI's" in made.found
    assert made.remedy == (
        "sudo env PIP_BREAK_SYSTEM_PACKAGES=1 /usr/bin/python3 -m pip uninstall --yes "
        "bcc && sudo apt-get install python3-bpfcc"
    )


def test_the_wrong_bcc_in_this_python(machine: Machine, tmp_path: Path) -> None:
    here = replace(machine, folder=lambda name: tmp_path / name)
    made = only(checks.wrong_bcc, here)
    assert made.verdict is NOTE
    assert "lattices" in made.found
    assert made.remedy == "python -m pip uninstall --yes bcc"
    # BCC itself has this file; and there need be none at all.
    write(machine, "bcc/libbcc.py", "")
    assert list(checks.wrong_bcc(here)) == []
    assert list(checks.wrong_bcc(machine)) == []


def test_no_python_for_the_agent(machine: Machine) -> None:
    machine.path(AGENT_PYTHON).unlink()
    made = only(checks.bcc, machine)
    assert (made.verdict, made.found) == (FAILS, "there is no /usr/bin/python3")
    assert made.remedy == "apt-get install python3"


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (ends(1, b"", "Traceback\nImportError: no ctypes\n"), "ImportError: no ctypes"),
        (ends(-11, b""), "status -11"),
        (ends(127, b"", "/usr/bin/python3: Exec format error"), "Exec format error"),
        (ends(124, b"", "no end after 60 s"), "no end after 60 s"),
    ],
)
def test_the_agents_python_fails(
    run: Callable[..., Done], found: str, machine: Machine
) -> None:
    made = only(checks.bcc, replace(machine, run=run))
    assert made.verdict is FAILS
    assert found in made.found
    assert made.remedy


@pytest.mark.parametrize(
    ("check", "error", "remedy"),
    [
        (
            checks.struct_layout,
            LayoutError("this kernel has no BTF and there are no kernel headers"),
            "apt-get install linux-headers-$(uname -r)",
        ),
        (
            checks.struct_layout,
            LayoutError("libbpf is missing, so the kernel's BTF cannot be read"),
            "apt-get install libbpf1",
        ),
        (
            checks.c_headers,
            LayoutError("the kernel's headers are missing (linux/types.h)"),
            "apt-get install linux-libc-dev",
        ),
    ],
)
def test_no_layout_and_no_headers(
    check: Check, error: LayoutError, remedy: str, machine: Machine
) -> None:
    made = only(check, replace(machine, run=refuses(error)))
    assert (made.verdict, made.found, made.remedy) == (FAILS, error.args[0], remedy)


def test_headers_in_the_place_of_btf(machine: Machine) -> None:
    made = only(checks.struct_layout, replace(machine, run=answers(["headers", 1])))
    assert made.verdict is NOTE
    assert "its headers are used" in made.found
    assert made.remedy.startswith("apt-get install linux-image")


def test_hidden_symbols(machine: Machine) -> None:
    write(machine, "proc/sys/kernel/kptr_restrict", "2\n")
    made = only(checks.symbols, replace(machine, uid=1000))
    assert made.verdict is FAILS
    assert made.remedy == "sudo sysctl kernel.kptr_restrict=1"


@pytest.mark.parametrize(
    ("os_release", "words"),
    [
        (DEBIAN, "/etc/default/grub && sudo update-grub  # and boot"),
        ("ID=fedora\n", "sudo grubby --update-kernel=ALL --args=lockdown=integrity"),
    ],
)
def test_lockdown(os_release: str, words: str, machine: Machine) -> None:
    write(machine, "etc/os-release", os_release)
    write(machine, "sys/kernel/security/lockdown", "none integrity [confidentiality]\n")
    made = only(checks.lockdown_level, replace(machine, uid=1000))
    assert made.verdict is FAILS
    assert made.found.startswith("confidentiality: ")
    assert words in made.remedy


@pytest.mark.parametrize(
    ("release", "verdict"), [("5.10.0-46-amd64", NOTE), ("5.11.0", OK), ("6.1.0", OK)]
)
def test_locked_memory(release: str, verdict: Verdict, machine: Machine) -> None:
    made = only(checks.memory_lock, replace(machine, release=release, memlock=65_536))
    assert made.verdict is verdict
    assert made.found.startswith("65.5 kB")
    assert bool(made.remedy) is (verdict is NOTE)


# ------------------------------------------------------------------ root and the agent


def error_frame(code: str, message: str) -> bytes:
    return MAGIC + control(Kind.ERROR, code=code, message=message, hint="Do c.").pack()


@pytest.mark.parametrize(("uid", "how"), [(0, "is root"), (1000, "no password")])
def test_the_agent_starts(uid: int, how: str, machine: Machine) -> None:
    root, agent = checks.agent(replace(machine, run=ends(), uid=uid))
    assert (root.name, root.verdict) == ("root", OK)
    assert how in root.found
    assert (agent.name, agent.verdict) == ("agent", OK)


def test_sudo_wants_a_password(machine: Machine) -> None:
    run = ends(1, b"", "sudo: a password is required\n")
    made = only(checks.agent, replace(machine, run=run, uid=1000))
    assert (made.name, made.verdict) == ("root", FAILS)
    assert made.found == "sudo: a password is required"
    assert made.remedy == (
        f'sudo {sys.executable} -m skbnb install-agent --sudoers "$(id -gn)"'
    )


def test_no_sudo(machine: Machine) -> None:
    def agent() -> list[str]:
        raise PrivilegeError("tracing needs root, and there is no sudo")

    made = only(checks.agent, replace(machine, agent=agent, uid=1000))
    assert (made.name, made.verdict) == ("root", FAILS)
    assert made.remedy == "su -c 'apt-get install sudo'"


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (ends(3, MAGIC, "cannot allocate memory\n"), "cannot allocate memory"),
        (ends(-9, b""), "ends with status -9"),
        (ends(1, error_frame("request", "is wrong")), "is wrong"),
        (ends(0, b"Hello\n"), "not a skbnb stream: it begins with b'Hello"),
        (ends(0, b""), "ends with status 0"),
    ],
)
def test_the_agent_does_not_start(
    run: Callable[..., Done], found: str, machine: Machine
) -> None:
    _, made = rounds.make("agent", checks.agent, replace(machine, run=run))
    assert (made.name, made.verdict) == ("agent", FAILS)
    assert made.found.startswith(found)
    assert made.remedy.startswith("# ")


# ------------------------------------------------------------------ tracing


def agent_in_mood(mood: str) -> Callable[[], AgentTransport]:
    return lambda: AgentTransport([sys.executable, "-I", str(FAKE), mood])


def test_probes_attach(machine: Machine) -> None:
    made = list(tracing.probes(machine))
    assert made == [
        Finding(f"probe {name}", OK, "attaches; sees every clone")
        for name in ("fentry", "kprobe", "tracepoint")
    ]
    partly = replace(machine, transport=lambda: Recording(coverage="some"))
    assert {one.found for one in tracing.probes(partly)} == {"attaches; misses: some"}


class Refusing(Recording):
    """An agent that refuses."""

    error: SkbnbError = ProbeError("no probe works on this kernel (fentry: none here)")

    def frames(self) -> Iterator[Frame]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "found", "remedy"),
    [
        (Refusing.error, "none here", "apt-get install linux-image-$(dpkg "),
        (
            ProbeError(
                "no probe works on this kernel (kprobe: the kernel hides its symbols' "
                "addresses (kernel.kptr_restrict))",
                "Run it.",
            ),
            "the kernel hides its symbols' addresses (kernel.kptr_restrict)",
            "sysctl kernel.kptr_restrict=1",
        ),
        (ProbeError("locked down", "Boot it otherwise."), "locked down", "# Boot it o"),
    ],
)
def test_a_probe_that_does_not_attach_is_a_note_with_the_reason(
    error: SkbnbError, found: str, remedy: str, machine: Machine
) -> None:
    class Agent(Refusing):
        pass

    Agent.error = error
    made = list(tracing.probes(replace(machine, transport=Agent)))
    assert [one.verdict for one in made] == [NOTE] * 3
    assert {one.found for one in made} == {found}
    assert all(one.remedy.startswith(remedy) for one in made)


@pytest.mark.parametrize(
    ("mood", "found"),
    [
        ("dies_first", "the agent ended with status 3: cannot allocate memory"),
        ("sudo_refuses", "sudo refused to start the agent (a password is required)"),
        ("old_abi", "the stream is of ABI"),
        ("refuses", "no probe works (a: b)"),
    ],
)
def test_an_agent_that_does_not_trace(mood: str, found: str, machine: Machine) -> None:
    made = only(tracing.trace, replace(machine, transport=agent_in_mood(mood)))
    assert (made.name, made.verdict) == (CLONE, FAILS)
    assert made.found.startswith(found)
    assert made.remedy


def test_clones_are_seen_from_end_to_end(machine: Machine) -> None:
    compiled, buffer, clone = tracing.trace(machine)
    assert (compiled.verdict, buffer.verdict, clone.verdict) == (OK, OK, OK)
    assert clone.found == (
        "5 clones seen of 5 datagrams, of which the kernel clones each once; 0 lost; "
        "tracepoint"
    )


@pytest.mark.parametrize("clones", [0, 4, 6])
def test_other_clones_than_were_made(clones: int, machine: Machine) -> None:
    wrong = replace(machine, transport=lambda: Recording(clones))
    *_, clone = tracing.trace(wrong)
    assert clone.verdict is FAILS
    assert clone.found.startswith(f"{clones} clones seen of 5 datagrams")


def test_an_agent_that_dies_in_the_middle(machine: Machine) -> None:
    *_, clone = rounds.make(
        CLONE, tracing.trace, replace(machine, transport=agent_in_mood("dies"))
    )
    assert (clone.name, clone.verdict) == (CLONE, FAILS)
    assert "0 clones seen" in clone.found
    assert "unknown how many lost" in clone.found


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        ("this BCC knows no ring buffer", "apt-get install python3-bpfcc"),
        ("the kernel has no BPF ring buffer", "apt-get install linux-image"),
    ],
)
def test_perf_buffers_are_a_note(why: str, remedy: str, machine: Machine) -> None:
    _, buffer, clone = tracing.trace(
        replace(machine, transport=lambda: Recording(buffer="perf", buffer_why=why))
    )
    assert (buffer.verdict, clone.verdict) == (NOTE, OK)
    assert buffer.found == f"perf buffers: {why}"
    assert buffer.remedy.startswith(remedy)


def test_no_loopback(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: int) -> None:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr("skbnb.doctor.traffic.send", send)
    *_, clone = tracing.trace(replace(machine, uid=1000))
    assert (clone.name, clone.verdict) == (CLONE, FAILS)
    assert clone.found == "loopback does not work: Network is unreachable"
    assert clone.remedy == "sudo ip link set dev lo up"


# ------------------------------------------------------------------ the rounds


def test_every_check_is_made_whatever_becomes_of_the_others() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("broken on purpose")

    machine = Machine(
        run=broken, agent=broken, transport=broken, version=broken, folder=broken
    )
    made = list(doctor.diagnose(machine))
    wrong = [one for one in made if "this check itself went wrong" in one.found]
    assert {one.name for one in wrong} == {
        *("widgets", "BCC", "PyPI's bcc", "C headers", "compile", "BTF"),
        *("agent", "probes", CLONE),
    }
    assert {one.found.partition(": ")[2] for one in wrong} == {
        "RuntimeError: broken on purpose"
    }
    assert not Report(made).usable


def test_everything_that_is_not_ok_has_a_remedy_of_one_line(machine: Machine) -> None:
    bad = replace(
        machine,
        release="5.4.0",
        memlock=0,
        run=refuses(RequestError("process ids here are a container's own")),
        transport=Refusing,
    )
    machine.path(f"{MANAGER}/package.json").unlink()
    made = list(doctor.diagnose(bad))
    assert {one.verdict for one in made} == set(Verdict)
    for one in made:
        assert bool(one.remedy) is (one.verdict is not OK), one
        assert "\n" not in one.remedy


def test_what_is_run_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skbnb.doctor.machine._PATIENCE", 0.2)
    assert Machine().run(["sleep", "60"]).status == 124
    assert Machine().run(["/no/such/program"]) == Done(
        127, b"", "/no/such/program: No such file or directory"
    )
    done = Machine().run(["sh", "-c", "cat; echo out; echo err >&2; exit 3"])
    assert done == Done(3, b"out\n", "err\n")


# ------------------------------------------------------------------ the tables


def test_packages_are_those_of_the_bootstrap() -> None:
    text = (CHECKOUT / "bootstrap.sh").read_text()
    found = re.search(r"NEEDS='\n(.*?)\n'", text, re.S)
    assert found
    rows = [line.split(None, 6) for line in found[1].splitlines()]
    needs = {row[2]: row[3:6] for row in rows}
    same = {"bcc/libbcc.py": "bcc", "/usr/include/linux/bpf.h": "c headers"}
    for what, name in same.items():
        names = PACKAGES[name]
        assert needs[what] == [names.debian, names.fedora, names.arch]
        assert names.ubuntu == names.debian


def test_packages_are_those_of_the_errors() -> None:
    texts = {
        "bcc": BccError.hint,
        "c headers": Path(kheaders.__file__).read_text(),
        "libbpf": Path(layout.__file__).read_text(),
    }
    for what, text in texts.items():
        for name in PACKAGES[what]:
            assert name in text, what
    assert PACKAGES["kernel headers"].debian in LayoutError.hint


def test_the_oldest_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    needed = dict(one.split(">=") for one in project["dependencies"])
    assert needed == checks.LEAST


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ID=debian", "debian"),
        ("ID='ubuntu'\nID_LIKE=debian", "ubuntu"),
        ('NAME="A=B"\nID=manjaro\nID_LIKE=arch', "arch"),
        ("ID=nixos", ""),
        ("ID=_fields", ""),
        ("", ""),
    ],
)
def test_distributions(text: str, wanted: str) -> None:
    assert distribution(text) == wanted


def test_names_are_whole() -> None:
    assert all(len(names) == len(Names._fields) for names in PACKAGES.values())
    assert all(all(names) for names in PACKAGES.values())


# ------------------------------------------------------------------ the report

FINDINGS = [
    Finding("kernel", OK, "Linux 6.12"),
    Finding("probe <b>", NOTE, "\x1b[31m & <script>", "echo '<i>' && true"),
]
GOOD = Finding(CLONE, OK, "5 clones")
BAD = Finding(CLONE, FAILS, "none", "do this")


def test_a_line_each_and_the_remedy_in_one() -> None:
    long = Finding("name", FAILS, "word " * 40, "x" * 200)
    made = lines(long)
    assert made[0].startswith("fails  name             word word")
    assert all(len(line) <= 80 for line in made[:-1])
    assert made[-1].strip() == "try: " + "x" * 200
    assert lines(FINDINGS[0]) == ["ok     kernel           Linux 6.12"]


def test_what_was_found_is_text_everywhere() -> None:
    report = Report([*FINDINGS, GOOD])
    page = report.html()
    assert "<script>" not in page
    assert "<b>" not in page
    assert r"\x1b[31m &amp; &lt;script&gt;" in page
    assert "try: <code>echo &#x27;&lt;i&gt;&#x27; &amp;&amp; true</code>" in page
    assert "\x1b" not in report.text()
    assert set(report._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    ("last", "usable", "words"),
    [
        ([], False, "Checking ..."),
        ([GOOD], True, "One can trace here. 1 thing could be better."),
        ([BAD], False, "One cannot trace here: begin with the first that fails."),
    ],
)
def test_the_verdict(last: list[Finding], usable: bool, words: str) -> None:
    report = Report([*FINDINGS, *last])
    assert report.usable is usable
    assert report.verdict() == words
    assert json.loads(report.json())["usable"] is usable


def test_json_tells_nobodys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    host = os.uname().nodename
    said = f"{host} /home/ada/.cache/x of ada: /home/adam, ada-2, Canada; {host}.lan"
    environ = {"HOME": "/home/ada", "USER": "ada"}
    report = Report([Finding("a", OK, said, said)])
    made = json.loads(report.json(environ))["findings"][0]
    for text in (made["found"], made["remedy"]):
        assert text == "HOST ~/.cache/x of USER: /home/adam, ada-2, Canada; HOST.lan"
    assert impersonal("root", {"USER": "root", "HOME": "/root"}) == "root"
    assert impersonal("/usr", {"HOME": "/"}) == "/usr"


@pytest.mark.parametrize(("last", "status"), [(GOOD, 0), (BAD, 1)])
def test_the_command(
    last: Finding,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda _: iter([*FINDINGS, last]))
    monkeypatch.delitem(sys.modules, "skbnb.cli.doctor", raising=False)
    assert main(["doctor"]) == status
    assert capsys.readouterr().out == Report([*FINDINGS, last]).text() + "\n"
    assert main(["doctor", "--json"]) == status
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 3
    monkeypatch.delitem(sys.modules, "skbnb.cli.doctor")
