# SPDX-License-Identifier: Apache-2.0
"""Whether one can trace here: each prerequisite is tried, and has a remedy."""

from .finding import Finding, Verdict
from .machine import Machine
from .report import Report
from .rounds import diagnose

__all__ = ["Finding", "Machine", "Report", "Verdict", "diagnose"]
