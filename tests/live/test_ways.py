# SPDX-License-Identifier: Apache-2.0
"""Ways to have the calls: a handbook's two programs, and sums made in the kernel.

What they give is the whole machine's, so others' calls may be among them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import skbnb
from skbnb.agent import tracepipe
from skbnb.errors import LossWarning, PipeError
from skbnb.views import receipt
from tests.live import traffic
from tests.live.traffic import Server, apart, curl, run

HANDBOOK = ("trace", "perf")
COLUMNS = ["time", "t", "count", "comm", "pid", "kind"]


def about(trace: skbnb.Trace) -> dict[str, int]:
    found: dict[str, int] = trace.events.attrs["skbnb"]
    return found


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """The kernel's trace buffer, mounted."""
    folder = tmp_path / "tracefs"
    folder.mkdir()
    run("mount", "-t", "tracefs", "none", str(folder))
    yield folder
    run("umount", str(folder))


@pytest.mark.parametrize("via", HANDBOOK)
def test_curl_makes_three_and_the_server_three(server: Server, via: str) -> None:
    before = time.time()
    with skbnb.trace(via=via) as trace:
        pid = curl(server.url)
    events = trace.events
    assert list(events.columns) == COLUMNS
    mine = events[events["pid"] == pid]
    assert len(mine) == 3
    # The name before a line is one that the kernel remembers, maybe of before exec().
    assert via == "trace" or set(mine["comm"]) == {"curl"}
    assert mine["count"].is_monotonic_increasing
    # The server has a thread for each request.
    others = events.loc[events["pid"] != pid, "pid"].value_counts()
    assert 3 in others.to_list()
    assert server.pid not in others
    told = about(trace)
    assert told["lost"] == 0
    assert told["calls"] == len(events) >= told["counted"] >= 6
    # The lines' clock is another one, and has microseconds.
    assert events["t"].is_monotonic_increasing
    seconds = events["time"].astype("int64") / 1e9
    assert before - 1e-3 <= seconds.min() <= seconds.max() <= time.time() + 1e-3
    assert f"via {via}: the whole machine, pid is the thread's" in receipt(events)


@pytest.mark.parametrize("via", HANDBOOK)
def test_what_it_calls_a_process_is_a_thread(via: str) -> None:
    ids = []

    def send() -> None:
        ids.append(threading.get_native_id())
        traffic.timestamping(5)

    with skbnb.trace(via=via) as trace:
        thread = threading.Thread(target=send)
        thread.start()
        thread.join()
    assert ids != [os.getpid()]
    pids = trace.events["pid"].tolist()
    assert (pids.count(ids[0]), pids.count(os.getpid())) == (5, 0)


@pytest.mark.filterwarnings("ignore::skbnb.errors.LossWarning")
@pytest.mark.parametrize("via", HANDBOOK)
def test_two_processors_lose_calls_from_the_count(via: str) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this needs two processors")
    # That two come at the same time is likely, and nothing more.
    for _ in range(20):
        with skbnb.trace(via=via) as trace:
            pids = traffic.on_two_processors(5_000)
        told, events = about(trace), trace.events
        assert told["calls"] == len(events) + told["lost"]
        assert 10_000 - told["lost"] <= events["pid"].isin(pids).sum() <= 10_000
        assert told["counted"] <= told["calls"]
        if told["counted"] < told["calls"]:
            break
    said = f"WARNING: it counted {told['counted']:,} of {told['calls']:,} calls"
    assert told["counted"] < told["calls"]
    assert said in receipt(events)


@pytest.fixture
def set_size(tracefs: Path) -> Iterator[Callable[[int], None]]:
    """Sets the size of the trace buffer, in KiB for each processor, for a test."""
    file = tracefs / "buffer_size_kb"
    before = file.read_text().split()[0]

    def set_to(size: int) -> None:
        file.write_text(str(size))

    yield set_to
    file.write_text(before)


