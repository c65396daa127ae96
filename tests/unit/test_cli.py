# SPDX-License-Identifier: Apache-2.0
"""``skbnb`` in a shell, on a recording. The live twin is tests/live/test_cli.py."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import skbnb
from skbnb.agent.__main__ import read_source
from skbnb.agent.compiler import expand
from skbnb.agent.probes import PROBES, candidates
from skbnb.agent.ways import WAYS
from skbnb.cli import completion, main, parser
from skbnb.cli.lines import Lines
from skbnb.schema import RECORD
from skbnb.traces import Selection, Trace
from skbnb.views import CALL_TITLES
from skbnb.wire import Frame, Kind, control
from tests.records import absent, frames, hello, record

SKBNB = (sys.executable, "-m", "skbnb")
HOSTILE = b"\x1b]0;x\x07\xe2\x80\xae"
CELL, OTHER = 3, 1
RECORDS = [record(ts=2_000 + 1_000 * i, count=i + 1, pid=42 + i // 3) for i in range(4)]


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "curl.skbt"
    Trace(frames(*RECORDS)).save(path)
    monkeypatch.setenv("SKBNB_AGENT", f"replay:{path}")
    return path


def ran(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SKBNB, *arguments], capture_output=True, text=True, **options
    )


# ------------------------------------------------------------------ without a trace


def test_help_and_version_are_fast() -> None:
    code = (
        "import sys\nfrom skbnb.cli import main\ntry: main(['run', '--help'])\n"
        "except SystemExit: pass\nprint(*{n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "skbnb" in loaded
    assert not loaded & {"numpy", "pandas", "IPython", "plotly", "ipywidgets"}
    assert ran("--version").stdout == f"skbnb {skbnb.__version__}\n"
    notebook = "In a notebook: %load_ext skbnb, then %%skbclone over a cell."
    assert notebook in ran("--help").stdout


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).with_name("skbnb")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == f"skbnb {skbnb.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "--nope", "true"], "unrecognized arguments: --nope"),
        (["run", "--probe", "magic", "true"], "invalid choice: 'magic'"),
        (["source", "auto"], "invalid choice: 'auto'"),
    ],
)
def test_what_cannot_be_parsed(arguments: list[str], words: str) -> None:
    done = ran(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("via", WAYS)
@pytest.mark.parametrize("name", [probe.name for probe in PROBES])
def test_the_source_is_what_the_agent_compiles(
    via: str,
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["source", "--via", via, name]) == 0
    printed = capsys.readouterr().out
    # The agent has the C files in its package.
    monkeypatch.setattr(
        "pkgutil.get_data",
        lambda _, path: (Path(skbnb.__file__).parents[1] / path).read_bytes(),
    )
    (probe,) = candidates(name)
    assert printed == expand(WAYS[via].source(probe), read_source) + "\n"
    assert "SKB_CLONE_START" in printed
    assert "#include" not in re.sub(r"#include <.*>", "", printed)


# ------------------------------------------------------------------ the lines


def begin(**changes: Any) -> list[Frame]:
    return [
        control(Kind.HELLO, **hello(**changes)),
        control(Kind.READY, ts=1_000, base=7),
    ]


def events(*records: bytes) -> Frame:
    return Frame(Kind.EVENTS, b"".join(records))


def test_lines_are_the_handbooks() -> None:
    lines = Lines(Selection("all"))
    come = [*begin(), events(record(ts=5_000_000, count=8, pid=42))]
    assert lines.take(come) == [
        CALL_TITLES,
        "0.000000     curl             42       1",
    ]
    come.append(
        events(
            record(ts=9_000_000, count=10, comm=b"x", kind=2),
            record(ts=7_500_000, count=9),
        )
    )
    assert lines.take(come) == [
        "0.002500     curl             42       2",
        "0.004000     x                42       3 failed",
    ]
    assert lines.take(come) == []


def test_a_call_without_a_number() -> None:
    lines = Lines(Selection("all"))
    made = lines.take([*begin(), events(record(**absent()))])
    assert made[1].split() == ["0.000000", "curl", "42", "-"]


def test_only_so_many_at_a_time_and_the_others_are_counted() -> None:
    lines = Lines(Selection("all"), most=3)
    many = [record(ts=1_000_000 * i, count=8 + i) for i in range(1_500)]
    come = [*begin(), events(*many[:700]), events(*many[700:])]
    made = lines.take(come)
    assert [line.split()[-1] for line in made[1:4]] == ["1", "2", "3"]
    assert made[4:] == ["... 1,497 more"]
    # Another time may have as many.
    assert len(lines.take([*come, events(*many[:2])])) == 2


@pytest.mark.parametrize(
    ("selection", "pids"),
    [
        (Selection(), [1, 3]),
        (Selection("notebook"), [1, 3, 4]),
        (Selection("all"), [1, 2, 3, 4]),
        (Selection(pid=2), [2]),
        (Selection(comm="dig"), [2, 3]),
        (Selection("cell", comm="dig"), [3]),
        (Selection(comm=r"\x1b]0;x\x07\u202e"), [4]),
        (Selection(comm="no"), []),
    ],
)
def test_the_selection_is_that_of_the_trace(
    selection: Selection, pids: list[int]
) -> None:
    come = [
        record(ts=2_000, pid=1, scope=CELL, comm=b"curl"),
        record(ts=2_001, pid=2, scope=OTHER, comm=b"dig"),
        record(ts=2_002, pid=3, scope=CELL, comm=b"dig"),
        record(ts=2_003, pid=4, scope=2, comm=HOSTILE),
        record(ts=2_004, pid=1, scope=CELL, kind=3),  # is no call
    ]
    made = Lines(selection).take([*begin(), events(*come)])
    assert [int(line.split()[2]) for line in made[1:]] == pids
    trace = Trace(frames(*come), selection=selection)
    assert trace.events["pid"].tolist() == pids


def test_names_are_text() -> None:
    made = Lines(Selection("all")).take([*begin(), events(record(comm=HOSTILE))])
    assert all(line.isprintable() for line in made)
    assert r"\x1b]0;x\x07\u202e" in made[1]


def test_lines_take_the_stride_of_the_stream() -> None:
    wide = RECORD.itemsize + 24
    one = record(pid=77)[8:]
    payload = bytes(16) + one + bytes(8)
    come = [*begin(stride=wide, offset=16), Frame(Kind.EVENTS, payload * 2)]
    made = Lines(Selection("all")).take(come)
    assert [line.split()[2] for line in made[1:]] == ["77", "77"]


# ------------------------------------------------------------------ run


@pytest.mark.usefixtures("recording")
def test_run_shows_the_calls_and_the_receipt_and_leaves_the_rest_to_the_command() -> (
    None
):
    done = ran("run", "--", "sh", "-c", "cat; echo said >&2", input="was read")
    assert done.returncode == 0
    assert done.stdout == "was read"
    lines = done.stderr.splitlines()
    assert lines[:6] == [
        "said",
        CALL_TITLES,
        *(
            f"{i / 1e6:<12.6f} curl             {42 + i // 3:<8} {i + 1}"
            for i in range(4)
        ),
    ]
    assert lines[-1].startswith("4 clones in ")
    assert re.search(r"curl +42 +3 ", done.stderr)


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -KILL $$"], 128 + 9),
        (["sh", "-c", "kill -PIPE $$"], 128 + 13),
    ],
)
def test_the_exit_status_is_the_commands(command: list[str], status: int) -> None:
    done = ran("run", *command)
    assert done.returncode == status
    assert "4 clones in " in done.stderr


@pytest.mark.usefixtures("recording")
def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = ran("run", "--", "no-such-command", "-x")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "skbnb: no-such-command: command not found\n"
    plain = tmp_path / "plain"
    plain.write_text("no program")
    done = ran("run", str(plain))
    assert (done.returncode, done.stdout) == (126, "")
    assert done.stderr == f"skbnb: {plain}: cannot be executed\n"
    plain.chmod(0o755)
    done = ran("run", "-q", str(plain))
    assert done.returncode == 126
    assert done.stderr == f"skbnb: {plain}: Exec format error\n"


@pytest.mark.usefixtures("recording")
def test_nothing_was_cloned() -> None:
    done = ran("run", "--comm", "no", "true")
    assert done.stderr.startswith("0 clones in ")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("recording")
def test_the_words_of_the_command_are_its_own() -> None:
    for dashes in ([], ["--"]):
        done = ran("run", "-q", *dashes, "echo", "--scope", "all", "--", "-o", "x")
        assert done.stdout == "--scope all -- -o x\n"
        assert done.stderr == ""


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "there is no command to run. As in skbnb run -- curl URL."),
        (["run", "--"], "there is no command to run. As in skbnb run -- curl URL."),
        (
            ["run", "--pid", "4194304", "true"],
            "no process has the id 4194304. Look it up with `ps`.",
        ),
        (
            ["run", "--max-events", "0", "true"],
            "max_events is 0, not a whole number above zero. See skbnb run --help.",
        ),
        (
            ["run", "-o", "x.doc", "true"],
            "x.doc has none of the endings .skbt, .csv, .html, .json, .parquet, "
            ".pcapng, /. Choose one.",
        ),
        (
            ["run", "-o", "/no/where.csv", "true"],
            "cannot write /no/where.csv: No such file or directory. Choose another "
            "file.",
        ),
        (["run", "-o", "x.pcapng", "true"], "has no packets. Say --snaplen N, too."),
        (["run", "-o", "./", "true"], "./ is not empty. Choose another folder."),
        (["run", "-o", "there/", "true"], "there/ is no folder. Choose another one."),
        (["show", "-o", "./", "there"], "./ is not empty. Choose another folder."),
        (["show", "-o", "x.doc", "there"], "x.doc has none of the endings .skbt, "),
    ],
)
def test_options_of_no_use_are_one_line(
    arguments: list[str], words: str, recording: Path
) -> None:
    folder = recording.parent / "folder"
    folder.mkdir()
    (folder / "there").write_bytes(recording.read_bytes())
    done = ran(*arguments, cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("skbnb: ")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_traced_is_not_run(tmp_path: Path) -> None:
    environment = {**os.environ, "SKBNB_AGENT": "replay:/no/such/file"}
    saved, made = tmp_path / "saved.csv", tmp_path / "ran"
    done = ran("run", "-o", str(saved), "touch", str(made), env=environment)
    assert done.returncode == 125
    assert done.stderr.startswith("skbnb: cannot read /no/such/file: No such file")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def save_as(form: str, recording: Path, *options: str) -> Path:
    name = f"{recording.parent}/saved{form}"
    done = ran("run", "-q", "-o", name, *options, "true")
    assert (done.returncode, done.stderr) == (0, "")
    return Path(name)


READERS: dict[str, Callable[[Path], int]] = {
    ".skbt": lambda path: len(skbnb.load(path).events),
    ".csv": lambda path: len(pd.read_csv(path)),
    ".parquet": lambda path: len(pd.read_parquet(path)),
    "/": lambda path: len(pd.read_parquet(path)),
    ".html": lambda path: path.read_text().count('<th scope="row">curl</th>') + 2,
    ".json": lambda path: sum(
        event["ph"] == "X" for event in json.loads(path.read_text())["traceEvents"]
    ),
}


@pytest.mark.parametrize("form", READERS)
def test_a_trace_is_saved_in_each_form(form: str, recording: Path) -> None:
    assert READERS[form](save_as(form, recording)) == 4


@pytest.mark.parametrize("form", READERS)
def test_a_recording_is_written_in_each_form(form: str, recording: Path) -> None:
    name = f"{recording.parent}/written{form}"
    done = ran("show", str(recording), "-o", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert READERS[form](Path(name)) == 4


def test_what_is_chosen_is_saved_but_a_recording_is_whole(recording: Path) -> None:
    assert READERS[".csv"](save_as(".csv", recording, "--comm", "no")) == 0
    assert READERS[".skbt"](save_as(".skbt", recording, "--comm", "no")) == 4


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start skbnb in a process group of its own, with a command that says ``go``."""
    process = subprocess.Popen(
        [*SKBNB, "run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "go\n"
    return process


SLEEPER = ("sh", "-c", "echo go; exec sleep 60")


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_what_a_terminal_sends_ends_the_command_and_then_the_trace(
    number: signal.Signals,
) -> None:
    process = started(*SLEEPER)
    os.killpg(process.pid, number)
    _, said = process.communicate()
    assert process.returncode == 128 + number
    assert said.splitlines()[-1].startswith("4 clones in ")
    assert "Traceback" not in said


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_sent_to_us_alone_is_relayed(number: signal.Signals) -> None:
    process = started(*SLEEPER)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 128 + number
    assert said.splitlines()[-1].startswith("4 clones in ")


@pytest.mark.usefixtures("recording")
def test_a_command_that_minds_no_interrupt_is_waited_for() -> None:
    process = started("sh", "-c", "trap 'echo minded' INT; echo go; sleep 1; exit 5")
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate()
    assert (process.returncode, out) == (5, "minded\n")
    assert "4 clones in " in said


@pytest.mark.usefixtures("recording")
def test_nobody_reads_what_we_say() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*SKBNB, "run", "sh", "-c", "sleep 0.3; echo out; exit 4"],
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stdout) == (4, "out\n")


