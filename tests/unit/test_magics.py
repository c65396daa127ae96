# SPDX-License-Identifier: Apache-2.0
"""The magics in a real InteractiveShell, on a recording.

The live twin is tests/live/test_notebook.py.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets import widget
from traitlets.config import Config

import skbnb
from skbnb import notebook
from skbnb.cells import transform
from skbnb.doctor import Finding, Report, Verdict
from skbnb.errors import (
    AgentLostError,
    BusyError,
    OptionError,
    SkbnbError,
    TruncatedWarning,
)
from skbnb.magics import SkbMagics, split_statement
from skbnb.traces import Trace
from skbnb.transport import AgentTransport
from skbnb.wire import Frame, Kind, control
from tests.records import frames, hello, record, tally

RECORDS = [record(ts=2_000 + i, count=i + 1, pid=42 + i // 3) for i in range(4)]


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "curl.skbt"
    Trace(frames(*RECORDS)).save(path)
    monkeypatch.setenv("SKBNB_AGENT", f"replay:{path}")
    return path


@pytest.fixture
def shell(recording: Path) -> Iterator[InteractiveShell]:
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell.instance(
        config=config, display_pub_class=CapturingDisplayPublisher
    )
    made.run_line_magic("load_ext", "skbnb")
    yield made
    made.run_line_magic("unload_ext", "skbnb")
    InteractiveShell.clear_instance()


class Ran:
    """What running a cell gave: its result, its output, what it displayed."""

    def __init__(self, shell: InteractiveShell, cell: str) -> None:
        publisher: Any = shell.display_pub
        publisher.outputs.clear()
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            self.result: Any = shell.run_cell(cell)
        self.printed = out.getvalue() + err.getvalue()
        self.displayed: list[dict[str, Any]] = [
            output["data"] for output in publisher.outputs
        ]

    @property
    def error(self) -> BaseException | None:
        error: BaseException | None = self.result.error_before_exec
        return error or self.result.error_in_exec


def test_a_cell_is_run_shown_and_kept(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -o clones\nx = 1\nprint('said')\nx + 1")
    assert ran.error is None
    assert ran.result.result == 2
    assert "said" in ran.printed
    assert [sorted(data) for data in ran.displayed] == [
        ["text/html", "text/plain"],
        ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"],
        ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"],
    ]
    assert shell.user_ns["x"] == 1
    clones = shell.user_ns["clones"]
    assert isinstance(clones, pd.DataFrame)
    assert skbnb.last is not None
    assert clones is skbnb.last.events
    assert len(clones) == 4


def test_nothing_is_put_into_the_users_namespace(shell: InteractiveShell) -> None:
    before = set(shell.user_ns)
    Ran(shell, "%%skbclone\n1")
    after = set(shell.user_ns)
    assert all(name.startswith("_") for name in after - before)


def test_quiet_shows_nothing(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -q -o clones\npass")
    assert not ran.displayed
    assert not ran.printed
    assert len(shell.user_ns["clones"]) == 4


def test_a_statement(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%skbclone -q -o c x = 'two  words -q'")
    assert ran.error is None
    assert shell.user_ns["x"] == "two  words -q"
    assert len(shell.user_ns["c"]) == 4


def test_shell_commands_and_magics_inside(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -q\nw = !echo '{1 + 1}'\n%timeit -n1 -r1 pass\ny = 5")
    assert ran.error is None
    assert list(shell.user_ns["w"]) == ["2"]
    assert shell.user_ns["y"] == 5


def test_over_another_cell_magic(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -q -o c\n%%capture captured\nprint('inside')")
    assert ran.error is None
    assert shell.user_ns["captured"].stdout == "inside\n"
    assert len(shell.user_ns["c"]) == 4


def test_under_another_cell_magic(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%capture captured\n%%skbclone -o c\nprint('inside')")
    assert ran.error is None
    assert "inside" in shell.user_ns["captured"].stdout
    assert len(shell.user_ns["captured"].outputs) == 3
    assert len(shell.user_ns["c"]) == 4


def test_a_cell_that_runs_cells_is_traced_to_its_end(shell: InteractiveShell) -> None:
    ran = Ran(
        shell,
        "%%skbclone -q -o c\nget_ipython().run_cell('z = 1')\nkept = 'c' in globals()",
    )
    assert ran.error is None
    assert shell.user_ns["kept"] is False
    assert len(shell.user_ns["c"]) == 4


def test_run_cell_magic_from_python(shell: InteractiveShell) -> None:
    shell.run_cell_magic("skbclone", "-q -o c", "a = 7")
    assert shell.user_ns["a"] == 7
    assert len(shell.user_ns["c"]) == 4


def test_top_level_await(shell: InteractiveShell) -> None:
    ran = Ran(
        shell,
        "%%skbclone -q -o c\nimport asyncio\nawait asyncio.sleep(0.01)\nb = 'awaited'",
    )
    assert ran.error is None
    assert shell.user_ns["b"] == "awaited"
    assert len(shell.user_ns["c"]) == 4


FAILING = "%%skbclone -o c\nprint('before')\nx = 1\nx / 0\nprint('ran', 'on')"


def test_a_failing_cell_keeps_and_shows_its_trace_and_fails(
    shell: InteractiveShell,
) -> None:
    ran = Ran(shell, FAILING)
    assert isinstance(ran.error, ZeroDivisionError)
    assert len(ran.displayed) == 3
    assert len(shell.user_ns["c"]) == 4
    assert ran.printed.count("Traceback (most recent call last)") == 1
    assert "interactiveshell.py" not in ran.printed
    assert "ran on" not in ran.printed


def test_a_failing_statement_too(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%skbclone -o c 1 / 0")
    assert isinstance(ran.error, ZeroDivisionError)
    assert len(ran.displayed) == 3
    assert len(shell.user_ns["c"]) == 4
    assert ran.printed.count("Traceback (most recent call last)") == 1
    assert "in skbclone" not in ran.printed


def test_an_interrupted_cell_too(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -o c\nimport signal\nsignal.raise_signal(2)\n1 / 0")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert len(shell.user_ns["c"]) == 4


def test_a_syntax_error_is_the_cells_own_and_nothing_is_traced(
    shell: InteractiveShell,
) -> None:
    ran = Ran(shell, "%%skbclone -o c\n1 +\n")
    assert isinstance(ran.error, SyntaxError)
    assert "line 2" in ran.printed
    assert "skbnb" not in ran.printed
    assert "c" not in shell.user_ns
    assert not ran.displayed


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%skbclone --nope\nz = 1", "unrecognized arguments: --nope"),
        ("%%skbclone leftover\nz = 1", "unrecognized arguments: leftover"),
        ("%%skbclone -o 1x\nz = 1", "--output 1x is no variable's name"),
        ("%%skbclone -o for\nz = 1", "--output for is no variable's name"),
        ("%%skbclone -o\nz = 1", "expected one argument"),
        ("%%skbclone --probe magic\nz = 1", "invalid choice: 'magic'"),
        ("%%skbclone --scope sky\nz = 1", "invalid choice: 'sky'"),
        ("%%skbclone --pid curl\nz = 1", "invalid whole_number value: 'curl'"),
        ("%%skbclone --pid 4194304\nz = 1", "no process has the id 4194304"),
        ("%%skbclone --max-events 0\nz = 1", "max_events is 0"),
        ("%%skbclone --max-seconds x\nz = 1", "invalid float value: 'x'"),
        ("%%skbclone --record /no/such/file\nz = 1", "cannot write /no/such/file"),
        ("%%skbclone -o 'unclosed\nz = 1", "No closing quotation"),
        ("%skbclone -q", "there is no statement to trace"),
    ],
)
def test_options_of_no_use_are_one_line_and_nothing_runs(
    shell: InteractiveShell, cell: str, words: str
) -> None:
    ran = Ran(shell, cell)
    assert isinstance(ran.error, OptionError)
    assert words in str(ran.error)
    assert ran.printed.strip() == f"OptionError: {ran.error}"
    assert "z" not in shell.user_ns
    assert not ran.displayed


def test_options_reach_the_trace(shell: InteractiveShell, tmp_path: Path) -> None:
    path = tmp_path / "copy.skbt"
    ran = Ran(shell, f"%%skbclone -q -o c --comm curl --record '{path}'\npass")
    assert ran.error is None
    clones = shell.user_ns["c"]
    assert clones.attrs["skbnb"]["scope"] == "all"
    assert clones.attrs["skbnb"]["filters"] == "comm curl"
    assert skbnb.load(path).select(comm="curl").equals(clones)


def test_two_at_once_are_refused_and_the_first_goes_on(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone -q -o c\n%skbclone -q -o d 1\n")
    assert isinstance(ran.error, BusyError)
    assert len(shell.user_ns["c"]) == 4
    assert "d" not in shell.user_ns


def test_a_recording_without_an_end_is_said(
    shell: InteractiveShell, recording: Path
) -> None:
    recording.write_bytes(recording.read_bytes()[:-10])
    ran = Ran(shell, "%%skbclone -o c\npass")
    assert ran.error is None
    assert "TRUNCATED" in ran.displayed[0]["text/plain"]
    assert len(shell.user_ns["c"]) == 4
    with pytest.warns(TruncatedWarning):
        Ran(shell, "%%skbclone -q\npass")


def test_a_recording_that_is_not_there(
    shell: InteractiveShell, recording: Path
) -> None:
    recording.unlink()
    ran = Ran(shell, "%%skbclone\nz = 1")
    assert isinstance(ran.error, SkbnbError)
    assert not isinstance(ran.error, AgentLostError)
    assert "No such file" in ran.printed
    assert "z" not in shell.user_ns


def test_help_names_every_option(shell: InteractiveShell) -> None:
    text = SkbMagics.skbclone.__doc__ or ""
    for option in ("--output", "--probe", "--scope", "--pid", "--comm", "--max-events",
                   "--max-seconds", "--record", "--quiet"):  # fmt: skip
        assert option in text
    assert Ran(shell, "%%skbclone?").error is None


COMPLETIONS = [
    ("%%skbclone --pr", ["--probe"]),
    ("%%skbclone --max-", ["--max-events", "--max-seconds"]),
    ("%skbclone -q --sc", ["--scope"]),
    ("%%skbclone --probe ", ["auto", "fentry", "kprobe", "tracepoint"]),
    ("%%skbclone --probe tr", ["tracepoint"]),
    ("%%skbclone -q --scope ", ["cell", "notebook", "all"]),
    ("%skbnb ", ["doctor"]),
    ("%skbnb doctor --j", ["--json"]),
]


@pytest.mark.parametrize(("line", "wanted"), COMPLETIONS)
def test_completion(shell: InteractiveShell, line: str, wanted: list[str]) -> None:
    with provisionalcompleter():
        found = [c.text for c in shell.Completer.completions(line, len(line))]
    assert sorted(found) == sorted(wanted)


def test_no_completion_elsewhere(shell: InteractiveShell) -> None:
    with provisionalcompleter():
        found = [c.text for c in shell.Completer.completions("x = --pr", 8)]
    assert "--probe" not in found


def test_unload_leaves_nothing_and_reload_works(shell: InteractiveShell) -> None:
    def traces_of_us() -> list[object]:
        return [
            *[
                m
                for ms in shell.magics_manager.magics.values()
                for m in ms
                if "skb" in m
            ],
            *[t for t in shell.input_transformers_cleanup if t is transform],
            *[m for m in shell.Completer.custom_matchers if "skbnb" in m.__module__],
            *[k for k in shell.magics_manager.registry if "Skb" in k],
        ]

    loaded = traces_of_us()
    assert len(loaded) == 6
    shell.run_line_magic("reload_ext", "skbnb")
    assert len(traces_of_us()) == 6
    shell.run_line_magic("unload_ext", "skbnb")
    assert traces_of_us() == []
    assert notebook._notebook._transport is None
    shell.run_line_magic("load_ext", "skbnb")
    assert Ran(shell, "%%skbclone -q\npass").error is None


@pytest.mark.parametrize(
    ("line", "options", "statement"),
    [
        ("f('x')", "", "f('x')"),
        ("-q  f( 'x' )", "-q", "f( 'x' )"),
        ('-o c !echo "it\'s"', "-o c", '!echo "it\'s"'),
        ("--comm 'my proc' x", "--comm 'my proc'", "x"),
        ("--scope=all -q -o c -x", "--scope=all -q -o c -x", None),
        ("--max-seconds 2 [1, 2]", "--max-seconds 2", "[1, 2]"),
    ],
)
def test_a_statement_is_taken_as_written(
    line: str, options: str, statement: str | None
) -> None:
    parser = SkbMagics.skbclone.parser
    if statement is None:
        with pytest.raises(OptionError):
            split_statement(line, parser)
    else:
        assert split_statement(line, parser) == (options, statement)


@pytest.mark.parametrize(
    "cell",
    ["", "x", "%%skbclone?", "%%skbclones\nx", "%%skbclone\n", "%%skbclone\n%%time\nx"],
)
def test_other_cells_are_left_alone(cell: str) -> None:
    lines = cell.splitlines(keepends=True)
    assert transform(lines) == lines


# ------------------------------------------------------------------ the doctor

FINDINGS = [
    Finding("kernel", Verdict.OK, "Linux"),
    Finding("root", Verdict.NOTE, "<b>", "do this"),
    Finding("clone", Verdict.OK, "5 clones"),
]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skbnb.doctor.diagnose", lambda _: iter(FINDINGS))


@pytest.mark.usefixtures("found")
def test_the_doctor_in_a_terminal(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%skbnb doctor")
    assert ran.error is None
    assert ran.printed == Report(FINDINGS).text() + "\n"
    assert not ran.displayed
    assert json.loads(Ran(shell, "%skbnb doctor --json").printed)["usable"] is True


@pytest.mark.usefixtures("found")
def test_the_doctor_on_a_page_grows_in_one_place(shell: InteractiveShell) -> None:
    vars(shell)["kernel"] = object()
    try:
        ran = Ran(shell, "%skbnb doctor")
    finally:
        del vars(shell)["kernel"]
    assert ran.printed == ""
    pages = [data["text/html"] for data in ran.displayed]
    assert [page.count('<tr><th scope="row"') for page in pages] == [0, 1, 2, 3]
    assert [data["text/plain"] for data in ran.displayed][-1] == Report(FINDINGS).text()
    publisher: Any = shell.display_pub
    assert [output["update"] for output in publisher.outputs] == [False] + [True] * 3
    assert "&lt;b&gt;" in pages[-1]


@pytest.mark.parametrize("line", ["%skbnb", "%skbnb fly", "%skbnb doctor --nope"])
def test_what_the_magic_cannot_read(shell: InteractiveShell, line: str) -> None:
    ran = Ran(shell, line)
    assert isinstance(ran.error, OptionError)
    assert ran.printed.strip() == f"OptionError: {ran.error}"


# ------------------------------------------------------------------ the panel


def test_a_panel_is_one_bundle_and_keeps_what_is_chosen(
    shell: InteractiveShell,
) -> None:
    ran = Ran(shell, "%%skbclone --panel -o clones\npass")
    assert [sorted(data) for data in ran.displayed] == [
        ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    ]
    assert len(shell.user_ns["clones"]) == 4


@pytest.mark.parametrize("via", ["trace", "perf", "count"])
@pytest.mark.parametrize("option", ["--panel", "--live"])
def test_what_gives_too_little(shell: InteractiveShell, via: str, option: str) -> None:
    ran = Ran(shell, f"%%skbclone --via {via} {option}\nprint('ran')")
    assert isinstance(ran.error, OptionError)
    assert ran.printed.strip() == (
        f"OptionError: via {via} gives too little for {option}. Leave {option} away, "
        "or take --via ring."
    )


@pytest.mark.parametrize(
    "options", ["--via trace --scope cell", "--via perf --stacks", "--via fax"]
)
def test_options_that_do_not_fit(shell: InteractiveShell, options: str) -> None:
    ran = Ran(shell, f"%%skbclone {options}\nprint('ran')")
    assert isinstance(ran.error, OptionError)
    assert "ran" not in ran.printed.splitlines()


def test_sums_in_a_cell(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = frames(calls=3)
    said[0] = control(Kind.HELLO, **hello(via="count"))
    said[2:5] = [Frame(Kind.TALLIES, tally())]
    Trace(said).save(tmp_path / "sums.skbt")
    monkeypatch.setenv("SKBNB_AGENT", f"replay:{tmp_path / 'sums.skbt'}")
    ran = Ran(shell, "%%skbclone --via count -o sums\npass")
    assert shell.user_ns["sums"]["clones"].tolist() == [3]
    assert len(ran.displayed) == 1
    assert "3 clones" in ran.displayed[0]["text/html"]


def test_a_terminal_has_nothing_live(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%skbclone --live\npass")
    assert len(ran.displayed) == 3


def test_a_cell_that_runs_again_closes_what_it_showed(shell: InteractiveShell) -> None:
    def widgets() -> int:
        return len(widget._instances)

    before = widgets()
    shell.run_cell("%%skbclone --panel\npass", cell_id="one")
    of_one = widgets()
    for _ in range(3):
        shell.run_cell("%%skbclone --panel\npass", cell_id="one")
        assert widgets() == of_one
    shell.run_cell("%%skbclone --panel\npass", cell_id="two")
    assert widgets() == before + 2 * (of_one - before)


# ------------------------------------------------------------------ %%funccount


@pytest.fixture
def counting_agent(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """An agent of three functions, two tracepoints and two system calls."""
    fake = Path(__file__).parents[1] / "fake_agent.py"
    agent = AgentTransport([sys.executable, "-I", str(fake), "good"])
    monkeypatch.setattr(notebook, "agent", lambda: agent)
    yield
    agent.kill()
    agent.close()


@pytest.mark.usefixtures("counting_agent")
def test_a_count_is_shown_and_kept(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%funccount '*' 'sys_*' -o counts\nprint('said')\n6 * 7")
    assert ran.error is None
    assert ran.result.result == 42
    assert "said" in ran.printed
    assert [sorted(data) for data in ran.displayed] == [
        ["text/html", "text/plain"],
        ["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"],
    ]
    assert "vfs_open" not in ran.displayed[0]["text/plain"]
    counts = shell.user_ns["counts"]
    assert counts["func"].tolist() == ["sys_read", "nft_do_chain", "vfs_read"]


@pytest.mark.usefixtures("counting_agent")
def test_a_quiet_count_of_all_that_matches(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%funccount -q --all -r ^vfs_ sys_read -o counts\npass")
    assert not ran.displayed
    assert not ran.printed
    assert shell.user_ns["counts"]["count"].tolist() == [1, 0]


@pytest.mark.usefixtures("counting_agent")
def test_a_cell_that_fails_still_shows_its_count(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%funccount vfs_*\n\n1 / 0")
    assert isinstance(ran.error, ZeroDivisionError)
    assert ran.error.__traceback__
    assert "0 calls of 0 functions" in ran.displayed[0]["text/plain"]
    assert Ran(shell, "%%funccount vfs_*\n1").error is None


@pytest.mark.usefixtures("counting_agent")
def test_a_count_around_another_magic(shell: InteractiveShell) -> None:
    ran = Ran(shell, "%%funccount vfs_*\n%%capture said\nprint('hidden')")
    assert ran.error is None
    assert "hidden" not in ran.printed
    assert shell.user_ns["said"].stdout == "hidden\n"


@pytest.mark.usefixtures("counting_agent")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("zzz*", "matches none of 3 functions"),
        ("", "PATTERN"),
        ("-r '('", "no regular expression"),
        ("--limit 1 vfs_*", "the limit is 1"),
        ("vfs_* -o 1", "no variable's name"),
    ],
)
def test_a_count_that_cannot_be_does_not_run_the_cell(
    shell: InteractiveShell, line: str, message: str
) -> None:
    ran = Ran(shell, f"%%funccount {line}\nran = 1")
    assert isinstance(ran.error, OptionError)
    assert message in str(ran.error)
    assert "ran" not in shell.user_ns
    assert "%%skbclone" not in str(ran.error)


def test_a_count_completes_its_own_options(shell: InteractiveShell) -> None:
    with provisionalcompleter():
        found = {c.text for c in shell.Completer.completions("%%funccount --", 14)}
    assert "--limit" in found
    assert "--snaplen" not in found


@pytest.mark.usefixtures("counting_agent")
def test_a_page_shows_how_far_attaching_is(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    ran = Ran(shell, "%%funccount vfs_* 'sys_*'\npass")
    assert ran.error is None
    assert ran.displayed[0]["text/html"].startswith("<progress value=")
    last = [data for data in ran.displayed if "<progress" in data.get("text/html", "")]
    assert last[-1]["text/plain"] == "attaching: 4 of 4"
