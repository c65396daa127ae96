# SPDX-License-Identifier: Apache-2.0
"""Guests: this machine's own files under another kernel, and what they tell."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests.guest.kernels import KernelError, fetch

CHECKOUT = Path(__file__).parents[2]
LIVE = "tests/live/"

# A guest that has not ended by then hangs.
GUEST_SECONDS = 700
AT_ONCE = 2
MEMORY = "2G"
CPUS = 1  # two wait for each other, where no hardware helps to emulate them

_ROOT = "local,path=/,readonly=on,security_model=none,multidevs=remap"
_QEMU = (
    *("-cpu", "Nehalem"),  # emulated in half the time that vng's choice takes
    *("-fsdev", f"{_ROOT},id=cached"),
    *("-device", "virtio-9p-pci,fsdev=cached,mount_tag=cached"),
)

# Where the tools of root lie, which not every user has on PATH.
_PATH = os.pathsep.join(
    [sysconfig.get_path("scripts"), os.environ["PATH"], "/usr/sbin", "/sbin"]
)
_TOOLS = (
    *("apt-get", "dpkg"),
    *("qemu-system-x86_64", "vng", "busybox", "depmod", "file"),
)


def missing_tools() -> list[str]:
    """The programs that guests need and this machine lacks."""
    return [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]


class Case(NamedTuple):
    """A live test, to be run with a probe under a kernel."""

    kernel: str
    probe: str
    test: str

    def __str__(self) -> str:
        return " ".join(self)


class Told:
    """What one guest has told so far.

    Parameters
    ----------
    path
        The file that ``inside.py`` writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._tests: dict[str, list[str]] = {}
        self._results: dict[tuple[str, str], dict[str, Any]] = {}
        self._status: dict[str, int] = {}

    def more(self) -> Iterator[str]:
        """Read what is new, and give a line about each of it."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            said = json.loads(line)
            yield f"{said['probe']} {self._take(said['probe'], said)}"

    def _take(self, probe: str, said: dict[str, Any]) -> str:
        if "tests" in said:
            self._tests[probe] = said["tests"]
            return f"on {said['kernel']}: {len(said['tests'])} tests"
        if "test" in said:
            self._results[probe, said["test"]] = said
            name = said["test"].removeprefix(LIVE)
            return f"{name} {said['outcome']} in {said['seconds']} s"
        self._status[probe] = said["status"]
        return f"pytest ended with status {said['status']}"

    def verdict(self, probe: str, test: str) -> str | None:
        """Why a test failed, its parameters taken together.

        Returns
        -------
        str or None
            Empty if it passed; None while it may yet.
        """
        known = self._tests.get(probe, [])
        wanted = [(probe, name) for name in known if _is_part(name, LIVE + test)]
        came = [self._results[key] for key in wanted if key in self._results]
        if wanted and len(came) == len(wanted):
            return "\n\n".join(filter(None, map(_why, came)))
        if probe not in self._status:
            return None
        return (
            f"{len(came)} results of {len(wanted)} came before the guest's pytest "
            f"ended with status {self._status[probe]}"
        )


def _is_part(name: str, test: str) -> bool:
    return name == test or name.startswith((f"{test}[", f"{test}::"))


def _why(said: dict[str, Any]) -> str:
    if said["outcome"] == "passed":
        return ""
    return f"{said['test']} {said['outcome']} in the guest\n{said['text']}"


class Guest:
    """One kernel, booted once for every test that is asked of it.

    Parameters
    ----------
    name
        The kernel's, as in `kernels.SUITES`.
    asked
        Tests by probe.
    folder
        For its log, its orders and what it tells; both sides write there.
    """

    def __init__(
        self, name: str, asked: Mapping[str, Sequence[str]], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / "log"
        self.told = Told(folder / "told")
        self._folder = folder
        self._asked = asked
        self._news: deque[str] = deque()
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0

    @property
    def age(self) -> float:
        """Seconds since its kernel was asked for."""
        return time.monotonic() - self._began

    def news(self) -> Iterator[str]:
        """A line about each thing that has happened since it was asked last."""
        while self._news:
            yield self._news.popleft()
        yield from self.told.more()

    def run(self) -> None:
        """Fetch the kernel, boot it, and stay until it is down again."""
        self._began = time.monotonic()
        with self.log.open("w", buffering=1) as log:
            try:
                kernel = fetch(self.name)
            except KernelError as error:
                self._note(str(error), log)
            else:
                self._note(f"boots {kernel.release}", log)
                self._boot(kernel.image, log)

    def _note(self, line: str, log: IO[str]) -> None:
        print(line, file=log)
        self._news.append(line)

    def _boot(self, image: Path, log: IO[str]) -> None:
        self._process = subprocess.Popen(
            self._command(image),
            stdin=subprocess.DEVNULL,
            # A pipe: qemu would open a file anew for each of its streams.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=CHECKOUT,
            env={**os.environ, "PATH": _PATH},
            start_new_session=True,
        )
        with self._process:
            for line in self._process.stdout or ():
                log.write(f"{self.age:6.1f} {line}")
        hung = self._process.returncode == -signal.SIGKILL
        self._note("hung, and was killed" if hung else "is down", log)

    def kill(self) -> None:
        """End it, if it runs."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _command(self, image: Path) -> list[str]:
        self._write("asked", [json.dumps(self._asked)])
        return [
            # By a program, so that a guest does not outlive a pytest that is killed.
            *("timeout", "--signal=KILL", str(GUEST_SECONDS)),
            *("vng", f"--run={image}", "--disable-kvm", "--force-9p", "--user=root"),
            *("--verbose", f"--cpus={CPUS}", f"--memory={MEMORY}"),
            # Mitigations cost an emulated processor much, and change nothing that is
            # tested.
            *("--append=mitigations=off", "--append=loglevel=5"),
            *(f"--qemu-opts={' '.join(_QEMU)}", f"--rwdir={self._folder}"),
            # In a file, because vng puts what it executes on the kernel's command
            # line, where a long one hangs the kernel.
            f"--exec=sh {shlex.quote(self._write('boot.sh', self._script()))}",
        ]

    def _script(self) -> Iterator[str]:
        # The root that vng mounts is not cached: importing pytest from it takes a
        # minute. Modules load all the same, because the kernel looks for them there.
        options = "ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose"
        yield f"mount -t 9p -o {options} cached /mnt || exit"
        folder = str(self._folder)
        for path in ("/dev", "/proc", "/run", "/sys", "/tmp", folder):
            yield shlex.join(["mount", "--rbind", path, f"/mnt{path}"])
        python = shlex.join([sys.executable, "-B", "-m", "tests.guest.inside", folder])
        inside = f"cd {shlex.quote(str(CHECKOUT))} && exec {python}"
        yield f"exec chroot /mnt sh -c {shlex.quote(inside)}"

    def _write(self, name: str, lines: Iterable[str]) -> str:
        path = self._folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)


