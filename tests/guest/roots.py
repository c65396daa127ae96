# SPDX-License-Identifier: Apache-2.0
"""Debian's userlands: what the agent needs of a release, unpacked into a cache."""

from __future__ import annotations

from pathlib import Path

from tests.guest import debian

BCC = "python3-bpfcc"

# `base-files` has the folders that the rest is put in.
_PACKAGES = ["base-files", BCC, "linux-libc-dev"]


def fetch(suite: str) -> Path:
    """Find, download and unpack a userland, or what of that is still to do.

    No package's scripts are run: a Python with BCC needs none, and so nothing of a
    foreign release runs before its guest does.

    Returns
    -------
    Path
        A folder to change root to.

    Raises
    ------
    DebianError
        It cannot be had.
    """
    with debian.suite(suite) as apt:
        name = f"{suite}_{apt.version(BCC)}"
        return debian.made_once(
            debian.cache("roots") / name, lambda root: apt.unpack_all(_PACKAGES, root)
        )
