# SPDX-License-Identifier: Apache-2.0
"""Checks of what there is: libraries, the kernel's doors, the agent's Python."""

from __future__ import annotations

import io
import json
import platform
import re
from collections.abc import Iterator
from dataclasses import replace

from .. import installed
from ..agent import lockdown
from ..agent.layout import BTF_PATH
from ..errors import (
    AgentError,
    BccError,
    LayoutError,
    PrivilegeError,
    ProbeError,
    SkbnbError,
)
from ..transport import AGENT_PYTHON, agent_error
from ..units import duration, si
from ..wire import Kind, Reader
from .finding import Finding, Verdict
from .machine import Machine
from .packages import LOCKDOWN, Names

__all__ = [
    "agent",
    "bcc",
    "c_headers",
    "compiling",
    "kernel",
    "libraries",
    "lockdown_level",
    "memory_lock",
    "remedy",
    "struct_layout",
    "symbols",
    "tracefs",
    "widget_manager",
    "wrong_bcc",
]

OK, NOTE, FAILS = Verdict.OK, Verdict.NOTE, Verdict.FAILS

# The oldest versions that will do: as in pyproject.toml.
LEAST = {
    "ipython": "9",
    "numpy": "2",
    "pandas": "3",
    "plotly": "6",
    "ipywidgets": "8.1",
    "anywidget": "0.10",
}
_MODULES = {"ipython": "IPython"}

_OLDEST_KERNEL = (5, 10)
# Since Linux 5.11 a BPF map counts as memory of its control group (commit d5299b67dd59,
# "bpf: Memcg-based memory accounting for bpf maps").
_MEMLOCK_COUNTS_BEFORE = (5, 11)

_WIDGET_MANAGER = "labextensions/@jupyter-widgets/jupyterlab-manager/package.json"


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    return tuple(map(int, re.findall(r"\d+", re.split(r"[^\d.]", version)[0])))


def remedy(machine: Machine, error: SkbnbError) -> str:
    """What to do about an error of the agent's, as a line for a shell."""
    said = str(error.args[0])
    if isinstance(error, BccError):
        wrong = "PyPI" in said
        # As of pip 23 a distribution's Python wants to be told that one means it.
        away = f"{machine.sudo}env PIP_BREAK_SYSTEM_PACKAGES=1 {AGENT_PYTHON} -m pip "
        first = f"{away}uninstall --yes bcc && " if wrong else ""
        return first + machine.install("bcc")
    if isinstance(error, LayoutError):
        needs = {"libbpf": "libbpf", "linux/types.h": "c headers"}
        found = (what for word, what in needs.items() if word in said)
        return machine.install(next(found, "kernel headers"))
    if isinstance(error, PrivilegeError):
        return _let_sudo()
    if isinstance(error, ProbeError) and "kptr_restrict" in said:
        return f"{machine.sudo}sysctl kernel.kptr_restrict=1"
    if isinstance(error, ProbeError) and error.hint == ProbeError.hint:
        return f"{machine.install('kernel')}  # and boot it"
    return f"# {error.hint}"


# ------------------------------------------------------------------ this Python


def kernel(machine: Machine) -> Iterator[Finding]:
    """Which kernel it is, and whether such a kernel was ever tried."""
    found = f"Linux {machine.release}, {machine.machine}"
    if numbers(machine.release) >= _OLDEST_KERNEL:
        yield Finding("kernel", OK, found)
        return
    oldest = ".".join(map(str, _OLDEST_KERNEL))
    advice = f"{machine.install('kernel')}  # and boot it"
    yield Finding("kernel", NOTE, f"{found}: tests begin with {oldest}", advice)


def libraries(machine: Machine) -> Iterator[Finding]:
    """Import what the notebook's side needs."""
    versions, amiss = [f"Python {platform.python_version()}"], []
    for name, least in LEAST.items():
        try:
            version = machine.load(_MODULES.get(name, name))
        except Exception as error:
            amiss.append((f"{name} cannot be imported ({error})", f"'{name}>={least}'"))
            continue
        versions.append(f"{name} {version}")
        if numbers(version) < numbers(least):
            amiss.append((f"{name} is older than {least}", f"'{name}>={least}'"))
    found = ", ".join([why for why, _ in amiss] + versions)
    if not amiss:
        yield Finding("libraries", OK, found)
        return
    wanted = " ".join(name for _, name in amiss)
    yield Finding(
        "libraries", FAILS, found, f"python -m pip install --upgrade {wanted}"
    )


