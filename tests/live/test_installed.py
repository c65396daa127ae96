# SPDX-License-Identifier: Apache-2.0
"""An ordinary user traces, by an agent that root installed and a rule of sudo's.

All of it happens with a /opt, an /etc and a /root of its own: a mount namespace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.live.traffic import Server

CHECKOUT = Path(__file__).parents[2]
VENV = Path(sys.prefix).relative_to(CHECKOUT)
UID, GID, TRACERS = 4242, 4242, 4343

# What root has in /root may be the Python that the virtual environment is made of.
_APART = f"""
set -e
mount --make-rprivate /
etc=$(mktemp -d)
cp -a /etc/. "$etc"
mount -t tmpfs -o mode=755 none /opt
mkdir -p /opt/python /opt/checkout /opt/home
mount --rbind {sys.base_prefix} /opt/python
mount --rbind {CHECKOUT} /opt/checkout
mount -t tmpfs -o mode=755 none /root
mkdir -p {sys.base_prefix}
mount --rbind /opt/python {sys.base_prefix} 2> /dev/null || true
mount -t tmpfs -o mode=755 none /etc
cp -a "$etc"/. /etc
rm -r "$etc"
chown {UID}:{GID} /opt/home
echo 'plain:x:{UID}:{GID}::/opt/home:/bin/sh' >> /etc/passwd
echo 'plain:*:19000:0:99999:7:::' >> /etc/shadow
printf 'plain:x:{GID}:\\ntracers:x:{TRACERS}:plain\\n' >> /etc/group
echo ready
exec sleep infinity
"""


class Machine:
    """A machine of its own, but for its network and its processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, *command: str, user: bool = False, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root or as an ordinary user, with this to read."""
        enter = ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", "--"]
        if user:
            ids = [f"--reuid={UID}", f"--regid={GID}", f"--groups={GID},{TRACERS}"]
            enter += ["setpriv", *ids]
            enter += ["env", "HOME=/opt/home", "USER=plain", "SHELL=/bin/sh"]
        enter += ["sh", "-c", 'cd /opt/checkout && exec "$0" "$@"']
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, input=text
        )

    def skbnb(
        self, *arguments: str, user: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run skbnb's command line there."""
        python = f"/opt/checkout/{VENV}/bin/python"
        return self.run(python, "-m", "skbnb", *arguments, user=user)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One on which nothing is installed."""
    assert shutil.which("sudo"), "this test needs sudo"
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _APART], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    yield Machine(process)
    process.kill()
    process.communicate()


def test_a_users_curl_makes_three(machine: Machine, server: Server) -> None:
    fetch = ("run", "--", "curl", "-s", "-o", "/dev/null", server.url)
    refused = machine.skbnb(*fetch, user=True)
    assert refused.returncode == 125
    assert "-m skbnb install-agent" in refused.stderr
    installed = machine.skbnb("install-agent", "--sudoers", "tracers")
    assert installed.returncode == 0, installed.stderr
    done = machine.skbnb(*fetch, user=True)
    assert done.returncode == 0
    assert re.search(r"^curl +\d+ +3 ", done.stderr, re.M)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """The same with an agent, and a rule for the group that the user is in."""
    done = machine.skbnb("install-agent", "--sudoers", "tracers")
    assert done.returncode == 0, done.stderr
    return machine


def modes(machine: Machine) -> str:
    names = ("/opt/skbnb", "/opt/skbnb/agent.pyz", "/etc/sudoers.d/skbnb")
    return machine.run("stat", "-c", "%U %G %a", *names).stdout


def test_what_is_installed_is_roots_alone(ready: Machine) -> None:
    assert modes(ready) == "root root 755\nroot root 755\nroot root 440\n"
    assert ready.run("visudo", "--check", "--quiet").returncode == 0
    # The rule is for that one command.
    for command in (
        ("/usr/bin/python3", "-I", "-c", "print(1)"),
        ("/usr/bin/python3", "-I", "/opt/skbnb/agent.pyz", "more"),
        ("/usr/bin/id",),
    ):
        assert ready.run("sudo", "-n", *command, user=True).returncode == 1


def test_a_notebook_of_a_users(ready: Machine, server: Server) -> None:
    cells = [
        "%load_ext skbnb",
        f"%%skbclone -o clones\n!curl -s -o /dev/null {server.url}",
        "import os\nprint(os.geteuid(), (clones['comm'] == 'curl').sum())",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    done = ready.run(
        f"/opt/checkout/{VENV}/bin/python",
        *("-m", "nbconvert", "--to", "notebook", "--execute", "--stdin", "--stdout"),
        user=True,
        text=nbformat.writes(notebook),
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.reads(done.stdout, as_version=4)
    assert executed.cells[-1].outputs[-1].text == f"{UID} 3\n"


def test_one_of_another_version(ready: Machine) -> None:
    ready.run("sh", "-c", "echo >> /opt/skbnb/agent.pyz")
    done = ready.skbnb("run", "--", "true", user=True)
    assert done.returncode == 125
    assert done.stderr == (
        "skbnb: the installed agent, /opt/skbnb/agent.pyz, is of another version of "
        f"skbnb. Run: sudo /opt/checkout/{VENV}/bin/python -m skbnb install-agent.\n"
    )
    ready.skbnb("install-agent")
    assert ready.skbnb("run", "--", "true", user=True).returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        "chmod g+w /opt/skbnb/agent.pyz",
        "chmod o+w /opt/skbnb",
        "chown plain /opt/skbnb/agent.pyz",
        "chown plain /opt/skbnb",
        "mv /opt/skbnb/agent.pyz /opt/home/; ln -s /opt/home/agent.pyz /opt/skbnb/",
    ],
)
def test_one_that_a_user_can_change(ready: Machine, change: str) -> None:
    assert ready.run("sh", "-c", change).returncode == 0
    done = ready.skbnb("run", "--", "true", user=True)
    assert done.returncode == 125
    assert "can be changed by others than root" in done.stderr
    assert done.stderr.count("\n") == 1


def test_uninstall(ready: Machine) -> None:
    done = ready.skbnb("uninstall-agent")
    assert done.stdout == (
        "removed /etc/sudoers.d/skbnb\nremoved /opt/skbnb/agent.pyz\n"
    )
    assert modes(ready) == ""
    again = ready.skbnb("uninstall-agent")
    assert (again.returncode, again.stdout) == (0, "nothing was installed\n")


def test_a_rule_that_is_not_ours(machine: Machine) -> None:
    machine.run("sh", "-c", "echo '# mine' > /etc/sudoers.d/skbnb")
    for command in (("install-agent", "--sudoers", "tracers"), ("uninstall-agent",)):
        done = machine.skbnb(*command)
        assert done.returncode == 1
        assert "/etc/sudoers.d/skbnb was not written by skbnb" in done.stderr
    assert machine.run("cat", "/etc/sudoers.d/skbnb").stdout == "# mine\n"


def test_bad_input(machine: Machine) -> None:
    for command in ("install-agent", "uninstall-agent"):
        done = machine.skbnb(command, user=True)
        assert done.returncode == 1
        assert f"sudo /opt/checkout/{VENV}/bin/python -m skbnb {command}" in done.stderr
    done = machine.skbnb("install-agent", "--sudoers", "no such group")
    assert done.returncode == 2
    assert "there is no group 'no such group'" in done.stderr
    assert modes(machine) == ""


def test_the_rule_is_shown(machine: Machine) -> None:
    done = machine.skbnb("install-agent")
    rule = done.stdout.partition("\n\n")[2]
    assert "root ALL = (root) NOPASSWD: SKBNB\n" in rule
    machine.run("sh", "-c", f"echo '{rule.replace('root ALL', 'plain ALL')}' > /etc/r")
    assert machine.run("visudo", "-cqf", "/etc/r").returncode == 0
