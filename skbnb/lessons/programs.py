# SPDX-License-Identifier: Apache-2.0
"""Processes of the lessons' own: started, ready, and ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Self, cast

from ..errors import LessonError
from . import stage

__all__ = ["Program", "Server", "command", "race", "run", "serve", "sniff"]


class Program:
    """One of the programs of ``traffic.py``, at work in a process of its own.

    Parameters
    ----------
    name
        Which; also its name to the kernel.
    root
        Whether it needs root: then sudo is asked where this process is not root.

    Attributes
    ----------
    pid : int
        Its process id (where it needed sudo, sudo's).
    said : str
        What it said when it was ready.

    Raises
    ------
    LessonError
        It did not start.
    """

    def __init__(self, name: str, *, root: bool = False) -> None:
        self.name = name
        sudo = ("sudo", "-n", "--") if root and os.geteuid() else ()
        self._process = subprocess.Popen(
            [*sudo, *command(name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._stdin, self._stdout, self._stderr = (
            cast("IO[str]", pipe)
            for pipe in (
                self._process.stdin,
                self._process.stdout,
                self._process.stderr,
            )
        )
        line = self._stdout.readline()
        if not line:
            self._fail()
        self.said = line.strip()
        atexit.register(self.stop)

    def _fail(self) -> None:
        _, said = self._process.communicate()
        why = said.strip().rpartition("\n")[2]
        raise LessonError(
            f"{self.name} did not start: {why or 'it does not say why'}",
            "Have this lesson on recordings: lessons.begin(LESSON, RECORDING).",
        )

    def stop(self) -> None:
        """End it: the end of its standard input is its end."""
        atexit.unregister(self.stop)
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.name}, process {self.pid}>"


class Server(Program):
    """A web server on loopback, named ``web-server``; made by `serve`."""

    def __init__(self) -> None:
        super().__init__("web-server")
        self.port = int(self.said)

    def page(self, size: int) -> str:
        """The address of a page of this many bytes."""
        return f"http://127.0.0.1:{self.port}/{size}"

    @property
    def url(self) -> str:
        """The address of a page of 10,000 bytes."""
        return self.page(10_000)

    def browse(self, threads: int) -> None:
        """Have a program of one process fetch a page in each of several threads."""
        run("browser", self.port, threads)

    def settle(self) -> None:
        """Wait until it has closed all its connections, and sent all that it sends."""
        self._stdin.write("settle\n")
        self._stdin.flush()
        self._stdout.readline()


class Nobody:
    """In a sniffer's place, where its clones are in a recording already."""

    def stop(self) -> None:
        """Nothing is to be ended."""


def command(name: str, *arguments: object) -> list[str]:
    """What runs one of the programs of ``traffic.py``, from any folder."""
    file = Path(__file__).with_name("traffic.py")
    return [sys.executable, "-I", str(file), name, *map(str, arguments)]


def run(name: str, *arguments: object) -> str:
    """Run one of the programs of ``traffic.py`` to its end; what it said."""
    asked = command(name, *arguments)
    return subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout


def serve() -> Server:
    """Start a small web server on this machine, which only this machine can reach."""
    return Server()


def race(rounds: int = 1000) -> None:
    """Have two processes send a datagram each, at the same moments.

    Each is on a processor of its own, if there are two. Each datagram makes one clone.
    """
    run("racers", rounds)


def sniff() -> Program | Nobody:
    """Start a sniffer that listens on loopback as ``tcpdump -i lo`` does.

    In a lesson on recordings nobody sniffs, as nobody traces.

    Raises
    ------
    LessonError
        Neither root nor sudo may start it.
    """
    lesson = stage.current()
    if lesson and not lesson.live:
        return Nobody()
    return Program("sniffer", root=True)
