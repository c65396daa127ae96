# SPDX-License-Identifier: Apache-2.0
"""``skbnb completion``: a script for bash, made from the parsers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from . import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

# What is told of each command: its options, those that take a value, those of its
# values that are known, and what follows: words, a file, or a command with its own.
_SCRIPT = """\
# Completion of skbnb for bash.
_skbnb() {{
    local IFS=$' \\t\\n' cur=${{COMP_WORDS[COMP_CWORD]}} i command='' previous=''
    local options='' valued='' words='' follows='' at='' values
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
        -*) ;;
        *)
            command=${{COMP_WORDS[i]}}
            break
            ;;
        esac
    done
    case $command in
{commands}
    *) options='{options}' words='{words}' ;;
    esac
    # bash makes a word of each = of its own.
    [[ $cur == = ]] && cur=''
    for ((i++; i < COMP_CWORD; i++)); do
        if [[ $previous ]]; then
            [[ ${{COMP_WORDS[i]}} == = ]] || previous=''
        elif [[ ${{COMP_WORDS[i]}} == -- ]]; then
            at=$((i + 1))
            break
        elif [[ " $valued " == *" ${{COMP_WORDS[i]}} "* ]]; then
            previous=${{COMP_WORDS[i]}}
        elif [[ ${{COMP_WORDS[i]}} != -* ]]; then
            at=$i
            break
        fi
    done
    if [[ $at && $follows == command ]]; then
        _skbnb_command "$at"
        return
    fi
    case "$command $previous" in
{values}
    *' ') values=$words ;;
    *)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    [[ $cur == -* && ! $previous ]] && values=$options
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
    if [[ ! $previous && $cur != -* ]]; then
        case $follows in
        file)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        command) _skbnb_command "$COMP_CWORD" ;;
        esac
    fi
}}

# As if the words from this place on were all there is.
_skbnb_command() {{
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}}

complete -F _skbnb skbnb
"""


def main(given: argparse.Namespace) -> int:
    """Print the script."""
    print(script(parser.make()), end="")
    return 0


def script(whole: argparse.ArgumentParser) -> str:
    """The script for these parsers; it needs no other file, and uses bash-completion.

    (Where that is there, a traced command's own words are completed, too.)
    """
    commands = _commands(whole)
    return _SCRIPT.format(
        commands="\n".join(_command(name, one) for name, one in commands.items()),
        options=" ".join(_flags(whole)),
        words=" ".join(commands),
        values="\n".join(
            f"    '{name} {flag}') values='{' '.join(action.choices or ())}' ;;"
            for name, one in commands.items()
            for action in one._actions
            for flag in action.option_strings
            # Where nothing is known of a value, nothing is offered, but for a file.
            if action.nargs != 0 and action.metavar != "FILE"
        ),
    )


def _commands(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    choices: dict[str, argparse.ArgumentParser] = found.choices
    return choices


def _command(name: str, one: argparse.ArgumentParser) -> str:
    valued = (
        flag
        for action in one._actions
        if action.nargs != 0
        for flag in action.option_strings
    )
    places = [action for action in one._actions if not action.option_strings]
    words = [word for action in places for word in action.choices or ()]
    follows = {"FILE": "file", "COMMAND": "command"}
    kinds = [follows[str(a.metavar)] for a in places if a.metavar in follows]
    return (
        f"    {name}) options='{' '.join(_flags(one))}' valued='{' '.join(valued)}' "
        f"words='{' '.join(words)}' follows='{''.join(kinds)}' ;;"
    )


def _flags(one: argparse.ArgumentParser) -> Iterator[str]:
    for action in one._actions:
        yield from action.option_strings
