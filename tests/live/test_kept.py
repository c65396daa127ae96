# SPDX-License-Identifier: Apache-2.0
"""What one agent compiled the next one need not; and what is wrong is done anew."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

import skbnb
from skbnb.config import COMPILED
from skbnb.transport import AgentTransport, agent_archive
from tests.live.test_faults import ANEW, Start, agent_run_by, fails, in_a_namespace
from tests.live.traffic import apart

__all__ = ["agent_run_by"]

CANNOT_COMPILE = """
import sys
sys.path.insert(0, sys.argv[2])
from skbnb.agent import compiler
from skbnb.errors import ProbeError
def refuse(text, flags):
    raise ProbeError("there is no compiler")
compiler._by_bcc = refuse
from skbnb.agent.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder that is the agents', in namespaces of `beside`."""
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    return folder


def beside(kept: Path) -> list[str]:
    """Run an agent where this folder is its own."""
    return in_a_namespace(
        f"mkdir -p -m 700 {COMPILED}", f"mount --bind {kept} {COMPILED}"
    )


def traced(agent: AgentTransport) -> int:
    with skbnb.trace(transport=agent) as trace:
        apart("timestamping", 5)
    return len(trace.events)


SECRETS = """
import sys
sys.path.insert(0, sys.argv[1])
from skbnb.agent import kept
print(kept.secret("a"), kept.secret("b"))
"""


def secrets(prefix: list[str]) -> list[str]:
    command = [*prefix, "-c", SECRETS, str(agent_archive())]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.split()


def without_a_compiler(prefix: list[str], start: Start) -> AgentTransport:
    return start([*prefix, "-c", CANNOT_COMPILE])


def objects(kept: Path) -> list[Path]:
    return [path for path in kept.iterdir() if path.name != "secret"]


def test_the_next_agent_does_not_compile(agent_run_by: Start, kept: Path) -> None:
    error = fails(without_a_compiler(beside(kept), agent_run_by))
    assert "there is no compiler" in str(error)
    assert not objects(kept)
    assert traced(agent_run_by(beside(kept))) == 5
    (made,) = objects(kept)
    assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0
    assert traced(without_a_compiler(beside(kept), agent_run_by)) == 5
    # Not what is another text.
    error = fails(without_a_compiler(beside(kept), agent_run_by), stacks=True)
    assert "there is no compiler" in str(error)


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", None])
def test_a_damaged_one_is_made_anew(
    agent_run_by: Start, kept: Path, damage: bytes | None
) -> None:
    assert traced(agent_run_by(beside(kept))) == 5
    (made,) = objects(kept)
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert traced(agent_run_by(beside(kept))) == 5
    assert made.read_bytes() == whole


@pytest.mark.parametrize("change", ["mode", "owner", "link"])
def test_a_folder_that_others_may_enter_is_left_alone(
    agent_run_by: Start, kept: Path, change: str
) -> None:
    if change == "mode":
        kept.chmod(0o750)
    elif change == "owner":
        os.chown(kept, 65534, 65534)
    prefix = beside(kept)
    if change == "link":
        hide = f"mount -t tmpfs none /run && ln -s {kept} {COMPILED}"
        prefix = in_a_namespace(hide)
    assert traced(agent_run_by(prefix)) == 5
    assert not list(kept.iterdir())


def test_a_full_disk(agent_run_by: Start) -> None:
    small = f"mount -t tmpfs -o mode=700,size=4k none {COMPILED}"
    prefix = in_a_namespace(f"mkdir -p -m 700 {COMPILED}", small)
    assert traced(agent_run_by(prefix)) == 5


def test_the_last_are_kept(agent_run_by: Start, kept: Path) -> None:
    for number in range(40):
        old = kept / f"{number:02}"
        old.write_bytes(b"old")
        os.utime(old, (number, number))
    assert traced(agent_run_by(beside(kept))) == 5
    names = {path.name for path in objects(kept)}
    assert len(names) == 32
    assert names > {f"{number:02}" for number in range(9, 40)}


def test_the_secret_is_the_same_until_it_is_forgotten(kept: Path) -> None:
    first = secrets(beside(kept))
    assert len(set(first)) == 2
    assert secrets(beside(kept)) == first
    (kept / "secret").unlink()
    assert not set(secrets(beside(kept))) & set(first)
    # Where nothing can be kept it is another one each time.
    anew = in_a_namespace(*ANEW)
    assert not set(secrets(anew)) & set(secrets(anew))
