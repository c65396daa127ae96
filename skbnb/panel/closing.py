# SPDX-License-Identifier: Apache-2.0
"""Widgets are kept, here and on the page, until they are closed."""

from __future__ import annotations

import ipywidgets

__all__ = ["close"]


def close(widget: ipywidgets.Widget) -> None:
    """Close a widget, all that is in it, and what says how these look."""
    pending = [widget]
    while pending:
        one = pending.pop()
        pending += getattr(one, "children", ())
        looks = [getattr(one, name, None) for name in ("layout", "style")]
        pending += [look for look in looks if look is not None]
        one.close()
