# SPDX-License-Identifier: Apache-2.0
"""What a figure shows, decided once: `figures` draws it with plotly and `svg` without.

The rows of processes follow the rank of a process in `analysis.processes`.
"""

from .bars import changes, functions, processes, reasons
from .flow import flow
from .lives import family
from .model import Axis, Band, Box, Chart, Figure, Flow, Icicle, Node, Series
from .stacks import stacks
from .times import timeline
from .words import described

__all__ = [
    "Axis",
    "Band",
    "Box",
    "Chart",
    "Figure",
    "Flow",
    "Icicle",
    "Node",
    "Series",
    "changes",
    "described",
    "family",
    "flow",
    "functions",
    "processes",
    "reasons",
    "stacks",
    "timeline",
]
