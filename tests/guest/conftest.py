# SPDX-License-Identifier: Apache-2.0
"""Which settings, and guests that start with the first of their tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest import table
from tests.guest.guests import Guest, Lane, missing_tools
from tests.guest.settings import SETTINGS, Case, Setting, cases, choose

DEFAULT = "brief"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kernels",
        default=DEFAULT,
        help=f"what to boot: of {', '.join(SETTINGS)}, all, and brief (a part of the "
        "tests on the distribution's own kernel, the newest, and two processors), "
        "separated by commas "
        "(default: %(default)s)",
    )
    parser.addoption(
        "--table",
        type=Path,
        help="after a run of all kernels, write their results in this Markdown file, "
        f"between {table.BEGIN} and {table.END}",
    )


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("table", None):
        try:
            table.check(path)  # now, and not when all have run
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"--table: {error}") from None


def chosen(config: pytest.Config) -> list[Setting]:
    """What ``--kernels`` says."""
    # The option has no value where this folder was not named on the command line.
    try:
        return choose(config.getoption("kernels", DEFAULT))
    except ValueError as error:
        raise pytest.UsageError(f"--kernels: {error}") from None


def asked(items: list[pytest.Item]) -> dict[pytest.Item, Case]:
    """The guests' tests among all tests."""
    params = {item: getattr(item, "callspec", None) for item in items}
    found = {item: spec.params.get("case") for item, spec in params.items() if spec}
    return {item: case for item, case in found.items() if isinstance(case, Case)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    guests = asked(items)
    # They take minutes: what fails at once should say so first.
    items.sort(key=lambda item: item in guests)
    if missing_tools():
        # One failure says it as well as many.
        rest = items[len(items) - len(guests) + 1 :]
        config.hook.pytest_deselected(items=rest)
        del items[len(items) - len(rest) :]


@pytest.fixture(scope="session")
def lane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lane]:
    """A guest for each setting that is asked for, with just the tests asked of it."""
    if missing := missing_tools():
        pytest.fail(
            f"guests need {', '.join(missing)}: run ./bootstrap.sh --for test",
            pytrace=False,
        )
    tests: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in asked(request.session.items).values():
        tests[case.setting][case.way].append(case.test)
    guests = [
        Guest(
            setting,
            tests[setting.name],
            tmp_path_factory.mktemp("guest"),
            cpus=setting.cpus,
        )
        for setting in chosen(request.config)
        if setting.name in tests
    ]
    lane = Lane(guests, lambda line: tell(request.config, line))
    yield lane
    lane.close()
    write_table(request.config, lane)


def write_table(config: pytest.Config, lane: Lane) -> None:
    """Put the results where ``--table`` says, if there is one for each test."""
    path: Path | None = config.getoption("table", None)
    if not path:
        return
    everything = {case for setting in SETTINGS.values() for case in cases(setting)}
    if missing := everything - lane.passed.keys():
        tell(config, f"{path} keeps its table: {len(missing)} tests have not run")
    else:
        table.put(path, table.markdown(lane.passed, lane.about))


def tell(config: pytest.Config, line: str) -> None:
    """Print a line at once, past pytest's capture."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if terminal and capture:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(line)
