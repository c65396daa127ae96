# SPDX-License-Identifier: Apache-2.0
"""What pages take from the code: ``{{ columns() }}`` on a page is `columns` below.

Each of `PIECES` gives text of the page's own markup, made when the site is built.
Double backticks are code in Markdown and in reStructuredText alike.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import skbnb
from skbnb.cli import parser as command_line
from skbnb.doctor.packages import INSTALL, PACKAGES, Names
from skbnb.doctor.rounds import CHECKS
from skbnb.errors import CODES, SkbnbError
from skbnb.magics import SkbMagics
from skbnb.reasons import COPY_REASONS, REASONS
from skbnb.schema import COLUMNS, markdown_table

DOCS = Path(__file__).parent
PACKAGE = Path(skbnb.__file__).parent


def plain(text: str) -> str:
    """A text whose characters mean themselves, but for backticks around code."""
    words, *code_and_words = re.split(r"`+([^`]+)`+", " ".join(text.split()))
    marked = [_escaped(words)]
    for code, after in zip(code_and_words[::2], code_and_words[1::2], strict=True):
        marked += [f"``{code}``", _escaped(after)]
    return "".join(marked)


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_|<>\[\]%#])", r"\\\1", text)


def paragraphs(text: str | None) -> str:
    """A docstring's or a help text's paragraphs."""
    return "\n\n".join(map(plain, inspect.cleandoc(text or "").split("\n\n")))


# ------------------------------------------------------------------ pieces of pages


def notebooks(caption: str, folder: str) -> str:
    """A part of the table of contents: the notebooks of a folder, if it has any."""
    pages = sorted(path.stem for path in (DOCS / folder).glob("*.ipynb"))
    if not pages:
        return ""
    names = "\n".join(f"{folder}/{page}" for page in pages)
    return f"```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{names}\n```"


def systems() -> str:
    """How one installs, on each system, what comes from it."""
    needed = [PACKAGES[what] for what in ("python", "bcc", "c headers")]
    parts = []
    for system in Names._fields:
        names = " ".join(getattr(package, system) for package in needed)
        command = f"sudo {getattr(INSTALL, system)} {names}"
        parts.append(f"### {system.capitalize()}\n\n```sh\n{command}\n```\n")
    return "\n".join(parts)


def packages() -> str:
    """What things are called on each system, as a table."""
    titles = ["", *map(str.capitalize, Names._fields)]
    rows = [
        [what, *(f"`{name}`" for name in names)] for what, names in PACKAGES.items()
    ]
    return _table(titles, rows)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def columns() -> str:
    """The columns as a table, each with an anchor: ``#column-pid``."""
    table = markdown_table()
    for column in COLUMNS:
        table = table.replace(
            f"| `{column.name}` |", f"| [`{column.name}`]{{#column-{column.name}}} |"
        )
    return table


def reasons() -> str:
    """Every reason to clone, as a section."""
    return "\n".join(map(_reason, REASONS))


def copy_reasons() -> str:
    """Every reason to copy."""
    return "\n".join(map(_reason, COPY_REASONS))


def _reason(reason: Any) -> str:
    callers = ", ".join(f"`{symbol}()`" for symbol in reason.symbols)
    return (
        f"(reason-{reason.slug})=\n### {reason.slug}\n\n{plain(reason.text)}\n\n"
        f"- To see it: {plain(reason.example)}\n"
        f"- In the kernel: {plain(reason.source)}\n"
        f"- Callers: {callers}\n"
    )


def magics() -> str:
    """Every magic with its options."""
    kinds = SkbMagics.magics
    parts = []
    for name in dict.fromkeys([*kinds["cell"], *kinds["line"]]):
        parser = getattr(SkbMagics, name).parser
        signs = {"%%": kinds["cell"], "%": kinds["line"]}
        titles = [f"{sign}{name}" for sign, known in signs.items() if name in known]
        title = ", ".join(f"`{title}`" for title in titles)
        parts += [f"## {title}\n", paragraphs(parser.description), ""]
        parts += _options(name, parser)  # Sphinx formats with it: no % in it
    return "\n".join(parts)


