# SPDX-License-Identifier: Apache-2.0
"""The record: C header, numpy dtype and wire say the same, byte for byte."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skbnb import records, schema, wire
from skbnb.agent import program, scope
from skbnb.config import PROBES

HEADER = Path(__file__).parents[2] / "bpf" / "skb_event.h"
COUNTS = HEADER.with_name("skb_count.h")

ENUMS = {
    "KIND": schema.Kind,
    "PATH": schema.Path,
    "SCOPE": schema.Scope,
    "CONTEXT": schema.Context,
    "HAS": schema.Has,
}

STRUCTS = (
    *("skb_event", "skb_bytes", "skb_socket_key", "skb_socket"),
    *("handbook_event", "tally_key"),
)


def members(struct: str) -> list[str]:
    """The names of a struct's members, in order."""
    body = re.search(rf"struct {struct} {{(.*?)\n}};", HEADER.read_text(), re.S)
    assert body
    return re.findall(r"^\t(?:__u\d+|char) (\w+)(?:\[\d+\])?;", body[1], re.M)


@pytest.fixture(scope="module")
def c_says(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Every offset, size and constant of the header, as a C compiler sees them."""
    folder = tmp_path_factory.mktemp("c")
    lines = []
    for struct in STRUCTS:
        lines.append(f'P("{struct}", sizeof(struct {struct}));')
        for name in members(struct):
            lines += [
                f'P("{struct}.{name}", offsetof(struct {struct}, {name}));',
                f'P("sizeof {struct}.{name}", sizeof(((struct {struct} *)0)->{name}));',
            ]
    constants = re.findall(r"^\t([A-Z]+(?:_[A-Z]+)+) = ", HEADER.read_text(), re.M)
    lines += [f'P("{name}", {name});' for name in [*constants, "SKB_EVENT_ABI"]]
    source = folder / "layout.c"
    source.write_text(
        "#include <linux/types.h>\n#include <stddef.h>\n#include <stdio.h>\n"
        f'#include "{HEADER}"\n'
        '#define P(name, value) printf("%s=%ld\\n", name, (long)(value))\n'
        "int main(void) {" + "".join(lines) + "}\n"
    )
    binary = folder / "layout"
    subprocess.run(["cc", "-Wall", "-Werror", "-o", binary, source], check=True)
    printed = subprocess.run(
        [binary], check=True, capture_output=True, text=True
    ).stdout
    return {
        name: int(value)
        for name, value in (line.split("=") for line in printed.splitlines())
    }


# A socket's key and its value are sent one after the other.
DTYPES = [
    (schema.RECORD, ("skb_event",)),
    (schema.BYTES, ("skb_bytes",)),
    (schema.SOCKET, ("skb_socket_key", "skb_socket")),
    (schema.HANDBOOK, ("handbook_event",)),
]


@pytest.mark.parametrize(("dtype", "structs"), DTYPES)
def test_every_member_agrees(
    c_says: dict[str, int], dtype: np.dtype[Any], structs: tuple[str, ...]
) -> None:
    theirs = {}
    base = 0
    for struct in structs:
        for name in members(struct):
            size = c_says[f"sizeof {struct}.{name}"]
            theirs[name] = (base + c_says[f"{struct}.{name}"], size)
        base += c_says[struct]
    ours = {
        name: (offset, member.itemsize)
        for name, (member, offset, *_) in (dtype.fields or {}).items()
    }
    assert ours == theirs
    assert dtype.itemsize == base


def test_members_are_naturally_aligned_and_unpadded() -> None:
    for dtype, _ in DTYPES:
        end = 0
        for name, (member, offset, *_) in (dtype.fields or {}).items():
            assert offset == end, name
            if member.kind != "V":
                assert offset % member.itemsize == 0, name
            end += member.itemsize
        assert end == dtype.itemsize


def test_sizes_and_abi_on_the_wire(c_says: dict[str, int]) -> None:
    assert c_says["skb_event"] == wire.RECORD_SIZE
    assert c_says["skb_event"] % 8 == 0
    assert c_says["skb_event.kind"] == wire.KIND_AT
    assert c_says["sizeof skb_event.kind"] == 1
    assert wire.CALL_KINDS == (schema.Kind.CLONE, schema.Kind.FAILED)
    assert c_says["skb_bytes"] == wire.BYTES_SIZE
    assert c_says["skb_socket_key"] + c_says["skb_socket"] == wire.SOCKET.size
    assert c_says["SKB_EVENT_ABI"] == wire.ABI


def test_every_constant_agrees(c_says: dict[str, int]) -> None:
    ours = {
        f"{prefix}_{member.name}": member.value
        for prefix, enum in ENUMS.items()
        for member in enum
        if member.value < schema.DERIVED or prefix != "HAS"
    }
    theirs = {name: value for name, value in c_says.items() if name.isupper()}
    assert theirs == {**ours, "SKB_EVENT_ABI": wire.ABI}


def test_the_agents_scopes_and_counters_are_the_headers() -> None:
    assert tuple(schema.Scope) == (scope.OTHER, scope.NOTEBOOK, scope.CELL)
    enum = re.search(r"enum counter \{(.*?)\n\};", COUNTS.read_text(), re.S)
    assert enum
    names = re.findall(r"^\t([A-Z_]+),", enum[1], re.M)
    assert [name.lower() for name in names] == [*program.COUNTERS, "counters"]


def test_the_probes_are_those_of_the_command_line() -> None:
    from skbnb.agent.probes import PROBES as TABLE

    assert ("auto", *(probe.name for probe in TABLE)) == PROBES


def test_columns_are_made_from_members_that_exist() -> None:
    told = {*(schema.RECORD.names or ()), *(schema.BYTES.names or ())}
    for column in schema.COLUMNS:
        assert column.field in {*told, *records.MADE}
        assert column.text.endswith(".")
    assert len({column.name for column in schema.COLUMNS}) == len(schema.COLUMNS)


def test_readme_has_the_table_of_columns() -> None:
    readme = HEADER.parents[1] / "README.md"
    assert schema.markdown_table() in readme.read_text()
