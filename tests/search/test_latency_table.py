"""Tables of latencies: what a piece is called, sums, files, and mistakes in them."""

import pathlib

import jax
import pytest
from flax import linen as nn

from mobilenets import UserError, get_spec
from mobilenets.networks.architectures import get_search_space
from mobilenets.nn.part import parts
from mobilenets.profiling import latency
from mobilenets.search import latency_table
from mobilenets.search.latency_table import CALL, Check, Key, Table, key_of, pieces_of
from tests.small_space import CLASSES, SPACE

PIECES = pieces_of(SPACE, CLASSES)
KEYS = [key_of(piece) for piece in PIECES]
TABLE = Table("a phone", {CALL: 0.5, **{k: float(i) for i, k in enumerate(KEYS, 1)}})


def test_mogas_space_has_a_row_for_each_kind_of_piece():
    """Stem, first block and head, and 12 of each kind of layer.

    Layers 4 and 5, 7 to 9, and 13 and 14 are alike: 14 - 1 - 2 - 1 kinds of layer.
    """
    keys = {key_of(piece) for piece in pieces_of(get_search_space("moga"), 1000)}
    assert len(keys) == 3 + 12 * 10


def test_the_key_of_a_piece_is_what_the_paper_says_of_it():
    pieces = parts(get_spec("moga_a"), 1000)
    assert key_of(pieces[0]) == Key("stem", 224, 3, 0, 16, 3, 2, "hard_swish")
    # The first layer: expansion 6, kernel 5, stride 2; 16 to 24 channels.
    first = Key("inverted residual", 112, 16, 96, 24, 5, 2, "relu")
    assert key_of(pieces[2]) == first
    # The ninth: expansion 3, kernel 7, squeeze-and-excitation, at 14 pixels.
    ninth = Key(
        "inverted residual with shortcut", 14, 80, 240, 80, 7, 1, "hard_swish", 60
    )
    assert key_of(pieces[10]) == ninth
    assert key_of(pieces[-1]) == Key(
        "head", 7, 160, 960, 1000, 1, 1, "hard_swish", 1280
    )


def test_a_network_takes_as_long_as_its_pieces_and_a_call():
    network = SPACE.network((1, 2))
    times = [TABLE.milliseconds[key_of(piece)] for piece in parts(network, CLASSES)]
    assert TABLE.latency(network, CLASSES) == 0.5 + sum(times)
    assert len(times) == 5


def test_a_table_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "table.csv"
    latency_table.write(TABLE, KEYS, file)
    assert latency_table.read(file) == TABLE


def test_a_blank_table_lacks_everything_until_it_is_filled_in(tmp_path):
    file = tmp_path / "blank.csv"
    latency_table.write(Table("a phone", {}), KEYS, file)
    table = latency_table.read(file)
    assert table.lacks(PIECES) == [CALL, *KEYS]
    filled = [
        line if i < 2 else f"{line}{i - 1.5 if i == 2 else i - 2}"
        for i, line in enumerate(file.read_text().splitlines())
    ]
    file.write_text("\n".join(filled))
    assert latency_table.read(file) == TABLE


def test_a_table_that_lacks_pieces_is_refused_with_the_first():
    times = dict(TABLE.milliseconds)
    del times[KEYS[0]], times[next(key for key in KEYS if key.operator == "head")]
    message = "of 2 of the pieces, the first: stem at 16 pixels, 3 to 0 to 8 channels"
    with pytest.raises(UserError, match=message):
        Table("a phone", times).latency(SPACE.network((0, 0)), CLASSES)
    with pytest.raises(UserError, match=r"the first: call\. .* lists them"):
        Table("a phone", {}).latency(SPACE.network((0, 0)), CLASSES)


def lines_of(file):
    latency_table.write(TABLE, KEYS, file)
    return file.read_text().splitlines()


def with_row(change):
    def changed(lines):
        return [*lines[:4], change(lines[4]), *lines[5:]]

    return changed


def with_time(text):
    return with_row(lambda row: f"{row.rpartition(',')[0]},{text}")


# fmt: off
MISTAKES = [
    (with_time("-1"), "line 5: milliseconds is '-1'"),
    (with_time("nan"), "must be a number of 0 or more"),
    (with_time("fast"), "milliseconds is 'fast'"),
    (with_row(lambda row: row.replace(",8,", ",eight,", 1)), "is 'eight', but must be"),
    (with_time("0,5"), "line 5 has more than 10 values. Half a"),
    (lambda lines: [*lines, "stem,224"], "in_channels is '', but must be"),
    (lambda lines: [*lines, lines[4]], "the piece is there twice"),
    (lambda lines: ["# device:", *lines[1:]], "does not name its device"),
    (lambda lines: lines[1:], "does not name its device"),
    (lambda lines: [lines[0], "a,b", *lines[2:]], "must have the columns oper"),
    (lambda lines: [], "cannot be read: it is empty"),
]
# fmt: on


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_wrong_table_is_one_clear_sentence(change, message, tmp_path):
    file = tmp_path / "table.csv"
    lines = change(lines_of(file))
    file.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(UserError, match=message):
        latency_table.read(file)


def test_a_missing_file_and_another_device_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        latency_table.read(pathlib.Path(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="is of 'a phone', but this machine is"):
        latency_table.check(TABLE, SPACE, CLASSES)


def test_error_and_rank_correlation_are_those_by_hand():
    checked = Check(predicted=(1.0, 2.0, 4.0), measured=(1.0, 4.0, 2.0))
    assert checked.error == pytest.approx((0 + 0.5 + 1) / 3)
    # Of three pairs two agree and one does not.
    assert checked.rank_correlation == pytest.approx(1 / 3)


class Counted(nn.Module):
    """A piece that notes each time it is computed."""

    piece: object

    @nn.compact
    def __call__(self, x):
        jax.debug.callback(lambda: COMPUTED.append(self.piece))
        return x


COMPUTED = []


def called_once(call, seconds):
    call()
    return [seconds]


def test_a_piece_is_computed_many_times_in_a_call(monkeypatch):
    """Else the threads of JAX take longer than a small piece."""
    monkeypatch.setattr(latency_table, "Part", Counted)
    monkeypatch.setattr(latency, "durations", called_once)
    latency_table.measure(PIECES[:1], rounds=1)
    jax.effects_barrier()
    assert len(COMPUTED) == latency_table.REPEATS * (1 + latency.WARM_UP_CALLS)


def test_this_machine_is_measured(tmp_path):
    table = latency_table.measure(PIECES, rounds=1, seconds=0.001)
    assert not table.lacks(PIECES)
    assert table.device == latency_table.device_name()
    assert all(time >= 0 for time in table.milliseconds.values())
    checked = latency_table.check(table, SPACE, CLASSES, networks=2)
    assert len(checked.measured) == 2
    assert min(checked.measured) > 0
