# SPDX-License-Identifier: Apache-2.0
"""An agent without a kernel: speaks the protocol, in one of several moods.

Run as ``python fake_agent.py MOOD``. Its live twin is ``skbnb/agent``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from skbnb.config import Config, Counting, Listing, parse_request
from skbnb.wire import ABI, MAGIC, RECORD_SIZE, Frame, Kind, control

sys.path.insert(0, str(Path(__file__).parent))

from records import EVENTS_PAYLOAD, hello, stats, symbols  # type: ignore[import-not-found]

STRIDE = RECORD_SIZE + 8


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def send(*frames: Frame) -> None:
    for frame in frames:
        write(frame.pack())


def begin(abi: int = ABI) -> None:
    send(
        control(Kind.HELLO, **{**hello(), "abi": abi}),
        control(Kind.READY, ts=1_000, base=0),
    )


def finish(**counts: int) -> None:
    send(
        control(Kind.SYMBOLS, **symbols(functions={})),
        control(Kind.TAPS, sockets=[], more=0),
        control(Kind.STATS, **stats(**counts)),
        control(Kind.END, why="stop"),
    )


def events() -> None:
    send(Frame(Kind.EVENTS, EVENTS_PAYLOAD))


class Mood:
    """What it does at a start and at a stop."""

    @staticmethod
    def good() -> Callable[[], None]:
        begin()
        events()
        return finish

    @staticmethod
    def slow() -> Callable[[], None]:
        time.sleep(0.7)
        begin()
        events()

        def stop() -> None:
            time.sleep(0.7)
            finish()

        return stop

    @staticmethod
    def full_ring() -> Callable[[], None]:
        begin()
        events()
        return lambda: finish(calls=10, lost_full=7)

    @staticmethod
    def dies() -> Callable[[], None]:
        begin()
        events()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    @staticmethod
    def dies_first() -> Callable[[], None]:
        print("cannot allocate memory", file=sys.stderr)
        sys.exit(3)

    @staticmethod
    def garbage() -> Callable[[], None]:
        begin()
        events()
        return lambda: write(b"\xfe" * 64)

    @staticmethod
    def old_abi() -> Callable[[], None]:
        begin(abi=ABI - 1)
        return finish

    @staticmethod
    def silent() -> Callable[[], None]:
        return lambda: None

    @staticmethod
    def stops_answering() -> Callable[[], None]:
        begin()
        events()
        return lambda: None

    @staticmethod
    def ignores_eof() -> Callable[[], None]:
        return Mood.good()

    @staticmethod
    def refuses() -> Callable[[], None]:
        send(
            control(
                Kind.ERROR, code="probe", message="no probe works (a: b)", hint="Do c"
            )
        )
        sys.exit(1)

    @staticmethod
    def sudo_refuses() -> Callable[[], None]:
        print("sudo: a password is required", file=sys.stderr)
        sys.exit(1)

    @staticmethod
    def interrupted() -> Callable[[], None]:
        begin()
        events()

        def stop() -> None:
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(0.5)
            finish()

        return stop


LISTED = (
    ("function", ["vfs_open", "vfs_read", "nft_do_chain [nf_tables]"]),
    ("tracepoint", ["skb:kfree_skb", "net:net_dev_queue"]),
    ("syscall", ["sys_read", "sys_getppid"]),
)


def list_functions() -> None:
    for of, names in LISTED:
        barred = ["do_int3", "vfs_secret"] if of == "function" else []
        send(control(Kind.FUNCTIONS, of=of, names=names, barred=barred, why=""))
    send(control(Kind.READY, ts=1, base=0), control(Kind.END, why="listed"))


class CountMood:
    """What it does at a count, and at its end."""

    @staticmethod
    def good(request: Counting) -> Callable[[], None]:
        """Each was called as often as its number says; the last could not be traced."""
        numbers = request.functions
        send(control(Kind.ATTACHING, done=1, total=len(numbers)))
        send(control(Kind.READY, ts=1_000, base=0))
        last = str(len(numbers) - 1)
        counts = [*numbers[:-1], None]

        def stop() -> None:
            send(
                control(
                    Kind.COUNTS,
                    counts=counts,
                    refused={last: "its module is gone"},
                    how={"kprobe": "2"},
                    compat=3,
                    missed=0,
                    began=1_000,
                    ended=2_000_001_000,
                ),
                control(Kind.END, why="stop"),
            )

        return stop

    @staticmethod
    def dies(request: Counting) -> Callable[[], None]:
        send(control(Kind.READY, ts=1_000, base=0))
        return lambda: os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def garbage(request: Counting) -> Callable[[], None]:
        send(control(Kind.READY, ts=1_000, base=0))

        def stop() -> None:
            fields = {"refused": {}, "how": {}, "compat": 0, "missed": 0}
            fields.update(counts=[-1] * len(request.functions), began=0, ended=1)
            send(control(Kind.COUNTS, **fields), control(Kind.END, why="stop"))

        return stop

    @staticmethod
    def interrupted(request: Counting) -> Callable[[], None]:
        os.kill(os.getppid(), signal.SIGINT)
        return lambda: None


def main() -> None:
    mood = sys.argv[1]
    if mood == "not_a_stream":
        write(b"Traceback (most recent call last):\n")
        return
    write(MAGIC)
    stop = Mood.silent()
    for line in sys.stdin.buffer:
        request = parse_request(line)
        if isinstance(request, Config):
            stop = getattr(Mood, mood)()
        elif isinstance(request, Listing):
            list_functions()
        elif isinstance(request, Counting):
            stop = getattr(CountMood, mood)(request)
        else:
            stop()
            stop = Mood.silent()
    if mood == "ignores_eof":
        time.sleep(60)


if __name__ == "__main__":
    main()
