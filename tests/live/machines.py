# SPDX-License-Identifier: Apache-2.0
"""A machine of the test's own, with ordinary users: its /opt, /etc and /root are not
this one's, its network and its processes are.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
VENV = Path(sys.prefix).relative_to(CHECKOUT)
PYTHON = f"/opt/checkout/{VENV}/bin/python"
TRACERS = 4343
USERS = {"plain": 4242, "second": 4243}

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
echo 'tracers:x:{TRACERS}:{",".join(USERS)}' >> /etc/group
add() {{
    mkdir /opt/home/$1
    chown $2:$2 /opt/home/$1
    echo "$1:x:$2:$2::/opt/home/$1:/bin/sh" >> /etc/passwd
    echo "$1:*:19000:0:99999:7:::" >> /etc/shadow
    echo "$1:x:$2:" >> /etc/group
}}
{"; ".join(f"add {name} {uid}" for name, uid in USERS.items())}
echo ready
exec sleep infinity
"""


class Machine:
    """That machine."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def command(self, *command: str, user: str = "root") -> list[str]:
        """What runs a command there."""
        enter = ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", "--"]
        if user != "root":
            uid = USERS[user]
            ids = [f"--reuid={uid}", f"--regid={uid}", f"--groups={uid},{TRACERS}"]
            enter += ["setpriv", *ids]
            enter += ["env", "--unset=XDG_CACHE_HOME", f"HOME=/opt/home/{user}"]
            enter += [f"USER={user}", "SHELL=/bin/sh"]
        return [*enter, "sh", "-c", 'cd /opt/checkout && exec "$0" "$@"', *command]

    def run(
        self, *command: str, user: str = "root", text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with this to read."""
        return subprocess.run(
            self.command(*command, user=user),
            capture_output=True,
            text=True,
            errors="replace",
            input=text,
        )

    def skbnb(
        self, *arguments: str, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run skbnb's command line there."""
        return self.run(PYTHON, "-m", "skbnb", *arguments, user=user)

    def write(self, path: str, text: str) -> None:
        """Write a file there, as root."""
        done = self.run("sh", "-c", 'cat > "$0"', path, text=text)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """One on which nothing is installed."""
    assert shutil.which("sudo"), "this test needs sudo"
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _APART], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    try:
        yield Machine(process)
    finally:
        process.kill()
        process.communicate()
