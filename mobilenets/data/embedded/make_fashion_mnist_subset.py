"""Makes the embedded Fashion-MNIST subset from the four original IDX files.

    pip install 'mobilenets[prepare]'
    python mobilenets/data/embedded/make_fashion_mnist_subset.py IDX_DIRECTORY

The IDX files (train-images-idx3-ubyte.gz and so on) are those of
https://github.com/zalandoresearch/fashion-mnist. The subset keeps, in the original
order, the first 600 training and the first 100 test images of each of the 10 classes.
It is run once; what it wrote is part of the package.
"""

import gzip
import pathlib
import sys

import numpy as np
import tensorflow_datasets as tfds

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def read_idx(path: pathlib.Path) -> np.ndarray:
    """One IDX file of bytes: 4 bytes of type and rank, the sizes, then the values."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


class FashionMnistSubset(tfds.core.GeneratorBasedBuilder):
    """6,000 training and 1,000 validation images of Fashion-MNIST, 28x28, grey."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "6,000 + 1,000 images of Fashion-MNIST, equally many per class."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(names=CLASS_NAMES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            license="MIT",
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        source = pathlib.Path(sys.argv[1])
        return {
            "train": self._generate_examples(source, "train", per_class=600),
            "validation": self._generate_examples(source, "t10k", per_class=100),
        }

    def _generate_examples(self, source, prefix, per_class):
        images = read_idx(source / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
        first = [np.flatnonzero(labels == c)[:per_class] for c in range(10)]
        for i in np.sort(np.concatenate(first)):
            yield int(i), {"image": images[i][..., None], "label": int(labels[i])}


if __name__ == "__main__":
    FashionMnistSubset(
        data_dir=pathlib.Path(__file__).parent, file_format="array_record"
    ).download_and_prepare()
