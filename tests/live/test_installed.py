# SPDX-License-Identifier: Apache-2.0
"""An ordinary user traces, by an agent that root installed and a rule of sudo's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest

from skbnb.config import COMPILED
from tests.live import machines
from tests.live.machines import PYTHON, USERS, Machine
from tests.live.traffic import Server


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One on which nothing is installed."""
    with machines.machine() as made:
        yield made


def test_a_users_curl_makes_three(machine: Machine, server: Server) -> None:
    fetch = ("run", "--", "curl", "-s", "-o", "/dev/null", server.url)
    refused = machine.skbnb(*fetch, user="plain")
    assert refused.returncode == 125
    assert "-m skbnb install-agent" in refused.stderr
    installed = machine.skbnb("install-agent", "--sudoers", "tracers")
    assert installed.returncode == 0, installed.stderr
    done = machine.skbnb(*fetch, user="plain")
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
        assert ready.run("sudo", "-n", *command, user="plain").returncode == 1


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
        PYTHON,
        *("-m", "nbconvert", "--to", "notebook", "--execute", "--stdin", "--stdout"),
        user="plain",
        text=nbformat.writes(notebook),
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.reads(done.stdout, as_version=4)
    assert executed.cells[-1].outputs[-1].text == f"{USERS['plain']} 3\n"


def test_one_of_another_version(ready: Machine) -> None:
    ready.run("sh", "-c", "echo >> /opt/skbnb/agent.pyz")
    done = ready.skbnb("run", "--", "true", user="plain")
    assert done.returncode == 125
    assert done.stderr == (
        "skbnb: the installed agent, /opt/skbnb/agent.pyz, is of another version of "
        f"skbnb. Run: sudo {PYTHON} -m skbnb install-agent.\n"
    )
    ready.skbnb("install-agent")
    assert ready.skbnb("run", "--", "true", user="plain").returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        "chmod g+w /opt/skbnb/agent.pyz",
        "chmod o+w /opt/skbnb",
        "chown plain /opt/skbnb/agent.pyz",
        "chown plain /opt/skbnb",
        "cd /opt/skbnb; mv agent.pyz /opt/home/plain/; ln -s /opt/home/plain/agent.pyz",
    ],
)
def test_one_that_a_user_can_change(ready: Machine, change: str) -> None:
    assert ready.run("sh", "-c", change).returncode == 0
    done = ready.skbnb("run", "--", "true", user="plain")
    assert done.returncode == 125
    assert "can be changed by others than root" in done.stderr
    assert done.stderr.count("\n") == 1


def test_uninstall(ready: Machine) -> None:
    ready.run("mkdir", "-p", "-m", "700", COMPILED)
    done = ready.skbnb("uninstall-agent")
    gone = ("/etc/sudoers.d/skbnb", "/opt/skbnb/agent.pyz", COMPILED)
    assert done.stdout == "".join(f"removed {path}\n" for path in gone)
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
        done = machine.skbnb(command, user="plain")
        assert done.returncode == 1
        assert f"sudo {PYTHON} -m skbnb {command}" in done.stderr
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
