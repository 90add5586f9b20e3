"""How stable a prediction is within regions of stable depth."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.metrics.exact_sums import accumulation_dtype
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.label_maps import table_places
from lightning_modules.metrics.protocol import EvalProtocol


class RegionErrors(ImageMeans):
    r"""Errors and variance of a prediction region by region, mean over regions, then over images.

    Region Support Network, section 4.2: "the mean value of RMSE and variance among each region, respectively according
    to depth map and region support". With the predicted depth :math:`\hat d` and the true depth :math:`d` on the valid
    pixels of a region, and e = d^ - d: by the depth map the paper means the first two, by region support the next two.

    ==========================  ====================================================================  ======
    ``region_rmse``             sqrt mean e^2, metres                                                 lower
    ``region_error_variance``   mean (e - mean e)^2, square metres                                    lower
    ``region_support_rmse``     sqrt mean (d^ - mean d)^2, metres: against the region's support       lower
    ``region_variance``         mean (d^ - mean d^)^2, square metres; 0 for true region support       lower
    ``region_true_variance``    mean (d - mean d)^2, of the truth itself
    ``region_share``            share of the valid pixels that belong to a region
    ==========================  ====================================================================  ======

    ``excluded`` counts images without a region, ``nonfinite`` NaN or infinite predictions in regions.

    Args:
        protocol: range, crop and alignment; the averaging is over regions and images whatever it says.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    figures = (
        "region_rmse", "region_error_variance", "region_support_rmse", "region_variance", "region_true_variance",
        "region_share",
    )  # fmt: skip

    def __init__(self, protocol: EvalProtocol, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protocol = protocol

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor, regions: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: (B, 1, h, w) depth in metres, at any size and floating dtype.
            target: (B, 1, H, W) true depth in metres.
            valid: (B, 1, H, W) bool, true where the truth is measured.
            regions: (B, H, W) int64 ids; 0 = none.

        Raises:
            ValueError: as :meth:`EvalProtocol.prepare`, or if the regions have another size than the truth.
        """
        prediction, target, valid = self.protocol.prepare(prediction, target, valid)
        if regions.shape != target[:, 0].shape:
            raise ValueError(f"regions must be (B, H, W) = {tuple(target[:, 0].shape)}, got {tuple(regions.shape)}")
        dtype = accumulation_dtype(prediction.device)
        inside = valid[:, 0] & (regions > 0)
        unit = self.protocol.unit
        predicted, true = (unit * map_[:, 0].to(dtype).where(inside, 0.0) for map_ in (prediction, target))
        places, columns = table_places(regions)

        def total(values: Tensor) -> Tensor:
            """(B, n) sum of a map in each region."""
            table = values.new_zeros(len(values) * columns)
            return table.index_add(0, places.flatten(), values.flatten()).view(-1, columns)

        pixels = total(inside.to(dtype))
        counted = pixels > 0

        def mean(values: Tensor) -> Tensor:
            """(B, n) mean of a map in each region."""
            return total(values) / pixels.clamp(min=1)

        def deviation(values: Tensor, centres: Tensor) -> Tensor:
            """(B, n) mean square of a map about a value of each region."""
            return mean((values - centres.flatten()[places]).square().where(inside, 0.0))

        figures = (
            mean((predicted - true).square()).sqrt(),
            deviation(predicted - true, mean(predicted - true)),
            deviation(predicted, mean(true)).sqrt(),
            deviation(predicted, mean(predicted)),
            deviation(true, mean(true)),
        )
        count = counted.sum(1)
        means = [figure.where(counted, 0.0).sum(1) / count for figure in figures]
        share = inside.sum((1, 2)).to(dtype) / valid.sum((1, 2, 3))
        nonfinite = (~prediction.isfinite()) & inside[:, None]
        whole = (count > 0) & ~nonfinite.any(3).any(2).any(1)
        values = [figure.to(dtype).where(whole, torch.nan) for figure in (*means, share)]
        self.add_images(dict(zip(self.figures, values, strict=True)), nonfinite)
