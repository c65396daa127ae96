# SPDX-License-Identifier: Apache-2.0
"""Looking through a trace with widgets; the only package that imports ipywidgets."""

from .live import Live
from .panel import Panel

__all__ = ["Live", "Panel"]
