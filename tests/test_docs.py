"""The pages say what the code does: tables, commands, Python, links, reference."""

import ast
import functools
import importlib
import inspect
import pathlib
import re
import shlex
import types

import jax
import numpy as np
import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner

import mobilenets
from mobilenets import ARCHITECTURES, DETECTORS, get_detector, get_spec, scaling
from mobilenets.cli import command_line
from mobilenets.cli.main import COMMANDS, app
from mobilenets.config import check, files, keys, overrides, schema
from mobilenets.data import imagenet
from mobilenets.inference import trained
from mobilenets.inference.description import Description
from mobilenets.networks import own_spec
from mobilenets.nn.classifier import create_model
from mobilenets.nn.initialization import init_variables
from mobilenets.pretrained.catalogue import CATALOGUE
from mobilenets.pretrained.state_dict import LIBRARIES
from mobilenets.sweeps import definition
from studies import make_tables, reference, site_pages

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
        ROOT / "notebooks/README.md",
        *DOCS.rglob("*.md"),
    )
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Programs that are not ours, which the pages may tell to run.
OTHERS = {"cd", "git", "jupyter", "jupytext", "mkdocs", "pip", "pre-commit", "pytest"}


def blocks(page, language):
    """The blocks of code of a page in that language; "" is the shell."""
    text = (ROOT / page).read_text()
    return [code for found, code in FENCE.findall(text) if found == language]


@pytest.mark.parametrize("path", make_tables.texts(), ids=lambda path: path.name)
def test_a_page_is_what_its_generator_writes(path):
    assert path.read_text() == make_tables.texts()[path], (
        "run python -m studies.make_tables"
    )


# --- Commands ---------------------------------------------------------------------


OURS = ("mobilenets ", "python ")


def commands_of(text, start=""):
    """The commands in a text, each as its words; only lines with such a start."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip().startswith(start):
            for command in line.split("&&"):
                if words := shlex.split(command, comments=True):
                    yield words


def commands():
    """Every command on the pages, in the headers of configs and in the help texts."""
    for page in PAGES:
        if page != "ARCHITECTURE.md":  # its blocks are drawings
            for block in blocks(page, ""):
                yield from ((page, words) for words in commands_of(block))
    for path in sorted((ROOT / "configs").rglob("*.py")):
        header = ast.get_docstring(ast.parse(path.read_text())) or ""
        yield from ((path.stem, words) for words in commands_of(header, OURS))
    for name, module in COMMANDS.items():
        yield from ((name, words) for words in commands_of(module.EPILOG, OURS))


FOUND = sorted({(where, tuple(words)) for where, words in commands()})


@pytest.mark.parametrize(
    "words", dict.fromkeys(words for _, words in FOUND), ids=" ".join
)
def test_a_command_is_understood(words, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    match words:
        case ("mobilenets", name, *arguments):
            understand(name, arguments)
        case ("python", "train.py" | "eval.py" as script, *arguments):
            understand(script.removesuffix(".py"), arguments)
        case ("python", "-m", module, *arguments) if module.startswith("benchmarks."):
            benchmark = importlib.import_module(module)
            own = typer.Typer()
            own.command()(getattr(benchmark, module.partition(".")[2]))
            parsed(typer.main.get_command(own), module, arguments)
        case ("python", "-m", module, *_) if module.startswith("studies."):
            assert importlib.util.find_spec(module)
        case ("python", "-m", "venv", *_):
            pass
        case _:
            assert pathlib.PurePath(words[0]).name in OTHERS


def test_there_are_commands_of_every_kind():
    words = [words for _, words in FOUND]
    assert {w[1] for w in words if w[0] == "mobilenets"} == set(COMMANDS)
    assert len(words) > 100


def parsed(command, name, arguments):
    """The context of a command line that the command accepts."""
    return command.make_context(name, list(arguments))


def understand(name, arguments):
    """Fails unless command, options, configs, keys, values and networks exist."""
    group = typer.main.get_command(app)
    context = parsed(group.commands[name], name, arguments)
    given = {k: v for k, v in context.params.items() if v not in (None, "")}
    match name:
        case "train":
            options = COMMANDS[name].OPTIONS
            command_line.configuration(given["config"], context.args, options)
        case "config":
            if "file" in given:
                command_line.configuration(given["file"], context.args, ())
        case "eval":
            overrides.parse(context.args, COMMANDS[name].OPTIONS)
            if "config" in given:
                files.read(given["config"])
            assert_weights(given["workdir"])
        case "sweep":
            values = overrides.parse(context.args, COMMANDS[name].OPTIONS)
            definition.load(given["config"], values)
        case "profile":
            assert_network(given["name"], given)
        case "benchmark":
            for network in given["names"]:
                assert_network(network, given)
        case "scale":
            assert given["family"] in scaling.FAMILIES
            assert given["along"] in scaling.METHODS
        case "predict" | "features":
            assert_weights(given["weights"])
        case "pretrained":
            if "name" in given:
                assert_weights(given["name"])
        case "import-weights":
            assert given["model"] in LIBRARIES[given["library"]].models


def assert_network(name, given):
    """Fails unless it may be a folder, is a spec of one's own, or has that name."""
    if "/" in name or own_spec.is_own(name):
        return
    options = {
        "resolution": given.get("resolution"),
        "width_multiplier": given.get("width"),
        "depth_multiplier": given.get("depth"),
    }
    make = get_detector if name in DETECTORS else get_spec
    make(name, **{k: v for k, v in options.items() if v is not None})


def assert_weights(name):
    """Fails unless it may be a folder, or names weights that can be downloaded."""
    if name.startswith("timm/"):
        assert name.removeprefix("timm/").partition(".")[0] in LIBRARIES["timm"].models
    else:
        assert "/" in name or name in CATALOGUE


