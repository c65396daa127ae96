# SPDX-License-Identifier: Apache-2.0
"""What the agent reads from the notebook: one line, at most 64 KiB long."""

from __future__ import annotations

import json
from random import Random

from skbnb.config import (
    MAX_LINE,
    Config,
    Counting,
    Listing,
    parse_request,
    start_request,
    stop_request,
)
from skbnb.errors import RequestError
from tests.fuzz.mutate import changed_bytes, changed_json, packed_json

REFUSALS = (RequestError,)

_VALID = (
    start_request(Config(cell_tid=12, notebook_pid=10, max_events=5, max_seconds=1.5)),
    start_request(Config(cell_tid=1, notebook_pid=1, stacks=True, snaplen=96)),
    start_request(Config(cell_tid=7, notebook_pid=6, via="count", ring_mib=1)),
    start_request(Config(cell_tid=9, notebook_pid=9, probe="fentry", follow=True)),
    start_request(Counting([3, 1, 2])),
    start_request(Listing()),
    stop_request(),
)
_STARTS = 4  # of these; they have the same fields


def make(random: Random) -> bytes:
    """A request with changed fields, or with changed bytes, or nested deeply."""
    line = random.choice(_VALID)
    what = random.random()
    if what < 0.05:
        return _nested(random)
    if what < 0.5:
        return packed_json(changed_json(random, json.loads(line)))[:MAX_LINE]
    if what < 0.8:
        return _mixed(random)
    return changed_bytes(random, line)


def _nested(random: Random) -> bytes:
    depth = random.randrange(900, 1100)
    inner = b"[" * depth + b"]" * depth
    return _VALID[0].replace(b":1.5", b":" + inner)


def _mixed(random: Random) -> bytes:
    """Fields of several requests that begin a trace, each valid by itself."""
    known = [json.loads(line) for line in _VALID[:_STARTS]]
    line = json.dumps({name: random.choice(known)[name] for name in known[0]})
    return line.encode()


def read(line: bytes) -> None:
    """What is taken is one of the requests, and the same when it is said again."""
    request = parse_request(line)
    assert request is None or isinstance(request, (Config, Counting, Listing))
    if request:
        assert parse_request(start_request(request)) == request
