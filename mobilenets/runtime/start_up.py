"""What a process does before it computes."""

import logging

import absl.logging

from mobilenets.runtime import compilation_cache, host_memory


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
