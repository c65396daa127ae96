# SPDX-License-Identifier: Apache-2.0
"""Control groups as real machines name them, and the container that each is of."""

from __future__ import annotations

import pytest

from skbnb import containers
from skbnb.containers import container_of

ID = "4dcf2d5d4ff7d22d4c5a3d8d6f1e9b0a7c3e5f1a2b4c6d8e0f9a7b5c3d1e2f4a"
OUTER = "b" * 64
POD = "pod3a5f9ad2-8f1c-4ca1-a6f5-6f1d2b0c9e77"
SLICES = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{POD}.slice"

OF_ID = [
    f"/docker/{ID}",
    f"/system.slice/docker-{ID}.scope",
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
    f"/my.slice/{ID}",  # docker run --cgroup-parent
    f"/ecs/2f3bbd0a7f924ef5a3c7a8d0cb4d9f10/{ID}",
    f"/machine.slice/libpod-{ID}.scope",
    f"/machine.slice/libpod-{ID}.scope/container",
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/"
    "container",
    f"/libpod_parent/libpod-{ID}",
    f"/system.slice/web.service/libpod-payload-{ID}",
    f"/system.slice/nerdctl-{ID}.scope",
    f"{SLICES}/cri-containerd-{ID}.scope",
    f"{SLICES}/crio-{ID}.scope",
    f"{SLICES}/crio-{ID}.scope/container",
    f"{SLICES}/docker-{ID}.scope",
    f"/kubepods/burstable/{POD}/{ID}",
    f"/kubepods/{POD}/{ID}/init.scope",
    f"/kubepods/besteffort/{POD}/crio-{ID}",
    f"/system.slice/containerd.service/kubepods-besteffort-{POD}.slice:"
    f"cri-containerd:{ID}",
    # Kubernetes in Docker, Docker in Docker, Docker in LXC.
    f"/system.slice/docker-{OUTER}.scope/kubelet.slice/kubelet-kubepods.slice/"
    f"cri-containerd-{ID}.scope",
    f"/docker/{OUTER}/docker/{ID}",
    f"/lxc.payload.web/system.slice/docker-{ID}.scope",
]

OF_NAME = [
    ("/lxc.payload.web", "web"),
    ("/lxc.payload.web/system.slice/ssh.service", "web"),
    ("/lxc.payload/web/init.scope", "web"),
    ("/lxc/101/ns/system.slice/cron.service", "101"),
    ("/user.slice/user-1000.slice/session-2.scope/lxc/web", "web"),
    (r"/machine.slice/machine-my\x2dbox.scope/payload/system.slice", "my-box"),
    ("/machine.slice/machine-box.scope", "box"),
    (r"/machine.slice/machine-lxc\x2d4711\x2dweb.scope", "lxc-4711-web"),  # libvirt
    ("/machine.slice/systemd-nspawn@my-box.service/payload/init.scope", "my-box"),
    ("/machine.slice/systemd-nspawn@box.service/payload/lxc/web", "web"),
]

OF_NONE = [
    "",
    "/",
    "/init.scope",
    "/system.slice/docker.service",
    "/system.slice/containerd.service",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-term.scope",
    SLICES,
    f"/system.slice/runc-{ID}.scope-not",
    f"/docker/{ID[:32]}",
    f"/docker/{ID}0",
    f"/docker/{ID.upper()}",
    f"/docker/x{ID}",
    # The engines' own processes.
    f"/machine.slice/libpod-conmon-{ID}.scope",
    f"{SLICES}/crio-conmon-{ID}.scope",
    f"/kubepods/besteffort/{POD}/crio-conmon-{ID}",
    "/lxc.monitor.web",
    "/lxc.monitor/web",
    "/machine.slice/machine-box.scope/supervisor",
    "/machine.slice/systemd-nspawn@box.service/supervisor",
    # A virtual machine.
    r"/machine.slice/machine-qemu\x2d1\x2ddebian.scope/libvirt/emulator",
    "/lxc",
    "/lxc/",
    "/notlxc/web",
    "/lxc.payload.",
    "/machine.slice/machine-.scope",
]


@pytest.mark.parametrize("path", OF_ID)
def test_a_container_with_an_id(path: str) -> None:
    assert container_of(path) == ID[:12]


@pytest.mark.parametrize(("path", "name"), OF_NAME)
def test_a_container_with_a_name(path: str, name: str) -> None:
    assert container_of(path) == name


@pytest.mark.parametrize("path", OF_NONE)
def test_no_container(path: str) -> None:
    assert container_of(path) is None


@pytest.mark.parametrize("place", range(len(containers.PATTERNS)))
def test_each_pattern_is_needed(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    others = list(containers._PATTERNS)
    del others[place]
    monkeypatch.setattr(containers, "_PATTERNS", others)
    wanted = {**dict.fromkeys(OF_ID, ID[:12]), **dict(OF_NAME)}
    assert any(container_of(path) != name for path, name in wanted.items())
