# SPDX-License-Identifier: Apache-2.0
"""Make the lessons' recordings anew: on this kernel, and on others in guests.

Run as root as ``python -m tests.lessons.record [KERNEL ...]``, where a kernel is
``here`` or one of `tests.guest.kernels.SUITES`. Each traces in a network of its own:
what is recorded was sent by the lessons' own programs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from skbnb.lessons.shelf import FOLDER
from tests.guest.guests import CHECKOUT, Guest
from tests.guest.settings import Setting

# Kernel, and the probes that it is traced with.
KERNELS = {
    "here": ["auto"],
    "6.1": ["auto", "kprobe"],
    "newest": ["auto", "kprobe"],
}

INSIDE = "tests.lessons.inside"
SECONDS = 3600  # for a guest


def main(names: list[str]) -> int:
    """Record on these kernels; on all of them, if none is named."""
    FOLDER.mkdir(exist_ok=True)
    failed = False
    for name in names or KERNELS:
        with tempfile.TemporaryDirectory() as folder:
            (here if name == "here" else in_guest)(name, Path(folder))
            for archive in Path(folder).glob("*.zip"):
                shutil.copy(archive, FOLDER)
                print(f"made {FOLDER / archive.name}")
            for line in (Path(folder) / "told").read_text().splitlines():
                if "failed" in (told := json.loads(line)):
                    failed = True
                    print(told["failed"], file=sys.stderr)
    return failed


def here(name: str, folder: Path) -> None:
    """Record on the running kernel."""
    (folder / "asked").write_text(json.dumps(KERNELS[name]))
    inside = f"ip link set lo up && exec {sys.executable} -m {INSIDE} {folder}"
    subprocess.run(["unshare", "--net", "sh", "-c", inside], cwd=CHECKOUT, check=True)


def in_guest(name: str, folder: Path) -> None:
    """Boot a kernel, and record there."""
    setting = Setting(f"{name}+lessons", name, {})
    probes: dict[str, list[str]] = {probe: [] for probe in KERNELS[name]}
    # Two processors, for two to race.
    guest = Guest(setting, probes, folder, INSIDE, cpus=2, seconds=SECONDS)
    try:
        guest.run()
    finally:
        guest.kill()
        sys.stdout.write(guest.log.read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
