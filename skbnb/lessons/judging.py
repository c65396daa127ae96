# SPDX-License-Identifier: Apache-2.0
"""An answer beside a measurement: which step differs, and why."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import sniffers
from ..errors import LessonError
from ..facts import Facts
from ..units import counted, listed, printable
from .catalogue import Exercise, Part, Takes
from .experiments import Measured
from .verdict import Line

__all__ = ["accept", "judge", "same_again"]


def judge(exercise: Exercise, answer: Any, measured: Measured) -> tuple[Line, ...]:
    """Compare an answer with what was measured, step by step."""
    return (
        *(_step(part, measured) for part in exercise.parts),
        *_JUDGES[exercise.takes](exercise, answer, measured),
    )


# ------------------------------------------------------------------ what was measured


def _step(part: Part, measured: Measured) -> Line:
    """Whether the kernel did what the lesson says; no answer is wrong if not."""
    expected, came = part.number(measured), measured.count(**part.where)
    why = "" if came == expected else _cause(part, measured, came - expected)
    return Line(part.words, f"{expected:,}", f"{came:,}", why)


def _cause(part: Part, measured: Measured, more: int) -> str:
    """Why there were more or fewer clones than the lesson expects."""
    return next(words for words in _causes(part, measured, more) if words)


def _causes(part: Part, measured: Measured, more: int) -> Iterator[str]:
    """Everything that it may be, the surest first; empty where it is not that."""
    about = measured.about
    if about["truncated"]:
        yield f"The trace ended too early: {about['truncated']}."
    if about["lost"]:
        why = Facts.of(measured.events).why_lost
        yield f"{counted(about['lost'], 'call')} lost: {why}."
    if part.where.get("reason") == "tap-transmit" or not part.where:
        yield _sniffed(measured)
    if part.where.get("detail") == "again" and more > 0:
        yield "No acknowledgement came in time, so TCP sent it again, in a new clone."
    failed = int((measured.events["kind"] == "failed").sum())
    if more < 0 and failed:
        yield f"{counted(failed, 'call')} of skb_clone() gave NULL: no memory."
    rows = measured.rows(**part.where)
    named = (
        listed(sorted(set(map(str, rows["reason"].dropna()))))
        if "reason" in rows
        else ""
    )
    yield (
        f"{counted(abs(more), 'clone')} {'fewer' if more < 0 else 'more'} than on the "
        f"kernels that this was tried on{f' (reason: {named})' if named else ''}."
    )


def _sniffed(measured: Measured) -> str:
    """Who sniffs, if there are clones for sniffers."""
    rows = np.flatnonzero((measured.events["reason"] == "tap-transmit").to_numpy())
    if not len(rows):
        return ""
    here = sniffers.Sniffers.of(measured.events)
    where = sniffers.places(measured.events, rows)
    who = sniffers.say("tap-transmit", where, here, sniffers.Sniffers([]), past=False)
    return f"{who}. The kernel makes one more clone of each packet that is sent there."


# ------------------------------------------------------------------ the answer


def accept(exercise: Exercise, answer: Any) -> None:
    """Raise LessonError if an answer is not of the kind that an exercise takes."""
    kind = exercise.takes
    if not _ACCEPTED[kind](answer):
        given = printable(type(answer).__name__, 40)
        example = f'lessons.check("{exercise.name}", {_EXAMPLES[kind]})'
        raise LessonError(
            f"{exercise.name} takes {kind.value}, and this is {given}",
            f"As in {example}.",
        )


def _is_number(answer: object) -> bool:
    return isinstance(answer, (int, np.integer)) and not isinstance(answer, bool)


def _is_names(answer: object) -> bool:
    return isinstance(answer, (list, tuple)) and all(isinstance(n, str) for n in answer)


_ACCEPTED: dict[Takes, Callable[[Any], bool]] = {
    Takes.NUMBER: _is_number,
    Takes.NAME: lambda answer: isinstance(answer, str),
    Takes.NAMES: _is_names,
    Takes.FUNCTION: callable,
}

_EXAMPLES = {
    Takes.NUMBER: "42",
    Takes.NAME: '"name"',
    Takes.NAMES: '["first", "second"]',
    Takes.FUNCTION: "lambda: ...",
}


def _number(exercise: Exercise, answer: int, measured: Measured) -> Iterator[Line]:
    right, near = exercise.right(measured), exercise.near
    ok = right / near <= answer <= right * near
    words = f"{right:,}" if near == 1 else f"near {right:,}"
    why = "" if ok else _slip(exercise, answer, measured, _add_up(exercise, measured))
    yield Line("your answer", words, f"{answer:,}", why, ok)


def _slip(exercise: Exercise, answer: Any, measured: Measured, otherwise: str) -> str:
    """Why an answer is wrong."""
    fits = (slip for slip in exercise.slips if slip.when(answer, measured))
    slip = next(fits, None)
    return slip.why(answer, measured) if slip else otherwise


def _add_up(exercise: Exercise, measured: Measured) -> str:
    steps = [
        f"{measured.count(**part.where)} {part.words}"
        for part in exercise.parts
        if measured.count(**part.where)
    ]
    return f"There were {listed(steps)}." if steps else "There was none."


def _name(exercise: Exercise, answer: str, measured: Measured) -> Iterator[Line]:
    right = exercise.right(measured)
    ok = answer in right
    why = "" if ok else _slip(exercise, answer, measured, "It is another one.")
    yield Line("your answer", listed(right), printable(answer, 40), why, ok)


def _names(exercise: Exercise, answer: list[str], m: Measured) -> Iterator[Line]:
    right, names = exercise.right(m), [printable(name, 40) for name in answer]
    matcher = difflib.SequenceMatcher(None, right, names, autojunk=False)
    said = ""
    for how, low, high, start, end in matcher.get_opcodes():
        pairs = itertools.zip_longest(right[low:high], names[start:end], fillvalue="")
        for number, (expected, came) in enumerate(pairs, low + 1):
            step = f"clone {number}" if expected else "no clone"
            ok = how == "equal"
            why = "" if ok else _why(exercise, expected, came)
            # The same need not be said of each of several in a row.
            yield Line(step, expected, came, why if why != said else "", ok)
            said = why


def _why(exercise: Exercise, expected: str, came: str) -> str:
    """Why one name of a list is wrong: what is said of it, or of what it should be."""
    words = (exercise.names.get(came), exercise.names.get(expected))
    return next(filter(None, words), "No clone has that name.")


_JUDGES: dict[Takes, Callable[[Exercise, Any, Measured], Iterator[Line]]] = {
    Takes.NUMBER: _number,
    Takes.NAME: _name,
    Takes.NAMES: _names,
}


# ------------------------------------------------------------------ twice the same


def same_again(first: Measured, second: Measured) -> Iterator[Line]:
    """Compare two traces of the same traffic, reason by reason."""
    numbers = [m.rows()["reason"].value_counts() for m in (first, second)]
    for reason in sorted({str(name) for number in numbers for name in number.index}):
        once, again = (int(number.get(reason, 0)) for number in numbers)
        if once or again:
            why = "" if once == again else _change(reason, first, second)
            yield Line(reason, f"{once:,}", f"{again:,}", why, once == again)
    if not (first.count() or second.count()):
        yield Line("clones of any kind", "some", "0", _NOTHING, ok=False)


_NOTHING = (
    "Your function made none. Did it send anything, from this process or one that it "
    "starts? UDP to one receiver is not cloned, nor is what goes over a Unix socket."
)


def _change(reason: str, first: Measured, second: Measured) -> str:
    """Why there were not as many clones for a reason the second time."""
    if reason == "tap-transmit":
        return max(map(_sniffed, (first, second)), key=len)
    if reason != "tcp-transmit":
        return "The same traffic met other receivers."
    changed = [
        words
        for detail, words in _OTHERWISE.items()
        if first.count(detail=detail) != second.count(detail=detail)
    ]
    return " ".join(changed)


_OTHERWISE = {
    "SYN": "Not as many connections were opened.",
    "data": "The data went out in other pieces: when an acknowledgement comes decides "
    "how much waits, and is sent together.",
    "FIN": "Not as many connections were closed while it was traced.",
    "again": "Something was sent again, as no acknowledgement came in time.",
}
