# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels: found by package name, unpacked into a cache."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.guest import debian
from tests.guest.debian import DebianError

# The suite that has each; the newest is whatever that suite has today.
SUITES = {
    "5.10": "bullseye",
    "6.1": "bookworm",
    "6.12": "trixie",
    "newest": "trixie-backports",
}
META = "linux-image-amd64"

_PARTS = r"linux-(image|binary|modules)-\d"  # of one kernel, not `META`
_HEADERS = r"linux-(headers|kbuild)-\d"  # without the compiler


class Kernel(NamedTuple):
    """A kernel ready to boot."""

    release: str
    image: Path


def fetch(name: str) -> Kernel:
    """Find, download and unpack a kernel, or what of that is still to do.

    Raises
    ------
    DebianError
        It cannot be had.
    """
    if name not in SUITES:
        system = debian.codename() or "this system"
        raise DebianError(f"no kernel of {system} is known here")
    with debian.suite(SUITES[name]) as apt:

        def make(root: Path) -> None:
            apt.unpack(apt.needs(META, _PARTS), root)
            base = root if (root / "lib").exists() else root / "usr"
            debian.run("depmod", "--basedir", str(base), _in(root).release)

        return _in(debian.made_once(debian.cache("kernels") / apt.version(META), make))


def _in(root: Path) -> Kernel:
    # Since trixie below usr, and since 7.x with its image there, too.
    (modules,) = [*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")]
    release = modules.name
    beside = modules / "vmlinuz"
    image = beside if beside.exists() else root / "boot" / f"vmlinuz-{release}"
    return Kernel(release, image)


def fetch_headers(name: str, release: str) -> Path:
    """Find, download and unpack the headers of a kernel that was fetched.

    Returns
    -------
    Path
        A folder with ``usr/src`` and ``lib/modules`` in it.

    Raises
    ------
    DebianError
        They cannot be had.
    """
    package = f"linux-headers-{release}"
    with debian.suite(SUITES[name]) as apt:

        def make(root: Path) -> None:
            apt.unpack(apt.needs(package, _HEADERS), root)

        return debian.made_once(
            debian.cache("headers") / f"{release}_{apt.version(package)}", make
        )