def commands() -> str:
    """Every command of ``skbnb`` with its options."""
    (subparsers,) = (
        action
        for action in command_line.make()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    parts = []
    for name, parser in subparsers.choices.items():
        usage = parser.format_usage()
        parts += [f"## `skbnb {name}`\n", paragraphs(parser.description), ""]
        parts += [f"```text\n{usage}```\n", *_options(f"skbnb {name}", parser)]
        parts += [paragraphs(parser.epilog), ""]
    return "\n".join(parts)


def _options(program: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"```{{program}} {program}\n```\n"
    for action in parser._actions:
        if action.help and not isinstance(action, argparse._HelpAction):
            yield f"```{{option}} {_signature(action)}\n{_help(action)}\n```\n"


def _signature(action: argparse.Action) -> str:
    value = action.metavar or "|".join(action.choices or [action.dest.upper()])
    if action.nargs == "+":
        value = f"{value} [{value} ...]"
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}".strip()


def _help(action: argparse.Action) -> str:
    said = action.help or ""
    if action.default in (None, False, []) or "default" in said:
        return plain(said)
    return f"{plain(said)} By default `{action.default}`."


# ------------------------------------------------------------------ errors


def _classes(kind: type[SkbnbError]) -> Iterator[type[SkbnbError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)


def errors() -> str:
    """Every error: what it is, its code if the agent sends it, and what to do."""
    codes: dict[type[SkbnbError], str] = {kind: code for code, kind in CODES.items()}
    return "\n".join(
        f".. autoexception:: {kind.__module__}.{kind.__name__}\n"
        "   :show-inheritance:\n\n"
        f"{_code(codes.get(kind))}"
        f"   What to do: {plain(kind.hint)}\n"
        for kind in _classes(SkbnbError)
    )


def _code(code: str | None) -> str:
    return f"   .. _error-{code}:\n\n   Code: ``{code}``.\n\n" if code else ""


def hints() -> str:
    """What to do about each error of the agent's, as a table."""
    rows = [
        [f"[`{code}`](error-{code})", f"`{kind.__name__}`", plain(kind.hint)]
        for code, kind in CODES.items()
    ]
    return _table(["code", "error", "what to do"], rows)


def checks() -> str:
    """What the doctor tries, in its order."""
    rows = [[name, plain(check.__doc__ or "")] for name, check in CHECKS]
    return _table(["check", "what is done"], rows)


# ------------------------------------------------------------------ architecture


def modules() -> str:
    """The modules, package by package, with what each is for: its docstring's begin."""
    folders = sorted({path.parent for path in PACKAGE.rglob("*.py")})
    return "\n".join(map(_package, folders))


def _package(folder: Path) -> str:
    title = f"{folder.relative_to(PACKAGE.parent).as_posix()}/"
    rows = [title, "-" * len(title), ""]
    for path in sorted(folder.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        name = path.relative_to(PACKAGE).as_posix()
        rows.append(f"``{name}``\n   {plain(text.splitlines()[0])}\n")
    return "\n".join(rows)


def programs() -> str:
    """The C files with what each is for, as its comment begins."""
    rows = []
    for path in sorted((PACKAGE.parent / "bpf").iterdir()):
        found = re.search(r"/\*\n \* (.*?)\n \*(?:/|\n)", path.read_text(), re.DOTALL)
        text = found[1].replace("\n *", "") if found else ""
        rows.append(f"``{path.name}``\n   {plain(text)}\n")
    return "\n".join(rows)


PIECES: dict[str, Callable[..., str]] = {
    piece.__name__: piece
    for piece in (
        *(checks, columns, commands, copy_reasons, errors, hints, magics, modules),
        *(notebooks, packages, programs, reasons, systems),
    )
}
