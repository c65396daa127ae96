# SPDX-License-Identifier: Apache-2.0
"""What the kernel can give for each call, by `config.WAYS`."""

from __future__ import annotations

from .handbook import Printer, Sender
from .program import Program
from .recorder import Recorder
from .tally import Tally

WAYS: dict[str, type[Program]] = {
    "ring": Recorder,
    "perf": Sender,
    "trace": Printer,
    "count": Tally,
}
