"""Each notebook runs from clean, and what is committed of it is what it gives."""

import ast
import collections
import json
import pathlib
import re

import jupytext
import nbclient
import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec

FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
MOST_BYTES = 600_000
# Of a machine, not of an address: "/tmp/x", but not "example.org/tmp/x".
ABSOLUTE_PATH = re.compile(r"(?<![\w.])/(tmp|work|root|home|Users|usr|var|opt)/\S*")


def committed(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", nbformat.NO_CONVERT)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """How many outputs of each kind a cell has: "image/png", "stdout", "error"."""
    return collections.Counter(
        kind
        for output in cell.outputs
        for kind in output.get("data", [output.get("name", output.output_type)])
    )


def text_of(cell):
    """All outputs of a cell but for the pictures."""
    outputs = [dict(output) for output in cell.outputs]
    for output in outputs:
        data = output.get("data", {})
        output["data"] = {k: v for k, v in data.items() if not k.startswith("image/")}
    return json.dumps(outputs)


def test_every_notebook_is_a_pair():
    assert len(NAMES) == 4
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_the_two_of_a_pair_have_the_same_cells(name):
    script = jupytext.read(FOLDER / f"{name}.py")
    notebook = committed(name)
    for file in (script, notebook):
        assert file.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert [(cell.cell_type, cell.source) for cell in script.cells] == [
        (cell.cell_type, cell.source) for cell in notebook.cells
    ], f"run jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_outputs_are_those_of_one_clean_run(name):
    notebook = committed(name)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert any(cell.outputs for cell in cells)
    for cell in cells:
        assert not {"error", "stderr"} & set(kinds(cell)), cell.source
        assert not ABSOLUTE_PATH.search(text_of(cell)), cell.source
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_only_public_names_are_used(name):
    private = []
    for cell in code_cells(jupytext.read(FOLDER / f"{name}.py")):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute):
                names = [node.attr]
            elif isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None) or ""]
                modules += [alias.name for alias in node.names]
                names = [part for module in modules for part in module.split(".")]
            else:
                continue
            private += [name for name in names if name.startswith("_")]
    assert not private


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_as_for_users")
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_clean(name, tmp_path, monkeypatch):
    # The kernel is this Python, whatever kernels a user has installed, and without
    # that user's settings.
    write_kernel_spec(tmp_path / "jupyter/kernels/python3")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    (tmp_path / "here").mkdir()

    before = committed(name)
    after = committed(name)
    for cell in code_cells(after):
        cell.outputs = []
    client = nbclient.NotebookClient(
        after,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path / "here")}},
    )
    client.execute()

    for old, new in zip(code_cells(before), code_cells(after), strict=True):
        assert not kinds(old) - kinds(new), new.source
    assert not [*(tmp_path / "here").iterdir()], "it leaves files beside itself"
