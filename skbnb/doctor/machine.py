# SPDX-License-Identifier: Apache-2.0
"""The one seam: all that the checks ask of the machine, and its remedies' form."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CODES, AgentError
from ..session import PATIENCE
from ..transport import (
    AGENT_PYTHON,
    AgentTransport,
    Transport,
    agent_archive,
    agent_command,
)
from .packages import INSTALL, PACKAGES, Names, distribution

__all__ = ["Done", "Machine"]

# Seconds for what a check runs: an agent is waited for as long by a trace.
_PATIENCE = PATIENCE

# What runs in the agent's Python: it gives `answer`, or an error as the agent does.
_ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from skbnb.errors import SkbnbError, code_of
def ask():
    {code}
try:
    answer = {{"answer": ask()}}
except SkbnbError as error:
    answer = {{"code": code_of(error), "message": error.args[0], "hint": error.hint}}
print(json.dumps(answer))
"""


class Done(NamedTuple):
    """A program that has ended."""

    status: int
    out: bytes
    err: str


def _run(command: Sequence[str]) -> Done:
    try:
        done = subprocess.run(
            # A pipe, which the agent can wait for; it ends at once.
            command,
            input=b"",
            capture_output=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Done(124, b"", f"no end after {_PATIENCE:g} s")
    except OSError as error:
        return Done(127, b"", f"{command[0]}: {error.strerror}")
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def _import(name: str) -> str:
    importlib.import_module(name)
    return importlib.metadata.version(name)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


@dataclass(frozen=True)
class Machine:
    """A machine as the checks see it; by default, the one that they run on.

    Parameters
    ----------
    root
        Where its files are.
    environ
        The environment.
    uid
        Effective user id.
    release, machine
        As ``uname -r`` and ``uname -m`` say.
    memlock
        Soft limit of locked memory in bytes; -1 for none.
    prefix
        Where this Python has its data files.
    run
        Runs a program with an empty standard input, to its end.
    agent
        Gives the command that starts an agent.
    transport
        Starts one, and speaks with it.
    load
        Imports a library of this Python, and gives its version.
    version, folder
        The version of a distribution, and where a module lies; None: not there.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    uid: int = field(default_factory=os.geteuid)
    release: str = field(default_factory=lambda: os.uname().release)
    machine: str = field(default_factory=lambda: os.uname().machine)
    memlock: int = field(
        default_factory=lambda: resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    )
    prefix: Path = field(default_factory=lambda: Path(sys.prefix))
    run: Callable[[Sequence[str]], Done] = _run
    agent: Callable[[], Sequence[str]] = agent_command
    transport: Callable[[], Transport] = AgentTransport
    load: Callable[[str], str] = _import
    version: Callable[[str], str | None] = _version
    folder: Callable[[str], Path | None] = _folder

    def path(self, name: str) -> Path:
        """An absolute path on this machine."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str | None:
        """The text of a file; None if it cannot be read."""
        try:
            return self.path(name).read_text(errors="replace")
        except OSError:
            return None

    def ask(self, code: str) -> Any:
        """Run a piece of the agent's own code in the agent's Python, without root.

        Parameters
        ----------
        code
            The body of a function.

        Returns
        -------
        What it returns, through JSON.

        Raises
        ------
        AgentError
            As the agent would; or it could not be run.
        """
        program = _ASK.format(code=code.replace("\n", "\n    "))
        done = self.run([AGENT_PYTHON, "-I", "-c", program, str(agent_archive())])
        if done.status == 127:
            raise AgentError(done.err)
        try:
            answer = json.loads(done.out)
        except ValueError:
            last = (done.err.strip() or f"status {done.status}").splitlines()[-1]
            raise AgentError(f"{AGENT_PYTHON}: {last}") from None
        if "code" in answer:
            error = CODES.get(answer["code"], AgentError)
            raise error(answer["message"], answer["hint"])
        return answer["answer"]

    # ------------------------------------------------------------------ remedies

    @property
    def distribution(self) -> str:
        """Which distribution it is, as in `packages.Names`; empty for another."""
        text = self.read("/etc/os-release") or self.read("/usr/lib/os-release") or ""
        return distribution(text)

    @property
    def sudo(self) -> str:
        """What goes before a command that needs root."""
        return "" if self.uid == 0 else "sudo "

    def install(self, what: str) -> str:
        """How to install something of `packages.PACKAGES`."""
        pairs = zip(INSTALL, PACKAGES[what], strict=True)
        return self.choose(Names(*(f"{how} {name}" for how, name in pairs)))

    def choose(self, commands: Names) -> str:
        """The command of this distribution, as root; of another, all as a comment."""
        if self.distribution:
            return self.sudo + str(getattr(commands, self.distribution))
        known = dict.fromkeys(commands)
        return "# " + ", or: ".join(known)
