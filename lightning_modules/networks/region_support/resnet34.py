"""Load ResNet-34's weights into a network that is only partly a ResNet-34."""

from typing import NamedTuple

from torch import Tensor

from lightning_modules.backbones.initial_weights import Pretrained
from lightning_modules.backbones.timm_backbones import create_timm_model
from lightning_modules.networks.region_support.generation import FeatureExtractor

RESNET34 = "resnet34.a1_in1k"


class Taken(NamedTuple):
    """Names of the parameters and buffers that were loaded, and of those that keep their random values."""

    loaded: list[str]
    left: list[str]


def take_resnet34_weights(
    features: FeatureExtractor, weights: dict[str, Tensor] | None = None, *, pretrained: Pretrained = True
) -> Taken:
    """Load what ResNet-34 has under the same name and in the same shape ("we adopt ResNet34 as the pre-trained model").

    At the widths of Table 1 these are the stem, all of layer1, and the 512-channel convolutions of layer4; with
    ``resnet34_dilated`` it is all of it.

    Args:
        features: the network.
        weights: of a ResNet-34; None takes those of ``pretrained``.
        pretrained: where they come from, by default timm's, trained on ImageNet, from the hub; see
            :mod:`lightning_modules.backbones.initial_weights`.

    Raises:
        PretrainedUnavailableError: if they are neither in the cache nor reachable.
    """
    if weights is None:
        weights = create_timm_model(RESNET34, pretrained=pretrained).state_dict()
    mine = features.state_dict()
    fitting = {name: weights[name] for name in mine if name in weights and weights[name].shape == mine[name].shape}
    whole = {name: value for name, value in fitting.items() if _fits_with_its_layer(name, fitting, mine)}
    features.load_state_dict({**mine, **whole})
    return Taken(sorted(whole), sorted(mine.keys() - whole.keys()))


def _fits_with_its_layer(name: str, fitting: dict[str, Tensor], mine: dict[str, Tensor]) -> bool:
    """Tell whether all tensors of a tensor's layer fit: a counter of batches has no shape, and fits anywhere."""
    layer = name.rpartition(".")[0]
    return all(other in fitting for other in mine if other.rpartition(".")[0] == layer)
