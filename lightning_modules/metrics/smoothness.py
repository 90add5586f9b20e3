"""How unevenly depth varies inside objects, away from their borders."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.depth_errors import LOG_FLOOR
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.label_discs import uniform_discs
from lightning_modules.metrics.label_errors import check_labels
from lightning_modules.metrics.label_maps import compact_ids
from lightning_modules.metrics.protocol import EvalProtocol


class ObjectRoughness(ImageMeans):
    r"""Roughness of predicted depth inside annotated objects, and of the truth there, per cent of the depth.

    With the mean over the four pixels q that are ``step`` pixels left, right, above and below a pixel p:

    ==========================  ====================================================================  ======
    ``object_roughness``        100 mean \|mean_q ln d^(q) - ln d^(p)\|                               lower
    ``object_roughness_truth``  the same of the truth d, which has noise and detail of its own
    ==========================  ====================================================================  ======

    This is the Laplacian of log depth at the scale of the step: it does not see an object's scale, next to nothing of
    its slope (0.02 % on a floor of 3 m, seen from 1.5 m above with the camera and the default of NYUv2), but bumps,
    noise and stripes. The pixels p are those whose surroundings within ``margin`` pixels are all of the same object, so
    that a border, sharp or blurred, does not count, and whose own truth and that of the four others is valid. Means
    over the pixels of an image, then over images: a prediction may be too smooth as well as too rough, so that
    the truth's figure stands beside it.

    ``excluded`` counts images without such a pixel, ``nonfinite`` NaN or infinite predictions on the pixels compared.

    Args:
        protocol: range, crop and alignment; its ``averaging`` is not read.
        step: pixels of the truth's grid.
        margin: pixels of the truth's grid, at least ``step``.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 1 <= step <= margin.
    """

    figures = ("object_roughness", "object_roughness_truth")

    def __init__(self, protocol: EvalProtocol, step: int = 4, margin: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= step <= margin:
            raise ValueError(f"need 1 <= `smoothness_step` <= `smoothness_margin` pixels, got {step} and {margin}")
        self.protocol = protocol
        self.step = step
        self.margin = margin

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor, instances: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in metres, at any size and floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.
            instances: (B, H, W) int64, one id per object of an image; 0 = none.

        Raises:
            ValueError: as :meth:`EvalProtocol.prepare`, or if the instances do not fit to the truth.
        """
        prediction, target, valid = self.protocol.prepare(prediction, target, valid)
        check_labels(target, instances)
        inside = uniform_discs(compact_ids(instances), self.margin)[:, None]
        centres = inside & self._cross(valid).all(0)
        compared = self._spread(centres) & valid
        spoilt = compared & ~prediction.isfinite()
        count = centres.sum((1, 2, 3))
        defined = (count > 0) & ~spoilt.any(3).any(2).any(1)

        def roughness(depth: Tensor) -> Tensor:
            """(B,) figure of a map (B, 1, H, W)."""
            log = depth.where(compared, 1.0).clamp(min=LOG_FLOOR).log()
            centre, *neighbours = self._cross(log)
            uneven = (torch.stack(neighbours).mean(0) - centre).abs().where(centres, 0.0)
            return (100 * uneven.sum((1, 2, 3)) / count).where(defined, torch.nan)

        self.add_images(dict(zip(self.figures, (roughness(prediction), roughness(target)), strict=True)), spoilt)

    def _cross(self, maps: Tensor) -> Tensor:
        """(5, B, 1, H, W): a map, and what it has ``step`` pixels above, below, left and right; 0 beyond the frame."""
        height, width = maps.shape[-2:]
        step = self.step
        padded = F.pad(maps, (step, step, step, step))
        offsets = ((step, step), (0, step), (2 * step, step), (step, 0), (step, 2 * step))
        return torch.stack([padded[..., row : row + height, column : column + width] for row, column in offsets])

    def _spread(self, centres: Tensor) -> Tensor:
        """(B, 1, H, W) bool, the pixels of all crosses."""
        return self._cross(centres).any(0)
