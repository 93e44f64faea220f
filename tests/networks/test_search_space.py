"""MoGA's space, from the tables of its paper and code; spaces that cannot be."""

import dataclasses
import json

import pytest

from mobilenets import UserError, complexity, get_spec
from mobilenets.networks.architectures import check, get_search_space
from mobilenets.networks.own_spec import of_model, resolved
from mobilenets.networks.search_space import SearchSpace
from mobilenets.networks.spec import ChoiceSpec, with_backbone

MOGA = get_search_space("moga")
TINY = get_search_space("moga", width_multiplier=0.25, resolution=32)


def gene(e, k, se):
    return ((e == 6) * 3 + (k - 3) // 2) * 2 + se


# Of each layer expansion, kernel and squeeze-and-excitation, from the authors' code.
# fmt: off
A = ((6, 5, 0), (6, 7, 0), (6, 3, 0), (6, 3, 1), (3, 3, 1), (6, 3, 1), (6, 3, 0),
     (6, 7, 0), (3, 7, 1), (6, 7, 0), (6, 3, 0), (6, 3, 0), (6, 5, 1), (6, 5, 1))
B = ((3, 3, 0), (3, 3, 0), (6, 7, 0), (3, 3, 0), (6, 5, 0), (6, 3, 1), (6, 5, 1),
     (3, 3, 0), (6, 7, 1), (6, 7, 0), (3, 5, 0), (6, 7, 1), (6, 7, 1), (6, 3, 1))
C = ((3, 5, 0), (3, 3, 0), (3, 5, 0), (3, 3, 0), (3, 5, 0), (3, 5, 0), (6, 5, 1),
     (3, 5, 0), (3, 5, 0), (6, 3, 0), (6, 3, 1), (6, 3, 1), (6, 3, 1), (6, 3, 1))
# fmt: on


@pytest.mark.parametrize(
    ("name", "layers"), [("moga_a", A), ("moga_b", B), ("moga_c", C)]
)
def test_mogas_genes_are_mogas_networks(name, layers):
    genes = tuple(gene(*layer) for layer in layers)
    assert MOGA.network(genes, name=name) == get_spec(name)
    assert MOGA.genes(get_spec(name)) == genes


def test_the_size_is_that_of_twelve_choices_in_fourteen_layers():
    assert MOGA.size == 1_283_918_464_548_864
    assert MOGA.positions == tuple(range(1, 15))


def test_the_extremes_are_the_smallest_and_the_largest_choice_everywhere():
    least, most = MOGA.extremes(lambda layer: layer.madds)
    assert set(least) == {gene(3, 3, 0)}
    assert set(most) == {gene(6, 7, 1)}
    assert MOGA.extremes(lambda layer: layer.params) == (least, most)
    madds = [complexity.madds(MOGA.network(g)) for g in (least, most)]
    # No released network is beyond them: C has 221.1 M MAdds, A 304.0 M.
    assert madds[0] < 221_100_000 < 304_040_000 < madds[1]


def test_the_supernet_has_the_parameters_of_all_choices_once():
    """Those that all networks share, and each choice's own."""
    alike = [complexity.params(MOGA.network((i,) * 14)) for i in range(12)]
    blocks = MOGA.backbone.blocks
    fixed = [layer for layer in MOGA.layers() if "choice" not in layer.name]
    shared = sum(layer.params for layer in fixed)
    assert complexity.params(MOGA) == sum(alike) - 11 * shared
    assert blocks[0] == get_spec("moga_a").backbone.blocks[0]


def test_a_narrow_space_keeps_the_layers():
    assert [block.stride for block in TINY.backbone.blocks] == [
        block.stride for block in MOGA.backbone.blocks
    ]
    assert TINY.backbone.blocks[-1].out_channels == 40  # a quarter of 160
    assert complexity.params(TINY.network((11,) * 14), 10) < 500_000


def test_what_changes_the_map_may_stay_as_in_moga_a():
    space = get_search_space("moga", open_layers="residual")
    # Layers 0, 2, 5 and 11 have stride 2; layers 2, 5, 9 and 11 other channels.
    residual = [i for i in range(14) if i not in (0, 2, 5, 9, 11)]
    assert space.counts == (12,) * 9
    genes = [gene(*A[i]) for i in residual]
    assert space.network(genes, "moga_a") == get_spec("moga_a")


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ((0,) * 13, "has 14 open blocks, but 13 genes"),
        ((0,) * 13 + (12,), "gene of block14 is 12, but must be from 0 to 11"),
    ],
)
def test_genes_that_are_none_are_refused(genes, message):
    with pytest.raises(UserError, match=message):
        MOGA.network(genes)


def test_a_network_of_another_space_has_no_genes():
    with pytest.raises(UserError, match="is no network of the space moga: its block1"):
        MOGA.genes(get_spec("mobilenet_v3_large"))
    with pytest.raises(UserError, match="differs in what no search changes"):
        MOGA.genes(get_spec("moga_a", resolution=192))


def test_a_space_is_an_own_spec_from_a_file_or_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from mobilenets.networks.architectures import get_search_space\n"
        "def space():\n    return get_search_space('moga', width_multiplier=0.5)\n"
    )
    space = get_search_space("moga", width_multiplier=0.5)
    assert of_model({"spec": "own.py:space"}, SearchSpace) == space
    plain = json.loads(json.dumps(resolved({"spec": "own.py:space"}, SearchSpace)))
    assert of_model(plain, SearchSpace) == space
    assert of_model({"name": "moga", "width_multiplier": 0.5}, SearchSpace) == space


def with_choices(number, change):
    blocks = list(TINY.backbone.blocks)
    blocks[number] = ChoiceSpec(tuple(change(list(blocks[number].choices))))
    return with_backbone(TINY, blocks=tuple(blocks))


def wider(choices):
    first, *others = choices
    return [dataclasses.replace(first, out_channels=first.out_channels + 8), *others]


def residual(choices):
    return [dataclasses.replace(choice, residual=True) for choice in choices]


def with_drop_path(choices):
    return [dataclasses.replace(choice, drop_path_rate=0.1) for choice in choices]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (with_choices(3, wider), "choices of block3 must have the same input"),
        (with_choices(3, lambda c: c[:1]), "block3 needs at least two choices"),
        (with_choices(3, lambda c: [*c, c[0]]), "block3 has a choice twice"),
        (with_choices(3, with_drop_path), "choice0 of block3 has stochastic depth"),
        (with_choices(1, residual), "block1 adds its input to its output, but ch"),
        (
            with_choices(
                4, lambda c: [dataclasses.replace(x, in_channels=8) for x in c]
            ),
            "block4 takes 8 channels, but block3 gives 16",
        ),
        (with_backbone(TINY, blocks=TINY.backbone.blocks[:1]), "has no open block"),
        (TINY.supernet, "has open blocks, so it is a search space"),
    ],
)
def test_a_space_that_does_not_fit_together_is_refused(space, message):
    with pytest.raises(UserError, match=message):
        check(space)
