# SPDX-License-Identifier: Apache-2.0
"""A folder of Parquet files is one table: to pandas, DuckDB, Dask and Polars alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skbnb.errors import OptionError
from skbnb.schema import COLUMNS
from skbnb.traces import Selection, Trace
from tests import large
from tests.records import frames, record, tally
from tests.unit import test_ways

ROWS, EACH = 10_000, 3_000
ALL = Selection("all")


@pytest.fixture(scope="module")
def trace() -> Trace:
    return large.trace(ROWS, large.Machine(follow=True, stacks=True))


@pytest.fixture(scope="module")
def folder(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("parquet") / "parts"
    assert trace.to_parquet(made, rows=EACH) == 4
    return made


def plain(df: pd.DataFrame) -> pd.DataFrame:
    """Names as objects, and what is absent as None: as every library can have it."""
    made = {name: df[name].astype(object) for name in df}
    return pd.DataFrame({n: c.where(c.notna(), None) for n, c in made.items()})


def test_parts_are_bounded_and_of_one_schema(folder: Path) -> None:
    names = sorted(os.listdir(folder))
    assert names == [f"part-{number:05}.parquet" for number in range(4)]
    schemas = [pq.read_schema(folder / name) for name in names]
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    rows = [pq.read_metadata(folder / name).num_rows for name in names]
    assert rows == [EACH, EACH, EACH, ROWS - 3 * EACH]


def test_what_each_column_is(trace: Trace, folder: Path) -> None:
    schema = pq.read_schema(folder / "part-00000.parquet")
    assert schema.names == list(trace.events.columns)
    names = pa.dictionary(pa.int32(), pa.string())
    wanted = {
        "category": names,
        "datetime64[ns]": pa.timestamp("ns"),
        **{t.lower(): getattr(pa, t)() for t in ("uint16", "uint32", "float64")},
        **{f"UInt{n}": getattr(pa, f"uint{n}")() for n in (16, 32, 64)},
        "Float64": pa.float64(),
    }
    for column in COLUMNS:
        if column.name in schema.names:
            assert schema.field(column.name).type == wanted[column.dtype], column.name


def test_pandas_reads_the_same_frame(trace: Trace, folder: Path) -> None:
    read = pd.read_parquet(folder)
    assert read.attrs == trace.events.attrs
    pd.testing.assert_frame_equal(read, trace.events, check_categorical=False)
    assert read.skb.processes.equals(trace.events.skb.processes)


def test_duckdb_reads_it(trace: Trace, folder: Path) -> None:
    with duckdb.connect() as database:
        found = database.sql(
            f"select * from '{folder}/*.parquet' order by t, count"
        ).fetchall()
        counted = database.sql(
            f"select comm, count(*) from '{folder}/*.parquet' where kind = 'clone' "
            "group by comm"
        ).fetchall()
        types = dict(
            database.sql(
                f"select column_name, column_type from (describe select * from "
                f"'{folder}/*.parquet')"
            ).fetchall()
        )
    events = trace.events
    want = plain(events.assign(time=events["time"].astype("datetime64[us]")))
    want = want.sort_values(["t", "count"], ignore_index=True)
    # Rows are tuples of Python's, whose datetime has no nanoseconds.
    assert len(found) == ROWS
    for number, name in enumerate(want):
        assert [row[number] for row in found] == want[name].tolist(), name
    clones = events[events["kind"] == "clone"]
    assert dict(counted) == clones["comm"].value_counts().loc[lambda n: n > 0].to_dict()
    assert types["time"] == "TIMESTAMP_NS"
    assert (types["count"], types["sport"]) == ("UBIGINT", "USMALLINT")


def test_polars_reads_it(trace: Trace, folder: Path) -> None:
    read = pl.scan_parquet(folder).collect()
    assert read.schema["time"] == pl.Datetime("ns")
    assert [*map(str, read.schema.values())].count("UInt64") == 6
    want = plain(trace.events)
    for name in map(str, want):
        column = read[name]
        if column.dtype == pl.Categorical:
            column = column.cast(pl.String)
        if name == "time":
            assert column.cast(pl.Int64).to_list() == (
                trace.events["time"].astype("int64").tolist()
            )
        else:
            assert column.to_list() == want[name].tolist(), name


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's own
def test_dask_reads_it(trace: Trace, folder: Path) -> None:
    read = dd.read_parquet(folder)
    assert read.npartitions == 4
    pd.testing.assert_frame_equal(
        read.compute().reset_index(drop=True), trace.events, check_categorical=False
    )
    total = read["len"].sum().compute()
    assert total == trace.events["len"].sum()


@pytest.mark.parametrize("selection", [Selection(), Selection(comm="nobody")])
def test_what_is_written_is_the_selection(
    selection: Selection, trace: Trace, tmp_path: Path
) -> None:
    chosen = trace.replace(selection)
    told: list[tuple[int, int]] = []
    count = chosen.to_parquet(
        tmp_path, rows=EACH, progress=lambda *numbers: told.append(numbers)
    )
    events = chosen.events
    assert count == len(told) == max(-(-len(events) // EACH), 1)
    assert told[-1] == (len(events), len(events))
    read = pd.read_parquet(tmp_path)
    pd.testing.assert_frame_equal(read, events, check_categorical=False)


def test_sums_are_a_table_too(tmp_path: Path) -> None:
    trace = test_ways.trace("count", tally(), tally(pid=7), calls=6)
    assert trace.to_parquet(tmp_path / "sums") == 1
    read = pd.read_parquet(tmp_path / "sums")
    pd.testing.assert_frame_equal(read, trace.events, check_categorical=False)


def test_what_is_there_stays(tmp_path: Path) -> None:
    trace = Trace(frames(record()), selection=ALL)
    trace.to_parquet(tmp_path / "a")
    before = (tmp_path / "a" / "part-00000.parquet").read_bytes()
    with pytest.raises(OptionError, match=r"a is not empty\. Choose another") as caught:
        trace.to_parquet(tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a" / "part-00000.parquet").read_bytes() == before
    (tmp_path / "b").touch()
    with pytest.raises(OptionError, match="b is no folder"):
        trace.to_parquet(tmp_path / "b")


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match="Parquet needs pyarrow"):
        Trace(frames(record())).to_parquet(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("was_there", [False, True])
def test_who_is_interrupted_leaves_nothing(
    was_there: bool, trace: Trace, tmp_path: Path
) -> None:
    target = tmp_path / "a"
    if was_there:
        target.mkdir()

    def interrupt(done: int, total: int) -> None:
        if done > EACH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace.to_parquet(target, rows=EACH, progress=interrupt)
    assert target.exists() == was_there
    assert [*tmp_path.rglob("*.parquet")] == []
    assert trace.to_parquet(target, rows=EACH) == 4


SLOWLY = """\
import sys, time
import skbnb
trace = skbnb.load(sys.argv[1]).replace(skbnb.traces.Selection("all"))
def tell(done, total):
    print(done, flush=True)
    time.sleep(60 if done > 3000 else 0)
trace.to_parquet(sys.argv[2], rows=3000, progress=tell)
"""


def test_who_is_killed_leaves_no_file_under_a_final_name(
    trace: Trace, tmp_path: Path
) -> None:
    trace.save(tmp_path / "a.skbt")
    target = tmp_path / "a"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, tmp_path / "a.skbt", target],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["3000\n", "6000\n"]
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in target.iterdir()] == [".unfinished"]
    with pytest.raises(OptionError, match="is not empty"):
        trace.to_parquet(target)
