# SPDX-License-Identifier: Apache-2.0
"""Whose clones they are: followed by fork in the kernel, whatever a process does."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import skbnb
from tests.live import traffic
from tests.live.traffic import apart, run

# Clones that the sending task makes itself: of those made on reception a busy machine
# makes some in ksoftirqd.
STAMPS = [sys.executable, traffic.__file__, "timestamping", "5"]


def scopes(trace: skbnb.Trace, pid: int) -> list[str]:
    events = trace.select("all", pid=pid)
    return events["scope"].tolist()


def wait_for(path: Path) -> str:
    return f"while [ ! -e {path} ]; do sleep 0.05; done"


def test_a_child_of_a_child_is_the_cells(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with skbnb.trace() as trace:
        # A shell in a shell in a session of its own, orphaned on the way.
        work = f"{' '.join(STAMPS)}; touch {done}"
        run("setsid", "sh", "-c", f'sh -c "{work}" & sleep 0.1')
        while not done.exists():
            time.sleep(0.05)
    assert trace.events["caller"].tolist() == ["__skb_tstamp_tx"] * 5
    assert set(trace.events["scope"]) == {"cell"}


def test_a_process_that_the_notebook_started_before_is_the_cells(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    script = f'{wait_for(go)}; exec "$@"'
    earlier = subprocess.Popen(["sh", "-c", script, "sh", *STAMPS])
    with skbnb.trace() as trace:
        go.touch()
        earlier.wait()
    assert scopes(trace, earlier.pid) == ["cell"] * 5


def test_an_unrelated_process_is_other(tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    # Orphaned before the trace begins, so nobody here is its parent.
    work = f"{wait_for(go)}; {' '.join(STAMPS)}; touch {done}"
    command = f"({work}) >/dev/null & echo $!"
    printed = subprocess.run(
        ["setsid", "sh", "-c", command], stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    assert int(printed)
    with skbnb.trace() as trace:
        go.touch()
        while not done.exists():
            time.sleep(0.05)
    stamps = trace.select("all").query("caller == '__skb_tstamp_tx'")
    assert stamps["scope"].tolist() == ["other"] * 5
    assert trace.events.empty
    assert trace.events.attrs["skbnb"]["others"]["other"] >= 5


def test_another_thread_of_the_notebook_is_the_notebooks() -> None:
    pids = []
    go = threading.Event()

    def work() -> None:
        go.wait()
        pids.append(apart("timestamping", 3))

    thread = threading.Thread(target=work)
    thread.start()
    with skbnb.trace() as trace:
        go.set()
        thread.join()
    assert scopes(trace, pids[0]) == ["notebook"] * 3
    assert trace.events.empty
    assert len(trace.select("notebook", pid=pids[0])) == 3


def test_a_thread_that_the_cell_starts_is_the_cells() -> None:
    pids = []
    with skbnb.trace() as trace:
        thread = threading.Thread(target=lambda: pids.append(apart("timestamping", 3)))
        thread.start()
        thread.join()
    assert scopes(trace, pids[0]) == ["cell"] * 3


def test_what_closes_at_exit_still_has_its_scope() -> None:
    # The sockets are closed by the exit itself, after the last line of the program.
    code = (
        "import os, socket; a = socket.create_server(('127.0.0.1', 0));"
        "b = socket.create_connection(a.getsockname()); c, _ = a.accept();"
        "os._exit(0)"
    )
    with skbnb.trace() as trace:
        process = subprocess.Popen([sys.executable, "-c", code])
        process.wait()
    events = trace.select("all", pid=process.pid)
    assert set(events["scope"]) == {"cell"}
    assert [f for f in events["tcp_flags"] if "FIN" in f] == ["FIN|ACK", "FIN|ACK"]


def test_two_thousand_processes_and_none_is_missed() -> None:
    forks = 2_000
    with skbnb.trace() as trace:
        run("sh", "-c", f"i=0; while [ $i -lt {forks} ]; do (:); i=$((i+1)); done")
        run(*STAMPS)
    assert trace.events["caller"].tolist() == ["__skb_tstamp_tx"] * 5
    assert trace.events.attrs["skbnb"]["tasks_lost"] == 0


def test_two_notebooks_at_once_are_both_right() -> None:
    code = (
        "import subprocess, skbnb\n"
        "with skbnb.trace() as trace:\n"
        "    print('tracing', flush=True)\n"
        "    input()\n"
        f"    subprocess.run({STAMPS}, check=True)\n"
        "    print('sent', flush=True)\n"
        "    input()\n"
        "mine, all_of_them = trace.events, trace.select('all')\n"
        "print(len(mine), (all_of_them['caller'] == '__skb_tstamp_tx').sum())\n"
    )
    notebooks = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for _ in range(2)
    ]
    # Both trace while both send: each sees all ten, and knows its own five.
    for notebook in notebooks:
        assert notebook.stdout
        assert notebook.stdout.readline() == "tracing\n"
    for notebook in notebooks:
        assert notebook.stdin
        notebook.stdin.write("\n")
        notebook.stdin.flush()
    for notebook in notebooks:
        assert notebook.stdout
        assert notebook.stdout.readline() == "sent\n"
    for notebook in notebooks:
        printed, _ = notebook.communicate("\n")
        assert printed == "5 10\n"
        assert notebook.returncode == 0