@pytest.mark.usefixtures("recording")
def test_open_files_are_the_commands(tmp_path: Path) -> None:
    script = f'"$@" 9>{tmp_path}/nine'
    run = [*SKBNB, "run", "-q", "sh", "-c", "echo x >&9"]
    done = subprocess.run(["sh", "-c", script, "sh", *run])
    assert done.returncode == 0
    assert (tmp_path / "nine").read_text() == "x\n"


def test_a_trace_that_is_cut_short_is_said(recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[:-10])
    done = ran("run", "true")
    assert "TRUNCATED" in done.stderr
    done = ran("run", "-q", "true")
    assert done.stderr.startswith("skbnb: warning: the trace is truncated: ")
    assert done.stderr.count("\n") == 1


# ------------------------------------------------------------------ show


def test_show(recording: Path) -> None:
    done = ran("show", recording)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(CALL_TITLES)
    assert "\n4 clones in " in done.stdout
    assert re.search(r"curl +43 +1 ", done.stdout)
    chosen = ran("show", recording, "--pid", "43").stdout
    assert "\n1 clone in " in chosen
    assert "only pid 43" in chosen


def test_show_what_is_no_recording(recording: Path) -> None:
    done = ran("show", "/no/\x1b[31mfile")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(r"skbnb: cannot read /no/\x1b[31mfile: No such file")
    done = ran("show", __file__)
    assert done.returncode == 1
    assert done.stderr.startswith("skbnb: not a skbnb stream: ")
    recording.write_bytes(recording.read_bytes()[:-10])
    done = ran("show", recording)
    assert done.returncode == 0
    assert done.stderr.startswith("skbnb: warning: ")
    assert "TRUNCATED" in done.stdout