def widget_manager(machine: Machine) -> Iterator[Finding]:
    """Look for what draws widgets in JupyterLab and Jupyter Notebook."""
    # As jupyter_core.paths.jupyter_path() looks for them.
    folders = [
        *filter(None, machine.environ.get("JUPYTER_PATH", "").split(":")),
        f"{machine.environ.get('HOME', '')}/.local/share/jupyter",
        str(machine.prefix / "share/jupyter"),
        "/usr/local/share/jupyter",
        "/usr/share/jupyter",
    ]
    paths = (f"{folder}/{_WIDGET_MANAGER}" for folder in folders)
    text = next(filter(None, map(machine.read, paths)), None)
    lab = machine.version("jupyterlab")
    notebook = machine.version("notebook")
    names = {"JupyterLab": lab, "Notebook": notebook}
    here = ", ".join(f"{name} {v}" for name, v in names.items() if v)
    if text:
        version = json.loads(text)["version"]
        also = f"{here}, " if here else ""
        yield Finding("widgets", OK, f"{also}widget manager {version}")
        return
    found = "no widget manager here: --panel and --live need it where Jupyter runs"
    advice = "python -m pip install --upgrade jupyterlab jupyterlab-widgets"
    yield Finding("widgets", NOTE, f"{here}: {found}" if here else found, advice)


# ------------------------------------------------------------------ the agent's Python

_BCC = """
import re
from skbnb.agent.compiler import import_bcc
version = getattr(import_bcc(), "__version__", "of an unknown version")
with open("/proc/self/maps") as file:
    llvm = re.search(r"/libLLVM(?:-|\\.so\\.)([\\d.]*\\d)", file.read())
return [sys.version.split()[0], version, llvm.group(1) if llvm else ""]
"""


def bcc(machine: Machine) -> Iterator[Finding]:
    """Import BCC in the agent's Python."""
    if not machine.path(AGENT_PYTHON).exists():
        found = f"there is no {AGENT_PYTHON}"
        yield Finding("BCC", FAILS, found, machine.install("python"))
        return
    python, version, llvm = machine.ask(_BCC)
    by = f", LLVM {llvm}" if llvm else ""
    yield Finding("BCC", OK, f"BCC {version}{by}, in {AGENT_PYTHON} ({python})")


def wrong_bcc(machine: Machine) -> Iterator[Finding]:
    """See that this Python has no bcc that is none; there need be none at all."""
    folder = machine.folder("bcc")
    if folder and not (folder / "libbcc.py").exists():
        found = (
            "this Python has PyPI's bcc, which is about lattices and not BCC: it does "
            "no harm, and is of no use"
        )
        yield Finding("PyPI's bcc", NOTE, found, "python -m pip uninstall --yes bcc")


_LAYOUT = """
from skbnb.agent import layout
made = layout.choose("auto")
return [made.name, len(made.flags)]
"""


def struct_layout(machine: Machine) -> Iterator[Finding]:
    """Read the places of the kernel's struct members, as the agent does."""
    name, places = machine.ask(_LAYOUT)
    if name == "btf":
        found = f"{places} constants read from {BTF_PATH}"
        yield Finding("BTF", OK, found)
        return
    advice = f"{machine.install('kernel')}  # and boot it"
    yield Finding("BTF", NOTE, "this kernel has none: its headers are used", advice)


_C_HEADERS = """
from skbnb.agent import kheaders
return kheaders.user_include_flags()
"""


def c_headers(machine: Machine) -> Iterator[Finding]:
    """Look for the headers that the C files and BCC's own include."""
    folders = (flag.removeprefix("-I") for flag in machine.ask(_C_HEADERS))
    yield Finding("C headers", OK, "in " + " and ".join(folders))


