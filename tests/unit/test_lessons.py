# SPDX-License-Identifier: Apache-2.0
"""Lessons on recordings: they play, they check, and they show nobody else's traffic."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from skbnb import lessons, notebook
from skbnb.errors import LessonError
from skbnb.lessons import shelf, stage
from skbnb.lessons.catalogue import EXERCISES
from skbnb.lessons.experiments import EXPERIMENTS, Measured, measure
from skbnb.lessons.judging import _OTHERWISE, judge, same_again
from skbnb.lessons.shell import traced_name
from skbnb.lessons.stage import LESSONS
from skbnb.lessons.verdict import Line, Verdict
from skbnb.wire import Kind
from tests.lessons import player
from tests.lessons.answers import RIGHT, WRONG
from tests.lessons.inside import OURS

RECORDINGS = lessons.recordings()
FOUND = {exercise.name: exercise for exercise in EXERCISES}
HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m'


@pytest.fixture(autouse=True)
def nothing_begun() -> Iterator[None]:
    yield
    notebook.stand_in(None)
    vars(stage)["_lesson"] = None


@pytest.fixture(params=RECORDINGS)
def recording(request: pytest.FixtureRequest) -> str:
    """One of the recordings that are shipped, and a lesson on it."""
    name: str = request.param
    lessons.begin(LESSONS[0], name)
    return name


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: lessons.begin("7-what-then"), LESSONS),
        (lambda: lessons.begin("3-what-the-number-means"), ["Did you mean 3-what-"]),
        (lambda: lessons.begin(LESSONS[0], "2.4-kprobe"), RECORDINGS),
        (lambda: lessons.check("udp"), list(FOUND)),
        (lambda: lessons.check("two-page", 9), ["Did you mean two-pages?"]),
        (lambda: lessons.exercises("7-what-then"), LESSONS),
    ],
)
def test_a_name_that_there_is_not(call: Any, names: list[str]) -> None:
    with pytest.raises(LessonError) as raised:
        call()
    assert all(name in str(raised.value) for name in names)


def test_a_hostile_name_is_text() -> None:
    with pytest.raises(LessonError, match="there is no exercise") as raised:
        lessons.check(HOSTILE)
    assert "\x1b" not in str(raised.value)


def test_another_kind_of_answer() -> None:
    for name, answer in [
        ("two-pages", "nine"),
        ("two-pages", True),
        ("path-of-multicast", 6),
        ("steps-of-two-pages", "SYN"),
        ("steps-of-two-pages", [1, 2]),
        ("again", "curl"),
    ]:
        with pytest.raises(LessonError, match=f"{name} takes a"):
            lessons.check(name, answer)


def test_every_exercise_is_of_a_lesson_and_measures_something() -> None:
    table = lessons.exercises()
    assert list(table["exercise"]) == list(FOUND)
    assert len(FOUND) == len(EXERCISES)
    assert set(table["lesson"]) <= set(LESSONS)
    measured = {exercise.experiment for exercise in EXERCISES}
    assert measured - {""} == set(EXPERIMENTS)
    one = lessons.exercises(LESSONS[0])
    assert 0 < len(one) < len(table)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("%%skbclone -o clones\n!curl", "clones"),
        ("%%skbclone --follow --output=ends -q\npass", "ends"),
        ("%skbclone -oclones !curl", "clones"),
        ("%%skbclone\npass", None),
        ("print(1)\n%%skbclone -o clones", None),
        ("%%skbclones -o clones", None),
    ],
)
def test_the_name_that_a_cell_gives(cell: str, name: str | None) -> None:
    assert traced_name(cell) == name


def test_the_lessons_are_slow_to_import_only_when_they_are_used() -> None:
    code = "import sys, skbnb.lessons; print({'pandas', 'IPython'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


# ------------------------------------------------------------------ answers


def test_a_question_is_shown_and_nothing_measured() -> None:
    question = lessons.check("two-pages")
    assert not question.passed
    assert stage.current() is None
    assert "keeps the connection open" in repr(question)
    assert lessons.check("two-pages", ...) == question
    assert "two-pages" in question._repr_mimebundle_()["text/html"]


def test_right_answers(recording: str) -> None:
    for name, answer in RIGHT.items():
        verdict = lessons.check(name, answer)
        assert verdict.passed, verdict
        assert ": right\n" in repr(verdict)
        assert "recorded on Linux" in repr(verdict)
        assert "≠" not in repr(verdict), verdict


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_wrong_answers(name: str, answer: Any, words: str, recording: str) -> None:
    verdict = lessons.check(name, answer)
    assert not verdict.passed
    assert words in " ".join(repr(verdict).split()), verdict
    assert "\x1b" not in repr(verdict)


def test_all_packets_are_not_all_clones(recording: str) -> None:
    for name, words in [
        ("clones-of-a-fetch", "how many packets were sent"),
        ("two-pages", "are acknowledgements"),
    ]:
        sent = measure(FOUND[name].experiment).sent
        assert words in " ".join(repr(lessons.check(name, sent)).split())
    sniffed = measure("fetch-sniffed-twice").count()
    assert "packets together" in repr(lessons.check("two-sniffers", sniffed))


def test_the_probe_that_was_taken(recording: str) -> None:
    probe = recording.partition("-")[2]
    assert lessons.check("probe-here", probe).passed
    verdict = lessons.check("probe-here", "smoke")
    assert not verdict.passed
    assert "another one" in repr(verdict)


def test_traffic_of_ones_own_is_not_run_where_it_is_not_traced(recording: str) -> None:
    ran: list[int] = []
    verdict = lessons.check("again", lambda: ran.append(1))
    assert verdict.passed
    assert not ran
    assert "your function was not run" in repr(verdict)


def test_two_traces_that_differ(recording: str) -> None:
    fetch, two, none = measure("fetch"), measure("fetch-two"), measure("udp")
    sniffed, multicast = measure("fetch-sniffed-twice"), measure("multicast")

    def words(first: Measured, second: Measured) -> str:
        lines = tuple(same_again(first, second))
        assert not all(line.ok for line in lines)
        return words_of(lines)

    assert all(line.ok for line in same_again(fetch, fetch))
    assert words(fetch, two) == _OTHERWISE["data"]
    assert _OTHERWISE["SYN"] in words(fetch, none)
    assert _OTHERWISE["FIN"] in words(none, fetch)
    assert re.search(r"sniffer \d+ and sniffer \d+ sniff lo", words(fetch, sniffed))
    assert re.search(r"sniffer \d+ and sniffer \d+ sniff lo", words(sniffed, fetch))
    assert "other receivers" in words(none, multicast)
    assert "Your function made none" in words(none, none)


def words_of(lines: tuple[Line, ...]) -> str:
    return " ".join(filter(None, (line.why for line in lines)))


def test_a_sniffer_that_nobody_expected_is_named(recording: str) -> None:
    lines = judge(FOUND["clones-of-a-fetch"], 6, measure("fetch-sniffed-twice"))
    assert all(line.ok for line in lines)
    assert re.search(r"sniffer \d+ and sniffer \d+ sniff lo", words_of(lines))


def test_what_else_a_kernel_may_do_otherwise(recording: str) -> None:
    exercise = FOUND["clones-of-a-fetch"]
    events = measure("fetch").events

    def why(events: Any, **about: Any) -> str:
        said = {"skbnb": {**measure("fetch").about, **about}}
        events = events.copy()
        events.attrs = said
        return words_of(judge(exercise, 6, Measured(events, "here")))

    assert why(events) == ""
    assert "2 calls lost" in why(events[:-1], lost=2, lost_by={"full": 2})
    assert "too early: cut" in why(events[:-1], truncated="cut")
    assert "1 clone fewer than on the kernels" in why(events[:-1])
    failed = events.assign(kind=["clone"] * 5 + ["failed"])
    assert "1 call of skb_clone() gave NULL" in why(failed)
    again = events.assign(detail=["SYN", "again", "data", "data", "data", "FIN"])
    assert "No acknowledgement came in time" in why(again)


def test_a_verdict_is_text_everywhere() -> None:
    lines = (Line(HOSTILE, HOSTILE, HOSTILE, HOSTILE, ok=False),)
    bundle = Verdict("name", HOSTILE, lines)._repr_mimebundle_()
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]
    assert "<img" not in bundle["text/html"]


# ------------------------------------------------------------------ recordings


def test_recordings_hold_all_that_the_lessons_trace() -> None:
    wanted = {"experiments": sorted(EXPERIMENTS)}
    for lesson in LESSONS:
        names = map(traced_name, player.cells(lesson))
        wanted[lesson] = sorted({name for name in names if name})
    wanted = {folder: names for folder, names in wanted.items() if names}
    for name in RECORDINGS:
        assert shelf.recording(name).names == wanted


# Column of a trace, and what may be in it.
SHOWN: dict[str, set[object]] = {
    "comm": {*OURS},
    "owner_comm": {*OURS},
    "uid": {0},
    "saddr": {"127.0.0.1"},
    "daddr": {"127.0.0.1", "239.1.2.3"},
    "dev": {"lo"},
    "netns_name": set(),
    "container": set(),
    "cgroup": {"/"},
}


def test_recordings_hold_only_what_the_lessons_sent(recording: str) -> None:
    archive = shelf.recording(recording)
    for folder, names in archive.names.items():
        for name in names:
            trace = archive.trace(folder, name)
            rows = trace.select("all")
            assert "comm" in rows
            for column in SHOWN.keys() & set(rows):
                shown = set(rows[column].dropna())
                assert shown <= SHOWN[column], (folder, name, column)
            said = {
                frame.kind: frame.fields for frame in trace.frames if controls(frame)
            }
            sniffers = said.get(Kind.TAPS, {"sockets": []})["sockets"]
            assert {tap["comm"] for tap in sniffers} <= {"sniffer"}
            symbols = said.get(Kind.SYMBOLS, {"netns": {}, "cgroups": {}})
            assert symbols["netns"] == {}
            assert set(symbols["cgroups"].values()) <= {"/"}
            # Nothing that reads as a path, but the one of the control group.
            text = json.dumps(list(said.values())).replace('"1": "/"', "")
            assert not re.search(r"/\w", text), text


def controls(frame: Any) -> bool:
    return frame.kind in (Kind.HELLO, Kind.SYMBOLS, Kind.TAPS, Kind.STATS, Kind.END)


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_on_each_recording(lesson: str, recording: str) -> None:
    for _, shown in player.play(lesson, recording):
        if isinstance(shown, stage.Lesson):
            assert not shown.live
            assert repr(shown).startswith("RECORDED: ")
            assert shelf.recording(recording).words in repr(shown)


def test_a_name_that_was_not_recorded() -> None:
    lessons.begin(LESSONS[0], RECORDINGS[0])
    archive = shelf.recording(RECORDINGS[0])
    with pytest.raises(LessonError, match=r"no recording 'mine'.*one of clones"):
        archive.trace(LESSONS[0], "mine")


# ------------------------------------------------------------------ notebooks


def test_each_lesson_ends_with_its_exercises() -> None:
    for lesson in LESSONS:
        code = "\n".join(player.cells(lesson))
        asked = re.findall(r'lessons\.check\("([\w-]+)", \.\.\.\)', code)
        assert asked == list(lessons.exercises(lesson)["exercise"]), lesson
        assert f'lessons.begin("{lesson}", RECORDING)' in code


def test_a_translation_has_the_same_code() -> None:
    for path in sorted((player.FOLDER / "zh").glob("*.ipynb")):
        assert player.cells(f"zh/{path.stem}") == player.cells(path.stem)


def test_pictures_are_beside_the_notebooks() -> None:
    for path in player.FOLDER.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells)
        for words, picture in re.findall(r"!\[(.*?)\]\((.*?)\)", text):
            assert words
            assert (path.parent / picture).is_file(), picture
