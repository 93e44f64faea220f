"""The user's mistakes: a sentence each, which the scripts print without traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave is wrong and the message says what, why and what to do.

    Not a `ValueError`: libraries on the way (absl, ml_collections) catch those and put
    tracebacks into their messages.
    """


class BrokenImage(UserError):
    """An image that cannot be decoded."""


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that is none of the allowed ones, with the closest of them.

    >>> print(unknown("optimizer", "rmsprob", ["rmsprop", "sgd"]))
    Unknown optimizer 'rmsprob': did you mean 'rmsprop'? Known are: rmsprop, sgd.
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    return UserError(f"Unknown {kind} {given!r}{hint} Known are: {', '.join(names)}.")
