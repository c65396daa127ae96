# SPDX-License-Identifier: Apache-2.0
"""Notebooks are tests: run by nbval on the live kernel, compared with what is kept.

nbval compares outputs and never looks at the reply to a cell, so a cell that fails
where none is compared would pass, and all after it (as after a `%load_ext` that
failed). Here the reply is kept, and an error in it fails the cell.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError

_receive = RunningKernel.get_message


def _keep_reply(self: RunningKernel, *args: Any, **kwargs: Any) -> Any:
    message = _receive(self, *args, **kwargs)
    if message["msg_type"] == "execute_reply":
        self.reply = message["content"]
    return message


RunningKernel.get_message = _keep_reply


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a cell whose reply is an error."""
    yield
    if isinstance(item, IPyNbCell):
        reply = item.parent.kernel.reply
        if reply["status"] == "error" and not item.options["check_exception"]:
            error = f"{reply['ename']}: {reply['evalue']}"
            raise NbCellError(
                item.cell_num, f"the cell failed: {error}", item.cell.source, error
            )