def test_names_are_text_in_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "hostile.skbt"
    Trace(frames(record(comm=HOSTILE, dev=HOSTILE))).save(path)
    done = ran("show", path)
    assert r"\x1b]0;x\x07\u202e" in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_a_terminal_without_our_letters(recording: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = ran("show", recording, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 clones in " in done.stdout


@pytest.mark.parametrize("arguments", [["source", "fentry"], ["completion", "bash"]])
def test_whoever_reads_may_stop(arguments: Sequence[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*SKBNB, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


# ------------------------------------------------------------------ completion

COMPLETED = [
    (
        "skbnb ",
        {"run", "show", "source", "doctor", "completion"}
        | {"install-agent", "uninstall-agent"},
    ),
    ("skbnb so", {"source"}),
    ("skbnb --v", {"--version"}),
    ("skbnb run --max-", {"--max-events", "--max-seconds"}),
    ("skbnb run --scope ", {"cell", "notebook", "all"}),
    ("skbnb run --scope=", {"cell", "notebook", "all"}),
    ("skbnb run --scope=no", {"notebook"}),
    ("skbnb run -q --probe tr", {"tracepoint"}),
    ("skbnb run --pid ", set()),
    ("skbnb source ", {"fentry", "kprobe", "tracepoint"}),
    ("skbnb doctor -", {"-h", "--help", "--json"}),
    ("skbnb completion ", {"bash"}),
    ("skbnb show rec", {"recording.skbt"}),
    ("skbnb show --scope all rec", {"recording.skbt"}),
    ("skbnb run -o rec", {"recording.skbt"}),
    ("skbnb run my-comm", {"my-command"}),
    ("skbnb run --scope all my-comm", {"my-command"}),
    ("skbnb run --scope=all -- my-comm", {"my-command"}),
    ("skbnb run -- my-command rec", {"recording.skbt"}),
    ("skbnb run my-command --scope rec", {"recording.skbt"}),
]

# What readline does before it calls the function: bash makes words at = and spaces.
_ASK = """
source "$1"
read -ra COMP_WORDS <<<"${2//=/ = }"
[[ $2 == *[\\ =] && $2 != *= ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_skbnb
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(("line", "wanted"), COMPLETED)
def test_completion(line: str, wanted: set[str], tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion.script(parser.make()))
    (tmp_path / "recording.skbt").touch()
    (tmp_path / "my-command").touch(mode=0o755)
    done = subprocess.run(
        ["bash", "-c", _ASK, "bash", tmp_path / "script", line],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == wanted
    assert done.stderr == ""
