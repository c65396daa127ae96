# SPDX-License-Identifier: Apache-2.0
"""What is right, and what is wrong in a way that the exercises know."""

from __future__ import annotations

from typing import Any

RIGHT: dict[str, Any] = {
    "clones-of-a-fetch": 6,
    "nobody-listens": 1,
    "clones-of-udp": 0,
    "clones-of-multicast": 15,
    "path-of-multicast": "slab",
    "two-curls": 12,
    "only-ours": "scope",
    "two-pages": 9,
    "steps-of-two-pages": ["SYN", *["data"] * 6, "FIN", "FIN"],
    "big-page": 50,
    "two-sniffers": 1,
    "count-in-the-kernel": 2000,
    "threads-of-a-browser": 5,
    "blind-spot": "parent",
}

# Exercise, answer, and of the words that say why it is wrong.
WRONG: list[tuple[str, Any, str]] = [
    ("clones-of-a-fetch", 3, "one side alone"),
    ("clones-of-a-fetch", 7, "Did you count the SYN-ACK?"),
    ("clones-of-a-fetch", 5, "a FIN of its own"),
    ("clones-of-a-fetch", 600, "There were 1 curl's SYN"),
    ("nobody-listens", 0, "curl has to ask"),
    ("nobody-listens", 2, "the kernel's RST"),
    ("clones-of-udp", 10, "UDP sends a datagram and forgets it"),
    ("clones-of-udp", 1, "There was none"),
    ("clones-of-multicast", 20, "the last one gets the packet itself"),
    ("clones-of-multicast", 0, "several receivers need the same packet"),
    ("path-of-multicast", "fast", "Only who knows that it will clone"),
    ("two-curls", 6, "That is one fetch"),
    ("two-curls", 9, "over one connection"),
    ("only-ours", "comm", "curl may be anybody's"),
    ("only-ours", "cpu", "That column says: CPU that it ran on"),
    ("only-ours", "colour", "There is no such column"),
    ("two-pages", 12, "would be two connections"),
    ("two-pages", 4, "one side alone"),
    ("steps-of-two-pages", ["SYN", "SYN-ACK"], "it makes a new one"),
    ("steps-of-two-pages", ["SYN", "data", "ACK"], "never sent again"),
    ("steps-of-two-pages", ["SYN", *["data"] * 5, "FIN", "FIN"], "a head and the page"),
    ("steps-of-two-pages", ["\x1b[31m"], "only who asks"),
    ("steps-of-two-pages", ["SYN", *["data"] * 6, *["FIN"] * 2, "RST"], "No clone has"),
    ("big-page", 2000, "1,500 bytes"),
    ("big-page", 1, "some tens of kilobytes"),
    ("two-sniffers", 2, "The kernel hands the same clone to every sniffer"),
    ("count-in-the-kernel", 1823, "reads, adds and writes"),
    ("threads-of-a-browser", 1, "how many processes"),
    ("threads-of-a-browser", 6, "The main thread"),
    ("blind-spot", "reason", "It is known of 15 of 15 clones"),
    ("blind-spot", "colour", "There is no such column"),
]
