"""How stable a prediction is within regions of stable depth."""

from typing import ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.label_maps import check_labels, table_places
from lightning_modules.metrics.metric_info import Infos, MetricInfo, lower
from lightning_modules.metrics.precision import accumulation_dtype
from lightning_modules.metrics.protocol import Prepared


class RegionErrors(DepthMetric, ImageMeans):
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

    group = "region"
    needs = ("regions",)
    info: ClassVar[Infos] = {
        "region_rmse": lower("m"), "region_error_variance": lower("m²"), "region_support_rmse": lower("m"),
        "region_variance": lower("m²"), "region_true_variance": MetricInfo("m²"), "region_share": MetricInfo(),
    }  # fmt: skip

    def add(self, prepared: Prepared, regions: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            regions: (B, H, W) int64 ids; 0 = none.

        Raises:
            ValueError: if the regions are not integers on the truth's grid.
        """
        prediction, target, valid = prepared
        check_labels(target, regions, "regions")
        dtype = accumulation_dtype(prediction.device)
        inside = valid[:, 0] & (regions > 0)
        unit = self.protocol.unit
        predicted, true = (unit * map_[:, 0].to(dtype).where(inside, 0.0) for map_ in (prediction, target))
        places, columns = table_places(regions)

        def total(values: Tensor) -> Tensor:
            """Return (B, n) sum of a map in each region."""
            table = values.new_zeros(len(values) * columns)
            return table.index_add(0, places.flatten(), values.flatten()).view(-1, columns)

        pixels = total(inside.to(dtype))
        counted = pixels > 0

        def mean(values: Tensor) -> Tensor:
            """Return (B, n) mean of a map in each region."""
            return total(values) / pixels.clamp(min=1)

        def deviation(values: Tensor, centres: Tensor) -> Tensor:
            """Return (B, n) mean square of a map about a value of each region."""
            return mean((values - centres.flatten()[places]).square().where(inside, 0.0))

        of_regions = (
            mean((predicted - true).square()).sqrt(),
            deviation(predicted - true, mean(predicted - true)),
            deviation(predicted, mean(true)).sqrt(),
            deviation(predicted, mean(predicted)),
            deviation(true, mean(true)),
        )
        count = counted.sum(1)
        means = [values.where(counted, 0.0).sum(1) / count for values in of_regions]
        share = inside.sum((1, 2)).to(dtype) / valid.sum((1, 2, 3))
        nonfinite = (~prediction.isfinite()) & inside[:, None]
        whole = (count > 0) & ~nonfinite.any(3).any(2).any(1)
        rows = [values.to(dtype).where(whole, torch.nan) for values in (*means, share)]
        self.add_images(dict(zip(self.keys, rows, strict=True)), nonfinite)
