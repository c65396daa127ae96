# SPDX-License-Identifier: Apache-2.0
"""What `check` shows: a question, or an answer step by step."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from ..units import printable
from ..views import CLASSES, STYLE, aligned, bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Line", "Question", "Verdict"]

_WIDTH = 80


class Line(NamedTuple):
    """One step.

    Parameters
    ----------
    step
        What it is about.
    expected
        What should be.
    came
        What is.
    why
        Why the two differ, in plain words; empty if they do not.
    ok
        Whether the answer is right as far as this step goes.
    """

    step: str
    expected: str
    came: str
    why: str = ""
    ok: bool = True


class _View:
    """Text in a terminal, and the same on a page."""

    def _text(self) -> str:
        raise NotImplementedError

    def _html(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._text()

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        makers: dict[str, Callable[[], Any]] = {
            "text/plain": self._text,
            "text/html": self._html,
        }
        return bundle(makers, include, exclude)


@dataclass(frozen=True, repr=False)
class Question(_View):
    """An exercise that is not answered yet.

    Attributes
    ----------
    passed
        False: nothing was answered.
    """

    name: str
    question: str
    takes: str
    passed: bool = False

    def _invitation(self) -> str:
        return f'Answer with {self.takes}: lessons.check("{self.name}", ANSWER)'

    def _text(self) -> str:
        asked = textwrap.fill(f"{self.name}: {self.question}", _WIDTH)
        return f"{asked}\n\n{self._invitation()}\n"

    def _html(self) -> str:
        return (
            f'<div class="{CLASSES}"><style>{STYLE}</style>\n'
            f"<p><b>{escape(self.name)}</b>: {escape(self.question)}</p>\n"
            f"<p>{escape(self._invitation())}</p></div>\n"
        )


@dataclass(frozen=True, repr=False)
class Verdict(_View):
    """An answer beside what was measured.

    Attributes
    ----------
    name
        The exercise.
    source
        Where it was measured.
    lines
        The steps.
    titles
        Of what is expected and of what came.
    """

    name: str
    source: str
    lines: tuple[Line, ...]
    titles: tuple[str, str] = ("expected", "came")

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return all(line.ok for line in self.lines)

    def _cells(self) -> list[list[str]]:
        head = ["step", *self.titles, ""]
        return [
            head,
            *(
                [printable(cell, 60) for cell in line[:3]] + [_mark(line)]
                for line in self.lines
            ),
        ]

    def _word(self) -> str:
        return "right" if self.passed else "not yet"

    def _text(self) -> str:
        table = aligned(self._cells())
        whys = [
            textwrap.fill(
                f"{printable(line.step)}: {printable(line.why)}",
                _WIDTH,
                subsequent_indent="  ",
            )
            for line in self.lines
            if line.why
        ]
        parts = [f"{self.name}: {self._word()}", *(line.rstrip() for line in table)]
        explained = ["", *whys] if whys else []
        return "\n".join([*parts, *explained, "", f"({printable(self.source)})"]) + "\n"

    def _html(self) -> str:
        titles, *rows = self._cells()
        head = "".join(
            f'<th scope="col" class="words">{escape(title)}</th>'
            for title in [*titles[:3], "", "why"]
        )
        body = "".join(
            f'<tr><th scope="row">{escape(step)}</th>'
            + "".join(f'<td class="words">{escape(cell)}</td>' for cell in cells)
            + f'<td class="words">{escape(printable(line.why))}</td></tr>\n'
            for (step, *cells), line in zip(rows, self.lines, strict=True)
        )
        return (
            f'<div class="{CLASSES}"><style>{STYLE}</style>\n'
            f"<p><b>{escape(self.name)}: {self._word()}</b></p>\n"
            f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"
            f"<p>({escape(printable(self.source))})</p></div>\n"
        )


def _mark(line: Line) -> str:
    if not line.ok:
        return "✗"
    return "≠" if line.why else "✓"
