# SPDX-License-Identifier: Apache-2.0
"""The one seam: where frames come from. An agent at work in the kernel, or a recording.

A `Transport` runs one trace at a time: `start`, iterate over `frames` up to END, `stop`
from any thread in between. Tests and notebooks without root use `ReplayTransport` in
the agent's place.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import threading
import time
import weakref
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from . import installed
from .config import Request, start_request, stop_request
from .errors import (
    CODES,
    AbiError,
    AgentError,
    AgentLostError,
    OptionError,
    PrivilegeError,
    StreamError,
)
from .installed import AGENT_PYTHON
from .wire import ABI, Frame, Kind, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "AGENT_PYTHON",
    "AgentTransport",
    "ReplayTransport",
    "Transport",
    "agent_archive",
    "agent_command",
    "agent_error",
    "archive_content",
    "from_environment",
]

_PACKAGE = Path(__file__).parent


class Transport(Protocol):
    """Where the frames of a trace come from."""

    def start(self, request: Request) -> None:
        """Ask for a trace, or for something else that has an END."""

    def frames(self) -> Iterator[Frame]:
        """Yield its frames as they come, the last of them END.

        Raises
        ------
        AgentError, StreamError
            Why it ended without one.
        """

    def stop(self) -> None:
        """Ask for its end; `frames` goes on until END."""

    def close(self) -> None:
        """Let go of everything; no trace can be started after it."""

    @property
    def usable(self) -> bool:
        """Whether another trace can be started."""


def from_environment() -> Transport:
    """The transport that ``SKBNB_AGENT`` names; by default the agent.

    Raises
    ------
    OptionError
        The variable has no meaning.
    """
    value = os.environ.get("SKBNB_AGENT", "")
    if not value:
        return AgentTransport()
    kind, colon, path = value.partition(":")
    if kind != "replay" or not colon:
        raise OptionError(
            f"SKBNB_AGENT is {value!r}", "Unset it, or set it to replay:FILE."
        )
    return ReplayTransport(path)


class AgentTransport:
    """An agent process: root's half of skbnb, started at once and kept warm.

    Parameters
    ----------
    command
        What to run in place of the agent; for tests.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            command or agent_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            # Jupyter interrupts the kernel's whole process group.
            start_new_session=True,
        )
        self._stdin = cast("BinaryIO", self._process.stdin)
        self._stdout = cast("BinaryIO", self._process.stdout)
        _widen(self._stdout)
        self._reader = iter(Reader(self._stdout))
        self._reading = threading.RLock()
        self._usable = True
        # A forked child must not hold the agent's stdin open: its end is the agent's
        # end.
        _agents.add(self)

    @property
    def pid(self) -> int:
        """Process id of the agent, or of the sudo that runs it."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether another trace can be started."""
        return self._usable and self._process.poll() is None

    def forget(self) -> None:
        """Let go of the pipes without a word, in a forked child."""
        with contextlib.suppress(OSError):
            self._stdin.close()
            self._stdout.close()

    def start(self, request: Request) -> None:
        """Ask for a trace; what is wrong with it comes as an error from `frames`."""
        self._request(start_request(request))

    def stop(self) -> None:
        """Ask for the trace's end."""
        self._request(stop_request())

    def _request(self, line: bytes) -> None:
        # A dead agent, or one whose pipe was just closed, shows in frames().
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(line)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of the running trace."""
        with self._reading:
            try:
                for frame in self._reader:
                    if frame.kind is Kind.ERROR:
                        raise agent_error(frame)
                    if frame.kind is Kind.HELLO:
                        _check_abi(frame)
                    yield frame
                    if frame.kind is Kind.END:
                        return
                raise self._why_it_died()
            except (AgentError, StreamError):
                self.close()
                raise

    def _why_it_died(self) -> AgentError:
        self._end()
        code = self._process.returncode
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", "replace").strip().split("\n")[-1]
        if said.startswith("sudo: "):
            return PrivilegeError(
                f"sudo refused to start the agent ({said[6:]})", installed.remedy()
            )
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        return AgentLostError(f"the agent ended {how}" + (f": {said}" if said else ""))

    def kill(self) -> None:
        """End an agent that does not answer; its probes go with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self._process.kill()

    def close(self) -> None:
        """End the agent, and let go of its pipes."""
        self._end()
        # Not under the hands of a thread that reads them; it reads an end soon.
        if self._reading.acquire(timeout=1):
            self._stdout.close()
            self._stderr.close()
            self._reading.release()

    def _end(self) -> None:
        # The end of its stdin is the agent's order to go.
        self._usable = False
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


_agents: weakref.WeakSet[AgentTransport] = weakref.WeakSet()


def _forget_agents() -> None:
    for agent in _agents:
        agent.forget()


os.register_at_fork(after_in_child=_forget_agents)


