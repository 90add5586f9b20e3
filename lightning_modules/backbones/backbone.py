"""Base class of all backbones: maps of an image, and what has to be known of them."""

from typing import NamedTuple

from torch import Tensor, nn

RGB = tuple[float, float, float]


class FeatureInfo(NamedTuple):
    """One feature map: its number of channels and its stride with respect to the input."""

    channels: int
    stride: int


class Backbone(nn.Module):
    """Image encoder that returns feature maps, fine to coarse.

    Attributes:
        feature_info: channels and stride of each returned map.
        mean: RGB mean in [0, 1], with which the weights expect the input to be normalised.
        std: RGB standard deviation in [0, 1], with which the weights expect the input to be normalised.
        input_multiple: pixels, of which height and width of the input must be multiples.
    """

    feature_info: tuple[FeatureInfo, ...]
    mean: RGB
    std: RGB
    input_multiple: int

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return maps (B, channels, H / stride, W / stride) of images (B, C, H, W), ordered as ``feature_info``."""
        raise NotImplementedError

    def check_input(self, image: Tensor) -> None:
        """Refuse images (B, C, H, W) of a size that the network would silently round.

        Raises:
            ValueError: if height or width is not a multiple of ``input_multiple``.
        """
        height, width = image.shape[-2:]
        if height % self.input_multiple or width % self.input_multiple:
            raise ValueError(
                f"input of {height}x{width} pixels: height and width must be multiples of {self.input_multiple}; "
                "change `data.init_args.crop`, `eval_size` or `resize`"
            )
