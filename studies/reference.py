"""The reference pages that are generated: every config value, every command.

`studies/site_pages.py` adds them to the documentation when it is built.
"""

import inspect
from typing import Annotated

import typer
from pydantic.fields import FieldInfo

from mobilenets.cli.main import app
from mobilenets.config import describe, files, keys
from mobilenets.config.schema import Configuration, Section

_CONFIG_INTRODUCTION = """# Config values

Every value of a run, from the schema in `mobilenets/config/schema.py`. Set one with
`--config.KEY=VALUE` on the command line, or in a config file. `mobilenets config NAME`
prints the values of a config:

```
mobilenets config quickstart
mobilenets config efficientnet:phi=2.5 --config.optimizer.name=sgd
```

Some sections have several kinds. The kind of `task`, `optimizer` and `schedule` is
chosen by its `name`, that of a data set by which of `name`, `directory`, `folder` and
`table` is given. A change of kind drops the values that only the former kind had.
"""

_COMMANDS_INTRODUCTION = """# Commands

The help texts of all commands. In a checkout, `python train.py` and `python eval.py`
are `mobilenets train` and `mobilenets eval`. The exit code is 1 after an error, 2 if
the command line itself is wrong.
"""


def config_page() -> str:
    """Every config value with its type, range, default and meaning, in Markdown."""
    lines = [_CONFIG_INTRODUCTION, "## Top level", ""]
    below = []
    lines += _HEADER
    for name, info in Configuration.model_fields.items():
        place = keys.find(name)[0]
        prefix = f"{name}." if place.sections else f"{name}.NAME."
        kinds = place.sections or _sections_of_entries(name)
        if not kinds:
            lines.append(_row(name, info))
            continue
        below += ["", f"## {name}", "", _meaning(info)]
        for kind in kinds:
            below += _kind(kind, prefix, place.is_list, several=len(kinds) > 1)
    lines += below
    return "\n".join([*lines, "", _shipped()])


def _sections_of_entries(name: str) -> list[type[Section]]:
    """The kinds of section in a dict whose keys the user chooses."""
    return [kind for place in keys.find(f"{name}.NAME") for kind in place.sections]


def _meaning(info: FieldInfo) -> str:
    return " ".join((info.description or "").split())


def _kind(kind: type[Section], prefix: str, is_list: bool, several: bool) -> list[str]:
    lines = [""]
    if several:
        first = (inspect.getdoc(kind) or "").partition("\n")[0]
        lines += [f"### {_title(kind, prefix, is_list)}", "", first, ""]
    fields = dict(kind.model_fields)
    if is_list:
        prefix += f"{keys.tag(kind)}."
        del fields["name"]
    if not fields:
        return [*lines, f"No values of its own: `{prefix.removesuffix('.')}={{}}`."]
    first_name = sorted(fields.items(), key=lambda item: item[0] != "name")
    return [*lines, *_HEADER, *(_row(prefix + n, info) for n, info in first_name)]


def _title(kind: type[Section], prefix: str, is_list: bool) -> str:
    """What chooses the kind: "optimizer.name=sgd", "dataset.folder"."""
    above = prefix.removesuffix(".")
    if is_list:
        return prefix + keys.tag(kind)
    if above in Configuration.TAGGED:
        return f"{prefix}name={keys.tag(kind)}"
    if source := keys.source_of(kind):
        return prefix + source
    return f"{above} without a source"


_HEADER = ("| key | type and range | default | meaning |", "|---|---|---|---|")


def _row(key: str, info: FieldInfo) -> str:
    allowed = describe.in_words(Annotated[info.annotation, *info.metadata, None])
    if info.is_required():
        default = "required"
    else:
        value = info.get_default()
        default = f"`{float(f'{value:.4g}') if type(value) is float else value!r}`"
    cells = [f"`{key}`", allowed, default, _meaning(info)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shipped() -> str:
    """The configs that come with the package."""
    lines = ["## Shipped configs", ""]
    for function in files.FOLDERS:
        lines += [f"- `{name}`" for name in files.shipped(function)]
    return "\n".join([*lines, ""])


def commands_page() -> str:
    """The help text of every command, in Markdown."""
    group = typer.main.get_command(app)
    lines = [_COMMANDS_INTRODUCTION]
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        context.info_name = f"mobilenets {name}"
        lines += [f"## {name}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)
