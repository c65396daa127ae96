# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C works in every test, also where the tests were started in the background.

A shell has what it starts in the background ignore SIGINT and SIGQUIT, and nohup
SIGHUP; Python then leaves it so, and whatever it starts ignores them, too.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