# What BCC prints belongs to no answer.
_COMPILE = """
import os, time
from skbnb.agent import messages
from skbnb.agent.compiler import compiled
from skbnb.agent.layout import Layout
answers = messages.capture()
began = time.monotonic()
try:
    compiled("int nothing(void *ctx) { return 0; }", [], Layout("btf", []))
finally:
    os.dup2(answers, 1)
return time.monotonic() - began
"""


def compiling(machine: Machine) -> Iterator[Finding]:
    """Compile a C file that is small, as the agent does what no earlier one kept."""
    took = duration(machine.ask(_COMPILE))
    yield Finding("compile", OK, f"BCC compiles a program that does nothing in {took}")


# ------------------------------------------------------------------ the kernel's doors


def tracefs(machine: Machine) -> Iterator[Finding]:
    """Say where tracefs is, which nothing here needs."""
    mounts = (line.split() for line in (machine.read("/proc/mounts") or "").split("\n"))
    places = [m[1] for m in mounts if len(m) > 2 and m[2] == "tracefs"]
    found = f"at {places[0]}" if places else "not mounted"
    yield Finding("tracefs", OK, f"{found}; nothing here needs it")


def symbols(machine: Machine) -> Iterator[Finding]:
    """See that root is told where functions lie."""
    value = (machine.read("/proc/sys/kernel/kptr_restrict") or "").strip()
    if value == "2":
        found = "2: the kernel hides its symbols' addresses from root, too"
        advice = f"{machine.sudo}sysctl kernel.kptr_restrict=1"
        yield Finding("kptr_restrict", FAILS, found, advice)
    else:
        yield Finding("kptr_restrict", OK, value or "this kernel has none")


def lockdown_level(machine: Machine) -> Iterator[Finding]:
    """See that programs may read the kernel's memory."""
    level = lockdown.level(str(machine.path(lockdown.PATH)))
    if level == "confidentiality":
        found = f"{level}: no program may read the kernel's memory"
        commands = (command.format(root=machine.sudo) for command in LOCKDOWN)
        advice = f"{machine.choose(Names(*commands))}  # and boot"
        yield Finding("lockdown", FAILS, found, advice)
    else:
        yield Finding("lockdown", OK, level or "this kernel has none")


def memory_lock(machine: Machine) -> Iterator[Finding]:
    """See whether the limit of locked memory is one for BPF maps."""
    limit = "no limit" if machine.memlock < 0 else si(machine.memlock, "B")
    if numbers(machine.release) >= _MEMLOCK_COUNTS_BEFORE:
        found = f"{limit}, which BPF maps do not count to since Linux 5.11"
        yield Finding("memlock", OK, found)
    elif machine.memlock < 0:
        yield Finding("memlock", OK, limit)
    else:
        found = f"{limit}: BPF maps count to it, unless BCC may raise it"
        advice = "ulimit -l unlimited  # as root, in the shell that starts Jupyter"
        yield Finding("memlock", NOTE, found, advice)


# ------------------------------------------------------------------ root


def agent(machine: Machine) -> Iterator[Finding]:
    """Start the agent as root, and let it end."""
    try:
        done = machine.run(machine.agent())
    except PrivilegeError as error:
        as_root = replace(machine, uid=0).install("sudo")
        yield Finding("root", FAILS, str(error.args[0]), f"su -c '{as_root}'")
        return
    last = (done.err.strip() or f"ends with status {done.status}").splitlines()[-1]
    if done.status and last.startswith("sudo: "):
        yield Finding("root", FAILS, last, _let_sudo())
        return
    how = "sudo asks for no password" if machine.uid else "this process is root"
    yield Finding("root", OK, how)
    for frame in Reader(io.BytesIO(done.out)):
        if frame.kind is Kind.ERROR:
            raise agent_error(frame)
    if done.status or not done.out:
        raise AgentError(last)
    yield Finding("agent", OK, "starts, and ends when its client is gone")


def _let_sudo() -> str:
    return installed.command('install-agent --sudoers "$(id -gn)"')
