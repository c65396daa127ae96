# SPDX-License-Identifier: Apache-2.0
"""Guests: this machine's own files under another kernel."""

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
from typing import IO, NamedTuple

from tests.guest import kernels, roots
from tests.guest.debian import DebianError
from tests.guest.kernels import Kernel
from tests.guest.settings import Case, Setting
from tests.guest.told import Told

CHECKOUT = Path(__file__).parents[2]

# A guest that has not ended by then hangs.
GUEST_SECONDS = 2400
AT_ONCE = 2
MEMORY = "2G"

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


class Files(NamedTuple):
    """What a guest has that is not this machine's."""

    kernel: Kernel
    userland: Path | None
    headers: Path | None


def _fetch(setting: Setting) -> Files:
    kernel = kernels.fetch(setting.kernel)
    return Files(
        kernel,
        roots.fetch(setting.userland) if setting.userland else None,
        kernels.fetch_headers(setting.kernel, kernel.release)
        if setting.headers
        else None,
    )


class Guest:
    """One setting, booted once for every test that is asked of it.

    Parameters
    ----------
    setting
        What to boot.
    asked
        Tests by way.
    folder
        For its log, its orders and what it tells; both sides write there.
    module
        What runs there.
    cpus
        How many processors it has.
    seconds
        How long it may take.
    """

    def __init__(
        self,
        setting: Setting,
        asked: Mapping[str, Sequence[str]],
        folder: Path,
        module: str = "tests.guest.inside",
        cpus: int = 1,
        seconds: int = GUEST_SECONDS,
    ) -> None:
        self.name = setting.name
        self.log = folder / "log"
        self.told = Told(folder / "told")
        self._setting = setting
        self._folder = folder
        self._asked = asked
        self._module = module
        self._cpus = cpus
        self._seconds = seconds
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
        """Fetch what it is made of, boot it, and stay until it is down again."""
        self._began = time.monotonic()
        with self.log.open("w", buffering=1) as log:
            try:
                files = _fetch(self._setting)
            except DebianError as error:
                self._note(str(error), log)
            else:
                self._note(f"boots {files.kernel.release}", log)
                self._boot(files, log)

    def _note(self, line: str, log: IO[str]) -> None:
        print(line, file=log)
        self._news.append(line)

    def _boot(self, files: Files, log: IO[str]) -> None:
        self._process = subprocess.Popen(
            self._command(files),
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

    def _command(self, files: Files) -> list[str]:
        self._write("asked", [json.dumps(self._asked)])
        # Mitigations cost an emulated processor much, and change nothing that is
        # tested.
        boot = ["mitigations=off", "loglevel=5", *self._setting.boot]
        qemu = (*_QEMU, *self._setting.qemu)
        return [
            # By a program, so that a guest does not outlive a pytest that is killed.
            *("timeout", "--signal=KILL", str(self._seconds)),
            *("vng", f"--run={files.kernel.image}", "--disable-kvm", "--force-9p"),
            *("--user=root", "--verbose", f"--cpus={self._cpus}", f"--memory={MEMORY}"),
            *(f"--append={argument}" for argument in boot),
            *(f"--qemu-opts={' '.join(qemu)}", f"--rwdir={self._folder}"),
            # In a file, because vng puts what it executes on the kernel's command
            # line, where a long one hangs the kernel.
            f"--exec=sh {shlex.quote(self._write('boot.sh', self._script(files)))}",
        ]

    def _script(self, files: Files) -> Iterator[str]:
        # The root that vng mounts is not cached: importing pytest from it takes a
        # minute. Modules load all the same, because the kernel looks for them there.
        options = "ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose"
        yield f"mount -t 9p -o {options} cached /mnt || exit"
        folder = str(self._folder)
        for path in ("/dev", "/proc", "/run", "/sys", "/tmp", folder):
            yield _bind(path, f"/mnt{path}")
        if files.headers:
            # As if they were installed, in folders that this machine may not have.
            for path in ("/usr", "/lib"):
                lower = f"lowerdir=/mnt{files.headers}{path}:/mnt{path}"
                yield f"mount -t overlay -o {lower} headers /mnt{path}"
        agent_python = "/usr/bin/python3"
        if files.userland:
            # Where `ip netns` mounts later what the agent is to see.
            yield "mount --make-rshared /mnt/run"
            yield _bind("/mnt/run", f"/mnt{files.userland}/run")
            for path in ("/dev", "/proc", "/sys", "/tmp"):
                yield _bind(path, f"/mnt{files.userland}{path}")
            agent_python = self._python_in(files.userland)
        python = shlex.join(
            [sys.executable, "-B", "-m", self._module, folder, agent_python]
        )
        inside = f"cd {shlex.quote(str(CHECKOUT))} && exec {python}"
        yield f"exec chroot /mnt sh -c {shlex.quote(inside)}"

    def _python_in(self, userland: Path) -> str:
        """A program that is a userland's Python, for what is outside it."""
        chroot = shlex.join(["chroot", str(userland), "/usr/bin/python3"])
        path = self._write("python3", ["#!/bin/sh", f'exec {chroot} "$@"'])
        os.chmod(path, 0o755)
        return path

    def _write(self, name: str, lines: Iterable[str]) -> str:
        path = self._folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)


def _bind(source: str, target: str) -> str:
    return shlex.join(["mount", "--rbind", source, target])


class Lane:
    """Several guests at work, a few at a time, and the results as they come.

    Parameters
    ----------
    guests
        Which.
    say
        Gets a line whenever there is progress.

    Attributes
    ----------
    passed
        Whether each test did that has ended.
    """

    def __init__(self, guests: Iterable[Guest], say: Callable[[str], None]) -> None:
        self._guests = {guest.name: guest for guest in guests}
        self.passed: dict[Case, bool] = {}
        self._say = say
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._running: dict[str, Future[None]] = {
            name: self._pool.submit(guest.run) for name, guest in self._guests.items()
        }

    def verdict(self, case: Case) -> str:
        """Wait for a test in a guest; why it failed, empty if it passed."""
        verdict = self._wait(case)
        self.passed[case] = not verdict
        return verdict

    def _wait(self, case: Case) -> str:
        guest, running = self._guests[case.setting], self._running[case.setting]
        while True:
            ended = running.done()  # asked first: what it told last is not missed
            self._progress()
            verdict = guest.told.verdict(case.way, case.test)
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

    @property
    def about(self) -> dict[str, dict[str, str]]:
        """What each guest runs, as it told itself."""
        return {name: guest.told.about for name, guest in self._guests.items()}

    def log(self, case: Case, lines: int = 80) -> str:
        """The end of a guest's log."""
        path = self._guests[case.setting].log
        end = path.read_text().splitlines()[-lines:]
        return "\n".join([*end, f"({path} has all of it)"])

    def close(self) -> None:
        """End all guests."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for guest in self._guests.values():
            guest.kill()
        self._pool.shutdown()