class Lane:
    """Several guests at work, a few at a time, and the results as they come.

    Parameters
    ----------
    guests
        Which.
    say
        Gets a line whenever there is progress.
    """

    def __init__(self, guests: Iterable[Guest], say: Callable[[str], None]) -> None:
        self._guests = {guest.name: guest for guest in guests}
        self._say = say
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._running: dict[str, Future[None]] = {
            name: self._pool.submit(guest.run) for name, guest in self._guests.items()
        }

    def verdict(self, case: Case) -> str:
        """Wait for a test in a guest; why it failed, empty if it passed."""
        guest, running = self._guests[case.kernel], self._running[case.kernel]
        while True:
            ended = running.done()  # asked first: what it told last is not missed
            self._progress()
            verdict = guest.told.verdict(case.probe, case.test)
            if verdict is not None:
                return verdict
            if ended:
                running.result()
                return "the guest ended without a result of this test"
            time.sleep(0.2)

    def _progress(self) -> None:
        for guest in self._guests.values():
            for line in guest.news():
                self._say(f"guest {guest.name}, {guest.age:.0f} s: {line}")

    def log(self, case: Case, lines: int = 80) -> str:
        """The end of a guest's log."""
        path = self._guests[case.kernel].log
        end = path.read_text().splitlines()[-lines:]
        return "\n".join([*end, f"({path} has all of it)"])

    def close(self) -> None:
        """End all guests."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for guest in self._guests.values():
            guest.kill()
        self._pool.shutdown()
