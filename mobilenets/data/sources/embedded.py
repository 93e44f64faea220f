"""The data sets inside the package."""

import pathlib

# As prepared TFDS directories.
PREPARED = {
    "fashion_mnist_subset": pathlib.Path(__file__).parents[1]
    / "embedded/fashion_mnist_subset/1.0.0",
}
COLLAGES = "fashion_collages"  # composed of the former, see `collages`
SCENES = "fashion_scenes"  # with boxes and masks, see `scenes`
PLACES = "painted_places"  # made by code, with a place each, see `painted_places`
NAMES = (*PREPARED, COLLAGES, SCENES, PLACES)
