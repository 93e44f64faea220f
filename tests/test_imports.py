"""What may import what, read from every import statement of the package."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "mobilenets"

# Rooms from the ground up: a room imports itself and what stands before it, nothing
# else. So there is no circle between rooms.
ROOMS = (
    "errors",
    "config",
    "networks",
    "runtime",
    "detection",
    "segmentation",
    "geography",
    "nn",
    "data",
    "metrics",
    "runs",
    "inference",
    "tasks",
    "evaluation",
    "training",
    "profiling",
    "pretrained",
    "export",
    "workers",
    "sweeps",
    "search",
    "api",
    "cli",
)
# Stricter than the order: all that these may import of ours. A key is a room or a
# module, and so is what it may import.
ONLY = {
    "detection": {"detection", "networks"},
    "segmentation": {"networks", "segmentation"},
    "geography": {"geography"},
    "networks": {"config.json_files", "config.own_function", "errors", "networks"},
    "metrics": {"geography.sphere", "metrics"},
    "tasks.base": {"config", "metrics.base"},
    "training": {
        "config",
        "errors",
        "evaluation",
        "metrics.base",
        "runs",
        "runtime",
        "tasks.base",
        "training",
    },
    "evaluation": {
        "config",
        "errors",
        "evaluation",
        "metrics.base",
        "runs",
        "runtime",
        "tasks.base",
    },
}
# Libraries that rooms must do without, wherever in a file they might be imported.
WITHOUT = {
    "errors": {"jax", "flax", "tensorflow", "grain", "tensorflow_datasets"},
    "config": {"jax", "flax", "tensorflow", "grain", "tensorflow_datasets"},
    "networks": {"jax", "flax", "tensorflow", "grain", "tensorflow_datasets"},
    "geography": {"jax", "flax", "tensorflow", "grain", "tensorflow_datasets"},
}


def modules():
    """The dotted name, without the package's, and the tree of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("", "__main__"):
            yield name, ast.parse(path.read_text())


def imports(tree):
    """Every module that is imported anywhere in a file, and what is imported from it.

    `from a import b` counts as a and a.b, since b may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


GRAPH = {name: set(imports(tree)) for name, tree in modules()}
EDGES = [
    (name, imported.removeprefix("mobilenets."))
    for name, everything in GRAPH.items()
    for imported in everything
    if imported.startswith("mobilenets.")
]


def is_within(module, place):
    return module == place or module.startswith(f"{place}.")


def room(module):
    return module.partition(".")[0]


def test_every_room_has_its_place_in_the_order():
    assert {room(name) for name in GRAPH} == set(ROOMS)
    assert len(EDGES) > 200  # the graph was read


@pytest.mark.parametrize("place", ROOMS)
def test_a_room_imports_only_what_stands_before_it(place):
    allowed = ROOMS[: ROOMS.index(place) + 1]
    wrong = {
        (name, imported)
        for name, imported in EDGES
        if room(name) == place
        # What the package itself offers ("from mobilenets import get_spec") is asked
        # for in the room where it is.
        and room(imported) not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("place", ONLY)
def test_a_strict_room_imports_nothing_else(place):
    wrong = {
        (name, imported)
        for name, imported in EDGES
        if is_within(name, place)
        and not any(is_within(imported, allowed) for allowed in ONLY[place])
    }
    assert not wrong


@pytest.mark.parametrize("place", WITHOUT)
def test_plain_data_needs_no_library_of_arrays(place):
    wrong = {
        (name, imported)
        for name, everything in GRAPH.items()
        for imported in everything
        if is_within(name, place) and imported.partition(".")[0] in WITHOUT[place]
    }
    assert not wrong


def imported_by(statement):
    """What a new interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


HEAVY = {"jax", "flax", "tensorflow", "tensorflow_datasets", "grain", "matplotlib"}


@pytest.mark.parametrize(
    "statement",
    [
        "import mobilenets; mobilenets.get_spec('mobilenet_v2')",
        "import mobilenets; mobilenets.complexity, mobilenets.scaling",
        "import mobilenets.cli.main",
    ],
)
def test_specs_and_the_command_line_start_without_jax(statement):
    assert not HEAVY & imported_by(statement)


def test_neither_training_nor_reading_data_imports_tensorflow():
    names = imported_by(
        "import mobilenets.tasks.registry, mobilenets.training.loop; "
        "import tensorflow_datasets"
    )
    assert "jax" in names
    assert "tensorflow" not in names


def test_all_that_the_package_names_is_there_when_it_is_asked_for():
    import mobilenets

    assert set(mobilenets.__all__) <= set(dir(mobilenets))
    for name in mobilenets.__all__:
        assert getattr(mobilenets, name) is not None
    assert mobilenets.pretrained.from_state_dict
    with pytest.raises(AttributeError, match="no attribute 'create_modle'"):
        mobilenets.create_modle  # noqa: B018
