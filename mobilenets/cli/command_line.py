"""What all commands share: running one, error messages, JSON, examples."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from mobilenets.config import check, files, overrides
from mobilenets.config.schema import Configuration
from mobilenets.errors import Stuck, UserError, alternatives, close
from mobilenets.networks.architectures import get_search_space, get_spec
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.runtime import signals

Json = Annotated[bool, typer.Option("--json", help="Print JSON, with exact numbers.")]

# For a command that takes --config.KEY=VALUE: it receives the words it does not know.
WITH_OVERRIDES = {"ignore_unknown_options": True, "allow_extra_args": True}

# Of the tasks whose networks are no classifiers.
_NETWORKS = {
    "detection": get_detector,
    "segmentation": get_segmenter,
    "supernet": get_search_space,
}

_MISUSED = 2  # the exit code of wrong options
_INTERRUPTED = 130  # the exit code after Ctrl-C: 128 + SIGINT


class UsageError(UserError):
    """An error in the command line itself: an option, a key, a config file."""


def examples(*commands: str) -> str:
    """The end of a help text."""
    # The backspace tells click to keep the line breaks of this paragraph.
    return "\n  ".join(["\b\nExamples:", *commands])


def new_app(help_text: str | None = None, completion: bool = False) -> typer.Typer:
    """An app that looks like all of ours.

    Args:
      help_text: of the app itself.
      completion: whether it offers to install completion in a shell.
    """
    # Plain help can be piped, and its paragraphs are wrapped.
    return typer.Typer(
        cls=_Commands,
        suggest_commands=False,
        help=help_text,
        add_completion=completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


class _Commands(TyperGroup):
    """The commands of an app, of which the closest is suggested for a mistyped one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As of any group."""
        try:
            return super().resolve_command(ctx, args)
        except TyperException as error:
            if meant := alternatives([repr(n) for n in close(args[0], self.commands)]):
                error.message = f"{error.message} Did you mean {meant}?"
            raise


def register(app: typer.Typer, name: str, module: ModuleType) -> None:
    """Adds the command of a module here: its `command` and `EPILOG`.

    A module with `OPTIONS`, the names of its own options, also takes
    --config.KEY=VALUE.
    """
    settings = WITH_OVERRIDES if hasattr(module, "OPTIONS") else {}
    app.command(name, epilog=module.EPILOG, context_settings=settings)(module.command)


def run_module(module: ModuleType) -> None:
    """Runs the command of one module, for a script of its own."""
    app = new_app()
    register(app, module.__name__.rpartition(".")[2], module)
    run(app)


def run(app: typer.Typer) -> None:
    """Runs a command line. An error is printed as one sentence.

    The exit code is then 1, or 2 if the command line itself is wrong.
    """
    with signals.ending_at_once():
        code = _called(app)
    sys.exit(code)


def _called(app: typer.Typer) -> int:
    """Calls a command; its exit code."""
    try:
        code = app(standalone_mode=False) or 0
    except UsageError as error:
        return _misused(str(error))
    except Stuck as error:
        sys.stdout.flush()
        signals.end(f"error: {error}", 1)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except TyperException as error:
        message = check.plain(error.format_message())
        return _misused(f"{message}{'' if message[-1] in '.?' else '.'} See --help.")
    except OSError as error:
        if error.strerror is None:  # it is not the system's
            raise
        file = f"{error.filename}: " if error.filename else ""
        print(f"error: {file}{error.strerror}.", file=sys.stderr)
        return 1
    except typer.Abort:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        sys.stdout.flush()
        signals.end("Stopped.", code)  # JAX, interrupted in a compilation, would crash
    return code


def _misused(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return _MISUSED


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Errors in this block are errors of the command line: exit code 2."""
    try:
        yield
    except UserError as error:
        raise UsageError(str(error)) from None


def configuration(
    file: str, words: Sequence[str], options: Sequence[str]
) -> Configuration:
    """The checked configuration that a command line asks for.

    Args:
      file: see `files.call`.
      words: --config.KEY=VALUE.
      options: the command's own, for suggestions.

    Raises:
      UserError: a value is wrong; a `UsageError` if a word or the file is.
    """
    with usage_errors():
        values = overrides.parse(words, options)
        config = files.read(file)
    overrides.apply(config, values)
    checked = check.check(config)
    if "name" in checked.model:
        make = _NETWORKS.get(checked.task.name, get_spec)
        make(**checked.model)  # the network knows its own options
    return checked


def prepare_jax() -> None:
    """See `start_up.prepare_jax`. It takes half a second, which most commands avoid."""
    from mobilenets.runtime import start_up

    start_up.prepare_jax()


def tell(line: str) -> None:
    """Prints progress on stderr."""
    print(f"… {line}", file=sys.stderr, flush=True)


def fail_with(errors: Sequence[UserError]) -> None:
    """Prints the errors and exits with code 1, if there are any."""
    if errors:
        sys.exit("\n".join(f"error: {error}" for error in errors))


def in_words(description: Any) -> str:
    """A short description of a trained network."""
    spec, outputs = description.network, len(description.class_names)
    kind = "classes" if description.threshold is None else "attributes"
    told = f"for {outputs} {kind}" if outputs else "without classes"
    return f"{spec.name} at {spec.resolution} pixels {told}"


def print_json(value: Any) -> None:
    """Prints a value for other programs."""
    print(json.dumps(value, indent=2))
