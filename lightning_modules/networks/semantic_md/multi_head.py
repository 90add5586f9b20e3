"""One encoder of segmentation-models-pytorch, and a decoder of it for every task."""

from collections.abc import Mapping
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from lightning_modules.backbones.initial_weights import Pretrained, are_left_out, source_of_one
from lightning_modules.backbones.local_weights import forget_overlay, load_encoder, overlay, timm_weights
from lightning_modules.backbones.pretrained import pretrained_weights
from lightning_modules.backbones.smp_backbones import smp_name, smp_statistics
from lightning_modules.backbones.smp_internals import ARCHITECTURES
from lightning_modules.networks.semantic_md.first_convolution import widen_first_convolution


class MultiHeadNetwork(nn.Module):
    """A shared encoder, and per task a decoder with its head, as in smp's own model of that architecture.

    With one head it is smp's model: the same parameters and, given the same weights, the same output.

    Args:
        encoder: a timm name or ``smp:<encoder>``, as in the backbone registry.
        decoder: architecture of smp, such as ``unet`` or ``deeplabv3``.
        heads: name of each task to its number of output channels.
        in_channels: of the input; see :func:`widen_first_convolution` for more than three.
        pretrained: load the encoder's weights, or others, see :mod:`lightning_modules.backbones.initial_weights`.
        encoder_options: arguments that smp passes on to the encoder, such as ``img_size`` of a timm transformer.
        decoder_options: arguments of smp's model, such as ``decoder_channels``.

    Attributes:
        mean: RGB mean in [0, 1], with which the encoder's weights expect the image to be normalised.
        std: RGB standard deviation in [0, 1], with which the encoder's weights expect the image to be normalised.

    Raises:
        ValueError: for an unknown architecture or encoder, or a pair or weights that do not fit, in one line.
        FileNotFoundError: if a file of weights is missing.
        PretrainedUnavailableError: if the weights are neither cached nor reachable.
    """

    def __init__(
        self,
        encoder: str,
        decoder: str,
        heads: Mapping[str, int],
        *,
        in_channels: int = 3,
        pretrained: Pretrained = True,
        encoder_options: Mapping[str, Any] | None = None,
        decoder_options: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if decoder not in ARCHITECTURES:
            raise ValueError(f"unknown decoder `{decoder}`; segmentation-models-pytorch has {', '.join(ARCHITECTURES)}")
        name, self.pair = smp_name(encoder), f"backbone `{encoder}` with decoder `{decoder}`"
        options = {**(encoder_options or {}), **(decoder_options or {})}
        try:
            # without weights first: what timm and smp raise is then about the pair, not about the network
            models = {head: smp.create_model(decoder, name, None, classes=n, **options) for head, n in heads.items()}
        except Exception as error:
            raise self._misfit(error) from error
        source = source_of_one(encoder, pretrained)
        self.encoder = next(iter(models.values())).encoder
        if source is True and not are_left_out():
            with pretrained_weights(encoder):
                # which of timm's weights is in the name
                weights: Any = True if name.startswith("tu-") else "imagenet"
                self.encoder = smp.create_model(decoder, name, weights, **options).encoder
        elif isinstance(source, str) and not are_left_out():
            self._load(name, decoder, source, options)
        self.mean, self.std = smp_statistics(name, pretrained=source is True)
        self.input_multiple: int = self.encoder.output_stride
        try:
            widen_first_convolution(self.encoder, in_channels)
        except ValueError as error:
            raise self._misfit(error) from error
        self.decoders = nn.ModuleDict({head: model.decoder for head, model in models.items()})
        self.heads = nn.ModuleDict({head: model.segmentation_head for head, model in models.items()})
        self.in_channels = in_channels
        self._fitting: set[tuple[int, int]] = set()

    def _load(self, name: str, decoder: str, source: str, options: Mapping[str, Any]) -> None:
        """Load a file of weights, or those of a package, into the encoder."""
        if not name.startswith("tu-"):
            load_encoder(name, self.encoder, source)
            return
        weights = overlay(timm_weights(name.removeprefix("tu-"), source, features_only=True))
        self.encoder = smp.create_model(decoder, name, True, **weights, **options).encoder
        forget_overlay(self.encoder)

    def _misfit(self, error: BaseException) -> ValueError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return ValueError(f"{self.pair} does not fit: {reason}; choose another, or set `encoder_options`")

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return the output (B, channels, H, W) of each head, by name.

        Args:
            pixels: (B, in_channels, H, W), the first three the normalised image.
        """
        features = self.encoder(pixels)
        arguments = features if isinstance(features, tuple) else (features,)  # DPT's encoder gives tokens too
        return {name: head(self.decoders[name](*arguments)) for name, head in self.heads.items()}

    @torch.no_grad()
    def check_size(self, height: int, width: int) -> None:
        """Check that the network takes images of a size, by running an empty one, once for each size.

        Raises:
            ValueError: if the size is none that the network can take, in one line.
        """
        if (height, width) in self._fitting:
            return
        if height % self.input_multiple or width % self.input_multiple:
            raise ValueError(
                f"input of {height}x{width} pixels: {self.pair} needs multiples of {self.input_multiple}; change "
                "`data.init_args.crop`, `eval_size` or `resize`"
            )
        parameter = next(self.parameters())
        pixels = parameter.new_zeros(1, self.in_channels, height, width)
        training = {module: module.training for module in self.modules()}
        try:
            outputs = self.eval()(pixels)
        except Exception as error:  # timm's transformers assert the size that they were made for
            raise ValueError(f"input of {height}x{width} pixels: {self._misfit(error)}") from error
        finally:
            for module, mode in training.items():
                module.training = mode
        if wrong := {tuple(output.shape[-2:]) for output in outputs.values()} - {(height, width)}:
            raise ValueError(f"{self.pair} does not fit: makes {wrong.pop()} of {(height, width)} pixels")
        self._fitting.add((height, width))
