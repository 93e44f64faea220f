"""The user's mistakes: a sentence each, which the scripts print without traceback."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """An input is wrong. The message says what, why, and what to do.

    It is not a `ValueError`, because absl and ml_collections catch those and put
    tracebacks into their messages.
    """


class BrokenImage(UserError):
    """An image that cannot be decoded."""


def closest(given: str, names: Sequence[str]) -> str | None:
    """The name that may have been meant, if one is like it or begins with such a word.

    >>> closest("widht", ["depth_multiplier", "width_multiplier"])
    'width_multiplier'
    >>> closest("QUICKSTART", ["finetune", "quickstart"])
    'quickstart'
    """
    in_any_case = {name.lower(): name for name in reversed(names)}
    by_first_word = {name.partition("_")[0]: name for name in reversed(in_any_case)}
    whole = difflib.get_close_matches(given.lower(), in_any_case, n=1)
    words = difflib.get_close_matches(given.lower(), by_first_word, n=1)
    found = whole[0] if whole else by_first_word[words[0]] if words else None
    return None if found is None else in_any_case[found]


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that is none of the allowed ones, with the closest of them.

    >>> print(unknown("optimizer", "rmsprob", ["rmsprop", "sgd"]))
    Unknown optimizer 'rmsprob': did you mean 'rmsprop'? Known are: rmsprop, sgd.
    """
    return UserError(f"Unknown {kind} {given!r}{suggestions(given, allowed)}")


def suggestions(given: str, allowed: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the closest, and all that are known.

    >>> suggestions("rmsprob", ["rmsprop", "sgd"])
    ": did you mean 'rmsprop'? Known are: rmsprop, sgd."
    """
    names = sorted(allowed)
    close = closest(given, names)
    hint = f": did you mean {close!r}?" if close else "."
    return f"{hint} Known are: {', '.join(names)}."
