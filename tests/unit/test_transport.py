# SPDX-License-Identifier: Apache-2.0
"""The agent's one file, and the recording in its place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from skbnb.config import Config
from skbnb.errors import AbiError, AgentError, AgentLostError
from skbnb.traces import Trace
from skbnb.transport import ReplayTransport, agent_archive
from skbnb.wire import Kind, control
from tests.records import frames, hello, record

CONFIG = Config(cell_tid=1, notebook_pid=1)


def test_the_archive_is_made_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = agent_archive()
    made = first.stat().st_mtime_ns
    assert agent_archive() == first
    assert first.stat().st_mtime_ns == made
    first.write_bytes(b"damaged")
    assert agent_archive().read_bytes().startswith(b"PK")
    assert os.listdir(tmp_path / "skbnb") == [first.name]


def test_old_archives_go_and_todays_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "skbnb"
    cache.mkdir()
    for name, age in (("agent-old.pyz", 2 * 86400), ("agent-new.pyz", 60)):
        (cache / name).write_bytes(b"")
        os.utime(cache / name, (time.time() - age,) * 2)
    current = agent_archive()
    assert set(os.listdir(cache)) == {"agent-new.pyz", current.name}


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(AgentError, match="Set XDG_CACHE_HOME"):
        agent_archive()


def test_a_replay_waits_for_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    Trace(frames(record())).save(path)
    replay = ReplayTransport(path)
    for _ in range(2):
        replay.start(CONFIG)
        coming = replay.frames()
        assert [next(coming).kind for _ in range(2)] == [Kind.HELLO, Kind.READY]
        replay.stop()
        assert [frame.kind for frame in coming][-1] is Kind.END


def test_a_replay_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    made = frames(record())
    made[0] = control(Kind.HELLO, **hello(abi=99))
    Trace(made).save(path)
    replay = ReplayTransport(path)
    replay.start(CONFIG)
    with pytest.raises(AbiError, match="the stream is of ABI 99"):
        next(replay.frames())


def test_a_replay_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.skbt"
    Trace(frames(record())[:3]).save(path)
    replay = ReplayTransport(path)
    replay.start(CONFIG)
    replay.stop()
    with pytest.raises(AgentLostError, match="has no end"):
        list(replay.frames())
