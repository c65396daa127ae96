# SPDX-License-Identifier: Apache-2.0
"""Example frames, with exactly the columns and dtypes that a trace gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skbnb import schema
from skbnb.reasons import reason_of

CALLERS = ("__tcp_transmit_skb", "raw_local_deliver", "dev_queue_xmit_nit")


def example(
    events: int = 6,
    processes: int = 2,
    *,
    names: tuple[str, ...] = ("curl", "python3"),
    failed: int = 0,
    seconds: float = 0.013,
    **attrs: Any,
) -> pd.DataFrame:
    """Make a trace of so many calls, taken in turn by so many processes.

    Parameters
    ----------
    events
        Rows.
    processes
        Processes, with pids from 1000 on.
    names
        Their names, in turn.
    failed
        How many of the last calls failed.
    seconds
        When the last call was made; the first was at 0.
    attrs
        What ``df.attrs["skbnb"]`` says otherwise than a trace that went well.
    """
    row = np.arange(events)
    process = row % max(processes, 1)
    ok = row < events - failed
    t = np.linspace(0, seconds, events) if events > 1 else np.full(events, seconds)
    made: dict[str, Any] = {
        "time": pd.Timestamp("2025-01-01").as_unit("ns")
        + pd.to_timedelta((t * 1e9).astype("int64"), unit="ns"),
        "t": t,
        "count": row + 1,
        "comm": _repeat(names, process),
        "pid": process + 1000,
        "tid": process + 1000,
        "uid": np.zeros(events),
        "cpu": process % 4,
        "scope": _repeat(("cell",), process),
        "kind": _categories((~ok).astype("i1"), ("clone", "failed")),
        "path": _repeat(("fast", "slab"), process),
        "caller": _repeat(CALLERS, process),
        "reason": _repeat(tuple(map(reason_of, CALLERS)), process),
        # Addresses as the kernel's are: beyond what a float64 holds.
        "parent": np.uint64(0xFFFF_8880_0000_0001) + np.uint64(512) * row.astype("u8"),
        "clone": np.uint64(0xFFFF_8880_0000_0101) + np.uint64(512) * row.astype("u8"),
        "len": pd.array(np.full(events, 1000), "UInt32"),
    }
    columns = [column for column in schema.COLUMNS if not column.option]
    df = pd.DataFrame({c.name: _column(c, made.get(c.name), events) for c in columns})
    df.attrs["skbnb"] = {**_went_well(events, failed, seconds), **attrs}
    return df


def _went_well(events: int, failed: int, seconds: float) -> dict[str, Any]:
    return {
        "probe": "tracepoint",
        "coverage": "",
        "kernel": "6.18.44",
        "source": "live",
        "scope": "cell",
        "calls": events,
        "emitted": events,
        "captured": events,
        "lost": 0,
        "lost_by": {"full": 0, "limit": 0, "reader": 0},
        "unaccounted": 0,
        "missed": 0,
        "clock_step": 0.0,
        "failed": failed,
        "sniffers": [],
        "more_sniffers": 0,
        "others": {},
        "filters": "",
        "duration": seconds,
        "truncated": False,
        "ended": "stop",
        "max_events": 1_000_000,
        "max_seconds": None,
    }


def _repeat(values: tuple[str, ...], process: np.ndarray) -> pd.Categorical[str]:
    return _categories(process % len(values), values)


def _categories(codes: np.ndarray, values: tuple[str, ...]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes.astype("i8"), pd.Index(values))


def _column(column: schema.Column, values: Any, rows: int) -> pd.Series:
    if values is None:
        absent = pd.NA if column.dtype.startswith("UInt") else None
        return pd.Series([absent] * rows, dtype=column.dtype)
    return pd.Series(values).astype(column.dtype)


SEND = "entry_SYSCALL_64_after_hwframe;do_syscall_64;__x64_sys_sendto;__sys_sendto"
RECEIVE = (
    "asm_common_interrupt;common_interrupt;irq_exit_rcu;handle_softirqs;net_rx_action"
)
STACKS = {
    "__tcp_transmit_skb": (
        f"{SEND};tcp_sendmsg;tcp_sendmsg_locked;tcp_push;__tcp_push_pending_frames;"
        "tcp_write_xmit;__tcp_transmit_skb"
    ),
    "raw_local_deliver": (
        f"{RECEIVE};__napi_poll;process_backlog;__netif_receive_skb;ip_rcv;"
        "ip_local_deliver;ip_protocol_deliver_rcu;raw_local_deliver"
    ),
    "dev_queue_xmit_nit": (
        f"{SEND};udp_sendmsg;udp_send_skb;ip_send_skb;ip_output;ip_finish_output2;"
        "__dev_queue_xmit;dev_hard_start_xmit;dev_queue_xmit_nit"
    ),
}
"""A stack for each caller."""


def with_stacks(df: pd.DataFrame, *stacks: str | None) -> pd.DataFrame:
    """The same trace, as if made with ``--stacks``.

    Parameters
    ----------
    df
        Rows of a trace.
    stacks
        The stacks, in turn; None is an absent one. By default the caller's.
    """
    if not stacks:
        return df.assign(stack=df["caller"].cat.rename_categories(STACKS))
    names = list(dict.fromkeys(stack for stack in stacks if stack is not None))
    code: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    code[None] = -1
    taken = np.array([code[stack] for stack in stacks])[
        np.arange(len(df)) % len(stacks)
    ]
    categories = pd.Index(names, dtype="str")
    return df.assign(stack=pd.Categorical.from_codes(taken, categories))
