"""Every config builds the run that its header speaks of."""

import importlib
import pathlib

import pytest

import mobilenets
from mobilenets import UserError, get_spec
from mobilenets.config import check, files
from mobilenets.networks import complexity, own_spec, scaling
from mobilenets.networks.architectures import ARCHITECTURES
from mobilenets.networks.architectures.deeplab import get_segmenter
from mobilenets.networks.architectures.efficientnet import RELEASED, RELEASED_LITE
from mobilenets.networks.architectures.ssd import get_detector
from mobilenets.tasks import registry

FOLDER = pathlib.Path(__file__).parents[2] / "configs"
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.py"))

OWN_RECIPES = {  # no paper's
    *("quickstart", "multilabel_quickstart", "ssdlite_quickstart", "lraspp_quickstart"),
    *("finetune", "ssdlite_finetune", "segmentation_finetune"),
    *("supernet_quickstart", "searched", "geolocalization_quickstart", "modern"),
}
# They need something of the user's: weights, or a network that a search has found.
INCOMPLETE = {"finetune", "ssdlite_finetune", "segmentation_finetune", "searched"}
EMBEDDED = {
    "fashion_mnist_subset",
    "fashion_collages",
    "fashion_scenes",
    "painted_places",
}  # data sets within the package

# The argument with which a config trains an architecture, as its header says.
# fmt: off
ARGUMENTS = (
    {f"efficientnet_{v}": ("efficientnet", f"variant={v}") for v in RELEASED}
    | {f"efficientnet_{v}": ("efficientnet_lite", f"variant={v}")
       for v in RELEASED_LITE}
    | {f"mobilenet_v3_{v}": ("mobilenet_v3", f"variant={v}")
       for v in ("large", "small", "large_minimalistic", "small_minimalistic")}
    | {f"mnasnet_{v}": ("mnasnet", f"variant={v}") for v in ("a1", "b1")}
    | {f"moga_{v}": ("moga", f"variant={v}") for v in ("a", "b", "c")}
    | {f"resnet{n}": ("resnet", f"layers={n}") for n in (50, 101, 152)}
    | {f"se_resnet{n}": ("se_resnet", f"layers={n}") for n in (50, 101, 152)}
    | {v: (v, None) for v in ("mobilenet_v1", "mobilenet_v2", "se_mobilenet_v1")}
)
# fmt: on


def checked(name, argument=None):
    config = importlib.import_module(f"configs.{name}").get_config(argument)
    return check.check(config)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_config_with_exactly_the_released_network(name):
    spec = get_spec(**checked(*ARGUMENTS[name]).model)
    assert spec == ARCHITECTURES[name].make()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_says_how_it_is_run_and_what_it_reached(name):
    module = importlib.import_module(f"configs.{name}")
    assert f"python train.py --config configs/{name}.py" in module.__doc__
    if name not in OWN_RECIPES:
        assert "Not run here" in module.__doc__


def network(config):
    return own_spec.of_model(config.model, registry.TASKS[config.task.name].kind)


@pytest.mark.parametrize("name", sorted({*CONFIGS} - INCOMPLETE))
def test_a_smoke_run_is_small_and_needs_no_prepared_data(name):
    config = checked(name, "smoke")
    spec = network(config)
    assert spec.resolution <= 64
    assert config.dataset.name in EMBEDDED
    full = network(checked(name))
    assert len(spec.backbone.blocks) <= len(full.backbone.blocks)


def test_ssdlite_on_coco_has_the_recipes_of_tensorflow():
    # Steps of so many images, of 118,287 in an epoch.
    for backbone, batch, steps, rate, loss, least in (
        ("mobilenet_v1", 24, 200_000, 0.004, "mined_sigmoid", 0),
        ("mobilenet_v2", 24, 200_000, 0.004, "mined_sigmoid", 3),
        ("mobilenet_v3_large", 512, 400_000, 0.4, "focal", 0),
        ("mobilenet_v3_small_halved", 512, 800_000, 0.4, "focal", 0),
    ):
        config = checked("ssdlite_coco", f"backbone={backbone}")
        assert (config.task.loss, config.task.min_negatives) == (loss, least)
        assert config.batch_size == batch
        assert config.total_steps(118_287) == steps
        assert config.optimizer.learning_rate == pytest.approx(rate)
        assert config.optimizer.weight_decay == 4e-5
        assert get_detector(**config.model).backbone.name.startswith(backbone[:12])


