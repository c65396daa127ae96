# SPDX-License-Identifier: Apache-2.0
"""The findings as people and programs read them: text, a table on a page, JSON."""

from __future__ import annotations

import json
import os
import re
import textwrap
from html import escape
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..units import counted, printable
from .finding import CLONE, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Report", "impersonal", "lines"]

_WIDTH = 80
_INDENT = " " * 24


def lines(finding: Finding) -> list[str]:
    """A finding for a terminal; its remedy is one line, to be copied."""
    head = f"{finding.verdict:<6} {printable(finding.name):<16} "
    found = textwrap.wrap(
        printable(finding.found),
        _WIDTH,
        initial_indent=head,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
    )
    advice = [f"{_INDENT}try: {printable(finding.remedy)}"] if finding.remedy else []
    return found + advice


class Report:
    """The findings so far; displayed in a notebook, a table.

    Parameters
    ----------
    findings
        In the order of the checks.
    """

    def __init__(self, findings: Collection[Finding] = ()) -> None:
        self.findings = list(findings)

    @property
    def usable(self) -> bool:
        """Whether one can trace: a clone was seen from end to end."""
        return any(f.name == CLONE and f.verdict is Verdict.OK for f in self.findings)

    @property
    def ended(self) -> bool:
        """Whether the last check was made."""
        return any(f.name == CLONE for f in self.findings)

    def verdict(self) -> str:
        """All in one sentence."""
        if not self.ended:
            return "Checking ..."
        notes = sum(f.verdict is not Verdict.OK for f in self.findings)
        also = f" {counted(notes, 'thing')} could be better." if notes else ""
        if self.usable:
            return f"One can trace here.{also}"
        return "One cannot trace here: begin with the first that fails."

    def text(self) -> str:
        """For a terminal."""
        body = [line for finding in self.findings for line in lines(finding)]
        return "\n".join([*body, "", self.verdict()])

    def json(self, environ: Mapping[str, str] | None = None) -> str:
        """To report with: nothing in it tells whose machine it is."""
        made = {
            "skbnb": __version__,
            "usable": self.usable,
            "findings": [
                {
                    "name": finding.name,
                    "verdict": str(finding.verdict),
                    "found": impersonal(finding.found, environ),
                    "remedy": impersonal(finding.remedy, environ),
                }
                for finding in self.findings
            ],
        }
        return json.dumps(made, indent=2, ensure_ascii=False)

    def html(self) -> str:
        """As a table, without scripts or anything to fetch."""
        from ..views import STYLE

        titles = ("what", "verdict", "found")
        head = "".join(
            f'<th scope="col" class="words">{title}</th>' for title in titles
        )
        body = "\n".join(map(_row, self.findings))
        return (
            f'<div class="skbnb"><style>{STYLE}</style>\n'
            f"<table><caption>{escape(self.verdict())}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> dict[str, Any]:
        from ..views import bundle

        makers = {"text/plain": self.text, "text/html": self.html}
        return bundle(makers, include, exclude)


def _row(finding: Finding) -> str:
    verdict: str = escape(finding.verdict)
    if finding.verdict is Verdict.FAILS:
        verdict = f"<strong>{verdict}</strong>"
    name, found, remedy = (
        escape(printable(text))
        for text in (finding.name, finding.found, finding.remedy)
    )
    advice = f"<br>try: <code>{remedy}</code>" if remedy else ""
    return (
        f'<tr><th scope="row" class="words">{name}</th><td class="words">{verdict}</td>'
        f'<td class="words">{found}{advice}</td></tr>'
    )


def impersonal(text: str, environ: Mapping[str, str] | None = None) -> str:
    """A text without this user's home folder and name, and this machine's.

    Parameters
    ----------
    text
        Any.
    environ
        Tells the user and the folder; by default, this process's.
    """
    environ = os.environ if environ is None else environ
    host = os.uname().nodename
    home = environ.get("HOME", "").rstrip("/")
    names = {home: "~", host: "HOST", host.partition(".")[0]: "HOST"}
    user = environ.get("USER") or environ.get("LOGNAME") or ""
    if user != "root":
        names[user] = "USER"
    for name, stand_in in names.items():
        if name:
            whole = rf"(?<![\w.-]){re.escape(name)}(?![\w-])"
            text = re.sub(whole, stand_in, text)
    return text
