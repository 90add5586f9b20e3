"""Base of metrics whose figures are computed image by image and averaged over images."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.metrics.exact_sums import ExactSums


class ImageMeans(ExactSums):
    """Means over images of figures that each image has on its own.

    ``excluded`` counts images for which the figures are undefined: they enter no mean. ``nonfinite`` counts NaN or
    infinite predictions on evaluated pixels: a single one makes every figure NaN, for nothing is dropped in silence.

    Subclasses name their ``figures`` and call :meth:`add_images` from ``update``.

    Args:
        kwargs: see :class:`torchmetrics.Metric`.
    """

    figures: ClassVar[tuple[str, ...]]

    totals: Tensor
    images: Tensor
    excluded: Tensor
    nonfinite: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_sum("totals", len(self.figures))
        self.add_count("images")
        self.add_count("excluded")
        self.add_count("nonfinite")

    def add_images(self, figures: dict[str, Tensor], nonfinite: Tensor) -> None:
        """Add a batch, on any device.

        Args:
            figures: one (B,) tensor per figure, in the order of ``figures``; all NaN for an image where they are
                undefined or whose prediction is not finite.
            nonfinite: (B, 1, H, W) bool, true on evaluated pixels with a non-finite prediction.
        """
        values = torch.stack(list(figures.values()), dim=1).to(self.totals)
        spoilt = nonfinite.to(values.device).sum((1, 2, 3))
        seen = (spoilt > 0) | ~values.isnan().all(1)
        self.totals += values.where(seen[:, None], 0.0).sum(0)
        self.images += seen.sum()
        self.excluded += (~seen).sum()
        self.nonfinite += spoilt.sum()
        self.per_image = figures

    def compute(self) -> dict[str, Tensor]:
        """The figures by name, scalars, NaN if all images were excluded; beside them ``excluded``, ``nonfinite``."""
        means = self.totals / self.images
        counts = {"excluded": self.excluded.to(means.dtype), "nonfinite": self.nonfinite.to(means.dtype)}
        return dict(zip(self.figures, means.unbind(), strict=True)) | counts