def group_options(group):
    """The options of the command itself, with those that typer adds."""
    return {option for param in group.params for option in param.opts}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_said_of_commands_and_keys_within_a_sentence_exists(page):
    text = FENCE.sub("", (ROOT / page).read_text())
    group = typer.main.get_command(app)
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.startswith("mobilenets ") and not code.endswith(" …"):
            if code.startswith("mobilenets --"):
                assert code.split()[1] in group_options(group), code
                continue
            name, *arguments = shlex.split(code)[1:]
            options = {o for p in group.commands[name].params for o in p.opts}
            given = {a.partition("=")[0] for a in arguments if a.startswith("--")}
            assert {o for o in given if not o.startswith("--config.")} <= options, code
        for word in re.findall(r"--config\.\S+", code):
            key, equals, value = word.removeprefix("--config.").partition("=")
            if key == "KEY":
                continue
            check.check_key(key)
            if equals and value and not value.isupper():
                overrides.parse([word])


# --- Python -----------------------------------------------------------------------

# Pages whose blocks train or compile whole networks.
SLOW = {
    *("README.md", "docs/guides/python.md"),
    *("docs/guides/detection.md", "docs/networks/detectors.md"),
    "docs/networks/segmenters.md",
}
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@functools.cache
def lite0():
    """What `weights/lite0` is on the pages, with random weights."""
    spec = get_spec("efficientnet_lite0")
    model = create_model(spec, num_classes=1000)
    names = tuple(imagenet.class_names())
    description = Description(
        network=spec, preprocessing=schema.Preprocessing(), class_names=names
    )
    variables = jax.device_get(init_variables(model, jax.random.key(0)))
    return trained.TrainedNet(description, variables)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else [])
        for page in WITH_PYTHON
    ],
)
def test_the_python_of_a_page_runs_and_gives_what_its_comments_say(
    page, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    if any("weights/lite0" in block for block in code):
        trained.save(lite0(), "weights/lite0")
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save("cat.jpg")
    names = {"__name__": "page"}
    for block in code:
        for statement in ast.parse(block).body:
            run(statement, block, names)


def run(statement, block, names):
    """Runs a statement; an expression with a comment has the value in the comment."""
    if not isinstance(statement, ast.Expr):
        exec(compile(ast.Module([statement], []), "page", "exec"), names)
        return
    value = eval(compile(ast.Expression(statement.value), "page", "eval"), names)
    line = block.splitlines()[statement.end_lineno - 1]
    _, _, comment = line[statement.end_col_offset :].partition("# ")
    if comment:
        assert comment.startswith(repr(value)), line


def test_there_are_blocks_of_python():
    assert SLOW < set(WITH_PYTHON)


# --- Links ------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if "docs/" not in page])
def test_the_links_of_a_page_that_github_shows_lead_somewhere(page):
    """Those of docs/ are checked by `mkdocs build --strict`."""
    text = FENCE.sub("", (ROOT / page).read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {h.lower().replace(" ", "-") for h in headings}, link


def test_every_page_is_in_the_navigation():
    loader = type("Loader", (yaml.SafeLoader,), {})
    navigation = yaml.load((ROOT / "mkdocs.yml").read_text(), loader)["nav"]
    named = re.findall(r"[\w/]+\.(?:md|ipynb)", str(navigation))
    assert {page.removeprefix("docs/") for page in PAGES if "docs/" in page} <= {*named}
    notebooks = {f"notebooks/{p.name}" for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= {*named}


# --- Reference --------------------------------------------------------------------


def is_section(key):
    return any(place.sections for place in keys.find(key))


def test_the_reference_has_every_config_value():
    page = reference.config_page()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", page, re.MULTILINE))
    sections = {"evals"} | {key for key in keys.known() if is_section(key)}
    assert set(keys.known()) - sections <= set(rows)
    for key, row in rows.items():
        (meaning,) = re.findall(r"([^|]+)$", row)
        assert meaning.strip(), key
    assert rows["epochs"].startswith("float from 1e-06 to 1,000,000 | `1.0` |")
    assert "### optimizer.name=sgd" in page
    assert "### augmentation.color_jitter" in page


def test_the_reference_has_every_command_and_every_name_of_the_package():
    page = reference.commands_page()
    for name in COMMANDS:
        assert f"## {name}\n" in page
        assert f"Usage: mobilenets {name} " in page
    python = (DOCS / "reference/python.md").read_text()
    for name in mobilenets.__all__:
        assert re.search(rf"mobilenets\.(networks\.)?{name}\b", python), name


def test_the_summaries_of_the_commands_are_not_cut():
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    for name, module in COMMANDS.items():
        summary = inspect.getdoc(module.command).partition("\n")[0]
        assert re.search(rf"^  {name} +{re.escape(summary)}$", result.stdout, re.M)


def test_the_readme_is_short_and_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 140
    assert (
        "```\npip install . && python train.py --config configs/quickstart.py "
        "--workdir runs/quickstart\n```"
    ) in text
    assert "```\npip install '.[dev]' && pytest\n```" in text
    families = [name for names in make_tables.FAMILIES.values() for name in names]
    assert sorted(families) == sorted(ARCHITECTURES)


def test_a_notebook_s_page_loads_no_script_of_another_host():
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="a.ipynb"))
    own = "<p>https://a.org</p><script>draw()</script>"
    foreign = (
        '<script src="https://b.org/formulas.js"></script>'
        '<script type="module">\nimport "https://b.org/d.mjs";\nstart();</script>'
    )
    assert site_pages.on_page_content(foreign + own + foreign, page) == own