def test_a_full_buffer_of_others_lines(
    tracefs: Path, set_size: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # They have to be read before ours, which takes longer than is waited for silence.
    set_size(8192)
    with open(tracefs / "trace_marker", "wb", buffering=0) as marker:
        for _ in range(50_000):
            marker.write(b"hello\n")
    monkeypatch.setattr(tracepipe, "_PATIENCE", 1e-9)
    pipe = tracepipe.TracePipe(b"skbnb test")
    pipe.open()
    pipe.close()
    assert pipe.foreign >= 50_000


def test_lines_that_were_overwritten_are_counted(
    set_size: Callable[[int], None],
) -> None:
    set_size(8)
    with pytest.warns(LossWarning, match="was overwritten"):
        with skbnb.trace(via="trace") as trace:
            for _ in range(5):
                traffic.on_two_processors(20_000)
    told = about(trace)
    assert told["calls"] >= 5 * 40_000
    assert told["lost"] == told["calls"] - len(trace.events) > 0
    assert f"WARNING: {told['lost']:,} lost" in receipt(trace.events)


def test_another_reader_of_the_pipe(tracefs: Path, server: Server) -> None:
    reader = subprocess.Popen(
        ["cat", str(tracefs / "trace_pipe")], stdout=subprocess.DEVNULL
    )
    try:
        while not any(
            fd.is_symlink() and fd.readlink().name == "trace_pipe"
            for fd in Path(f"/proc/{reader.pid}/fd").iterdir()
        ):
            time.sleep(0.01)
        with pytest.raises(PipeError, match=rf"process {reader.pid} \('cat'\)") as told:
            with skbnb.trace(via="trace"):
                raise AssertionError("the cell ran")
        assert f"kill {reader.pid}" in str(told.value)
    finally:
        reader.kill()
        reader.wait()
    with skbnb.trace(via="trace") as trace:
        pid = curl(server.url)
    assert (trace.events["pid"] == pid).sum() == 3


def test_lines_of_others_are_left_out(tracefs: Path, server: Server) -> None:
    with skbnb.trace(via="trace") as trace:
        pid = curl(server.url)
        for text in ("not ours", "skbnb 0 7", "a: bpf_trace_printk: skbnb 1 2"):
            (tracefs / "trace_marker").write_text(text)
    assert (trace.events["pid"] == pid).sum() == 3
    assert about(trace)["calls"] == len(trace.events)
    assert about(trace)["foreign"] == 3
    assert "3 lines of others left out" in receipt(trace.events)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("tracing_on", "0", "tracing is off"), ("trace_clock", "counter", "is counter")],
)
def test_nothing_would_come(tracefs: Path, name: str, value: str, text: str) -> None:
    setting = tracefs / name
    before = setting.read_text()
    before = before.partition("[")[2].partition("]")[0] or before
    setting.write_text(value)
    try:
        with pytest.raises(PipeError, match=text), skbnb.trace(via="trace"):
            raise AssertionError("the cell ran")
    finally:
        setting.write_text(before)


def test_tracing_that_is_turned_off_meanwhile(tracefs: Path) -> None:
    setting = tracefs / "tracing_on"
    try:
        with pytest.warns(LossWarning), skbnb.trace(via="trace") as trace:
            first = apart("timestamping", 3)
            setting.write_text("0")
            apart("timestamping", 4)
    finally:
        setting.write_text("1")
    told = about(trace)
    assert (trace.events["pid"] == first).sum() == 3
    assert told["lost"] == told["calls"] - len(trace.events) >= 4


def test_a_buffer_that_takes_no_text(tracefs: Path) -> None:
    options = tracefs / "trace_options"
    options.write_text("nomarkers")
    try:
        with pytest.raises(PipeError, match="takes no text"):
            with skbnb.trace(via="trace"):
                raise AssertionError("the cell ran")
    finally:
        options.write_text("markers")


def test_lines_in_another_form(tracefs: Path) -> None:
    options = tracefs / "trace_options"
    options.write_text("nocontext-info")
    try:
        with pytest.raises(PipeError, match="context-info"), skbnb.trace(via="trace"):
            raise AssertionError("the cell ran")
    finally:
        options.write_text("context-info")


