# SPDX-License-Identifier: Apache-2.0
"""What the kernel forbids even root: its lockdown, kernel_lockdown(7)."""

from __future__ import annotations

import re

PATH = "/sys/kernel/security/lockdown"


def level(path: str = PATH) -> str:
    """``none``, ``integrity`` or ``confidentiality``; empty if the kernel does not say.

    Only the last keeps programs from reading the kernel's memory
    (LOCKDOWN_BPF_READ_KERNEL in ``include/linux/security.h``).
    """
    try:
        with open(path) as file:
            found = re.search(r"\[(\w+)\]", file.read())
    except OSError:
        return ""
    return found.group(1) if found else ""