class ReplayTransport:
    """A recording in the kernel's place: the same frames, and no root.

    Parameters
    ----------
    path
        A ``.skbt`` file, or one in an archive.
    """

    def __init__(self, path: str | os.PathLike[str] | zipfile.Path) -> None:
        self._path = path if isinstance(path, zipfile.Path) else Path(path)
        self._stopped = threading.Event()
        self.usable = True

    def start(self, request: Request) -> None:
        """Begin anew."""
        self._stopped.clear()

    def stop(self) -> None:
        """Let the rest of the recording come."""
        self._stopped.set()

    def frames(self) -> Iterator[Frame]:
        """Yield what was recorded: all up to READY at once, the rest at `stop`."""
        try:
            file = cast("BinaryIO", self._path.open("rb"))
        except OSError as error:
            raise StreamError(f"cannot read {self._path}: {error.strerror}") from None
        with file:
            for frame in Reader(file):
                if frame.kind is Kind.HELLO:
                    _check_abi(frame)
                yield frame
                if frame.kind is Kind.READY:
                    self._stopped.wait()
                if frame.kind is Kind.END:
                    return
        raise AgentLostError(
            f"the recording {self._path} has no end", "It is shown as far as it goes."
        )

    def close(self) -> None:
        """Let a waiting `frames` end."""
        self.usable = False
        self._stopped.set()


def _check_abi(hello: Frame) -> None:
    abi = hello.json.get("abi")
    if abi != ABI:
        raise AbiError(f"the stream is of ABI {abi!r:.20}, this skbnb reads ABI {ABI}")


def agent_error(frame: Frame) -> AgentError:
    """The error that an ERROR frame tells of."""
    said = frame.fields
    return CODES.get(said["code"], AgentError)(said["message"], said["hint"])


def _widen(pipe: BinaryIO) -> None:
    # 1 MiB, the most an ordinary user may have: fewer turns of the interpreter's lock.
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


# ------------------------------------------------------ the agent's one file


def agent_command() -> list[str]:
    """What starts the agent, as root.

    Raises
    ------
    AgentError
        Something is not there that it needs.
    """
    if not os.access(AGENT_PYTHON, os.X_OK):
        raise AgentError(
            f"there is no {AGENT_PYTHON}, the Python that the distribution's BCC needs",
            "Install the distribution's python3.",
        )
    command = [AGENT_PYTHON, "-I"]
    if os.geteuid() == 0:
        return [*command, str(agent_archive())]
    if not shutil.which("sudo"):
        raise PrivilegeError("tracing needs root, and there is no sudo")
    own = not installed.same(archive_content())
    agent = agent_archive() if own else installed.AGENT
    return ["sudo", "-n", "--", *command, str(agent)]


def agent_archive() -> Path:
    """The agent as one file, made when it is not there yet.

    Returns
    -------
    Path
        A zip archive that ``python3 -I`` runs, named after its content, in the user's
        cache.
    """
    content = archive_content()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skbnb"
    path = cache / f"agent-{hashlib.sha256(content).hexdigest()[:16]}.pyz"
    try:
        if path.is_file() and path.read_bytes() == content:
            return path
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError as error:
        raise AgentError(
            f"cannot keep the agent in {cache}: {error.strerror}",
            "Set XDG_CACHE_HOME to a folder that can be written.",
        ) from None
    _remove_old(cache, path)
    return path


def _remove_old(cache: Path, current: Path) -> None:
    # Of other versions; one that was made today may be in use.
    for path in cache.glob("agent-*.pyz"):
        with contextlib.suppress(OSError):
            if path != current and time.time() - path.stat().st_mtime > 86400:
                path.unlink()


def archive_content() -> bytes:
    """The agent's one file: a zip archive, the same for the same files."""
    shared = [
        _PACKAGE / name for name in ("__init__.py", "config.py", "errors.py", "wire.py")
    ]
    agent = sorted((_PACKAGE / "agent").glob("*.py"))
    c_files = sorted(
        path for path in bpf_folder().iterdir() if path.suffix in (".c", ".h")
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), _MAIN)
        for path in [*shared, *agent]:
            name = f"skbnb/{path.relative_to(_PACKAGE)}"
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
        for path in c_files:
            archive.writestr(
                zipfile.ZipInfo(f"skbnb/bpf/{path.name}"), path.read_bytes()
            )
    return buffer.getvalue()


_MAIN = "import sys\nfrom skbnb.agent.__main__ import main\nsys.exit(main())\n"


def bpf_folder() -> Path:
    """Where the C files are: a wheel has them inside, a checkout beside it."""
    for folder in (_PACKAGE / "bpf", _PACKAGE.parent / "bpf"):
        if (folder / "skb_event.h").is_file():
            return folder
    raise AgentError(f"the C files are missing from {_PACKAGE}", "Install skbnb again.")
