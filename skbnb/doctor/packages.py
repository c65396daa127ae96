# SPDX-License-Identifier: Apache-2.0
"""What things are called in the distributions, and how one gets them: a table."""

from __future__ import annotations

import shlex
from typing import NamedTuple

__all__ = ["INSTALL", "LOCKDOWN", "PACKAGES", "Names", "distribution"]


class Names(NamedTuple):
    """The same in each distribution."""

    debian: str
    ubuntu: str
    fedora: str
    arch: str


INSTALL = Names(
    "apt-get install", "apt-get install", "dnf install", "pacman --sync --needed"
)

# As in NEEDS of bootstrap.sh, where it has them.
PACKAGES = {
    "bcc": Names("python3-bpfcc", "python3-bpfcc", "python3-bcc", "python-bcc"),
    "c headers": Names(
        "linux-libc-dev", "linux-libc-dev", "kernel-headers", "linux-api-headers"
    ),
    "python": Names("python3", "python3", "python3", "python"),
    "libbpf": Names("libbpf1", "libbpf1", "libbpf", "libbpf"),
    "sudo": Names("sudo", "sudo", "sudo", "sudo"),
    "kernel": Names(
        "linux-image-$(dpkg --print-architecture)",
        "linux-image-generic",
        "kernel",
        "linux",
    ),
    "kernel headers": Names(
        "linux-headers-$(uname -r)",
        "linux-headers-$(uname -r)",
        "kernel-devel-$(uname -r)",
        "linux-headers",
    ),
}

_GRUB = (
    "sed -i s/lockdown=confidentiality/lockdown=integrity/ /etc/default/grub && {root}"
)
# How the kernel's command line is changed; {root} stands for sudo, where it is needed.
LOCKDOWN = Names(
    f"{_GRUB}update-grub",
    f"{_GRUB}update-grub",
    "grubby --update-kernel=ALL --args=lockdown=integrity",
    f"{_GRUB}grub-mkconfig -o /boot/grub/grub.cfg",
)


def distribution(os_release: str) -> str:
    """Which distribution an os-release(5) file tells of.

    Returns
    -------
    str
        A field of `Names`: the distribution itself, or the first that it says it is
        like; empty for another.
    """
    said = dict(
        line.split("=", 1) for line in os_release.splitlines() if line.count("=")
    )
    words = [*_unquoted(said.get("ID", "")), *_unquoted(said.get("ID_LIKE", ""))]
    return next((word for word in words if word in Names._fields), "")


def _unquoted(value: str) -> list[str]:
    try:
        return " ".join(shlex.split(value)).split()
    except ValueError:
        return []