def test_segmenters_have_the_recipe_of_deeplab():
    """DeepLabv3, Sec. 4.1: "poly" at the power 0.9, scales of 0.5 to 2."""
    for name, argument, images, steps, rate, pixels in (
        ("deeplabv3_voc", "backbone=mobilenet_v2", 10_582, 30_000, 0.007, 513),
        ("deeplabv3_voc", "head=raspp", 10_582, 30_000, 0.007, 513),
        ("deeplabv3_voc", "second_phase", 10_582, 30_000, 0.001, None),
        ("lraspp_cityscapes", "backbone=mobilenet_v3_small", 2975, 90_000, 0.007, 769),
    ):
        module = importlib.import_module(f"configs.{name}")
        built = module.get_config(argument)
        built.init_from = "runs/voc" if pixels is None else ""
        config = check.check(built)
        assert config.total_steps(images) == steps and config.batch_size == 16
        assert config.optimizer.learning_rate == pytest.approx(rate)
        assert (config.schedule.name, config.schedule.power) == ("poly", 0.9)
        assert config.augmentation[0].min_scale == 0.5
        assert config.task.frozen_batch_norm == (pixels is None)
        if pixels:
            assert get_segmenter(**config.model).resolution == pixels


def test_fine_grained_and_attributes_have_the_networks_of_the_paper():
    """MobileNetV1, Tables 10 and 12: millions of parameters and of MAdds, rounded."""
    # fmt: off
    for name, argument, outputs, parameters, madds in (
        ("stanford_dogs", "width=1.0,resolution=224", 120, 3.3, 569),
        ("stanford_dogs", "web,width=0.75",           120, 1.9, 325),
        ("stanford_dogs", "web,resolution=192",       120, 3.3, 418),
        ("celeb_a",       "width=1.0",                 40, 3.2, 568),
        ("celeb_a",       "width=0.5,resolution=128",  40, 0.8,  48),
        ("celeb_a",       "width=0.25",                40, 0.2, None),  # printed: 45
    ):
        # fmt: on
        config = checked(name, argument)
        spec = get_spec(**config.model)
        assert round(complexity.params(spec, outputs) / 1e6, 1) == parameters
        if madds:
            found = complexity.madds(spec, outputs) / 1e6
            assert found == pytest.approx(madds, abs=1.5)
    # No weight decay, Sec. 4.5; the larger network has 7.5 M parameters.
    assert checked("celeb_a").optimizer.weight_decay == 0
    larger = get_spec(**checked("celeb_a", "larger").model)
    assert complexity.params(larger, 40) / 1e6 == pytest.approx(7.5, abs=0.5)
    assert checked("celeb_a", "larger,smoke").model["resolution"] == 32
    with pytest.raises(UserError, match="takes larger, or width= and resolution="):
        checked("celeb_a", "larger,width=0.5")


def test_the_second_stage_takes_the_network_of_the_first():
    config = files.configuration("stanford_dogs", {"init_from": "runs/web"})
    assert config.model == {} and config.dataset.name == "stanford_dogs"
    web = files.configuration("stanford_dogs:web", {"dataset.folder": "mine"})
    assert web.model["name"] == "mobilenet_v1" and web.dataset.folder == "mine"
    assert not web.init_from


