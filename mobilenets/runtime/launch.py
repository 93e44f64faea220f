"""What `train.py` and `eval.py` share: the flag --config, errors in one sentence.

`prepare_jax` is for the commands that compute, too.
"""

import logging
import pathlib
import re
import sys
from collections.abc import Callable

import absl.logging
import ml_collections
from absl import app, flags
from ml_collections import config_flags

from mobilenets.config import configuration
from mobilenets.errors import UserError
from mobilenets.runtime import compilation_cache, host_memory


def define_config() -> None:
    """Defines --config FILE[:ARGUMENT] and --config.KEY=VALUE.

    Keys that the file does not have are accepted here: the check of the configuration,
    which knows all names, has the better message.
    """
    config_flags.DEFINE_config_file(
        "config",
        None,
        "The config file, with its argument after a colon: "
        "configs/mobilenet_v2.py:width=0.75. Any value is overridden by "
        "--config.KEY=VALUE; mobilenets/config/configuration.py lists the keys.",
        lock_config=False,
        accept_new_attributes=True,
    )
    flags.mark_flag_as_required("config")


def config() -> configuration.Configuration:
    """The checked configuration that the command line asks for.

    Raises:
      UserError: a key or a value is wrong.
    """
    return configuration.check(flags.FLAGS.config)


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main`; a `UserError` ends with its sentence.

    The exit code is then 1; 2 if the flags are wrong.
    """

    def guarded(argv: list[str]) -> None:
        if len(argv) > 1:
            sys.exit(f"error: unexpected argument {argv[1]!r}. See --help.")
        try:
            prepare_jax()
            main()
        except UserError as error:
            sys.exit(f"error: {error}")

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    """Absl's own parser, but mistakes are one sentence and --help is no failure."""
    if {"-h", "--help"} & set(argv[1:]):
        main = sys.modules["__main__"]
        print(main.__doc__, "\nFlags:")
        print(flags.FLAGS.main_module_help())
        print(flags.FLAGS.module_help(sys.modules[__name__]))
        print(f"\n{compilation_cache.HELP}")
        sys.exit(0)
    try:
        _check_config_flags(argv)
        return flags.FLAGS(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except flags.Error as error:
        print(f"error: {_in_words(str(error))} See --help.", file=sys.stderr)
    sys.exit(2)


def _check_config_flags(argv: list[str]) -> None:
    """Meets a config file or a key that does not exist before absl does.

    Raises:
      UserError: with the names that exist.
    """
    for i, arg in enumerate(argv):
        name, equals, value = arg.lstrip("-").partition("=")
        if not arg.startswith("-"):
            continue
        if name.startswith("config."):
            configuration.check_key(name.removeprefix("config."))
        elif name == "config":
            path = pathlib.Path(
                (value if equals else "".join(argv[i + 1 : i + 2])).partition(":")[0]
            )
            if not path.is_file() or path.suffix != ".py":
                raise configuration.unknown_file(str(path), "get_config")


def _in_words(message: str) -> str:
    """Absl's message of a flag that cannot be parsed, as one sentence."""
    if "Error whilst parsing config file" in message:
        return f"The config file fails with {message.strip().splitlines()[-1]}."
    if match := re.match(r"flag --config\.([\w.]+)=(.*?): ", message):
        key, value = match.groups()
        example = configuration.default_of(key)
        if isinstance(example, ml_collections.ConfigDict):
            return f"{key} is a section: set its values, --config.{key}.KEY=VALUE."
        if example is None:
            return f"--config.{key}={value} is wrong: the value has the wrong type."
        return (
            f"--config.{key}={value} is wrong: the value must be of type "
            f"{type(example).__name__}, like {example!r}."
        )
    if match := re.match(r"flag --(\w+)=None", message):
        return f"The flag --{match[1]} is missing."
    return message.rstrip(".") + "."


def prepare_jax() -> None:
    """For a process that is ours alone: a script or a command.

    Libraries no longer tell of their own work, only of errors; what is compiled is
    kept; and memory comes in huge pages.

    Raises:
      UserError: see `compilation_cache.use`.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("jax").setLevel(logging.ERROR)
    compilation_cache.use()
    host_memory.use_huge_pages()
