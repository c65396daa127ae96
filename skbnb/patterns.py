# SPDX-License-Identifier: Apache-2.0
"""Which of what the kernel lists a person means: globs and regular expressions.

``vfs_*`` and ``p:vfs_*`` are functions, ``sys_*`` system calls, ``t:skb:*`` the
tracepoints of a category. Matching is the notebook's: the agent takes numbers only.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .config import MAX_COUNTED
from .errors import OptionError, StreamError
from .units import counted, listed, printable
from .wire import Frame, Kind

__all__ = ["Catalogue", "Choice", "Countable", "choose"]

_LONGEST = 200
_GLOB = re.compile(r"[\w.:*?\[\]!-]+", re.ASCII)
_NAME = re.compile(r"[^\s\[\]]+(?: \[[^\s\[\]]+\])?")

# What stands before a pattern -> what it is a pattern of.
_PREFIXES = {"p::": "function", "p:": "function", "t:": "tracepoint"}
_NOUNS = {"function": "function", "tracepoint": "tracepoint", "syscall": "system call"}
_HOW = {
    "function": "functions (vfs_*)",
    "tracepoint": "tracepoints (t:CATEGORY:NAME)",
    "syscall": "system calls (sys_*)",
}


class Countable(NamedTuple):
    """What can be counted: its kind, its name and its module, if any."""

    kind: str
    name: str
    module: str = ""


@dataclass
class Catalogue:
    """What the running kernel can count.

    Attributes
    ----------
    names
        By their numbers.
    barred
        Names of functions that it does not let anyone trace.
    lacks
        Kind -> why it has none of these.
    """

    names: list[Countable] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)
    lacks: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: Iterable[Frame]) -> Catalogue:
        """What the agent listed.

        Raises
        ------
        StreamError
            It is no list of names.
        """
        made = cls()
        for frame in frames:
            if frame.kind is Kind.FUNCTIONS:
                said = frame.fields
                texts = [*said["names"], *said["barred"]]
                # Anyone who may load a module chooses names in it.
                if said["of"] not in _NOUNS or not all(map(_is_name, texts)):
                    raise StreamError("a FUNCTIONS frame with a bad name")
                made.names += [_countable(said["of"], text) for text in said["names"]]
                made.barred.update(said["barred"])
                if said["why"]:
                    made.lacks[said["of"]] = printable(said["why"], 200)
        return made


def _is_name(text: object) -> bool:
    return (
        isinstance(text, str)
        and text.isprintable()
        and _NAME.fullmatch(text) is not None
    )


def _countable(kind: str, text: str) -> Countable:
    name, _, module = text.partition(" ")
    return Countable(kind, name, module[1:-1])


class Choice(NamedTuple):
    """What patterns mean.

    Attributes
    ----------
    numbers
        Of what is to be counted, in the catalogue's order.
    barred
        Functions that match and cannot be traced.
    unmet
        Pattern -> why nothing that it means can be counted on this kernel.
    """

    numbers: list[int]
    barred: list[str]
    unmet: dict[str, str]


class _Pattern(NamedTuple):
    text: str
    kind: str
    regex: re.Pattern[str]


def choose(
    patterns: Sequence[str], catalogue: Catalogue, limit: int, is_regex: bool = False
) -> Choice:
    """Find what patterns mean.

    Parameters
    ----------
    patterns
        Globs, or regular expressions that are searched for.
    catalogue
        What there is.
    limit
        The most that they may match, all together.
    is_regex
        Whether they are regular expressions.

    Raises
    ------
    OptionError
        One is malformed, or matches nothing; or they match too much.
    """
    made = read(patterns, limit, is_regex)
    found: dict[int, None] = {}
    barred: dict[str, None] = {}
    unmet: dict[str, str] = {}
    for pattern in made:
        if pattern.kind in catalogue.lacks:
            unmet[pattern.text] = catalogue.lacks[pattern.kind]
            continue
        matches = _matches(pattern, catalogue)
        forbidden = _forbidden(pattern, catalogue)
        if not matches:
            raise _no_match(pattern, catalogue, forbidden)
        found.update(dict.fromkeys(matches))
        barred.update(dict.fromkeys(forbidden))
    if not found:
        raise _nothing_to_count(unmet, catalogue)
    if len(found) > limit:
        raise _too_many(made, len(found), limit)
    return Choice(sorted(found), list(barred), unmet)


def read(patterns: Sequence[str], limit: int, is_regex: bool) -> list[_Pattern]:
    """Read patterns, which needs no kernel.

    Raises
    ------
    OptionError
        One is malformed.
    """
    if not patterns:
        raise OptionError("there is no pattern", "As in %%funccount 'vfs_*'")
    if not 0 < limit <= MAX_COUNTED:
        raise OptionError(
            f"limit is {limit:,}, not a number from 1 to {MAX_COUNTED:,}",
            "Narrow the pattern.",
        )
    return [_read(text, is_regex) for text in patterns]


def _read(text: str, is_regex: bool) -> _Pattern:
    shown = printable(text, 60)
    if len(text) > _LONGEST:
        raise OptionError(
            f"the pattern {shown} has more than {_LONGEST} characters",
            "Give several patterns, with spaces between them.",
        )
    prefix = next((p for p in _PREFIXES if text.startswith(p)), "")
    body = text[len(prefix) :]
    is_call = body.lstrip("^").startswith("sys_")
    kind = _PREFIXES.get(prefix, "syscall" if is_call else "function")
    if is_regex:
        try:
            return _Pattern(shown, kind, re.compile(body))
        except (re.error, RecursionError, OverflowError) as error:
            raise OptionError(
                f"{shown} is no regular expression: {error}",
                "Without -r it is a glob, as in 'vfs_*'.",
            ) from None
    if not _GLOB.fullmatch(body) or (kind == "function" and ":" in body):
        raise OptionError(
            f"{shown!r} is no pattern of a kernel function",
            "Globs are as in vfs_*, sys_* and t:skb:*; -r reads regular expressions.",
        )
    if kind == "tracepoint" and body.count(":") != 1:
        raise OptionError(
            f"{shown!r} names no tracepoints",
            "Give their category and their name, as in t:skb:* or t:*:kfree_skb.",
        )
    return _Pattern(shown, kind, re.compile(rf"\A{fnmatch.translate(body)}"))


def _matches(pattern: _Pattern, catalogue: Catalogue) -> list[int]:
    search = pattern.regex.search
    return [
        number
        for number, one in enumerate(catalogue.names)
        if one.kind == pattern.kind and search(one.name)
    ]


def _forbidden(pattern: _Pattern, catalogue: Catalogue) -> list[str]:
    if pattern.kind != "function":
        return []
    return sorted(filter(pattern.regex.search, catalogue.barred))


def _no_match(
    pattern: _Pattern, catalogue: Catalogue, forbidden: list[str]
) -> OptionError:
    noun = _NOUNS[pattern.kind]
    if forbidden:
        return OptionError(
            f"the kernel does not let {listed(forbidden, 3)} be traced",
            "Count a function that calls it.",
        )
    number = sum(one.kind == pattern.kind for one in catalogue.names)
    hints = {
        "function": "Functions that the compiler inlined are not among them; try a "
        "wider pattern, as in '*read*'.",
        "tracepoint": "Try a wider pattern, as in 't:*:*skb*'.",
        "syscall": "They have the kernel's own names, as sys_newfstat; kernel "
        "functions whose names begin so are p:sys_*.",
    }
    return OptionError(
        f"{pattern.text!r} matches none of {counted(number, noun)}",
        hints[pattern.kind],
    )


def _nothing_to_count(unmet: dict[str, str], catalogue: Catalogue) -> OptionError:
    can = [how for kind, how in _HOW.items() if kind not in catalogue.lacks]
    reasons = list(dict.fromkeys(unmet.values()))
    return OptionError(
        f"{listed([repr(text) for text in unmet], 3)} cannot be counted: "
        + "; ".join(reasons),
        f"It can count {listed(can)}." if can else "Run on another kernel.",
    )


def _too_many(made: list[_Pattern], number: int, limit: int) -> OptionError:
    kinds = {pattern.kind for pattern in made}
    noun = _NOUNS[kinds.pop()] if len(kinds) == 1 else "function"
    what = listed([repr(pattern.text) for pattern in made], 3)
    narrow = "Narrow it" if len(made) == 1 else "Narrow them"
    more = f", or say --limit {number}" if number <= MAX_COUNTED else ""
    most = "" if more else f"; at most {MAX_COUNTED:,} can be"
    verb = "matches" if len(made) == 1 else "match"
    return OptionError(
        f"{what} {verb} {counted(number, noun)}, and the limit is {limit:,}",
        f"{narrow}{more}{most}.",
    )
