# SPDX-License-Identifier: Apache-2.0
"""What is right, and what is wrong in a way that the exercises know."""

from __future__ import annotations

from typing import Any

RIGHT: dict[str, Any] = {
    "clones-of-a-fetch": 6,
    "clones-of-udp": 0,
    "path-of-tcp": "fast",
    "steps-of-a-fetch": ["SYN", "data", "data", "data", "FIN", "FIN"],
    "two-pages": 9,
    "big-page": 18,
    "sniffed": 6,
}

# Exercise, answer, and of the words that say why it is wrong.
WRONG: list[tuple[str, Any, str]] = [
    ("clones-of-a-fetch", 3, "one side alone"),
    ("clones-of-a-fetch", 7, "Did you count the SYN-ACK?"),
    ("clones-of-a-fetch", 5, "a FIN of its own"),
    ("clones-of-a-fetch", 600, "There were 1 curl's SYN"),
    ("clones-of-udp", 10, "UDP sends a datagram and forgets it"),
    ("clones-of-udp", 1, "There was none"),
    ("path-of-tcp", "slab", "it allocates pairs"),
    ("steps-of-a-fetch", ["SYN", "SYN-ACK"], "it makes a new one"),
    ("steps-of-a-fetch", ["SYN", "data", "ACK"], "never sent again"),
    ("steps-of-a-fetch", ["SYN", "data", "data", "FIN", "FIN"], "a head and a page"),
    ("steps-of-a-fetch", ["\x1b[31m"], "Only the side that asks"),
    ("two-pages", 12, "would be two connections"),
    ("two-pages", 4, "one side alone"),
    ("big-page", 667, "1,500 bytes"),
    ("big-page", 1, "some tens of kilobytes"),
    ("sniffed", 3, "There were 6 TCP's clones"),
]
