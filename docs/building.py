# SPDX-License-Identifier: Apache-2.0
"""Our part of the build: pages are filled, notebooks made static, and names found."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from docutils import nodes
from reference import PIECES
from sphinx.addnodes import pending_xref
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import NumpyDocstring
from sphinx.util.nodes import make_refnode

import skbnb
from skbnb import config, installed, transport
from skbnb.agent import privileges, settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# Napoleon's settings stand for Sphinx's, which have these among others.
_NUMPYDOC: Any = Config(napoleon_use_ivar=True, napoleon_use_rtype=False)
_TEMPLATES = jinja2.Environment(undefined=jinja2.StrictUndefined)


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the pieces into a page's text before it is read."""
    if page.startswith("notebooks/"):
        source[0] = shown(source[0])
    else:
        source[0] = _TEMPLATES.from_string(source[0]).render(
            PIECES,
            config=config,
            installed=installed,
            privileges=privileges,
            settings=settings,
            transport=transport,
        )


def shown(notebook: str) -> str:
    """A notebook's text, changed so that its figures are drawn in the page.

    Plotly's and widgets need a script: each output has the same in a static form.
    """
    made = json.loads(notebook)
    made["metadata"].pop("widgets", None)
    language = made["metadata"].setdefault("language_info", {"name": "python"})
    language["pygments_lexer"] = "ipython3"
    for cell in made["cells"]:
        for output in cell.get("outputs", ()):
            if "data" in output:
                output["data"] = _static(output["data"])
    return json.dumps(made)


def _static(data: dict[str, Any]) -> dict[str, Any]:
    kept = {kind: data[kind] for kind in data if kind.startswith(("text/", "image/"))}
    if "image/svg+xml" in kept:
        kept["text/html"] = kept.pop("image/svg+xml")
    return kept


def speak(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object
) -> None:
    """Tell browsers what language a lesson is in: its folder is called so."""
    *folders, _ = page.split("/")
    if folders[:2] == ["notebooks", "lessons"] and len(folders) > 2:
        context["language"] = folders[2]


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """Find what a docstring names as its own module sees it, wherever it is shown."""
    python = env.domains.python_domain
    if node["refdomain"] != "py":
        return None
    # What is public is shown under its public name.
    homes = {f"{home}.{name}": name for name, home in skbnb._HOMES.items()}
    target = node["reftarget"]
    target = homes.get(target, target)
    found = python.find_obj(env, "skbnb", "", target, None, 1)
    if not found:
        return None
    name, entry = min(found, key=lambda one: len(one[0]))
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, content, name
    )


def relink(app: Sphinx, tree: nodes.document) -> None:
    """Let notebooks lead to each other: Sphinx follows the symbolic link to them."""
    folder = app.srcdir / "notebooks"
    for node in tree.findall(pending_xref):
        target = Path(node["reftarget"])
        if target.is_relative_to(folder.resolve()):
            page = folder.name / target.relative_to(folder.resolve())
            node["reftarget"] = page.as_posix()


def dash(app: Sphinx, tree: nodes.document) -> None:
    """Put a dash between a parameter and its text, where Sphinx has two hyphens."""
    for text in list(tree.findall(nodes.Text)):
        if text.startswith(" -- "):
            text.parent.replace(text, nodes.Text(text.replace("--", "\N{EN DASH}", 1)))


def read(
    app: Sphinx, what: str, name: str, owner: object, options: object, lines: list[str]
) -> None:
    """Read a docstring as numpydoc has it.

    Napoleon by itself takes what an attribute's docstring has before a colon for the
    attribute's type; here types are annotations.
    """
    lines[:] = NumpyDocstring(lines, _NUMPYDOC).lines()


def skip(
    app: Sphinx, what: str, name: str, member: object, skipped: bool, options: object
) -> bool | None:
    """Leave out what Python says of a tuple's fields: the class describes them."""
    said = inspect.getdoc(member) or ""
    return True if said.startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", fill)
    app.connect("doctree-read", relink)
    app.connect("doctree-read", dash)
    app.connect("html-page-context", speak)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", read)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
