"""Weights behind prefixes, in containers, and with another head or none."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from mobilenets import UserError
from mobilenets.inference import trained
from mobilenets.networks.spec import BackboneSpec
from mobilenets.pretrained import from_state_dict, importing
from mobilenets.pretrained.formats import read_state
from mobilenets.pretrained.formats.containers import Choice
from tests.pretrained.rebuilt import golden, rebuilt_state
from tests.torch_files import Call, Global, WithState, archive, floats, tensor

V2 = ("torchvision", "mobilenet_v2")
V3 = ("timm", "mobilenetv3_small_100")


@pytest.fixture(scope="module")
def v2():
    """MobileNetV2 of torchvision: its state, and what is imported from that."""
    state = rebuilt_state(golden("torchvision__mobilenet_v2__96"))
    return state, from_state_dict(state, *V2)[1]


@pytest.fixture(scope="module")
def v3():
    """MobileNetV3 of timm, which has a dense layer before the logits."""
    state = rebuilt_state(golden("timm__mobilenetv3_small_100__75"))
    return state, from_state_dict(state, *V3)[1]


def assert_equal(variables, expected):
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def without(variables, *modules):
    params = {k: v for k, v in variables["params"].items() if k not in modules}
    return variables | {"params": params}


def with_head(state, old, **arrays):
    """A state with other arrays in the place of those that begin so."""
    kept = {k: v for k, v in state.items() if not k.startswith(old)}
    return kept | {k.replace("__", "."): v for k, v in arrays.items()}


RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((7, 1280)).astype(np.float32)  # classes, features
BIAS = RNG.standard_normal(7).astype(np.float32)


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "model.", "net.", "backbone."),
        *("module._orig_mod.", "_orig_mod.module.model.", "encoder.trunk.", "0."),
    ],
)
def test_a_prefix_of_all_names_is_taken_off(v2, prefix):
    state, expected = v2
    state = {f"{prefix}{key}": value for key, value in state.items()}
    _, variables, _ = from_state_dict(state | {"n_averaged": np.array(3)}, *V2)
    assert_equal(variables, expected)


@pytest.mark.parametrize(("averaged", "value"), [(True, 2.0), (False, 1.0)])
@pytest.mark.parametrize("name", ["ema_model.", "model_ema.module.", "ema."])
def test_of_a_network_and_its_average_the_one_asked_for_is_taken(
    v2, name, averaged, value
):
    state, _ = v2
    both = {f"model.{k}": np.full_like(v, 1.0) for k, v in state.items()}
    both |= {f"{name}{k}": np.full_like(v, 2.0) for k, v in state.items()}
    lines = []
    _, variables, _ = from_state_dict(both, *V2, Choice(averaged, lines.append))
    assert (variables["params"]["logits"]["bias"] == value).all()
    (line,) = lines
    assert "'model.'" in line and f"'{name}'" in line


def test_where_there_is_only_an_average_that_is_said(v2):
    state, expected = v2
    state = {f"ema.{key}": value for key, value in state.items()}
    for averaged, said in ((True, 0), (False, 1)):
        lines = []
        _, variables, _ = from_state_dict(state, *V2, Choice(averaged, lines.append))
        assert_equal(variables, expected)
        assert len(lines) == said
    assert "only averaged weights, behind 'ema.'" in lines[0]


@pytest.mark.parametrize(("averaged", "value"), [(True, 2.0), (False, 1.0)])
def test_an_average_may_be_within_the_network_that_it_is_of(v2, averaged, value):
    state, _ = v2
    both = {k: np.full_like(v, 1.0) for k, v in state.items()}
    both |= {f"ema.{k}": np.full_like(v, 2.0) for k, v in state.items()}
    spec, variables, _ = from_state_dict(both, *V2, Choice(averaged))
    assert spec.kind == "classifier"
    leaves = jax.tree.leaves(variables)
    assert all((leaf == value).all() for leaf in leaves)


@pytest.mark.parametrize(
    "head",
    [
        {"classifier__1__weight": KERNEL, "classifier__1__bias": BIAS},
        {"classifier__weight": KERNEL, "classifier__bias": BIAS},
        {"classifier__1__1__weight": KERNEL, "classifier__1__1__bias": BIAS},
        {"my_head__weight": KERNEL, "my_head__bias": BIAS},
    ],
)
def test_a_dense_layer_on_the_features_is_a_head(v2, head):
    state, expected = v2
    spec, variables, _ = from_state_dict(with_head(state, "classifier", **head), *V2)
    assert spec.kind == "classifier"
    logits = variables["params"].pop("logits")
    np.testing.assert_array_equal(logits["kernel"], KERNEL.T)
    np.testing.assert_array_equal(logits["bias"], BIAS)
    assert_equal(variables["params"], without(expected, "logits")["params"])


def test_a_backbone_in_a_sequence_has_the_head_that_follows(v2):
    state, expected = v2
    state = {f"0.{key}": v for key, v in with_head(state, "classifier").items()}
    state |= {"2.weight": KERNEL}  # no bias
    _, variables, _ = from_state_dict(state, *V2)
    logits = variables["params"].pop("logits")
    np.testing.assert_array_equal(logits["kernel"], KERNEL.T)
    assert logits["bias"].tolist() == [0.0] * 7
    assert_equal(variables["params"], without(expected, "logits")["params"])


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"head__weight": KERNEL[:, :100], "head__bias": BIAS},  # of other features
        {"head__weight": KERNEL, "head__bias": BIAS[:3]},
        {"head__weight": KERNEL, "criterion__weight": BIAS},  # of a loss
        {"classifier__1__weight": np.zeros((7, 62720)), "classifier__1__bias": BIAS},
        {
            "head__0__weight": KERNEL,
            "head__0__bias": BIAS,
            "head__2__weight": KERNEL[:, :7],
            "head__2__bias": BIAS,
        },
        {  # Dropout, Linear, ReLU, Linear: the first is called like the library's
            "classifier__1__weight": KERNEL,
            "classifier__1__bias": BIAS,
            "classifier__3__weight": KERNEL[:, :7],
            "classifier__3__bias": BIAS,
        },
        {  # Linear, BatchNorm, ReLU, Linear
            "classifier__0__weight": KERNEL,
            "classifier__1__weight": BIAS,
            "classifier__1__bias": BIAS,
            "classifier__3__weight": KERNEL[:, :7],
        },
    ],
)
def test_without_a_head_that_is_known_it_is_a_backbone(v2, head):
    state, expected = v2
    lines = []
    spec, variables, _ = from_state_dict(
        with_head(state, "classifier", **head), *V2, Choice(tell=lines.append)
    )
    assert isinstance(spec, BackboneSpec)
    assert_equal(variables, without(expected, "logits"))
    (line,) = lines
    assert "backbone" in line
    for key in head:
        assert key.replace("__", ".") in line


def test_a_backbone_is_saved_and_loaded_as_one(v2, tmp_path):
    state, expected = v2
    safetensors.numpy.save_file(with_head(state, "classifier"), tmp_path / "x")
    trained.save(importing.from_file(str(tmp_path / "x"), *V2), str(tmp_path / "net"))
    net = trained.load(str(tmp_path / "net"))
    assert net.description.class_names == ()
    assert_equal(net.variables, without(expected, "logits"))


def test_half_of_the_librarys_head_is_no_other_head(v2):
    state, _ = v2
    for kept, lost in (("weight", "bias"), ("bias", "weight")):
        half = with_head(state, "classifier", **{f"classifier__1__{kept}": KERNEL})
        with pytest.raises(UserError, match=f"lack the key classifier.1.{lost}|shape"):
            from_state_dict(half, *V2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda v: np.round(v).astype(np.int8), "holds int8 instead of floating-point"),
        (lambda v: np.where(v == v.max(), np.nan, v), "not finite: the training has"),
        (lambda v: 1e300 * v.astype(np.float64), "not finite"),  # float32 ends before
    ],
)
def test_values_that_are_no_weights_are_refused(v2, value, message):
    state, _ = v2
    key = "features.3.conv.1.0.weight"
    with pytest.raises(UserError, match=f"The key {key} of the weights .*{message}"):
        from_state_dict(state | {key: value(state[key])}, *V2)


def test_arrays_of_another_network_are_no_head(v2):
    state, _ = v2
    for key in ("features.20.0.weight", "other.0.conv.weight"):
        more = with_head(state, "classifier") | {key: np.zeros((8, 8, 3, 3))}
        with pytest.raises(UserError, match=f"that mobilenet_v2 lacks: {key}"):
            from_state_dict(more, *V2)


def test_a_head_may_keep_the_dense_layer_before_the_logits(v3):
    state, expected = v3
    new = np.ones((7, 1024), np.float32)
    _, variables, _ = from_state_dict(
        with_head(state, "classifier", fc__weight=new), *V3
    )
    assert (variables["params"].pop("logits")["kernel"] == 1).all()
    assert_equal(variables["params"], without(expected, "logits")["params"])


def test_a_head_may_be_in_the_place_of_the_dense_layer_too(v3):
    state, expected = v3
    state = with_head(state, "conv_head", fc__weight=np.ones((7, 576), np.float32))
    state = with_head(state, "classifier")
    spec, variables, _ = from_state_dict(state, *V3)
    assert spec.head_dense_channels == 0
    assert variables["params"].pop("logits")["kernel"].shape == (576, 7)
    bare = without(expected, "logits", "head_dense")
    assert_equal(variables["params"], bare["params"])


def test_a_headless_network_leaves_out_its_dense_layer(v3):
    state, expected = v3
    spec, variables, _ = from_state_dict(with_head(state, "classifier"), *V3)
    assert isinstance(spec, BackboneSpec)
    assert_equal(variables, without(expected, "logits", "head_dense"))


def test_a_name_of_timm_may_have_the_tag_of_its_weights(v3):
    state, expected = v3
    _, variables, _ = from_state_dict(state, "timm", "mobilenetv3_small_100.lamb_in1k")
    assert_equal(variables, expected)


def test_files_in_parts_are_read_by_their_index(v2, tmp_path, run):
    state, expected = v2
    keys = list(state)
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    halves = keys[:100], keys[100:]
    places = {}
    for name, half in zip(names, halves, strict=True):
        safetensors.numpy.save_file({k: state[k] for k in half}, tmp_path / name)
        places |= dict.fromkeys(half, name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    folder = tmp_path / "weights"
    words = ("--library", V2[0], "--model", V2[1], "--output", folder)
    assert run("import-weights", index, *words).exit_code == 0
    assert_equal(trained.load(str(folder)).variables, expected)
    refused = run("import-weights", tmp_path / names[0], *words)
    assert f"only a part of the weights: give the index, {index}" in refused.stderr


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../x.safetensors"}}, "not a file of weights beside it"),
        ({"weight_map": {"a": "/etc/passwd"}}, "not a file of weights beside it"),
        ({"weight_map": {"a": "x.index.json"}}, "not a file of weights beside it"),
        ({"weight_map": {"a": "missing.safetensors"}}, "There is no file"),
        ({"weight_map": {"b": "x.safetensors"}}, r"b is in x\.safetensors, but it is"),
        ({"weight_map": []}, "has no weight_map"),
        ([], "has no weight_map"),
    ],
)
def test_an_index_that_is_wrong_is_told(tmp_path, index, message):
    safetensors.numpy.save_file({"a": BIAS}, tmp_path / "x.safetensors")
    path = tmp_path / "x.index.json"
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=message):
        read_state(path)


def numpy_scalar(core):
    """A float64 as NumPy pickles it."""
    dtype = WithState(
        Call(Global("numpy", "dtype"), ("f8", False, True)),
        (3, "<", None, None, None, -1, -1, 0),
    )
    number = Call(Global("_codecs", "encode"), ("\x00" * 8, "latin1"))
    return Call(Global(f"numpy.{core}.multiarray", "scalar"), (dtype, number))


@pytest.mark.parametrize(
    "value",
    [
        numpy_scalar("core"),
        numpy_scalar("_core"),
        Global("torch", "float32"),
        Call(Global("torch", "device"), ("cpu",)),
        Call(Global("pathlib", "PosixPath"), ("a", "b.pth")),
        Call(Global("pathlib._local", "PosixPath"), ("a", "b.pth")),
        Call(Global("collections", "defaultdict"), (Global("builtins", "dict"),)),
        WithState(Call(Global("argparse", "Namespace"), ()), {"lr": 0.1}),
        WithState(Call(Global("types", "SimpleNamespace"), ()), {"lr": 0.1}),
        Call(Global("builtins", "set"), ([1, 2],)),
        WithState(
            Call(Global("omegaconf.dictconfig", "DictConfig"), ()), {"_content": {}}
        ),
    ],
)
def test_what_is_beside_the_weights_is_passed_over(tmp_path, value):
    vector, storages = floats(1.0, 2.0)
    tree = {"best": value, "state_dict": {"a": vector}, "args": {"deep": [value]}}
    state = read_state(archive(tmp_path / "x.ckpt", tree, storages))
    assert state["a"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("tree", "averaged", "raw"),
    [
        ({"model": "raw", "ema": "ema"}, 2.0, 1.0),
        ({"state_dict": "raw", "state_dict_ema": "ema", "epoch": 3}, 2.0, 1.0),
        ({"model": "raw", "model_ema": {"module": "ema", "decay": 0.99}}, 2.0, 1.0),
        ({"model": {"state_dict": "raw"}, "ema_state_dict": "ema"}, 2.0, 1.0),
        ({"ema": "ema"}, 2.0, 2.0),
        ({"model_state_dict": "raw", "optimizer_state_dict": {"state": {}}}, 1.0, 1.0),
        ({"my_net": "raw", "epoch": 3}, 1.0, 1.0),
    ],
)
def test_the_weights_are_found_in_a_checkpoint(tmp_path, tree, averaged, raw):
    values = np.array([1.0, 2.0], "<f4").tobytes()
    sets = {
        name: {"a": tensor("FloatStorage", "0", 2, (1,), (1,), offset)}
        for offset, name in enumerate(("raw", "ema"))
    }

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return sets.get(value, value)

    path = archive(tmp_path / "x.pth", filled(tree), {"0": (2, values)})
    assert read_state(path)["a"].tolist() == [averaged]
    assert read_state(path, Choice(averaged=False))["a"].tolist() == [raw]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model"], []),
        (["net", "model"], ["The file has model and net: model is taken."]),
        (["ema"], []),
    ],
)
def test_what_is_taken_of_several_is_said(tmp_path, names, said):
    vector, storages = floats(1.0, 2.0)
    path = archive(tmp_path / "x.pth", {n: {"a": vector} for n in names}, storages)
    lines = []
    read_state(path, Choice(tell=lines.append))
    assert lines == said


def retrained_mobilenet(classes):
    """MobileNetV1 0.25 as TF-Hub's retrain.py leaves it: a module and a new layer."""
    rng = np.random.default_rng(0)
    state, inputs = {}, 3

    def add(module, variable, *shape):
        values = rng.uniform(0.5, 1.0, shape).astype(np.float32)
        state[f"module/MobilenetV1/{module}/{variable}"] = values
        for statistic in ("gamma", "beta", "moving_mean", "moving_variance"):
            channels = shape[2] if "depthwise" in variable else shape[3]
            key = f"module/MobilenetV1/{module}/BatchNorm/{statistic}"
            state[key] = rng.uniform(0.5, 1.0, channels).astype(np.float32)

    add("Conv2d_0", "weights", 3, 3, 3, 8)
    inputs = 8
    widths = (16, 32, 32, 64, 64, *[128] * 6, 256, 256)
    for i, outputs in enumerate(widths, start=1):
        add(f"Conv2d_{i}_depthwise", "depthwise_weights", 3, 3, inputs, 1)
        add(f"Conv2d_{i}_pointwise", "weights", 1, 1, inputs, outputs)
        inputs = outputs
    ops = "final_retrain_ops"
    kernel = rng.standard_normal((256, classes)).astype(np.float32)
    state[f"{ops}/weights/final_weights"] = kernel
    state[f"{ops}/biases/final_biases"] = np.arange(classes, dtype=np.float32)
    return state


def test_a_retrained_module_of_tf_hub_keeps_its_classes():
    state = retrained_mobilenet(classes=5)
    lines = []
    spec, variables, _ = from_state_dict(
        state, "tf-slim", "mobilenet_v1_0.25_128", Choice(tell=lines.append)
    )
    assert spec.kind == "classifier"
    params = variables["params"]
    np.testing.assert_array_equal(
        params["logits"]["kernel"], state["final_retrain_ops/weights/final_weights"]
    )
    assert params["logits"]["bias"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(
        params["block3"]["depthwise"]["conv"]["kernel"][:, :, 0],
        state["module/MobilenetV1/Conv2d_4_depthwise/depthwise_weights"][..., 0],
    )
    np.testing.assert_array_equal(
        variables["batch_stats"]["block12"]["project"]["bn"]["var"],
        state["module/MobilenetV1/Conv2d_13_pointwise/BatchNorm/moving_variance"],
    )
    (line,) = lines
    assert "final_retrain_ops/weights/final_weights" in line
