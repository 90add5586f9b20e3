"""Semantic-MD's networks: an input transformation before a network with one or more heads."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork
from lightning_modules.networks.semantic_md.semantic_inputs import SemanticInput

Activation = Literal["auto", "sigmoid", "none"]


class SemanticMDNetwork(nn.Module):
    """Predict depth, and what else has a head, from [image, T(semantics)]: Semantic-MD, section 3, Fig. 2.

    Args:
        backbone: the network, whose head `depth` has one channel.
        semantic_input: the transformation T; None for the image alone.
        max_depth: metres by which the depth head's output is multiplied.
        depth_activation: of the depth head, ``sigmoid`` or ``none``; ``auto`` is the authors' choice, a sigmoid where
            depth is the only task and none beside others.
    """

    def __init__(
        self,
        backbone: MultiHeadNetwork,
        semantic_input: SemanticInput | None = None,
        *,
        max_depth: float = 15.0,
        depth_activation: Activation = "auto",
    ):
        super().__init__()
        self.backbone = backbone
        self.semantic_input = semantic_input
        self.max_depth = max_depth
        single = len(backbone.heads) == 1
        self.bounded = depth_activation == "sigmoid" or (depth_activation == "auto" and single)

    def forward(self, image: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return outputs (B, channels, H, W) of all heads, by name; `depth` (B, 1, H, W) in metres.

        Args:
            image: (B, 3, H, W), normalised.
            labels: (B, h, w) int64 ids, 0 = unlabelled, brought to the image's size; read only with a transformation.

        Raises:
            ValueError: if there is a transformation, but no labels.
        """
        outputs = self.backbone(self.pixels(image, labels))
        depth = outputs["depth"]
        return outputs | {"depth": self.max_depth * (depth.sigmoid() if self.bounded else depth)}

    def pixels(self, image: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the encoder reads, (B, 3 + channels of the transformation, H, W)."""
        if self.semantic_input is None:
            return image
        if labels is None:
            raise ValueError("the network reads `semantics`, and the batch has none")
        if labels.shape[-2:] != image.shape[-2:]:
            ids = F.interpolate(labels[:, None].float(), image.shape[-2:], mode="nearest-exact")
            labels = ids[:, 0].to(labels.dtype)
        return torch.cat([image, self.semantic_input(labels).to(image)], dim=1)
