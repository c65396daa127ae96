# SPDX-License-Identifier: Apache-2.0
"""A process beside this one that answers each line with a line."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

CHECKOUT = Path(__file__).parents[2]


class Helper:
    """A process at work.

    Parameters
    ----------
    command
        What to run, in the checkout. It reads its stdin until that ends.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        self._requests = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)
        self.pid = self._process.pid

    def ask(self, *words: object) -> list[str]:
        """Say a line, and wait for the words of the answer."""
        print(*words, file=self._requests, flush=True)
        answer = self._answers.readline().split()
        assert answer, f"{self._process.args!r} did not answer {words}"
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()
