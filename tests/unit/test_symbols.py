# SPDX-License-Identifier: Apache-2.0
"""An address has one name, and the same in every run."""

from __future__ import annotations

from pathlib import Path

import pytest

from skbnb.agent import symbols

TABLE = """\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000010 T __cpuidle_text_start
ffffffff81000010 t default_idle
ffffffff81000030 t __do_sys_getuid
ffffffff81000030 T __x64_sys_getuid
ffffffff81000040 D some_data
ffffffff81000050 W weak
ffffffffc0000010 t nf_dup_ipv4\t[nf_dup_ipv4]
ffffffffc0000018 T xt_init\t[x_tables]
ffffffffc0008000 T xt_find\t[x_tables]
ffffffffa0000010 t bpf_prog_1234_main\t[bpf]
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kallsyms"
    path.write_text(TABLE)
    (tmp_path / "modules").write_text(
        "nf_dup_ipv4 16384 1 - Live 0xffffffffc0000000\n"
        "x_tables 16384 1 - Live 0xffffffffc0008000 (E)\n"
    )
    monkeypatch.setattr(symbols, "KALLSYMS", str(path))
    monkeypatch.setattr(symbols, "MODULES", str(tmp_path / "modules"))
    return path


@pytest.mark.parametrize(
    ("address", "name", "module"),
    [
        (0xFFFF_FFFF_8100_0010, "default_idle", ""),
        (0xFFFF_FFFF_8100_0011, "default_idle", ""),
        (0xFFFF_FFFF_8100_0035, "__x64_sys_getuid", ""),
        (0xFFFF_FFFF_8100_0045, "__x64_sys_getuid", ""),
        (0xFFFF_FFFF_8100_0050, "weak", ""),
        (0xFFFF_FFFF_C000_0022, "nf_dup_ipv4", "nf_dup_ipv4"),
        (0xFFFF_FFFF_C000_8001, "xt_find", "x_tables"),
        (0xFFFF_FFFF_A000_0010, "bpf_prog_1234_main", "bpf"),
        (0xFFFF_FFFF_80FF_FFFF, "", ""),
        (0, "", ""),
    ],
)
def test_names(address: int, name: str, module: str, table: Path) -> None:
    assert symbols.FunctionNames().name(address) == (name, module)


def test_the_table_is_read_again_when_a_module_is_loaded_or_has_begun_to_live(
    table: Path,
) -> None:
    names = symbols.FunctionNames()
    address = 0xFFFF_FFFF_C000_1004
    new = "ffffffffc0001000 t {}\t[new]\n"
    line = "new 16384 0 - {} 0xffffffffc0001000\n"
    for state, function in (("Loading", "init_module"), ("Live", "new_function")):
        table.write_text(TABLE + new.format(function))
        Path(symbols.MODULES).write_text(line.format(state))
        names.refresh()
        assert names.name(address) == (function, "new")


def test_a_kernel_without_modules(table: Path) -> None:
    Path(symbols.MODULES).unlink()
    assert symbols.FunctionNames().name(0xFFFF_FFFF_8100_0050)[0] == "weak"
