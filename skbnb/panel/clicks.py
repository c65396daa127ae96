# SPDX-License-Identifier: Apache-2.0
"""What a person chooses in a figure, told to Python; the only import of anywidget."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

__all__ = ["Clicks"]


class Clicks(anywidget.AnyWidget):
    """Listens to the plotly figures of the panel that it is put into.

    It has nothing to show, and 2 kB of script, where plotly's own widget has 5 MB.

    Attributes
    ----------
    chosen : dict
        The last choice: ``form`` of the figure, and the ``key`` of a row, both as in
        `charts.Chart`; or ``since`` and ``until`` in seconds (None: all there is).
    """

    _esm = Path(__file__).with_suffix(".js")
    chosen = traitlets.Dict().tag(sync=True)
