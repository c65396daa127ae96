# SPDX-License-Identifier: Apache-2.0
"""Everything that ever runs as root: standard library and bcc, nothing else."""
