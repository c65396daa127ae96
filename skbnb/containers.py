# SPDX-License-Identifier: Apache-2.0
"""Which container a control group is of: by how container engines name theirs.

An engine gives each container a control group, named after the container's id (64 hex
digits) or name. Beside it there may be another, for the engine's own process that looks
after the container: ``libpod-conmon-ID.scope``, ``lxc.monitor.NAME``, ``supervisor``.
That process is not in the container.
"""

from __future__ import annotations

import re

__all__ = ["container_of"]

_ID = "(?P<id>[0-9a-f]{64})"
_NAME = "(?P<name>[^/]+)"
_ESCAPED = "(?P<escaped>[^/]+)"  # by systemd

# Who names them -> the pattern of one part of the path, or of two.
PATTERNS = {
    "engines, systemd driver": (
        rf"(?:docker|libpod|cri-containerd|crio|nerdctl)-{_ID}\.scope"
    ),
    # /docker/ID, /kubepods/burstable/podUID/ID, /libpod_parent/libpod-ID
    "engines, cgroupfs driver": rf"(?:libpod-|crio-)?{_ID}",
    # The one driver, given what is meant for the other: podUID.slice:cri-containerd:ID
    "engines, drivers mixed up": rf"[^/]+\.slice:[a-z-]+:{_ID}",
    "Podman, --cgroups=split": rf"libpod-payload-{_ID}",
    "LXC": rf"(?:lxc/|lxc\.payload[./]){_NAME}",
    # Virtual machines register with machined, too: as qemu-1-NAME.
    "systemd-machined": rf"machine-(?!qemu\\x2d){_ESCAPED}\.scope(?!/supervisor)",
    "systemd-nspawn": rf"systemd-nspawn@{_NAME}\.service(?!/supervisor)",
}
_PATTERNS = [re.compile(rf"/{pattern}(?![^/])") for pattern in PATTERNS.values()]


def container_of(path: str) -> str | None:
    r"""The container that a control group is of: the innermost, where they are nested.

    Parameters
    ----------
    path
        Of the control group, from the root of its hierarchy.

    Returns
    -------
    str or None
        The first twelve digits of the container's id, as ``docker ps`` shows them, or
        its name; None outside containers.
    """
    found = [match for one in _PATTERNS for match in one.finditer(path)]
    innermost = max(found, key=re.Match.end, default=None)
    if innermost is None:
        return None
    kind = innermost.lastgroup or ""
    text: str = innermost[kind]
    return {"id": text[:12], "escaped": _unescaped(text)}.get(kind, text)


def _unescaped(name: str) -> str:
    # man systemd-escape
    return re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), name)