# The papers' and authors' recipes; see the header of each config for what is whose.
# fmt: off
RECIPES = [
    # config, optimizer, batch, rate at that batch, epochs, decay, schedule, its numbers
    ("mobilenet_v1",    "rmsprop", 1024, 0.66,  200, 4e-5, "exponential", (0.94, 3.0)),
    ("mobilenet_v2",    "rmsprop",  768, 0.36,  420, 4e-5, "exponential", (0.98, 2.5)),
    ("mobilenet_v3",    "rmsprop", 4096, 0.1,   600, 1e-5, "exponential", (0.99, 3.0)),
    ("efficientnet_b0", "rmsprop", 2048, 0.128, 350, 1e-5, "exponential", (0.97, 2.4)),
    ("efficientnet_b7", "rmsprop", 2048, 0.128, 350, 1e-5, "exponential", (0.97, 2.4)),
    ("efficientnet_lite", "rmsprop", 2048, 0.128, 350, 1e-5, "exponential",
     (0.97, 2.4)),
    ("mnasnet",         "rmsprop", 4096, 0.256, 350, 1e-5, "exponential", (0.97, 2.4)),
    ("moga",            "rmsprop", 4096, 0.256, 350, 1e-5, "exponential", (0.97, 2.4)),
    ("resnet",          "sgd",     1024, 0.4,    90, 1e-4, "piecewise", (30, 60, 80)),
    ("se_resnet",       "sgd",     1024, 0.6,   100, 1e-4, "piecewise", (30, 60, 90)),
    ("se_mobilenet_v1", "sgd",      256, 0.1,   400, 4e-5, "piecewise", (200, 300)),
]
# What is subtracted from the pixels, divided into them, and the smallest random crop.
IMAGES = {
    "mobilenet_v1": (127.5, 127.5, 0.25), "mobilenet_v2": (127.5, 127.5, 0.05),
    "mobilenet_v3": (127.5, 127.5, 0.05), "efficientnet_b0": (123.675, 58.395, 0.08),
    "efficientnet_lite": (127.0, 128.0, 0.08), "mnasnet": (123.675, 58.395, 0.08),
    "moga": (123.675, 58.395, 0.2), "resnet": (123.675, 58.395, 0.08),
}
# fmt: on


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: row[0])
def test_a_recipe_is_that_of_its_source(row):
    config = checked(row[0])
    schedule, optimizer = config.schedule, config.optimizer
    if schedule.name == "exponential":
        numbers = (schedule.decay_rate, schedule.decay_epochs)
    else:
        numbers = schedule.boundaries
    assert (row[0], optimizer.name, config.batch_size, config.epochs) == (
        *row[:3],
        row[4],
    )
    assert optimizer.learning_rate == pytest.approx(row[3])
    assert (optimizer.weight_decay, schedule.name) == row[5:7]
    assert numbers == row[7]
    # All that average do so at 0.9999; the recipes with SGD do not.
    assert config.ema_decay == (0.0 if optimizer.name == "sgd" else 0.9999)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_prepared_as_by_the_source(name):
    config = checked(name)
    preprocessing = config.preprocessing
    (crop,) = (o for o in config.augmentation if o.name == "random_crop")
    found = (preprocessing.mean[0], preprocessing.std[0], crop.min_area)
    assert found == IMAGES[name]
    assert preprocessing.crop_fraction == 0.875


@pytest.mark.parametrize("variant", RELEASED)
def test_the_config_of_an_efficientnet_is_that_of_the_generator(variant):
    assert checked(f"efficientnet_{variant}") == checked(
        "efficientnet", f"variant={variant}"
    )


def test_phi_gives_the_network_of_equation_3():
    spec = get_spec(**checked("efficientnet", "phi=2.5").model)
    scaled = scaling.scaled_net("efficientnet", 2.5).spec
    assert spec.backbone.blocks != get_spec("efficientnet_b0").backbone.blocks
    assert (spec.resolution, spec.dropout_rate) == (318, scaled.dropout_rate)
    channels = [(b.in_channels, b.out_channels) for b in spec.backbone.blocks]
    assert channels == [(b.in_channels, b.out_channels) for b in scaled.backbone.blocks]


def test_the_learning_rate_of_an_efficientnet_follows_the_batch():
    # Sec. 5.2 and the authors' code: 0.016 for each 256 images, so 0.256 for 4096.
    config = importlib.import_module("configs.efficientnet_b3").get_config()
    assert check.check(config).optimizer.learning_rate == pytest.approx(0.128)
    config.batch_size = 4096
    assert check.check(config).optimizer.learning_rate == pytest.approx(0.256)


def test_only_efficientnets_use_the_policy_of_auto_augment_and_it_comes_last():
    for name in ("efficientnet_b0", "efficientnet_b7", "efficientnet_lite"):
        operations = checked(name).augmentation
        assert [o.name for o in operations] == ["random_crop", "flip", "auto_augment"]
        assert operations[-1].policy == "v0"
    for name in ("mnasnet", "moga", "resnet", "mobilenet_v3"):
        assert "auto_augment" not in [o.name for o in checked(name).augmentation]


