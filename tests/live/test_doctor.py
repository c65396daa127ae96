# SPDX-License-Identifier: Apache-2.0
"""The doctor tells the truth about the running kernel, and about what is provoked."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

import skbnb
from skbnb import transport
from skbnb.agent.probes import PROBES
from skbnb.doctor import Finding, Machine, Verdict, checks, rounds, tracing
from skbnb.doctor.finding import CLONE
from skbnb.errors import ProbeError
from tests.live.test_faults import ANEW
from tests.stock.agents import start_agent

DOCTOR = (sys.executable, "-m", "skbnb", "doctor")

# Its agents load only what they are asked for.
UNHURRIED = Machine(transport=start_agent)


def examined(
    *prefix: str, status: int, environ: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """What the doctor finds where it is run like this: name -> finding."""
    done = subprocess.run(
        [*prefix, *DOCTOR, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    )
    assert done.returncode == status, done.stdout
    told = json.loads(done.stdout)
    assert told["usable"] is (status == 0)
    return {finding["name"]: finding for finding in told["findings"]}


def provoked(*mounts: str) -> list[str]:
    """Run where these mounts are made first, seen by nobody else."""
    script = " && ".join([*mounts, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def test_this_machine_is_told_as_it_is_and_its_owner_is_not(tmp_path: Path) -> None:
    home = str(tmp_path / "ada-lovelace")
    mine = {"HOME": home, "USER": "ada", "JUPYTER_PATH": f"{home}/share"}
    found = examined(status=0, environ=mine)
    names = ("libraries", "BCC", "C headers", "compile", "BTF", "root", "agent", CLONE)
    for name in names:
        assert found[name]["verdict"] == "ok", found[name]
    assert os.uname().release in found["kernel"]["found"]
    assert platform.python_version() in found["libraries"]["found"]
    assert found[CLONE]["found"].startswith("5 clones seen of 5 datagrams")
    assert "; 0 lost; " in found[CLONE]["found"]
    for one in found.values():
        assert bool(one["remedy"]) is (one["verdict"] != "ok"), one
        words = re.split(r"[\s:,;()]+", one["found"] + " " + one["remedy"])
        assert not {"ada", home, os.uname().nodename} & set(words)


ABOUT = "import bcc, platform; print(bcc.__version__, platform.python_version())"


def test_the_agents_python_is_told() -> None:
    program = [transport.AGENT_PYTHON, "-I", "-c", ABOUT]
    said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    version, python = said.split()
    (found,) = rounds.make("BCC", checks.bcc, Machine())
    assert found.verdict is Verdict.OK
    assert found.found.startswith(f"BCC {version}")
    assert found.found.endswith(f"({python})")


def refusal(probe: str) -> str:
    """Why a trace with this probe cannot be; empty if it can."""
    agent = start_agent()
    try:
        with skbnb.trace(transport=agent, probe=probe):
            return ""
    except ProbeError as error:
        return str(error)
    finally:
        agent.close()


def test_every_probe_is_told_as_a_trace_with_it_tells() -> None:
    found = {one.name: one for one in tracing.probes(UNHURRIED)}
    for probe in PROBES:
        said = found[f"probe {probe.name}"]
        refused = refusal(probe.name)
        missed = probe.coverage
        sees = f"misses: {missed}" if missed else "sees every clone"
        if refused:
            assert said.verdict is Verdict.NOTE
            assert said.found in refused
        else:
            assert said.verdict is Verdict.OK
            assert said.found == f"attaches; {sees}"
    # This needs neither kprobes nor fentry.
    assert found["probe tracepoint"].verdict is Verdict.OK


def test_in_a_notebook_it_is_a_table(tmp_path: Path) -> None:
    from tests.live.test_notebook import kernel  # slow

    async def examine() -> dict[str, str]:
        async with kernel(tmp_path) as notebook:
            cell = await notebook.run("%skbnb doctor")
        (output,) = cell.outputs
        made: dict[str, str] = output["data"]
        return made

    shown = asyncio.run(examine())
    assert "<caption>One can trace here." in shown["text/html"]
    assert "ok     clone            5 clones seen of" in shown["text/plain"]


def test_it_goes_on_where_a_trace_is_running() -> None:
    with skbnb.trace(scope="all"):
        found = {one.name: one for one in tracing.trace(Machine())}
    assert found[CLONE].verdict is Verdict.OK


def test_no_btf_and_no_headers() -> None:
    found = examined(*provoked("mount -t tmpfs none /sys/kernel/btf"), status=1)
    assert found["BTF"]["verdict"] == "fails"
    assert "this kernel has no BTF" in found["BTF"]["found"]
    assert "$(uname -r)" in found["BTF"]["remedy"]
    assert found[CLONE]["verdict"] == "fails"


def test_no_c_headers() -> None:
    mounts = (*ANEW, "mount -t tmpfs none /usr/include/linux")
    found = examined(*provoked(*mounts), status=1)
    assert found["C headers"]["verdict"] == found["compile"]["verdict"] == "fails"
    assert found["C headers"]["remedy"] == Machine().install("c headers")
    assert found[CLONE]["verdict"] == "fails"


def test_hidden_symbols(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("2\n")
    (tmp_path / "none").write_text("0000000000000000 T skb_clone\n")
    found = examined(
        *provoked(
            f"mount --bind {tmp_path}/two /proc/sys/kernel/kptr_restrict",
            f"mount --bind {tmp_path}/none /proc/kallsyms",
        ),
        status=1,
    )
    assert found["kptr_restrict"]["remedy"] == "sysctl kernel.kptr_restrict=1"
    assert found["probe tracepoint"]["found"].startswith("the kernel hides its symbols")
    assert found["probe tracepoint"]["remedy"] == "sysctl kernel.kptr_restrict=1"
    assert found[CLONE]["verdict"] == "fails"


def test_no_loopback() -> None:
    found = examined("unshare", "--net", status=1)
    assert found["probe tracepoint"]["verdict"] == "ok"
    assert found[CLONE]["found"] == "loopback does not work: Network is unreachable"
    assert found[CLONE]["remedy"] == "ip link set dev lo up"


def test_process_ids_of_a_container() -> None:
    found = examined("unshare", "--pid", "--fork", "--mount-proc", status=1)
    assert "process ids here are a container's own" in found[CLONE]["found"]
    assert "--pid=host" in found[CLONE]["remedy"]


def with_python(python: str, monkeypatch: pytest.MonkeyPatch) -> Finding:
    monkeypatch.setattr("skbnb.doctor.machine.AGENT_PYTHON", python)
    (made,) = rounds.make("BCC", checks.bcc, Machine())
    return made


def test_a_python_without_bcc(monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_python(sys.executable, monkeypatch)
    assert made.verdict is Verdict.FAILS
    assert "has no BCC" in made.found
    assert made.remedy == Machine().install("bcc")


def test_the_wrong_bcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "bcc").mkdir()
    (site / "bcc" / "__init__.py").write_text("class Lattice: pass\n")
    made = with_python(str(tmp_path / "venv" / "bin" / "python"), monkeypatch)
    assert made.verdict is Verdict.FAILS
    assert "is not BCC but PyPI's package of that name" in made.found
    assert "pip uninstall --yes bcc && " in made.remedy
    assert made.remedy.endswith(Machine().install("bcc"))


def test_neither_root_nor_sudo(tmp_path: Path) -> None:
    # A forked child: this machine's Python need not be readable for an ordinary user.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os.environ.update(PATH=str(tmp_path), XDG_CACHE_HOME="/tmp/skbnb-nobody")
        try:
            said = [repr(one) for one in rounds.make("agent", checks.agent, Machine())]
        except BaseException as error:
            said = [repr(error)]
        os.write(writer, "\n".join(said).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        (said_line,) = pipe.read().splitlines()
    assert "name='root', verdict=<Verdict.FAILS" in said_line
    assert "tracing needs root, and there is no sudo" in said_line
    assert "remedy=\"su -c '" in said_line
