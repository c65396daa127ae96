# SPDX-License-Identifier: Apache-2.0
"""The record: C header, numpy dtype and wire say the same, byte for byte."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from skbnb import schema, wire
from skbnb.agent import program, scope
from skbnb.config import PROBES

HEADER = Path(__file__).parents[2] / "bpf" / "skb_event.h"
COMMON = HEADER.with_name("skb_common.h")

ENUMS = {
    "KIND": schema.Kind,
    "PATH": schema.Path,
    "SCOPE": schema.Scope,
    "HAS": schema.Has,
}


@pytest.fixture(scope="module")
def c_says(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Every offset, size and constant of the header, as a C compiler sees them."""
    folder = tmp_path_factory.mktemp("c")
    names = re.findall(
        r"^\t(?:__u\d+|char) (\w+)(?:\[\d+\])?;", HEADER.read_text(), re.M
    )
    constants = re.findall(r"^\t([A-Z]+_[A-Z]+) = ", HEADER.read_text(), re.M)
    lines = [
        f'P("offset {name}", offsetof(struct skb_event, {name}));'
        f'P("size {name}", sizeof(((struct skb_event *)0)->{name}));'
        for name in names
    ]
    lines += [f'P("{name}", {name});' for name in [*constants, "SKB_EVENT_ABI"]]
    source = folder / "layout.c"
    source.write_text(
        "#include <linux/types.h>\n#include <stddef.h>\n#include <stdio.h>\n"
        f'#include "{HEADER}"\n'
        '#define P(name, value) printf("%s=%ld\\n", name, (long)(value))\n'
        'int main(void) { P("size", sizeof(struct skb_event));' + "".join(lines) + "}\n"
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


def test_every_member_agrees(c_says: dict[str, int]) -> None:
    fields = dict(schema.RECORD.fields or {})
    c_members = [name[7:] for name in c_says if name.startswith("offset ")]
    assert list(fields) == c_members
    for name, (dtype, offset, *_) in fields.items():
        assert (offset, dtype.itemsize) == (
            c_says[f"offset {name}"],
            c_says[f"size {name}"],
        ), name


def test_members_are_naturally_aligned_and_unpadded(c_says: dict[str, int]) -> None:
    end = 0
    for name, (dtype, offset, *_) in (schema.RECORD.fields or {}).items():
        assert offset == end, name
        if dtype.kind != "V":
            assert offset % dtype.itemsize == 0, name
        end += dtype.itemsize
    assert end == schema.RECORD.itemsize == c_says["size"]


def test_size_and_abi_on_the_wire(c_says: dict[str, int]) -> None:
    assert c_says["size"] == wire.RECORD_SIZE
    assert c_says["size"] % 8 == 0
    assert c_says["SKB_EVENT_ABI"] == wire.ABI


def test_every_constant_agrees(c_says: dict[str, int]) -> None:
    ours = {
        f"{prefix}_{member.name}": member.value
        for prefix, enum in ENUMS.items()
        for member in enum
    }
    theirs = {name: value for name, value in c_says.items() if name in ours}
    assert ours == theirs
    of_the_header = {
        name for name in c_says if name.isupper() and name != "SKB_EVENT_ABI"
    }
    assert of_the_header == set(ours)


def test_the_agents_scopes_and_counters_are_the_headers() -> None:
    assert tuple(schema.Scope) == (scope.OTHER, scope.NOTEBOOK, scope.CELL)
    enum = re.search(r"enum counter \{(.*?)\n\};", COMMON.read_text(), re.S)
    assert enum
    names = re.findall(r"^\t([A-Z_]+),", enum[1], re.M)
    assert [name.lower() for name in names] == [*program.COUNTERS, "counters"]


def test_the_probes_are_those_of_the_command_line() -> None:
    from skbnb.agent.probes import PROBES as TABLE

    assert ("auto", *(probe.name for probe in TABLE)) == PROBES


def test_columns_are_made_from_members_that_exist() -> None:
    for column in schema.COLUMNS:
        assert column.field in (schema.RECORD.names or ())
        assert column.text.endswith(".")
    assert len({column.name for column in schema.COLUMNS}) == len(schema.COLUMNS)


def test_readme_has_the_table_of_columns() -> None:
    readme = HEADER.parents[1] / "README.md"
    assert schema.markdown_table() in readme.read_text()
