# SPDX-License-Identifier: Apache-2.0
"""The exercises: what is asked, what is measured, and why an answer may differ.

What the words say of the kernel was read in the source of 6.1 and 7.3: `skb_clone()` in
net/core/skbuff.c; `__tcp_transmit_skb()`, `tcp_send_ack()`, `tcp_make_synack()` and
`tcp_stream_alloc_skb()` in net/ipv4/tcp_output.c and tcp.c; `dev_queue_xmit_nit()` in
net/core/dev.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..schema import COLUMNS

if TYPE_CHECKING:
    from .experiments import Measured

__all__ = ["EXERCISES", "Exercise", "Part", "Slip", "Takes"]


class Takes(Enum):
    """What an answer is."""

    NUMBER = "a number"
    NAME = "a name"
    NAMES = "a list of names"
    FUNCTION = "a function that makes your traffic"


class Part(NamedTuple):
    """One step of an experiment: clones that are counted.

    Parameters
    ----------
    words
        Which they are.
    where
        Their values, by column.
    expected
        How many there should be, as far as the lesson knows.
    """

    words: str
    where: dict[str, str]
    expected: int | Callable[[Measured], int]

    def number(self, measured: Measured) -> int:
        """How many there should be."""
        if callable(self.expected):
            return self.expected(measured)
        return self.expected


class Slip(NamedTuple):
    """One way in which an answer can be wrong.

    Parameters
    ----------
    when
        Whether it is this way.
    words
        Why that is wrong.
    """

    when: Callable[[Any, Measured], bool]
    words: str | Callable[[Any, Measured], str]

    def why(self, answer: Any, measured: Measured) -> str:
        """Why the answer is wrong."""
        if callable(self.words):
            return self.words(answer, measured)
        return self.words


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Parameters
    ----------
    name, lesson, question
        What is asked, and where.
    takes
        What an answer is.
    experiment
        What is measured again: one of `experiments.EXPERIMENTS`.
    right
        What a measurement says the answer is; of a name, all that are right.
    parts
        The experiment's steps.
    slips
        Wrong answers that have a reason of their own; the first that fits is said.
    names
        The same for single names of a list.
    near
        How many times as large, or as small, a number may be.
    probe
        What it is measured with; empty for the best.
    """

    name: str
    lesson: str
    question: str
    takes: Takes
    experiment: str
    right: Callable[[Measured], Any]
    parts: tuple[Part, ...] = ()
    slips: tuple[Slip, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    near: float = 1
    probe: str = ""


# Not by `comm`: what an acknowledgement lets go is sent while the other side runs.
CURL, SERVER = {"owner_comm": "curl"}, {"owner_comm": "web-server"}
SYN, DATA, FIN = {"detail": "SYN"}, {"detail": "data"}, {"detail": "FIN"}
TAP, MULTICAST = {"reason": "tap-transmit"}, {"reason": "multicast-delivery"}

_TEXTS = {column.name: column.text for column in COLUMNS}

_ACK = (
    "A pure acknowledgement is never sent again, so TCP keeps no original of it: what "
    "it makes is what it sends (tcp_send_ack)."
)
_SYN_ACK = (
    "The kernel keeps the request for a connection, and no packet. If the SYN-ACK is "
    "lost it makes a new one (tcp_make_synack), so it has nothing to clone."
)
_NOT_KEPT = {"ACK": _ACK, "SYN-ACK": _SYN_ACK, "SYN|ACK": _SYN_ACK}


def _fetch_parts(pages: int) -> tuple[Part, ...]:
    """The steps of fetching pages over one connection."""
    return (
        Part("curl's SYN", CURL | SYN, 1),
        Part("what curl asks", CURL | DATA, pages),
        Part("what the server answers: head and page", SERVER | DATA, 2 * pages),
        Part("curl's FIN", CURL | FIN, 1),
        Part("the server's FIN", SERVER | FIN, 1),
        Part("sent again", {"detail": "again"}, 0),
    )


_NO_SNIFFER = Part("sniffers' clones", TAP, 0)


def _sent(measured: Measured) -> int:
    return measured.sent


def _of_tcp(measured: Measured) -> int:
    return measured.count(reason="tcp-transmit")


def _one_side(answer: int, measured: Measured) -> bool:
    return answer in (measured.count(**CURL), measured.count(**SERVER))


def _of_multicast(measured: Measured) -> int:
    return measured.count(**MULTICAST)


def _details(measured: Measured) -> list[str]:
    return list(map(str, measured.rows(reason="tcp-transmit")["detail"]))


def _served(measured: Measured) -> int:
    return measured.count(**SERVER, **DATA)


def _unseen(measured: Measured) -> list[str]:
    """Columns about a clone's parent that say nothing."""
    rows = measured.rows()
    return [name for name in ("parent", "origin") if rows[name].isna().all()]


def _known(column: str, measured: Measured) -> str:
    rows = measured.rows()
    if column not in rows:
        return "There is no such column."
    return f"It is known of {rows[column].notna().sum()} of {len(rows)} clones."


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "clones-of-a-fetch",
        "1-what-an-skb-is",
        "curl fetches a page of 10,000 bytes from web-server, and closes. Both run on "
        "this machine. How many clones does the kernel make for both together?",
        Takes.NUMBER,
        "fetch",
        right=_of_tcp,
        parts=(*_fetch_parts(1), _NO_SNIFFER),
        slips=(
            Slip(
                _one_side,
                "That is one side alone. The other is a process of this machine, too, "
                "and TCP clones what it sends on each side.",
            ),
            Slip(
                lambda n, m: n == m.sent,
                "That is how many packets were sent. The acknowledgements and the "
                "SYN-ACK among them are not kept until they are acknowledged, so they "
                "are sent without a clone.",
            ),
            Slip(
                lambda n, m: n == _of_tcp(m) + 1,
                "One too many. Did you count the SYN-ACK? " + _SYN_ACK,
            ),
            Slip(
                lambda n, m: n == _of_tcp(m) - 1,
                "One too few. The server sends its head and its page one after the "
                "other, and each side has a FIN of its own.",
            ),
        ),
    ),
    Exercise(
        "nobody-listens",
        "1-what-an-skb-is",
        "curl asks for a page at a port where nobody listens. How many clones?",
        Takes.NUMBER,
        "refused",
        right=_of_tcp,
        parts=(Part("curl's SYN", CURL | SYN, 1), _NO_SNIFFER),
        slips=(
            Slip(
                lambda n, _: n == 0,
                "curl has to ask before it can be refused. Its SYN may be lost, so TCP "
                "keeps it, and sends a clone.",
            ),
            Slip(
                lambda n, m: n == m.sent,
                "The second packet is the kernel's RST. Nobody will send that again: "
                "it is not kept, and not cloned.",
            ),
        ),
    ),
    Exercise(
        "clones-of-udp",
        "1-what-an-skb-is",
        "A program sends 10 datagrams over UDP to itself. How many clones is that?",
        Takes.NUMBER,
        "udp",
        right=lambda m: m.count(),
        parts=(Part("clones of any kind", {}, 0),),
        slips=(
            Slip(
                lambda n, _: n in (10, 20),
                "UDP sends a datagram and forgets it. Nobody will send it again, so "
                "nothing is kept and nothing is cloned.",
            ),
        ),
    ),
    Exercise(
        "clones-of-multicast",
        "1-what-an-skb-is",
        "Four sockets have joined a multicast group. A program sends 5 datagrams to "
        "it, and each socket gets all of them. How many clones?",
        Takes.NUMBER,
        "multicast",
        right=_of_multicast,
        parts=(Part("clones for receivers", MULTICAST, 15), _NO_SNIFFER),
        slips=(
            Slip(
                lambda n, _: n == 20,
                "Three clones do for four receivers: the last one gets the packet "
                "itself, which nobody else needs any more.",
            ),
            Slip(
                lambda n, _: n in (0, 5),
                "UDP keeps nothing to send it again. But here several receivers need "
                "the same packet at the same time.",
            ),
        ),
    ),
    Exercise(
        "path-of-multicast",
        "1-what-an-skb-is",
        "And where do these clones come from: are they the second half of a pair that "
        "was made with the packet (fast), or allocated when they are needed (slab)?",
        Takes.NAME,
        "multicast",
        right=lambda m: sorted(set(m.rows(**MULTICAST)["path"])),
        parts=(
            Part("clones from a pair", MULTICAST | {"path": "fast"}, 0),
            Part("clones that were allocated", MULTICAST | {"path": "slab"}, 15),
        ),
        slips=(
            Slip(
                lambda name, _: name == "fast",
                "Only who knows that it will clone allocates packets in pairs, and "
                "that is TCP. When UDP sends, it cannot know how many will receive.",
            ),
        ),
    ),
    Exercise(
        "two-curls",
        "2-the-handbook",
        "One curl fetches the page, and when it has ended another one does. How far "
        "does the handbook's second program count, both sides together?",
        Takes.NUMBER,
        "fetch-apart",
        right=lambda m: m.count(),
        parts=(
            Part("calls by the two curls", {"comm": "curl"}, 6),
            Part("calls by the server", {"comm": "web-server"}, 6),
        ),
        slips=(
            Slip(
                lambda n, _: n == 6,
                "That is one fetch. Each curl opens a connection of its own, and "
                "nothing of the first is left for the second.",
            ),
            Slip(
                lambda n, _: n == 9,
                "That is one curl with two pages, over one connection. Two curls are "
                "two connections.",
            ),
        ),
    ),
    Exercise(
        "only-ours",
        "2-the-handbook",
        "Both of the handbook's programs show what the whole machine does. Which "
        "column of ours says whether a call is your cell's?",
        Takes.NAME,
        "fetch",
        right=lambda _: ["scope"],
        slips=(
            Slip(
                lambda name, _: name in ("pid", "comm"),
                "The handbook has that, too. It tells who called, but not whether your "
                "cell started it: curl may be anybody's.",
            ),
            Slip(
                lambda name, m: name in m.events,
                lambda name, m: f"That column says: {_TEXTS[name]}",
            ),
            Slip(lambda *_: True, "There is no such column."),
        ),
    ),
    Exercise(
        "two-pages",
        "3-what-the-numbers-mean",
        "curl fetches two pages of 10,000 bytes, and keeps the connection open in "
        "between. How many clones for both sides together?",
        Takes.NUMBER,
        "fetch-two",
        right=_of_tcp,
        parts=(*_fetch_parts(2), _NO_SNIFFER),
        slips=(
            Slip(
                lambda n, _: n == 12,
                "Twice six would be two connections. Here is one: the SYN and both "
                "FINs are needed once.",
            ),
            Slip(_one_side, "That is one side alone."),
            Slip(
                lambda n, m: n == m.sent,
                "That is how many packets were sent. Some of them are "
                "acknowledgements, which are not cloned.",
            ),
        ),
    ),
    Exercise(
        "steps-of-two-pages",
        "3-what-the-numbers-mean",
        "What do these clones carry? Name each in the order in which they are made, "
        "curl's and the server's: SYN, data or FIN.",
        Takes.NAMES,
        "fetch-two",
        right=_details,
        names={
            **_NOT_KEPT,
            "SYN": "There is one connection, and only who asks for it clones a SYN.",
            "data": "For each page curl sends a request, and the server a head and "
            "the page: three.",
            "FIN": "Each side ends its own half of the connection with one FIN.",
        },
    ),
    Exercise(
        "big-page",
        "3-what-the-numbers-mean",
        "A page has 3,000,000 bytes, and its head some 100. In how many clones does "
        "the server send them? (Twice as many is right, too, and half.)",
        Takes.NUMBER,
        "fetch-big",
        right=_served,
        near=2,
        parts=(
            Part("curl's SYN", CURL | SYN, 1),
            Part("what curl asks", CURL | DATA, 1),
            Part("the server's FIN", SERVER | FIN, 1),
        ),
        slips=(
            Slip(
                lambda n, m: n >= 100,
                "Too many. TCP does not cut data into packets of 1,500 bytes: it hands "
                "tens of kilobytes down at once, as one clone, and only the device "
                "cuts (GSO). Loopback never does.",
            ),
            Slip(
                lambda n, m: n < _served(m),
                "Too few. A clone carries some tens of kilobytes, and no more.",
            ),
        ),
    ),
    Exercise(
        "two-sniffers",
        "3-what-the-numbers-mean",
        "Two sniffers listen on lo while curl fetches its page. How many clones are "
        "made for sniffers, of each packet that is sent?",
        Takes.NUMBER,
        "fetch-sniffed-twice",
        right=lambda m: round(m.count(**TAP) / m.sent),
        parts=(
            Part("TCP's clones", {"reason": "tcp-transmit"}, 6),
            Part("for sniffers, of all packets", TAP, _sent),
        ),
        slips=(
            Slip(
                lambda n, _: n == 2,
                "One is enough. The kernel hands the same clone to every sniffer, and "
                "only counts its users (dev_queue_xmit_nit).",
            ),
            Slip(
                lambda n, m: n in (m.count(**TAP), m.count()),
                "That is the number for all packets together.",
            ),
        ),
    ),
    Exercise(
        "count-in-the-kernel",
        "4-races-and-thread-ids",
        "Two processes send 1,000 datagrams each at the same moments, from two "
        "processors, and each makes one clone. What do the sums of --via count add up "
        "to?",
        Takes.NUMBER,
        "race",
        right=lambda m: int(m.events["clones"].sum()),
        slips=(
            Slip(
                lambda n, m: n < m.events["clones"].sum(),
                "So many a program finds that reads, adds and writes. These sums are "
                "added to in one step that nobody can come between.",
            ),
        ),
    ),
    Exercise(
        "threads-of-a-browser",
        "4-races-and-thread-ids",
        "One process has 5 threads, and each fetches a page. How many numbers does the "
        "handbook's program print for it, in the column PID?",
        Takes.NUMBER,
        "browse",
        right=lambda m: m.events["pid"].nunique(),
        slips=(
            Slip(
                lambda n, _: n == 1,
                "That is how many processes there are. What the program takes for the "
                "process's number is the thread's.",
            ),
            Slip(
                lambda n, _: n == 6,
                "The main thread starts the others, and sends nothing itself.",
            ),
        ),
    ),
    Exercise(
        "blind-spot",
        "5-probes",
        "A tracepoint probe sees a slab clone, as those of a multicast are, when it is "
        "allocated. Which column, of what a clone was made from, stays empty then?",
        Takes.NAME,
        "multicast",
        right=_unseen,
        probe="tracepoint",
        parts=(Part("clones that were allocated", {"path": "slab"}, 15),),
        slips=(Slip(lambda _, m: True, _known),),
    ),
    Exercise(
        "probe-here",
        "5-probes",
        "Which probe does skbnb take on this machine, if you leave the choice to it?",
        Takes.NAME,
        "fetch",
        right=lambda m: [m.about["probe"]],
        slips=(
            Slip(
                lambda name, m: name in m.about["probes"],
                lambda name, m: f"Of {name} it says: {m.about['probes'][name]}.",
            ),
        ),
    ),
    Exercise(
        "again",
        "6-your-own-traffic",
        "Are the clones of your traffic the same every time? Your function is run and "
        "traced twice, and the two are compared, reason by reason.",
        Takes.FUNCTION,
        "",
        right=lambda _: None,
    ),
)
