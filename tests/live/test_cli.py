# SPDX-License-Identifier: Apache-2.0
"""``skbnb run`` around real commands: what they clone is shown, and they end."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import skbnb

# Here, as one of the tests loses the right to read them.
from skbnb import traces as traces
from skbnb.cli import main
from skbnb.cli import run as run
from tests.live import traffic
from tests.live.traffic import Server

SKBNB = (sys.executable, "-m", "skbnb")
# 5 clones.
STAMPS = (sys.executable, traffic.__file__, "timestamping", "5")
# A line of the table of calls: time, name, process, number, where calls are numbered.
NUMBER = r"\d+" if traffic.kernel() >= (5, 12) else "-"
CALL = re.compile(rf"(\d+\.\d{{6}}) +(\S.*?) +(\d+) +({NUMBER})")


def ran(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SKBNB, *arguments], capture_output=True, text=True)


def calls(said: str) -> list[tuple[str, str, str, str]]:
    found = map(CALL.fullmatch, said.splitlines())
    return [(one[1], one[2], one[3], one[4]) for one in found if one]


def test_curl_makes_three(server: Server) -> None:
    done = ran("run", "--", "curl", "-s", server.url, "-o", "/dev/null")
    assert (done.returncode, done.stdout) == (0, "")
    found = calls(done.stderr)
    assert [name for _, name, _, _ in found] == ["curl"] * 3
    assert found[0][0] == "0.000000"
    assert re.search(r"^curl +\d+ +3 ", done.stderr, re.M)
    assert "\n3 clones in " in done.stderr
    assert ", 0 lost" in done.stderr


def test_what_the_command_starts_is_its_own() -> None:
    work = " ".join(STAMPS)
    done = ran("run", "--", "sh", "-c", f"({work}) & {work}; wait; exit 7")
    assert done.returncode == 7
    found = calls(done.stderr)
    assert len(found) == 10
    assert len({pid for _, _, pid, _ in found}) == 2


def test_everything_on_the_machine(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "curl.skbt"
    fetch = f"curl -s {server.url} -o /dev/null; sleep 0.2"
    done = ran("run", "-o", path, "--scope", "all", "--", "sh", "-c", fetch)
    assert done.returncode == 0
    # Others than these may send meanwhile.
    found = [(name, pid) for _, name, pid, _ in calls(done.stderr)]
    assert [name for name, _ in found].count("curl") == 3
    assert [pid for _, pid in found].count(str(server.pid)) == 3
    # The recording is whole, whatever was shown.
    assert len(skbnb.load(path).events) == 3
    shown = ran("show", path, "--pid", str(server.pid)).stdout
    assert {pid for _, _, pid, _ in calls(shown)} == {str(server.pid)}


def test_options_reach_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "packets.pcapng"
    done = ran("run", "-q", "-o", path, "--snaplen", "64", "--", *STAMPS)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes().startswith(b"\x0a\x0d\x0d\x0a")
    assert path.stat().st_size > 5 * 64
    done = ran("run", "--max-events", "2", "--stacks", "--follow", "--", *STAMPS)
    assert len(calls(done.stderr)) <= 2
    assert re.search(r"\d+ lost: limit of 2 events", done.stderr)


def test_a_flood_is_bounded_on_the_screen_and_counted() -> None:
    flood = (sys.executable, traffic.__file__, "flood", "4", "5000")
    # All: on a busy machine ksoftirqd makes some of the clones.
    done = ran("run", "--scope", "all", "--", *flood)
    shown = len(calls(done.stderr))
    left_out = re.findall(r"^\.\.\. ([\d,]+) more$", done.stderr, re.M)
    more = sum(int(number.replace(",", "")) for number in left_out)
    total = re.search(r"^([\d,]+) clones in ", done.stderr, re.M)
    assert total
    clones = int(total[1].replace(",", ""))
    assert clones >= 15_000
    assert shown + more == clones
    assert more > 10_000


def test_hostile_names_are_text(tmp_path: Path) -> None:
    # The name of a program is its file's; a thread may take another, as here.
    code = "open('/proc/self/comm', 'wb').write(b'\\x1b]0;x\\x07\\xe2\\x80\\xae');"
    code += "from tests.live.traffic import timestamping; timestamping(2)"
    done = ran("run", "--", sys.executable, "-c", code)
    assert done.returncode == 0
    assert [name for _, name, _, _ in calls(done.stderr)] == [r"\x1b]0;x\x07\u202e"] * 2
    assert all(line.isprintable() for line in done.stderr.splitlines())


def test_a_name_that_is_no_command_is_text() -> None:
    done = ran("run", "--", "no\x1b[31m")
    assert done.returncode == 127
    assert done.stderr == "skbnb: no\\x1b[31m: command not found\n"


def test_no_root() -> None:
    # A forked child: this machine's Python need not be readable for an ordinary user.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        sys.stderr = open(writer, "w")  # noqa: SIM115 (it ends with the child)
        os.setuid(65534)
        os.environ.update(PATH="/nowhere", XDG_CACHE_HOME="/tmp/skbnb-nobody")
        try:
            os._exit(main(["run", "--", "/bin/sh", "-c", "echo ran"]))
        except BaseException as error:
            os.write(writer, repr(error).encode())
            os._exit(99)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 125
    assert said == (
        "skbnb: tracing needs root, and there is no sudo. Run skbnb as root, or allow "
        "it with a sudo rule that asks no password.\n"
    )


class Terminal:
    """A shell's place: a pseudo-terminal, with skbnb in its foreground."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [*SKBNB, *arguments])
        self.said = ""

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while words not in self.said:
            assert time.monotonic() < deadline, self.said
            assert self._read(), self.said

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._fd, 65_536)
        except OSError:  # Linux' end of a terminal
            return False
        self.said += data.decode().replace("\r\n", "\n")
        return bool(data)


