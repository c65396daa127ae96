# SPDX-License-Identifier: Apache-2.0
"""Live tests: the real agent on the running kernel, and traffic of known size."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.leftovers import Watch
from tests.live.traffic import Server

HERE = Path(__file__).parent


@pytest.fixture(autouse=True, scope="session")
def root() -> None:
    """Fail, not skip: a run that traced nothing proves nothing."""
    if os.geteuid() != 0:
        pytest.fail("the live tests trace this machine's kernel: run them as root")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A web server with a body of 10 KB, in a process of its own."""
    (tmp_path / "body").write_bytes(os.urandom(10_000))
    process = subprocess.Popen(
        [sys.executable, str(HERE / "traffic.py"), "serve", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    ports = [int(process.stdout.readline()) for _ in range(2)]
    try:
        yield Server(process.pid, *ports)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """What its `look` has seen is gone after the test."""
    watch = Watch()
    yield watch
    watch.assert_nothing_left()


def pytest_runtest_teardown() -> None:
    # What one test's sockets still send must not be in the next one's trace.
    time.sleep(0.02)
