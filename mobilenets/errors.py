"""The user's mistakes: a sentence each, which the scripts print without traceback."""

import difflib
from collections.abc import Iterable, Mapping, Sequence


class UserError(Exception):
    """An input is wrong. The message says what, why, and what to do.

    It is not a `ValueError`, because absl and ml_collections catch those and put
    tracebacks into their messages.

    Args:
      message: may repeat what a file says. Where that makes it very long, its middle is
        left out. What is no letter is spelled out, since it could control a terminal.
    """

    def __init__(self, message: str):
        super().__init__(_printable(message))


class NotSaved(UserError):
    """A checkpoint could not be saved, perhaps since another process has ended."""


class Stuck(UserError):
    """Something never ends: the process must end without waiting for its threads."""


class BrokenImage(UserError):
    """An image that cannot be decoded."""


# What other code calls what a config, a network or a command has here; the letters of
# its words alone.
_OTHER_WORDS = {
    "accum": "accumulation_steps",
    "alpha": "width_multiplier",
    "arch": "model",
    "architecture": "model",
    "beta1": "b1",
    "beta2": "b2",
    "bs": "batch_size",
    "clip": "clip_norm",
    "croppct": "crop_fraction",
    "droppath": "drop_path_rate",
    "droprate": "dropout_rate",
    "eps": "epsilon",
    "evaluate": "eval",
    "gradclip": "clip_norm",
    "imagesize": "resolution",
    "imgsize": "resolution",
    "inputsize": "resolution",
    "lr": "learning_rate",
    "mom": "momentum",
    "numepochs": "epochs",
    "opt": "optimizer",
    "outputdir": "workdir",
    "patience": "early_stopping_evaluations",
    "precision": "dtype",
    "pretrained": "init_from",
    "randomseed": "seed",
    "sched": "schedule",
    "scheduler": "schedule",
    "size": "resolution",
    "test": "eval",
    "val": "validation",
    "wd": "weight_decay",
    "workers": "num_workers",
}

_LONGEST = 2000  # letters of a message
_MOST_LISTED = 20  # names in one sentence; of more there are only some
_MOST_SUGGESTED = 5
# A name is that much less like the given one than the best, and still suggested.
_AS_GOOD = 0.05


def closest(given: str, names: Iterable[str]) -> str | None:
    """The name that was most likely meant, if one is like the given one.

    >>> closest("widht", ["depth_multiplier", "width_multiplier"])
    'width_multiplier'
    >>> closest("lr", ["backbone_rate", "learning_rate"])
    'learning_rate'
    """
    return next(iter(close(given, names)), None)


def close(given: str, names: Iterable[str]) -> list[str]:
    """The names that may have been meant, the likeliest first, at most five.

    Upper case, "_", "-" and the like do not matter. The first of these that finds any:
    the same name, another word for it, those that begin so, the longest one that the
    given name begins with, the most alike, one whose first word is, one that contains
    the given name or is in it.

    >>> close("MobileNetV3", ["mobilenet_v2", "mobilenet_v3_large"])
    ['mobilenet_v3_large']
    >>> close("mobilenetv2_100", ["mobilenet_v1", "mobilenet_v2"])
    ['mobilenet_v2']
    """
    by_letters = {_letters(name): name for name in sorted(names, reverse=True)}
    letters = sorted(by_letters)
    word = _letters(given)
    other = _letters(_OTHER_WORDS.get(word, ""))
    long = len(word) > 2
    found = (
        [name for name in letters if name == word]
        or [name for name in letters if name == other]
        or [name for name in letters if long and name.startswith(word)]
        or _longest(name for name in letters if word.startswith(name))
        or _alike(word, letters)
        or _by_first_word(word, by_letters)
        or [name for name in letters if long and word in name]
        or _longest(name for name in letters if name in word)
    )
    return [by_letters[name] for name in found[:_MOST_SUGGESTED]]