def test_calls_are_shown_while_the_command_runs_and_ctrl_c_ends_it() -> None:
    work = " ".join(STAMPS)
    terminal = Terminal("run", "--", "sh", "-c", f"{work}; exec sleep 60")
    terminal.wait_for("TIME(s)")
    while len(calls(terminal.said)) < 5:
        terminal.wait_for("")
        terminal._read()
    assert " clones in " not in terminal.said
    terminal.type(b"\x03")
    assert terminal.end() == 128 + signal.SIGINT
    assert "\n5 clones in " in terminal.said
    assert "0 lost" in terminal.said
    assert "Traceback" not in terminal.said


def test_what_is_typed_is_the_commands() -> None:
    terminal = Terminal("run", "--", "sh", "-c", "echo ready; read x; echo got $x")
    terminal.wait_for("ready\n")
    terminal.type(b"words\n")
    assert terminal.end() == 0
    assert "got words\n" in terminal.said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_after_a_killed_skbnb(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*SKBNB, "run", "-q", "--", "sh", "-c", "echo $$; exec sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    command = int(process.stdout.readline())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    threads = children.parent.parent.glob("*/children")
    started = {int(pid) for path in threads for pid in path.read_text().split()}
    (agent,) = started - {command}
    process.send_signal(number)
    process.wait()
    if number is signal.SIGKILL:
        os.kill(command, signal.SIGKILL)
    process.stdout.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{agent}").exists():
        assert time.monotonic() < deadline, "the agent is left"
        time.sleep(0.05)
    if number is signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM


def test_the_pipe_is_closed() -> None:
    script = f"{' '.join(SKBNB)} run -- {' '.join(STAMPS)} 2>&1 | head -1"
    done = subprocess.run(
        ["bash", "-c", f'{script}; echo "${{PIPESTATUS[0]}}"'],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "TIME(s)      COMM             PID      COUNT",
        "0",
    ]