def built_for(name, batch_size):
    config = importlib.import_module(f"configs.{name}").get_config()
    config.batch_size = batch_size
    return check.check(config)


def test_an_average_is_over_as_many_images_in_any_batch():
    for name, batch in (("efficientnet_b0", 2048), ("mobilenet_v2", 768)):
        assert built_for(name, batch).ema_decay == 0.9999
        # 0.9999 in each of two steps, or their product in one of twice the batch.
        assert built_for(name, 2 * batch).ema_decay == pytest.approx(0.9999**2)
        assert built_for(name, batch // 4).ema_decay ** 4 == pytest.approx(0.9999)
        changed = mobilenets.load_config(name, {"ema_decay": 0.5, "batch_size": 8})
        assert changed.ema_decay == 0.5


def test_the_modern_recipe_is_that_of_mobilenet_v4():
    """2404.10518, Table 10: Conv-M, with mixup and CutMix of Conv-L at 0.3 in all."""
    config = checked("modern")
    optimizer, operations = config.optimizer, {o.name: o for o in config.augmentation}
    assert (optimizer.name, optimizer.epsilon) == ("adamw", 1e-7)
    assert (optimizer.learning_rate, optimizer.weight_decay) == (4e-3, 0.1)
    assert (config.batch_size, config.epochs) == (4096, 500)
    assert (config.schedule.name, config.schedule.warmup_epochs) == ("cosine", 5)
    assert config.ema_decay == 0.9999 and config.task.label_smoothing == 0.1
    policy, mixup, cutmix = (
        operations[name] for name in ("rand_augment", "mixup", "cutmix")
    )
    assert (policy.layers, policy.magnitude, policy.probability) == (2, 15, 0.7)
    assert policy.scale == "efficientnet"
    assert (mixup.alpha, cutmix.alpha) == (0.8, 1.0)
    assert mixup.probability + cutmix.probability == pytest.approx(0.3)
    last = network(config).backbone.blocks[-1]
    assert last.drop_path_rate == pytest.approx(0.075 * 14 / 15)


def test_the_rates_of_the_modern_recipe_follow_the_root_of_the_batch():
    """A quarter of the batch: half the rate and the decay, four times the steps."""
    whole, part = checked("modern"), built_for("modern", 1024)
    assert part.optimizer.learning_rate == pytest.approx(2e-3)
    assert part.optimizer.weight_decay == pytest.approx(0.05)
    shrinking = [
        c.optimizer.learning_rate * c.optimizer.weight_decay / c.batch_size
        for c in (whole, part)
    ]
    assert shrinking[0] == pytest.approx(shrinking[1])


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b2", "moga_a"])
def test_the_modern_recipe_takes_any_network_of_inverted_residuals(name):
    spec = network(checked("modern", f"network={name}"))
    rates = [block.drop_path_rate for block in spec.backbone.blocks]
    count = len(rates)
    assert rates == pytest.approx([0.075 * i / count for i in range(count)])


def test_stochastic_depth_needs_inverted_residuals():
    assert network(checked("modern", "network=resnet50,drop_path=0"))
    for name in ("resnet50", "mobilenet_v1"):
        with pytest.raises(UserError, match=f"{name}: drop_path_rate is for inverted"):
            network(checked("modern", f"network={name}"))


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("efficientnet", "variant=b9", "EfficientNet 'b9'. Choose from: b0, b1,"),
        ("efficientnet", "variant=b3,phi=2", "takes variant= or phi=, not both"),
        ("efficientnet", "phi=two", "argument phi .* must be of type float"),
        ("efficientnet", "phi=80", "phi must be a number from -10 to 10, but is 80"),
        ("efficientnet", "fi=2", "'fi' of the config file. Choose from: phi, "),
        (
            "efficientnet_b3",
            "variant=b4",
            "Unknown argument 'variant' of the config file",
        ),
        ("efficientnet_lite", "variant=lite5", "variant of EfficientNet-Lite 'lite5'"),
    ],
)
def test_a_wrong_argument_is_one_clear_sentence(name, argument, message):
    with pytest.raises(UserError, match=message):
        checked(name, argument)
