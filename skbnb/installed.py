# SPDX-License-Identifier: Apache-2.0
"""An agent where no user can change it, and the rule by which sudo runs it for some.

Who may have root run a file, and may change that file, is root. So an administrator
puts the agent into a folder of root's, and allows exactly the one command that runs it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from .config import COMPILED
from .errors import OptionError, PrivilegeError

__all__ = [
    "AGENT",
    "AGENT_PYTHON",
    "RULE",
    "check_group",
    "check_rule",
    "command",
    "install",
    "remedy",
    "rule",
    "same",
    "uninstall",
    "write_rule",
]

AGENT_PYTHON = "/usr/bin/python3"
AGENT = Path("/opt/skbnb/agent.pyz")
RULE = Path("/etc/sudoers.d/skbnb")

_MARK = "# Written by skbnb install-agent, removed by skbnb uninstall-agent."
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def same(content: bytes) -> bool:
    """Whether an agent is installed, of this content; False if none is.

    Raises
    ------
    PrivilegeError
        It is another one, or one that somebody else than root can change.
    """
    try:
        found = AGENT.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PrivilegeError(
            f"the installed agent, {AGENT}, cannot be read: {error.strerror}", remedy()
        ) from None
    _refuse_unsafe(AGENT)
    if found != content:
        raise PrivilegeError(
            f"the installed agent, {AGENT}, is of another version of skbnb", remedy()
        )
    return True


def remedy() -> str:
    """What an administrator has to run."""
    return f"Run: {command('install-agent')}"


def command(what: str) -> str:
    """A command of skbnb's as root types it."""
    # sudo finds none in a virtual environment.
    return f"sudo {sys.executable} -m skbnb {what}"


def _refuse_unsafe(path: Path) -> None:
    """Raise PrivilegeError if somebody else than root can change it, or put another."""
    for place in (path, *path.parents):
        known = place.lstat()
        if known.st_uid != 0 or known.st_mode & _OTHERS_WRITE:
            raise PrivilegeError(
                f"{place} can be changed by others than root, who runs {path}",
                f"Look who did that, then: sudo chown root:root {place} && "
                f"sudo chmod go-w {place}",
            )


def install(content: bytes) -> Path:
    """Put an agent there; what was there before is replaced at once.

    Raises
    ------
    PrivilegeError
        We are not root, or the folder is not root's alone.
    """
    _need_root("install-agent")
    folder = AGENT.parent
    folder.mkdir(mode=0o755, exist_ok=True)
    _refuse_unsafe(folder)
    _replace(AGENT, content, 0o755)
    return AGENT


def rule(who: str) -> str:
    """The lines for sudo that let somebody run the agent, and nothing else.

    Its output is no terminal's, so it needs no terminal of its own (``use_pty``), which
    would copy every record once more.

    Parameters
    ----------
    who
        A user's name, or a group's with a % before it.
    """
    return (
        f"{_MARK}\n"
        f"Cmnd_Alias SKBNB = {AGENT_PYTHON} -I {AGENT}\n"
        "Defaults!SKBNB !use_pty\n"
        f"{_named(who)} ALL = (root) NOPASSWD: SKBNB\n"
    )


def _named(who: str) -> str:
    # By its number, where the name is no plain word: sudo has words of its own.
    if re.fullmatch(r"%?[a-z_][a-z0-9_-]*", who):
        return who
    if who.startswith("%"):
        return f"%#{grp.getgrnam(who[1:]).gr_gid}"
    return f"#{pwd.getpwnam(who).pw_uid}"


def check_group(name: str) -> None:
    """Raise OptionError if there is no such group."""
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        raise OptionError(
            f"there is no group {name!r:.40}", "Make it: sudo groupadd NAME"
        ) from None


def check_rule(text: str) -> None:
    """Have sudo's own tool read a rule.

    Raises
    ------
    PrivilegeError
        It finds something wrong, or is not there.
    """
    visudo = shutil.which("visudo", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not visudo:
        raise PrivilegeError("there is no visudo to check the rule", "Install sudo.")
    done = subprocess.run(
        [visudo, "--check", "--quiet", "--file", "-"],
        input=text.encode(),
        capture_output=True,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise PrivilegeError(f"visudo refuses the rule: {said}", "Please report this.")


def write_rule(text: str) -> Path:
    """Put a rule, which was checked, where sudo reads it.

    Raises
    ------
    PrivilegeError
        We are not root, or a file of that name is not ours.
    """
    _need_root("install-agent")
    check_rule(text)
    _refuse_foreign_rule()
    _replace(RULE, text.encode(), 0o440)
    return RULE


def uninstall() -> list[Path]:
    """Undo both, and forget what agents kept; give what was removed.

    Raises
    ------
    PrivilegeError
        We are not root, or a file of the rule's name is not ours.
    """
    _need_root("uninstall-agent")
    _refuse_foreign_rule()
    removed = []
    for path in (RULE, AGENT):
        if path.exists():
            path.unlink()
            removed.append(path)
    with contextlib.suppress(OSError):  # there may be something else in it
        AGENT.parent.rmdir()
    if os.path.isdir(COMPILED):
        shutil.rmtree(COMPILED, ignore_errors=True)
        removed.append(Path(COMPILED))
    return removed


def _refuse_foreign_rule() -> None:
    if RULE.exists() and not RULE.read_text(errors="replace").startswith(_MARK):
        raise PrivilegeError(
            f"{RULE} was not written by skbnb", "Look at it, and move it away."
        )


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise PrivilegeError(f"{what} changes files of root's", f"Run: {command(what)}")


def _replace(path: Path, content: bytes, mode: int) -> None:
    # sudo reads no file with a dot in its name, so not this one half written.
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=".skbnb-", delete=False
    ) as file:
        try:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
