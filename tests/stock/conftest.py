# SPDX-License-Identifier: Apache-2.0
"""Tests that need a stock kernel, with kprobes and fentry: they run in guests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skbnb.transport import AgentTransport
from tests.live.bpftrace import Bpftrace, count_clones
from tests.live.conftest import server as server
from tests.stock.agents import PROBES, start_agent
from tests.stock.hits import Hits


@pytest.fixture(scope="session")
def agents() -> Iterator[dict[str, AgentTransport]]:
    """An agent for each probe, warm from its first trace on."""
    started = {probe: start_agent() for probe in PROBES}
    yield started
    for agent in started.values():
        agent.close()


@pytest.fixture(scope="session")
def counter() -> Iterator[Bpftrace[tuple[int, bool]]]:
    """An independent count."""
    counter = count_clones()
    yield counter
    counter.close()


@pytest.fixture(scope="session")
def hits() -> Iterator[Hits]:
    """A count of calls alone, which is exact."""
    hits = Hits()
    yield hits
    hits.close()
