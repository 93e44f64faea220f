"""What the scripts compile is kept, so that a second start need not compile it.

It is JAX's persistent compilation cache, in a folder of ours. JAX's own variables steer
it: JAX_ENABLE_COMPILATION_CACHE=false turns it off, and JAX_COMPILATION_CACHE_DIR names
another folder, whose size is not bounded unless JAX_COMPILATION_CACHE_MAX_SIZE is set.
"""

import os
import pathlib
import sys
import tempfile

import filelock

from mobilenets.errors import UserError
from mobilenets.runtime import user_cache

FOLDER = "xla"
MOST_BYTES = 2 * 10**9  # what was not used for longest makes room
# JAX's default of a second would leave out small networks. A run compiles about ten
# programs in all, so that there is nothing to be gained by leaving any out.
FEWEST_SECONDS = 0.0

HELP = (
    "Compiled programs are cached in ~/.cache/mobilenets/xla (at most 2 GB). "
    "JAX_COMPILATION_CACHE_DIR=FOLDER moves the cache, "
    "JAX_ENABLE_COMPILATION_CACHE=false turns it off."
)


def use() -> None:
    """Keeps what is compiled from now on, and uses what was kept.

    A folder that cannot be written is told on stderr; everything is compiled then.

    Raises:
      UserError: JAX, when imported, does not understand one of its variables.
    """
    try:
        import jax  # half a second, which --help does without
    except ValueError as error:
        raise UserError(f"JAX cannot be used: {error}.") from None

    if not jax.config.jax_enable_compilation_cache:  # pyright: ignore[reportAttributeAccessIssue]
        return
    given = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        if not given:
            folder = user_cache.folder(FOLDER)
            _make_writable(folder)
            _remove_unfinished(folder)
            jax.config.update("jax_compilation_cache_dir", str(folder))
            if "JAX_COMPILATION_CACHE_MAX_SIZE" not in os.environ:
                jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
        elif "://" not in given:
            _make_writable(pathlib.Path(given))
    except (OSError, RuntimeError) as error:
        jax.config.update("jax_enable_compilation_cache", False)
        print(f"warning: compiled programs are not cached: {error}.", file=sys.stderr)
        return
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", FEWEST_SECONDS)


def _make_writable(folder: pathlib.Path) -> None:
    # What lies there is run: nobody else may put anything into it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what a process that was killed has left.

    JAX writes the time of use last, and writes nothing more where one is missing.
    """
    with filelock.FileLock(folder / ".lockfile", timeout=10):  # JAX's own
        for program in folder.glob("*-cache"):
            name = program.name.removesuffix("cache")
            if not program.with_name(f"{name}atime").exists():
                program.unlink()
