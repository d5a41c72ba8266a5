"""The house: imports point down and not in circles, every module is on the map, all are small."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up. A room imports from itself and from those on lower floors.
FLOORS = (
    {"files", "machine", "scans", "metrics"},
    {"data", "models"},
    {"config"},  # knows models and losses by name
    {"checkpoints"},
    {"inference"},
    {"study"},
    {"training", "ui"},
    {"bench"},
    {"commands"},
    {"__main__"},
)
EXCEPTIONS: dict[tuple[str, str], str] = {}
SOURCES = sorted((ROOT / "brainseg").rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 80


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, wherever in it, for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            }
    return found & MODULES.keys() - {"brainseg", name_of(path)}


def room(module: str) -> str:
    return module.split(".")[1]


def test_imports_point_down():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    assert set(floor) == {room(module) for module in MODULES if module != "brainseg"}
    wrong = {
        (module, other)
        for module, path in MODULES.items()
        for other in imports(path)
        if module != "brainseg" and room(module) != room(other)
        and floor[room(other)] >= floor[room(module)]
    }  # fmt: skip
    assert wrong == set(EXCEPTIONS), "exceptions are named here, each with its reason"


def test_nothing_is_imported_in_a_circle():
    graph = {module: imports(path) for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_map_names_every_module():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = page.partition("```tree\n")[2].partition("```")[0]
    named, folders = set(), []
    for line in filter(None, tree.splitlines()):
        depth, entry = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders[depth:] = [entry.rstrip("/")]
        if entry.endswith(".py"):
            named.add("/".join(folders))
    there = {
        path.relative_to(ROOT).as_posix()
        for path in [*SOURCES, ROOT / "app.py", ROOT / "train.py"]
        if path.name != "__init__.py" or path.read_text("utf-8").count("\n") > 5
    }
    assert named == there


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_small(path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    }
    assert not long
