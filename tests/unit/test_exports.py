# SPDX-License-Identifier: Apache-2.0
"""What is written for other programs has every row, and no name becomes markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import skbnb.accessor  # noqa: F401
from tests.unit.frames import example, with_stacks
from tests.unit.test_figures import HOSTILE


def in_families(df: pd.DataFrame) -> pd.DataFrame:
    """Every second call clones what the call before has made."""
    origin = df["count"].astype("UInt64").where(df["count"] % 2 == 1, df["count"] - 1)
    return df.assign(origin=origin)


def test_perfetto_has_every_call_its_track_and_its_arrow(tmp_path: Path) -> None:
    df = in_families(example(20, 3))
    df.skb.to_perfetto(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    of = {kind: [e for e in events if e["ph"] == kind] for kind in "MXsf"}
    assert len(of["X"]) == 20
    assert {(e["pid"], e["args"]["name"]) for e in of["M"]} == {
        (1000, "curl"),
        (1001, "python3"),
        (1002, "curl"),
    }
    assert [e["ts"] for e in of["X"]] == pytest.approx(df["t"] * 1e6)
    assert [e["name"] for e in of["X"]] == df["reason"].tolist()
    # A five-hundredth of all 13 ms can be seen; and says that it is no measurement.
    assert {round(e["dur"]) for e in of["X"]} <= {23, 26}
    assert all("not measured" in e["args"]["duration"] for e in of["X"])
    assert len(of["s"]) == len(of["f"]) == 10
    for begin, end in zip(of["s"], of["f"], strict=True):
        assert begin["id"] == end["id"]
        assert end["ts"] - begin["ts"] == pytest.approx(13_000 / 19)
        assert end["pid"] in (begin["pid"] + 1, begin["pid"] - 2)


def test_no_arrow_leads_from_what_has_no_number(tmp_path: Path) -> None:
    # As of a copy, and then a clone whose parent the probe did not see.
    df = example(6)
    df["count"] = pd.array([None, None, 1, 2, 3, 4], "UInt64")
    df["origin"] = pd.array([None] * 5 + [3], "UInt64")
    df.skb.to_perfetto(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    (arrow,) = (e for e in events if e["ph"] == "s")
    assert arrow["ts"] == pytest.approx(df["t"][4] * 1e6)


def test_slices_of_a_thread_do_not_overlap(tmp_path: Path) -> None:
    df = example(5000, 2, seconds=0.001)
    df.skb.to_perfetto(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    for pid in (1000, 1001):
        ours = [e for e in events if e["ph"] == "X" and e["pid"] == pid]
        ends = np.array([e["ts"] + e["dur"] for e in ours])
        assert (ends[:-1] <= np.array([e["ts"] for e in ours])[1:]).all()


@pytest.mark.parametrize(
    "df", [example(0), example(1)[["t", "comm", "pid", "tid", "kind"]]]
)
def test_perfetto_of_little(df: pd.DataFrame, tmp_path: Path) -> None:
    df.skb.to_perfetto(tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["otherData"]


def test_a_page_needs_no_network_and_takes_no_name_for_markup(tmp_path: Path) -> None:
    df = with_stacks(example(100, 8, names=HOSTILE))
    df.skb.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    ours = re.sub(r"(?s)<script[^>]*>/\*.*?</script>", "", page)
    ours = re.sub(r"(?s)<script.*?</script>", "", ours)
    assert not re.search(r"(?i)<(img|b|a)\b|\bsrc\s*=\s*[\"']?http", ours)
    assert "&lt;img src=x oner" in ours
    assert page.count("plotly-graph-div") >= 4
    assert "cdn.plot.ly" not in ours


def test_csv_keeps_what_is_known_beside_it(tmp_path: Path) -> None:
    df = example(10)
    df.skb.to_csv(tmp_path / "trace.csv")
    read = pd.read_csv(tmp_path / "trace.csv", keep_default_na=False)
    assert read["comm"].tolist() == df["comm"].tolist()
    assert read["parent"].astype("u8").tolist() == df["parent"].tolist()
    assert json.loads((tmp_path / "trace.csv.json").read_text()) == df.attrs


def test_parquet_keeps_dtypes_and_what_is_known(tmp_path: Path) -> None:
    df = with_stacks(example(100, 3, lost=7))
    df.to_parquet(tmp_path / "trace.parquet")
    read = pd.read_parquet(tmp_path / "trace.parquet")
    assert read.attrs == df.attrs
    assert read["parent"].tolist() == df["parent"].tolist()
    assert read["reason"].dtype == "category"
    pd.testing.assert_frame_equal(
        read.skb.reasons, df.skb.reasons, check_categorical=False
    )
