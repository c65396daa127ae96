# SPDX-License-Identifier: Apache-2.0
"""The magic and the command line have the same options, and a trace takes them all."""

from __future__ import annotations

import argparse
import inspect

import pytest

from skbnb import notebook, options
from skbnb.magics import SkbMagics

# What only Python can say.
OTHERS = {"record", "ring_mib", "transport"}


def parsed(what: str, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for flags, settings in options.tracing(what):
        parser.add_argument(*flags, **settings)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("what", ["cell", "command"])
def test_every_option_is_a_parameter_of_a_trace(what: str) -> None:
    parameters = inspect.signature(notebook.trace).parameters
    assert set(options.chosen(parsed(what))) == set(parameters) - OTHERS
    defaults = {name: parameters[name].default for name in parameters}
    for name, value in options.chosen(parsed(what)).items():
        assert value == defaults[name], name


def test_the_magic_has_them_all() -> None:
    flags = {flag for one in options.tracing("cell") for flag in one.flags}
    known = {
        flag
        for action in SkbMagics.skbclone.parser._actions
        for flag in action.option_strings
    }
    assert flags < known


def test_values_are_read() -> None:
    given = options.chosen(
        parsed("command", "--max-events", "1,000", "--comm", "'a b'", "--follow")
    )
    assert (given["max_events"], given["comm"], given["follow"]) == (
        1000,
        "'a b'",
        True,
    )


def test_a_command_is_no_cell() -> None:
    said = " ".join(str(one.settings["help"]) for one in options.tracing("command"))
    assert "the command's" in said
    assert "the cell's" not in said
    assert "the notebook's" not in said
