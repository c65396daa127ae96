# SPDX-License-Identifier: Apache-2.0
"""Debian's packages, of any release: downloaded and unpacked, never installed."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"  # of every Debian release
_DOWNLOAD_SECONDS = 600


class DebianError(Exception):
    """Something of Debian that cannot be had, and why."""


def codename() -> str:
    """The suite of this machine, if it runs Debian."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def cache(kind: str) -> Path:
    """The folder that keeps what was unpacked, until someone deletes it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "skbnb" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def suite(name: str) -> Iterator[Apt]:
    """A suite's packages, for one process at a time."""
    folder = cache("apt")
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Apt(name, folder / name)


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills in the first time: there as a whole, or not at all."""
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            make(Path(made) / "new")
            (Path(made) / "new").rename(path)
    return path


class Apt:
    """The machine's own apt sources with another suite, apart from the machine's apt.

    Parameters
    ----------
    suite
        The suite.
    folder
        Where this apt keeps what it knows.

    Raises
    ------
    DebianError
        Here and in each method: an apt or dpkg command failed.
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
        # Without a network, what was found the last time will do.
        self._update = self._run("apt-get", "update", check=False)

    def version(self, package: str) -> str:
        """The newest version of a package."""
        try:
            shown = self._run("apt-cache", "show", "--no-all-versions", package).stdout
        except DebianError as error:
            raise DebianError(
                f"no {package} in {self._suite}: {_last_line(self._update) or error}"
            ) from None
        found = re.search(r"^Version: (.+)$", shown, re.M)
        assert found
        return found[1]

    def needs(self, package: str, which: str) -> list[str]:
        """What a package depends on, itself included, where its name matches."""
        no = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        options = ["--recurse", *(f"--no-{kind}" for kind in no)]
        needed = self._run("apt-cache", "depends", *options, package).stdout
        return sorted(filter(re.compile(which).match, needed.splitlines()))

    def unpack(self, packages: list[str], root: Path) -> None:
        """Unpack just these packages below `root`."""
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            self._run("apt-get", "download", *packages, cwd=Path(folder))
            _extract(Path(folder), root)

    def unpack_all(self, packages: list[str], root: Path) -> None:
        """Unpack these packages and all that they depend on below `root`."""
        with tempfile.TemporaryDirectory(dir=root.parent) as folder:
            (Path(folder) / "partial").mkdir()
            self._run(
                *("apt-get", f"--option=Dir::Cache::archives={folder}"),
                *("install", "--yes", "--download-only", "--no-install-recommends"),
                *packages,
            )
            _extract(Path(folder), root)

    def _run(
        self, program: str, *rest: str, check: bool = True, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run(program, *self._options, *rest, check=check, cwd=cwd)


def _extract(folder: Path, root: Path) -> None:
    # base-files first: in it /bin and /lib are links to below /usr, where they are.
    packages = sorted(
        folder.glob("*.deb"), key=lambda path: not path.name.startswith("base-files_")
    )
    for package in packages:
        run("dpkg", "--extract", str(package), str(root))


def _sources(suite: str) -> Iterator[str]:
    own = codename()
    shape = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = run("apt-get", "indextargets", "--format", shape, "Created-By: Packages")
    for line in sorted(set(listed.stdout.splitlines())):
        if line.endswith(f" {own} main"):
            yield f"deb [signed-by={_KEYS}] {line.split()[0]} {suite} main"
        if line.endswith(f" {own}-security main") and "-" not in suite:
            yield f"deb [signed-by={_KEYS}] {line.split()[0]} {suite}-security main"


def run(
    *command: str, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that may load something from the network.

    Raises
    ------
    DebianError
        It hangs or, unless `check` is false, fails.
    """
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
        raise DebianError(f"{command[0]} hangs: {error}") from None
    if check and done.returncode:
        raise DebianError(f"{command[0]} failed: {_last_line(done)}")
    return done


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().rpartition("\n")[2]
