# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels: found by package name, unpacked into a cache, never installed."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# The suite that has each; the newest is whatever that suite has today.
SUITES = {
    "5.10": "bullseye",
    "6.1": "bookworm",
    "6.12": "trixie",
    "newest": "trixie-backports",
}
META = "linux-image-amd64"

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"  # of every Debian release
_PARTS = re.compile(r"linux-(image|binary|modules)-\d")  # of one kernel, not `META`
_DOWNLOAD_SECONDS = 600


class KernelError(Exception):
    """A kernel that cannot be had, and why."""


class Kernel(NamedTuple):
    """A kernel ready to boot."""

    release: str
    image: Path


def choose(names: str) -> list[str]:
    """Resolve a comma-separated list of kernels, ``own`` and ``all`` among them.

    Raises
    ------
    ValueError
        A name is none of them.
    """
    chosen: dict[str, None] = {}  # in this order, each once
    for name in names.split(","):
        if name not in (*SUITES, "own", "all"):
            raise ValueError(f"{name!r} is not one of {', '.join(SUITES)}, own, all")
        chosen.update(dict.fromkeys(SUITES if name == "all" else [_resolve(name)]))
    return list(chosen)


def _resolve(name: str) -> str:
    own = (known for known, suite in SUITES.items() if suite == _codename())
    return next(own, name) if name == "own" else name


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def fetch(name: str) -> Kernel:
    """Find, download and unpack a kernel, or what of that is still to do.

    Raises
    ------
    KernelError
        It cannot be had.
    """
    if name not in SUITES:
        raise KernelError(f"no kernel of {_codename() or 'this system'} is known here")
    suite = SUITES[name]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "skbnb" / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{suite}.lock"):
        apt = _Apt(suite, folder / f"{suite}.apt")
        version, packages = apt.find()
        kernel = folder / version
        if not kernel.exists():
            with tempfile.TemporaryDirectory(dir=folder) as made:
                apt.unpack(packages, Path(made))
                os.rename(Path(made) / "root", kernel)
    return _in(kernel)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _in(root: Path) -> Kernel:
    # Since trixie below usr, and since 7.x with its image there, too.
    (modules,) = [*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")]
    release = modules.name
    beside = modules / "vmlinuz"
    image = beside if beside.exists() else root / "boot" / f"vmlinuz-{release}"
    return Kernel(release, image)


class _Apt:
    """The machine's own apt sources with another suite, apart from the machine's apt.

    Parameters
    ----------
    suite
        The suite.
    folder
        Where this apt keeps what it knows.
    """

    def __init__(self, suite: str, folder: Path) -> None:
        self._suite = suite
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        sources = folder / "sources.list"
        sources.write_text("".join(f"{line}\n" for line in _sources(suite)))
        settings = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder,
            # An old release's lists expire, and stay as they are.
            "Acquire::Check-Valid-Until": "false",
            "APT::Sandbox::User": "root",
        }
        self._options = [f"--option={key}={value}" for key, value in settings.items()]

    def find(self) -> tuple[str, list[str]]:
        """The kernel's version, and the packages that it is made of."""
        # Without a network, what was found the last time will do.
        update = self._run("apt-get", "update", check=False)
        try:
            shown = self._run("apt-cache", "show", "--no-all-versions", META).stdout
        except KernelError as error:
            raise KernelError(
                f"no {META} in {self._suite}: {_last_line(update) or error}"
            ) from None
        version = re.search(r"^Version: (.+)$", shown, re.M)
        assert version
        no = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        options = ["--recurse", *(f"--no-{kind}" for kind in no)]
        needed = self._run("apt-cache", "depends", *options, META).stdout
        packages = sorted(filter(_PARTS.match, needed.splitlines()))
        return version[1], packages

    def unpack(self, packages: list[str], folder: Path) -> None:
        """Download packages into a folder, and unpack them all in its ``root``."""
        self._run("apt-get", "download", *packages, cwd=folder)
        root = folder / "root"
        for package in folder.glob("*.deb"):
            _run("dpkg", "--extract", str(package), str(root))
        base = root if (root / "lib").exists() else root / "usr"
        _run("depmod", "--basedir", str(base), _in(root).release)

    def _run(
        self, program: str, command: str, *rest: str, check: bool = True, **how: Path
    ) -> subprocess.CompletedProcess[str]:
        return _run(program, *self._options, command, *rest, check=check, **how)


def _sources(suite: str) -> Iterator[str]:
    own = _codename()
    shape = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = _run("apt-get", "indextargets", "--format", shape, "Created-By: Packages")
    for line in sorted(set(listed.stdout.splitlines())):
        if line.endswith(f" {own} main"):
            yield f"deb [signed-by={_KEYS}] {line.split()[0]} {suite} main"
        if line.endswith(f" {own}-security main") and "-" not in suite:
            yield f"deb [signed-by={_KEYS}] {line.split()[0]} {suite}-security main"


def _run(
    *command: str, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{command[0]} hangs: {error}") from None
    if check and done.returncode:
        raise KernelError(f"{command[0]} failed: {_last_line(done)}")
    return done


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().rpartition("\n")[2]
