# SPDX-License-Identifier: Apache-2.0
"""A call that interrupts our programs at work is not seen, but counted as missed."""

from __future__ import annotations

import pytest

from skbnb.transport import AgentTransport
from tests.live.traffic import apart, kernel
from tests.stock.hits import TOLD_SINCE, Hits, assert_accounted
from tests.stock.sides import traced

SECONDS = 10


@pytest.mark.parametrize("probe", TOLD_SINCE)
def test_calls_that_interrupt_the_probe_are_counted(
    agents: dict[str, AgentTransport], hits: Hits, probe: str
) -> None:
    before = hits.total()
    with traced({probe: agents[probe]}) as traces:
        apart("interrupting", SECONDS)
    assert_accounted(traces[probe], hits.total() - before)
    missed = traces[probe].events.attrs["skbnb"]["missed"]
    assert (missed > 0) == (kernel() >= TOLD_SINCE[probe])
