# SPDX-License-Identifier: Apache-2.0
"""What is installed from a wheel is whole: nothing of it comes from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; what it printed."""
    # Nothing of this process may help it to find skbnb.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["XDG_CACHE_HOME"] = str(cwd / "cache")
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    run(*build, "--outdir", folder, CHECKOUT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-index")
    run(*pip, "--no-deps", wheel, cwd=folder)
    # The dependencies are those of the running environment. A line of a .pth file adds
    # one folder, and reads no .pth file in it: so not the checkout, which is there by
    # such a file.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    (licences,) = {name.rpartition("/")[0] for name in names if "/LICENSES/" in name}
    homes = {"skbnb": "skbnb", "bpf": "skbnb/bpf", "LICENSES": licences}
    expected = {
        f"{home}/{path.relative_to(CHECKOUT / folder)}"
        for folder, home in homes.items()
        for path in (CHECKOUT / folder).rglob("*.*")
        if path.suffix in (".py", ".typed", ".c", ".h", ".txt", ".js", ".zip")
    }
    assert {"skbnb/py.typed", "skbnb/bpf/skb_event.h"} < expected
    assert {f"{licences}/Apache-2.0.txt", f"{licences}/GPL-2.0-only.txt"} < expected
    others = {name for name in names - expected if ".dist-info/" not in name}
    assert expected <= names
    assert not others


IN_A_SHELL = """
import pathlib, sys
from IPython.core.interactiveshell import InteractiveShell

import skbnb
from skbnb.transport import bpf_folder

package = pathlib.Path(skbnb.__file__).parent
assert package.is_relative_to(sys.prefix), package
assert bpf_folder() == package / "bpf"

def run(cell):
    shell.run_cell(cell).raise_error()

def magics():
    return [name for kind in shell.magics_manager.magics.values() for name in kind]

shell = InteractiveShell.instance()
before = sorted(magics())
run("%load_ext skbnb")
assert "skbclone" in magics()
run("%%skbclone -q -o events\\npass")
about = shell.user_ns["events"].attrs["skbnb"]
assert about["ended"] == "stop" and not about["truncated"], about
run("%unload_ext skbnb")
assert sorted(magics()) == before
"""


def test_the_extension_works_from_the_wheel(python: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("this traces the running kernel: run it as root")
    program = tmp_path / "program.py"
    program.write_text(IN_A_SHELL)
    run(python, "-I", program, cwd=tmp_path)


def test_the_command_works_from_the_wheel(python: Path, tmp_path: Path) -> None:
    skbnb = python.with_name("skbnb")
    assert run(skbnb, "--version", cwd=tmp_path).startswith("skbnb ")
    source = run(skbnb, "source", "tracepoint", cwd=tmp_path)
    assert '#line 1 "bpf/tracepoint.c"' in source


def test_an_editable_install_finds_its_c_files(tmp_path: Path) -> None:
    # There, nothing puts bpf/ inside the package. -I: not through a current folder.
    code = "from skbnb.transport import bpf_folder; print(bpf_folder())"
    assert run(sys.executable, "-I", "-c", code, cwd=tmp_path) == f"{CHECKOUT}/bpf\n"
