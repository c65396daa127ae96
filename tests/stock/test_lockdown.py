# SPDX-License-Identifier: Apache-2.0
"""A kernel that was booted with lockdown=confidentiality: one line names the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

import skbnb
from skbnb.errors import ProbeError

LEVEL = Path("/sys/kernel/security/lockdown")


def test_lockdown_is_named_as_the_cause() -> None:
    assert "[confidentiality]" in LEVEL.read_text()
    with pytest.raises(ProbeError) as caught, skbnb.trace():
        pytest.fail("the block ran")
    assert str(caught.value) == (
        "this kernel is locked down (confidentiality): no program may read its memory, "
        "which every probe does. Boot it with lockdown=integrity or none."
    )
