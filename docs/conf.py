# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes the documentation (``make docs``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import skbnb

sys.path.insert(0, str(Path(__file__).parent))
# argparse fills lines up to the terminal's width, which pages do not have.
os.environ["COLUMNS"] = "88"

project = "skbnb"
release = version = skbnb.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "building",  # ours, beside this file
]

# A notebook beside a page is one of its pages; all else there is no page.
include_patterns = ["*.md", "*.rst", "notebooks/**.ipynb"]
exclude_patterns = ["**.ipynb_checkpoints"]

# What a docstring has in single backticks is a name, and leads to it.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    # The standard library's and other projects': the site is built without a network.
    (
        r"py:.*",
        r"(collections\.abc|datetime|go|np|npt|numpy|os|pandas|pathlib|pd|plotly|zipfile)\..*",
    ),
    (r"py:class", r"InteractiveShell|NDArray|StrPath"),
    # What a signature passes on, and nobody makes who uses it.
    (r"py:class", r"Figure|skbnb\.config\.(Listing|Counting)|skbnb\.patterns\..*"),
    # Parameters, which are not where they could be linked to.
    (r"py:obj", r"a|b|df|Filter\.\w+"),
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 72

# In what people type, two hyphens are two hyphens.
smartquotes = False
myst_enable_extensions = ["attrs_inline"]

# The notebooks are run by the tests; here they show what is kept in them.
nb_execution_mode = "off"
nb_merge_streams = True

html_theme = "furo"
html_title = f"skbnb {release}"
html_static_path = ["static"]
html_css_files = ["skbnb.css"]
html_copy_source = False
html_show_copyright = False
# A page that was opened as a file may not read the others.
html_show_search_summary = False
