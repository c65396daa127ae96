# SPDX-License-Identifier: Apache-2.0
"""Where a lesson plays: on the running kernel, or on recordings, and says which."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from .. import notebook
from ..errors import AgentError
from ..transport import ReplayTransport
from ..units import listed, printable
from . import shelf, shell
from .words import unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

__all__ = ["LESSONS", "Lesson", "begin", "current", "measured", "recorded"]

ETH_P_ALL = 3
LO = 1  # the number of loopback, in every network namespace

LESSONS = (
    "1-what-an-skb-is",
    "2-the-handbook",
    "3-what-the-numbers-mean",
    "4-races-and-thread-ids",
    "5-probes",
    "6-your-own-traffic",
)
"""The lessons, in the order in which they are read."""


@dataclass(frozen=True, repr=False)
class Lesson:
    """A lesson that has begun; made by `begin`.

    Attributes
    ----------
    name
        Which of `LESSONS`.
    recording
        What is shown in the kernel's place; None where the lesson is live.
    why
        Why it is not live.
    probe
        The probe that sees the clones of a live lesson.
    sniffed
        Who sniffs loopback anyway, in words: there, every packet sent is cloned once
        more.
    """

    name: str
    recording: shelf.Recording | None
    why: str = ""
    probe: str = ""
    sniffed: str = ""

    @property
    def live(self) -> bool:
        """Whether it traces the running kernel."""
        return self.recording is None

    def _sentences(self) -> tuple[str, str]:
        if not self.recording:
            more = f" {self.sniffed}: expect more clones." if self.sniffed else ""
            return "LIVE", f"Every trace below is {measured(self.probe)}.{more}"
        others = [name for name in shelf.recordings() if name != self.recording.name]
        return (
            "RECORDED",
            f"Every trace below was {recorded(self.recording)}: {printable(self.why)}. "
            f"Other recordings: {listed(others) or 'none'}.",
        )

    def __repr__(self) -> str:
        return ": ".join(self._sentences())

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        from ..views import CLASSES, STYLE, bundle

        word, sentence = self._sentences()
        colour = "#0072b2" if self.live else "#d55e00"
        html = (
            f'<div class="{CLASSES}"><style>{STYLE}</style>\n'
            f'<p style="border-left: 6px solid {colour}; padding: 6px 12px">'
            f"<b>{word}.</b> {escape(sentence)}</p></div>\n"
        )
        makers = {"text/plain": self.__repr__, "text/html": lambda: html}
        return bundle(makers, include, exclude)


def measured(probe: str) -> str:
    """Where a live trace comes from, in words."""
    return f"measured on this machine, Linux {os.uname().release} by {probe}"


def recorded(recording: shelf.Recording) -> str:
    """Where a recorded one comes from."""
    return f"recorded on {recording.words}, and not on this machine"


_lesson: Lesson | None = None


def current() -> Lesson | None:
    """The lesson that began last."""
    return _lesson


def begin(name: str, recording: str | None = None) -> Lesson:
    """Begin a lesson: live, or on recordings where the kernel cannot be traced.

    Parameters
    ----------
    name
        Which of `LESSONS`.
    recording
        One of `recordings`, to have that in any case.

    Returns
    -------
    Lesson
        Says which it is.

    Raises
    ------
    LessonError
        There is no such lesson, or no such recording.
    """
    global _lesson
    if name not in LESSONS:
        raise unknown("lesson", name, LESSONS)
    shell.tell_names(None)
    notebook.stand_in(None)
    _lesson = _asked_for(name, recording) if recording else _best(name)
    if _lesson.recording:
        shell.tell_names(_replay)
    return _lesson


def _asked_for(name: str, recording: str) -> Lesson:
    return Lesson(name, shelf.recording(recording), "as you asked")


def _best(name: str) -> Lesson:
    """A live lesson, if a trace can be made now."""
    try:
        if isinstance(notebook.agent(), ReplayTransport):
            return Lesson(name, shelf.recording(), "SKBNB_AGENT names a recording")
        with notebook.trace() as trace:
            pass
    except AgentError as error:
        return Lesson(name, shelf.recording(), error.args[0])
    probe = trace.events.attrs["skbnb"]["probe"]
    return Lesson(name, None, probe=probe, sniffed=_sniffed(trace.events))


def _sniffed(events: pd.DataFrame) -> str:
    """Who gets what is sent on this network's loopback; empty if nobody does."""
    from .. import sniffers  # takes its time to import

    known = sniffers.Sniffers.of(events)
    here = os.stat("/proc/self/ns/net").st_ino
    able = [
        one
        for one in known.known
        if one["protocol"] == ETH_P_ALL
        and (one["everywhere"] or (one["netns"] == here and one["ifindex"] in (0, LO)))
    ]
    if not able:
        return ""
    loopback = sniffers.Place(here, LO, "lo")
    heard, before = sniffers.Sniffers(able), sniffers.Sniffers([])
    return sniffers.say("tap-transmit", [loopback], heard, before, past=False)


def _replay(name: str | None) -> None:
    assert _lesson
    assert _lesson.recording
    notebook.stand_in(_lesson.recording.transport(_lesson.name, name))
