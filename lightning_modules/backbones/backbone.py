"""What every backbone declares about itself."""

from typing import NamedTuple

from torch import Tensor, nn

RGB = tuple[float, float, float]


class FeatureInfo(NamedTuple):
    """One feature map: its number of channels and its stride with respect to the input."""

    channels: int
    stride: int


class Backbone(nn.Module):
    """An image encoder that returns feature maps, fine to coarse.

    Attributes:
        feature_info: channels and stride of each returned map.
        mean: RGB mean that the weights expect the input, scaled to [0, 1], to be normalised with.
        std: RGB standard deviation, likewise.
        input_multiple: height and width of the input must be multiples of this.
    """

    feature_info: tuple[FeatureInfo, ...]
    mean: RGB
    std: RGB
    input_multiple: int

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps (B, channels, H / stride, W / stride) of an image (B, C, H, W), as ``feature_info`` lists them."""
        raise NotImplementedError

    def check_input(self, image: Tensor) -> None:
        """Refuse sizes that the network would silently round.

        Raises:
            ValueError: if height or width is not a multiple of ``input_multiple``.
        """
        height, width = image.shape[-2:]
        if height % self.input_multiple or width % self.input_multiple:
            raise ValueError(
                f"input of {height}x{width} pixels: height and width must be multiples of {self.input_multiple}; "
                "change `data.init_args.crop`, `eval_size` or `resize`"
            )
