# SPDX-License-Identifier: Apache-2.0
"""Whoever asks, and what may be shown and done for them.

Root sees everything. Any other user, for whom sudo runs the agent, sees in full only
what their own processes and sockets do, unless ``/etc/skbnb.toml`` says more. What they
may not see does not leave the kernel: see ``bpf/skb_redact.h``.
"""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import re
from typing import Mapping, NamedTuple, TypeVar

from ..config import Config, Counting, Listing, Request
from ..errors import PrivilegeError, RequestError
from . import kept, settings

__all__ = ["ROOT", "Viewer", "whoever_asks"]

_MASK = (1 << 64) - 1
_Number = TypeVar("_Number", int, float)


class Viewer(NamedTuple):
    """Who asks.

    Parameters
    ----------
    uid
        Their user id.
    sees_all
        Whether they see what everyone does.
    limits
        The most that they may ask for; None: no limits.
    text_secret, data_secret
        What is added to addresses of the kernel's functions, and to those of its data,
        before they are told.
    """

    uid: int
    sees_all: bool
    limits: settings.Settings | None
    text_secret: int = 0
    data_secret: int = 0

    def constants(self) -> dict[str, int]:
        """For the C files."""
        if self.sees_all:
            return {}
        return {
            "VIEWER_UID": self.uid,
            "TEXT_SECRET": self.text_secret,
            "DATA_SECRET": self.data_secret,
        }

    def text(self, address: int) -> int:
        """The address of a function, as it is told."""
        return (address + self.text_secret) & _MASK

    def data(self, address: int) -> int:
        """An address of the kernel's data, as it is told."""
        return (address + self.data_secret) & _MASK

    def sees(self, pid: int) -> bool:
        """Whether they may see a process, which may be gone."""
        return self.sees_all or _user_of(pid) == self.uid

    def granted(self, request: Request) -> Request:
        """A request, with the limits that hold where it names none.

        Raises
        ------
        RequestError
            It asks for more than they may have.
        """
        if isinstance(request, Listing):
            return request
        if isinstance(request, Counting):
            return self._granted_count(request)
        return self._granted_trace(request)

    def _granted_trace(self, config: Config) -> Config:
        if not self.sees_all:
            if config.via == "trace":
                raise RequestError(
                    "the trace pipe has what everyone's programs print, and you may "
                    "see only your own",
                    "Take another way than via trace.",
                )
            if _user_of(config.notebook_pid) != self.uid:
                raise RequestError(f"process {config.notebook_pid} is not yours")
        if not self.limits:
            return config
        most = self.limits
        _limit("ring_mib", config.ring_mib, most.max_ring_mib)
        seconds = _limit("max_seconds", config.max_seconds, most.max_seconds)
        config = dataclasses.replace(config, max_seconds=seconds)
        if config.via != "ring":  # a few bytes for each, or nothing
            return config
        events = _limit("max_events", config.max_events, most.max_events)
        return dataclasses.replace(config, max_events=events)

    def _granted_count(self, counting: Counting) -> Counting:
        if self.limits:
            number = len(counting.functions)
            _limit("functions", number, self.limits.max_functions)
        return counting


ROOT = Viewer(uid=0, sees_all=True, limits=None)


def _limit(name: str, asked: _Number | None, most: _Number) -> _Number:
    if asked is not None and asked > most:
        raise RequestError(
            f"{name} is {asked:,}, and a user may have at most {most:,} here",
            f"Ask for less; an administrator can allow more in {settings.PATH}.",
        )
    return most if asked is None else asked


def whoever_asks(environment: Mapping[str, str]) -> Viewer:
    """For whom this process runs.

    Parameters
    ----------
    environment
        In it sudo says whom it runs a program for.

    Raises
    ------
    PrivilegeError
        The administrator's settings cannot be trusted, or are not understood.
    """
    said = environment.get("SUDO_UID", "0")
    if not re.fullmatch(r"[0-9]{1,10}", said):
        raise PrivilegeError(f"SUDO_UID is {said!r:.40}, which is no user id")
    uid = os.getuid() or int(said)
    if uid == 0:
        return ROOT
    limits = settings.read()
    if not _names_of(uid).isdisjoint(limits.see_all):
        return Viewer(uid, sees_all=True, limits=limits)
    return Viewer(
        uid,
        sees_all=False,
        limits=limits,
        text_secret=kept.secret(f"text for {uid}"),
        data_secret=kept.secret(f"data for {uid}"),
    )


def _names_of(uid: int) -> set[str]:
    """A user's name, and those of their groups with a % before each."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return set()
    names = {user.pw_name}
    for gid in os.getgrouplist(user.pw_name, user.pw_gid):
        try:
            names.add(f"%{grp.getgrgid(gid).gr_name}")
        except KeyError:
            continue
    return names


def _user_of(pid: int) -> int | None:
    """A process's real user, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            found = re.search(rb"^Uid:\t(\d+)", file.read(), re.M)
    except OSError:
        return None
    return int(found.group(1)) if found else None
