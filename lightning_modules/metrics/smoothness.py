"""How unevenly depth varies inside objects, away from their borders."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.depth_errors import LOG_FLOOR
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.label_discs import uniform_discs
from lightning_modules.metrics.label_maps import check_labels, compact_ids
from lightning_modules.metrics.metric_info import LEFT_OUT_OF_DETAILS, Infos, MetricInfo, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared


class ObjectRoughness(DepthMetric, ImageMeans):
    r"""Roughness of predicted depth inside annotated objects, and of the truth there, per cent of the depth.

    With the mean over the four pixels q that are ``step`` pixels left, right, above and below a pixel p:

    ==========================  ====================================================================  ======
    ``object_roughness``        100 mean \|mean_q ln d^(q) - ln d^(p)\|                               lower
    ``object_roughness_truth``  the same of the truth d, which has noise and detail of its own
    ==========================  ====================================================================  ======

    This is the Laplacian of log depth at the scale of the step: it does not see an object's scale, and next to nothing
    of its slope (0.006 % on a floor 3 m away, 1.5 m below NYUv2's camera), but bumps, noise and stripes. The pixels p
    are those whose surroundings within ``margin`` pixels are all of the same object, so that a border, sharp or
    blurred, does not count, and whose own truth and that of the four others is valid. Means over the pixels of an
    image, then over images. A prediction may be too smooth as well as too rough: hence the truth's beside it.

    ``excluded`` counts images without such a pixel, ``nonfinite`` NaN or infinite predictions on the pixels compared.

    Args:
        protocol: range, crop and alignment; its ``averaging`` is not read.
        step: pixels of the truth's grid.
        margin: pixels of the truth's grid, at least ``step``.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 1 <= step <= margin.
    """

    group = "smoothness"
    needs = ("instances",)
    info: ClassVar[Infos] = {
        "object_roughness": lower("%", detail=True),
        "object_roughness_truth": MetricInfo("%", detail=True),
    }
    counts: ClassVar[Infos] = {"excluded": LEFT_OUT_OF_DETAILS, "nonfinite": LEFT_OUT_OF_DETAILS}

    def __init__(self, protocol: EvalProtocol, step: int = 4, margin: int = 8, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        if not 1 <= step <= margin:
            raise ValueError(f"need 1 <= `smoothness.step` <= `smoothness.margin` pixels, got {step} and {margin}")
        self.step = step
        self.margin = margin

    def add(self, prepared: Prepared, instances: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            instances: (B, H, W) int64, one id per object of an image; 0 = none.

        Raises:
            ValueError: if the instances do not fit to the truth.
        """
        prediction, target, valid = prepared
        check_labels(target, instances)
        inside = uniform_discs(compact_ids(instances), self.margin)[:, None]
        centres = torch.stack(self._cross(valid)).all(0) & self._cross(inside)[0]
        compared = torch.zeros_like(valid)
        for view in self._cross(compared):
            view |= centres
        spoilt = compared & ~prediction.isfinite()
        count = centres.sum((1, 2, 3))
        defined = (count > 0) & ~spoilt.any(3).any(2).any(1)

        def roughness(depth: Tensor) -> Tensor:
            """Return (B,) roughness of a map (B, 1, H, W)."""
            centre, *neighbours = self._cross(depth.where(compared, 1.0).clamp_(min=LOG_FLOOR).log_())
            uneven = sum(neighbours, start=-4 * centre).abs_().where(centres, 0.0)
            return (100 / 4 * uneven.sum((1, 2, 3)) / count).where(defined, torch.nan)

        self.add_images(dict(zip(self.keys, (roughness(prediction), roughness(target)), strict=True)), spoilt)

    def _cross(self, maps: Tensor) -> list[Tensor]:
        """Views (B, 1, H - 2 step, W - 2 step) of a map: itself, and ``step`` pixels above, below, left and right."""
        step = self.step
        height, width = (max(0, size - 2 * step) for size in maps.shape[-2:])
        offsets = ((step, step), (0, step), (2 * step, step), (step, 0), (step, 2 * step))
        return [maps[..., row : row + height, column : column + width] for row, column in offsets]
