# SPDX-License-Identifier: Apache-2.0
"""The structure holds: who imports whom, what is public, what crosses to root."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import skbnb
from skbnb import errors, transport

PACKAGE = Path(skbnb.__file__).parent
SHARED = {"__init__", "config", "errors", "wire"}
# Each of these enters through one place.
ENTRANCES = {
    "IPython": {"magics", "lessons.shell"},
    "plotly": {"figures"},
    "ipywidgets": {"panel"},
    "anywidget": {"panel.clicks"},
    "bcc": {"agent.compiler"},
    "pyarrow": {"parquet"},
}


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(
            path.read_text()
        )
        for path in PACKAGE.rglob("*.py")
    }


def _is_for_types(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imports(name: str, tree: ast.AST) -> set[str]:
    """Absolute names of what a module imports when it runs, functions included."""
    found = set()
    package = ["skbnb", *name.split(".")[:-1]]
    pending = list(ast.iter_child_nodes(tree))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt) and _is_for_types(node):
            continue
        pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            found.add(prefix)
            found |= {f"{prefix}.{alias.name}" for alias in node.names}
    return found


def test_no_import_cycles() -> None:
    trees = modules()
    graph = {
        name: {
            other
            for other in trees
            if f"skbnb.{other}" in imports(name, tree) and other != name
        }
        for name, tree in trees.items()
        if name != "__init__"
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_each_library_has_one_entrance() -> None:
    for name, tree in modules().items():
        for imported in imports(name, tree):
            top = imported.split(".")[0]
            entrances = ENTRANCES.get(top, {name})
            # A package is an entrance as a whole.
            assert {name, name.split(".")[0]} & entrances, f"{name} imports {imported}"


def test_what_is_shared_with_root_is_standard_library() -> None:
    allowed = set(sys.stdlib_module_names) | {"bcc", ""}
    for name, tree in modules().items():
        if name in SHARED or name.startswith("agent"):
            for imported in imports(name, tree):
                top, _, rest = imported.partition(".")
                inside = top == "skbnb" and (
                    not rest
                    or rest.split(".")[0] in SHARED | {"agent", "__version__"}
                    or name == "__init__"
                )
                assert top in allowed or inside, f"{name} imports {imported}"


def test_importing_skbnb_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import skbnb, skbnb.errors; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()) <= set(sys.stdlib_module_names) | {"skbnb"}


def test_the_agents_archive_holds_the_agent_only() -> None:
    with zipfile.ZipFile(transport.agent_archive()) as archive:
        names = set(archive.namelist())
    shared = {f"skbnb/{name}.py" for name in SHARED}
    rest = {
        name
        for name in names - shared
        if not re.match(r"skbnb/(agent/\w+\.py|bpf/\w+\.[ch])$", name)
    }
    assert rest == {"__main__.py"}
    assert "skbnb/agent/__main__.py" in names
    assert "skbnb/bpf/tracepoint.c" in names


def test_every_error_code_has_a_class_and_every_class_a_hint() -> None:
    tree = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.SkbnbError)
    ]
    for kind in tree:
        assert kind.hint.endswith((".", "?")) or kind is errors.BccError, kind
        assert "\n" not in kind.hint
        assert (
            f"─ {kind.__name__} " in (errors.__doc__ or "") or kind is errors.SkbnbError
        )
    for code, kind in errors.CODES.items():
        assert errors.code_of(kind("x")) == code


def test_public_names() -> None:
    assert skbnb.__all__ == sorted(skbnb.__all__)
    for name in skbnb.__all__:
        assert hasattr(skbnb, name), name
    assert set(skbnb.__all__) < set(dir(skbnb))


def test_root_runs_no_text_from_outside() -> None:
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "os.system", "pickle.loads"), name
                assert "shell=True" not in ast.unparse(node), name


def test_sources_say_their_licence() -> None:
    root = PACKAGE.parent
    for path in (*PACKAGE.rglob("*.py"), *(root / "tests").rglob("*.py")):
        assert "SPDX-License-Identifier: Apache-2.0" in path.read_text()[:60], path
    for path in (root / "bpf").iterdir():
        assert "SPDX-License-Identifier: GPL-2.0-only" in path.read_text()[:60], path