def unknown(
    kind: str, given: str, allowed: Iterable[str], listed_by: str = "", of: str = ""
) -> UserError:
    """The error for a name that is none of the allowed ones, with the closest of them.

    Args:
      kind: of name.
      given: the name.
      allowed: the names.
      listed_by: the command that prints them, for where they are too many to tell.
      of: what has them.

    >>> print(unknown("optimizer", "rmsprob", ["rmsprop", "sgd"]))
    Unknown optimizer 'rmsprob': did you mean 'rmsprop'? Choose from: rmsprop, sgd.
    >>> print(unknown("split", "trian", ["train"], of="photos"))
    Unknown split 'trian' of photos: did you mean 'train'? Choose from: train.
    """
    owner = f" of {of}" if of else ""
    return UserError(
        f"Unknown {kind} {given!r}{owner}{suggestions(given, allowed, listed_by)}"
    )


def unreachable(what: str, host: str) -> UserError:
    """The error for something on a host that does not answer."""
    return UserError(
        f"{what} cannot be downloaded: {host} cannot be reached. Check the connection "
        "(and HTTPS_PROXY, if there is a proxy), and start again."
    )


def suggestions(given: str, allowed: Iterable[str], listed_by: str = "") -> str:
    """The end of a sentence about an unknown name: the closest, and all that are known.

    Args:
      given: the name.
      allowed: the names; of more than twenty not all are told.
      listed_by: see `unknown`.

    >>> suggestions("rmsprob", ["rmsprop", "sgd"])
    ": did you mean 'rmsprop'? Choose from: rmsprop, sgd."
    >>> suggestions("b50", [f"b{i}" for i in range(40)], "mobilenets list")
    ": did you mean 'b5' or 'b0'? `mobilenets list` prints all 40."
    """
    names = sorted(allowed)
    meant = alternatives([repr(name) for name in close(given, names)])
    hint = f": did you mean {meant}?" if meant else "."
    return f"{hint} {_known(names, listed_by)}"


def alternatives(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    >>> alternatives(["a", "b", "c"]), alternatives(["a"]), alternatives([])
    ('a, b or c', 'a', '')
    """
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _printable(message: str) -> str:
    r"""A message of a bounded length without control characters but line breaks.

    >>> _printable("key \x1b[31m"), len(_printable("key " * 10**6))
    ('key \\x1b[31m', 2003)
    """
    if len(message) > _LONGEST:
        half = _LONGEST // 2
        message = f"{message[:half]} … {message[-half:]}"
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1]
        for letter in message
    )


def _known(names: Sequence[str], listed_by: str) -> str:
    if not names:
        return "There are none."
    if len(names) <= _MOST_LISTED:
        return f"Choose from: {', '.join(names)}."
    if listed_by:
        return f"`{listed_by}` prints all {len(names)}."
    some = ", ".join(names[:_MOST_SUGGESTED])
    return f"There are {len(names)}, such as {some}."


def _letters(name: str) -> str:
    """A name without case and without what stands between its words."""
    return "".join(filter(str.isalnum, name.casefold()))


def _longest(names: Iterable[str]) -> list[str]:
    """The longest of some names, unless it is too short to mean anything."""
    longest = max(names, key=len, default="")
    return [longest] if len(longest) > 2 else []


def _alike(word: str, names: Sequence[str]) -> list[str]:
    """The names that are most alike, all of them about as much."""
    found = difflib.get_close_matches(word, names, n=_MOST_SUGGESTED)
    likeness = [difflib.SequenceMatcher(None, name, word).ratio() for name in found]
    return [
        name
        for name, ratio in zip(found, likeness, strict=True)
        if ratio >= likeness[0] - _AS_GOOD
    ]


def _by_first_word(word: str, names: Mapping[str, str]) -> list[str]:
    """The names, by their letters, of which the first word is alike."""
    firsts = {_letters(name.partition("_")[0]): key for key, name in names.items()}
    found = difflib.get_close_matches(word, firsts, n=1)
    return [firsts[first] for first in found]
