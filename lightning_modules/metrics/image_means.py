"""Base of metrics that are computed image by image and averaged over images."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.metrics.exact_sums import CountedMeans


class ImageMeans(CountedMeans):
    """Means over images of metrics that each image has on its own; the counts are those of :class:`CountedMeans`.

    Subclasses call :meth:`add_images` from ``update``.

    Args:
        kwargs: see :class:`torchmetrics.Metric`.
    """

    totals: Tensor
    images: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_sum("totals", len(self.keys))
        self.add_count("images")

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys that each image has, in the order of the sums."""
        return tuple(self.info)

    def add_images(self, values: dict[str, Tensor], nonfinite: Tensor) -> None:
        """Add a batch, on any device.

        Args:
            values: one (B,) tensor a key, in the order of ``keys``; all NaN for an image where they are undefined or
                whose prediction is not finite.
            nonfinite: (B,) or (B, 1, H, W), number or places of evaluated pixels with a non-finite prediction.
        """
        rows = torch.stack(list(values.values()), dim=1).to(self.totals)
        spoilt = nonfinite.to(rows.device).flatten(1).sum(1) if nonfinite.ndim > 1 else nonfinite.to(rows.device)
        seen = (spoilt > 0) | ~rows.isnan().all(1)
        self.totals += rows.where(seen[:, None], 0.0).sum(0)
        self.images += seen.sum()
        self.excluded += (~seen).sum()
        self.nonfinite += spoilt.sum()
        self.per_image = values

    def means(self) -> dict[str, Tensor]:
        """Return the means over images by key, scalars, NaN if all images were excluded."""
        return dict(zip(self.keys, (self.totals / self.images).unbind(), strict=True))
