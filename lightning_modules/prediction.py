"""The contract between methods and everything that reads their output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.protocol import EvalProtocol, Prepared


@dataclass
class Prediction:
    """What a method predicts for a batch. Metrics, callbacks, ``predict`` and export read nothing else of a method.

    Attributes:
        depth: (B, 1, H, W) planar z in metres, at the size of the input image; None for a method that segments only.
        covered: (B, 1, H, W) bool, pixels that have a predicted depth; others enter no metric. None for all pixels.
        uncertainty: (B, 1, H, W) of ``depth``, high where it may be wrong; such as a standard deviation in metres. None
            for a method that says nothing of it.
        semantics: (B, C, H, W) class logits.
        edges: (B, 1, H, W) edge logits.
        image_classes: (B, C) logits; channel c is the logit that the image shows class id c + 1.
        segments: label maps (B, H, W) int64, fine to coarse; level 0 are the superpixels.
        embedding: (B, D) image descriptor.
        aux: intermediate depths (B, 1, h, w), in the order they were made.
    """

    depth: Tensor | None = None
    covered: Tensor | None = None
    uncertainty: Tensor | None = None
    semantics: Tensor | None = None
    edges: Tensor | None = None
    image_classes: Tensor | None = None
    segments: list[Tensor] = field(default_factory=list)
    embedding: Tensor | None = None
    aux: list[Tensor] = field(default_factory=list)

    def covered_at(self, size: tuple[int, ...]) -> Tensor | None:
        """Return ``covered`` at another size (H, W): true where depth is interpolated from covered pixels only."""
        if self.covered is None or self.covered.shape[-2:] == size:
            return self.covered
        return F.interpolate(self.covered.float(), size, mode="bilinear") > 1 - 1e-4

    def covered_part(self, prepared: Prepared) -> Prepared:
        """Return prepared maps (B, 1, H, W) of which only covered pixels are evaluated."""
        covered = self.covered_at(prepared.valid.shape[-2:])
        return prepared if covered is None else prepared._replace(valid=prepared.valid & covered)


class TestOutput(TypedDict):
    """What ``validation_step`` and ``test_step`` return for a batch, for callbacks to read.

    Attributes:
        prediction: what the method predicted.
        prepared: prediction, truth and evaluated pixels under the protocol; None for a method without depth.
        protocol: under which the batch is evaluated.
        per_image: (B,) values of each metric, by name, NaN where an image has none; empty in validation.
        oracle: the truth that the prediction was made from, such as "semantics"; empty for none.
    """

    prediction: Prediction
    prepared: Prepared | None
    protocol: EvalProtocol
    per_image: Mapping[str, Tensor]
    oracle: str