@pytest.mark.parametrize("via", HANDBOOK)
@pytest.mark.parametrize("name", ["a\nb-1 [0] c", "<b>x</b>: 1.2: "])
def test_a_hostile_name(tracefs: Path, via: str, name: str) -> None:
    noted = (tracefs / "saved_cmdlines").read_text(errors="replace").splitlines()
    with skbnb.trace(via=via) as trace:
        pid = apart("timestamping_as_known", name, 5)
    shown = name[:15].replace("\n", "\\n")
    first, *names = trace.events.loc[trace.events["pid"] == pid, "comm"]
    assert names == [shown] * 4
    # The pipe has the name that was noted for the number by then: none yet, that of
    # before, or of whoever had the number before.
    before = {
        line.partition(" ")[2] for line in noted if line.split(" ")[0] == str(pid)
    }
    kept = {"<...>", "python3", *before} if via == "trace" else set()
    assert first in {shown, *kept}


def test_sums_of_each_process(server: Server) -> None:
    with skbnb.trace(via="count") as trace:
        curl(server.url)
        pids = [apart("timestamping", 10 + i) for i in range(5)]
    events = trace.events
    assert list(events.columns) == ["comm", "pid", "scope", "clones"]
    sums = events.groupby("pid")["clones"].sum()
    assert sums[pids].tolist() == [10, 11, 12, 13, 14]
    assert sums[server.pid] == 3
    assert events.loc[events["comm"] == "curl", "clones"].tolist() == [3]
    told = about(trace)
    assert told["lost"] == 0
    assert told["calls"] == told["captured"] == trace.select("all")["clones"].sum()
    assert trace.select(pid=pids[0])["clones"].tolist() == [10]


def test_sums_of_many_at_a_high_rate() -> None:
    with skbnb.trace(via="count") as trace:
        pids = traffic.on_two_processors(20_000)
    sums = trace.events.groupby("pid")["clones"].sum()
    assert sums[pids].tolist() == [20_000, 20_000]
    assert about(trace)["lost"] == 0


def test_sums_of_others_are_left_out() -> None:
    ids = []

    def send() -> None:
        ids.append(threading.get_native_id())
        begun.wait()
        traffic.timestamping(5)

    begun = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    with skbnb.trace(via="count") as trace:
        begun.set()
        thread.join()
        traffic.timestamping(3)
    assert trace.events["clones"].tolist() == [3]
    assert trace.events.attrs["skbnb"]["others"]["notebook"] == 5
    assert trace.select("notebook")["clones"].tolist() == [5, 3]


def test_one_way_after_the_other(server: Server) -> None:
    found = []
    for via in ("ring", "trace", "count", "perf", "ring", "trace"):
        with skbnb.trace(via=via, scope="all") as trace:
            pid = curl(server.url)
        events = trace.events
        mine = events[events["pid"] == pid]
        found.append(mine.get("clones", pd.Series(1, mine.index)).sum())
        assert about(trace)["lost"] == 0
    assert found == [3] * 6


@pytest.mark.parametrize("via", ["ring", "perf", "trace", "count"])
def test_a_recording_is_the_live_trace(
    server: Server, via: str, tmp_path: Path
) -> None:
    path = tmp_path / "curl.skbt"
    with skbnb.trace(via=via, record=path) as trace:
        curl(server.url)
    again = skbnb.load(path)
    pd.testing.assert_frame_equal(again.events, trace.events)


@pytest.mark.parametrize("via", ["trace", "count"])
def test_on_the_command_line(server: Server, via: str) -> None:
    command = [sys.executable, "-m", "skbnb", "run", "--via", via, "--"]
    done = subprocess.run(
        [*command, "sh", "-c", f"echo $$; exec curl -s -o /dev/null {server.url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    said, pid = done.stderr, done.stdout.strip()
    name = r"\S+" if via == "trace" else "curl"
    sums = re.findall(rf"^{name} +{pid} +(\d)$", said, re.M)
    assert sum(map(int, sums)) == 3, said
    # Of a sum there is nothing else to say.
    lines = re.findall(rf"^\d+\.\d{{6}} +{name} +{pid} +\d+$", said, re.M)
    assert len(lines) == (3 if via == "trace" else 0)
