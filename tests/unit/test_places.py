# SPDX-License-Identifier: Apache-2.0
"""Names of namespaces and control groups: what is one, what is not, and what is odd."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from skbnb.agent import places
from skbnb.wire import MAX_CONTROL, Kind, control
from tests.records import symbols

OURS = str(os.stat("/proc/self/ns/net").st_ino)


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the agent looks at instead of a process: a folder like one of /proc."""
    monkeypatch.setattr(places, "_VIEWS", (os.fsencode(tmp_path),))
    return tmp_path


def netns_folder(view: Path, below: str = "run/netns") -> Path:
    folder = view / "root" / below
    folder.mkdir(parents=True)
    return folder


def test_no_folder_is_no_name(view: Path) -> None:
    assert places.namespaces(True) == {}


def test_a_name_is_what_is_a_namespace(view: Path) -> None:
    folder = netns_folder(view)
    # `ip netns` mounts the namespace on an empty file: here is one without.
    (folder / "gone").touch()
    (folder / "dangling").symlink_to("/proc/0/ns/net")
    (folder / "loop").symlink_to("loop")
    (folder / "below").mkdir()
    assert places.namespaces(True) == {}
    (folder / "blue").symlink_to("/proc/self/ns/net")
    assert places.namespaces(True) == {OURS: "blue"}


def test_docker_names_namespaces_elsewhere(view: Path) -> None:
    folder = netns_folder(view, "run/docker/netns")
    (folder / "1ae2c7d09c1f").symlink_to("/proc/self/ns/net")
    assert places.namespaces(True) == {OURS: "1ae2c7d09c1f"}


def test_of_several_names_the_first_counts(view: Path) -> None:
    first, last = netns_folder(view), netns_folder(view, "run/docker/netns")
    for path in (last / "a", first / "c", first / "b"):
        path.symlink_to("/proc/self/ns/net")
    assert places.namespaces(True) == {OURS: "b"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"a b\nc\x1b[2J", "a b\nc\x1b[2J"),
        ("日本\u202e".encode(), "日本\u202e"),
        (b"...", "..."),
        (b"n" * 255, "n" * 255),
    ],
)
def test_a_name_may_be_anything(view: Path, raw: bytes, text: str) -> None:
    path = os.fsencode(netns_folder(view)) + b"/" + raw
    os.symlink(b"/proc/self/ns/net", path)
    assert places.namespaces(True) == {OURS: text}
    sent = control(Kind.SYMBOLS, **symbols(netns=places.namespaces(True)))
    assert sent.fields["netns"] == {OURS: text}


@pytest.mark.parametrize(
    ("before", "after", "both"),
    [
        ({}, {}, {}),
        ({"1": "a"}, {}, {"1": "a"}),
        ({}, {"1": "a"}, {"1": "a"}),
        ({"1": "a", "2": "b"}, {"2": "b", "3": "c"}, {"1": "a", "2": "b", "3": "c"}),
        # One ended, and another got its number.
        ({"1": "a", "2": "b"}, {"1": "c", "2": "b"}, {"2": "b"}),
    ],
)
def test_names_at_any_time(
    before: dict[str, str], after: dict[str, str], both: dict[str, str]
) -> None:
    assert places.at_any_time(before, after) == both


def test_names_fit_into_a_frame(view: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The longest names there can be, of bytes that take the most room.
    name = "\x1b" * 4095
    some = {str(number): name for number in range(1000)}
    fitting = places._fitting(some)
    assert 0 < len(fitting) < 1000
    assert fitting.items() <= some.items()
    assert len(json.dumps(fitting)) < MAX_CONTROL // 4
    few = {str(number): "web" for number in range(1000)}
    assert places._fitting(few) == few


MOUNTINFO = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
37 31 0:35 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
42 27 0:39 /part /mnt/a\\040b\\134c rw,relatime - cgroup2 none rw,nsdelegate
43 27 0:40 / /mnt/cgroup2 rw - tmpfs cgroup2 rw
"""


def test_mounts_of_cgroup2(view: Path) -> None:
    assert places._mounts(os.fsencode(view)) == []
    (view / "mountinfo").write_bytes(MOUNTINFO)
    assert places._mounts(os.fsencode(view)) == [
        (b"0:38", b"/sys/fs/cgroup/unified"),
        (b"0:39", b"/mnt/a b\\c"),
    ]


def test_what_is_no_root_of_control_groups_is_not_taken_for_one(view: Path) -> None:
    below = view / "root/sys/fs/cgroup/unified"
    below.mkdir(parents=True)
    (view / "mountinfo").write_bytes(MOUNTINFO)
    assert places.control_groups({1, 7777}, {}) == {}
    # Even where the device is right: its inode is not a root's.
    about = below.stat()
    device = f"{os.major(about.st_dev)}:{os.minor(about.st_dev)}".encode()
    (view / "mountinfo").write_bytes(MOUNTINFO.replace(b"0:38", device))
    assert places.control_groups({1, 7777}, {}) == {}


def test_what_is_gone_has_the_path_it_had(view: Path) -> None:
    gone = {7: b"/docker/\xff", 8: b""}
    assert places.control_groups({1, 7, 8}, gone) == {"7": "/docker/\\xff"}
