"""How well a method recognises which classes an image shows."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.metrics.exact_sums import CountedMeans
from lightning_modules.metrics.metric_info import Infos, MetricInfo, higher
from lightning_modules.metrics.precision import accumulation_dtype
from lightning_modules.metrics.protocol import EvalProtocol


class ImageClasses(CountedMeans):
    """Mean average precision of image-level classes.

    * ``image_class_map``: average precision of each class's ranking of the images (the sum of precision times step of
      recall, without interpolation), mean over the classes that any image shows.
    * ``image_class_chance``: what images in random order reach as their number grows, the mean share of the images that
      show each of those classes.

    Both are shares in [0, 1]. ``excluded`` counts the images without a labelled pixel. ``nonfinite`` counts images with
    a NaN or infinite logit: a single one makes the precision NaN.

    Args:
        classes: number of classes.
        kwargs: see :class:`torchmetrics.Metric`.
    """

    scores: list[Tensor]
    shown: list[Tensor]

    group = "image_class"
    reads = "image_classes"
    needs = ("semantics",)
    info: ClassVar[Infos] = {"image_class_map": higher(), "image_class_chance": MetricInfo()}

    def __init__(self, classes: int = 40, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("shown", [], dist_reduce_fx="cat")

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self:
        """Return the metric of the data's classes."""
        return cls(classes, **options)

    def update(self, logits: Tensor, semantics: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, C); channel c is class id c + 1.
            semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled.

        Raises:
            ValueError: if there are not ``classes`` logits, or an id is beyond them.
        """
        if logits.ndim != 2 or logits.shape[1] != self.classes or len(logits) != len(semantics):
            raise ValueError(
                f"need logits (B, {self.classes}) and semantics (B, H, W), got {tuple(logits.shape)} and "
                f"{tuple(semantics.shape)}; set `classes` to the data set's"
            )
        if semantics.max() > self.classes:
            raise ValueError(f"semantics hold id {int(semantics.max())}, the metric knows 1..{self.classes}")
        present = torch.stack([torch.bincount(ids.flatten(), minlength=self.classes + 1) for ids in semantics])[:, 1:]
        labelled = present.any(1)
        self.excluded += (~labelled).sum()
        self.nonfinite += (labelled & ~logits.isfinite().all(1)).sum()
        self.scores.append(logits[labelled].float())
        self.shown.append(present[labelled] > 0)
        self.per_image = {}

    def means(self) -> dict[str, Tensor]:
        """Return the mean average precision, NaN if no image was labelled."""
        scores, shown = self._of_shown_classes()
        precision = self._nan()
        if len(scores) and not self.nonfinite:
            # only the order counts: ranks in place of probabilities, of which large logits would be ties
            ranks = torch.stack([logits.unique(return_inverse=True)[1] for logits in scores.T], 1)
            of_classes = multilabel_average_precision(
                ranks / len(ranks), shown.long(), shown.shape[1], average="none", validate_args=False
            )
            precision = of_classes.to(precision.dtype).mean()
        return {"image_class_map": precision}

    def numbers(self) -> dict[str, Tensor]:
        """Return what chance reaches, NaN if no image was labelled."""
        _, shown = self._of_shown_classes()
        nan = self._nan()
        return {"image_class_chance": shown.to(nan.dtype).mean() if len(shown) else nan}

    def _of_shown_classes(self) -> tuple[Tensor, Tensor]:
        """Logits, and which classes are shown, both (images, classes that any image shows)."""
        scores, shown = dim_zero_cat(self.scores), dim_zero_cat(self.shown)
        seen = shown.any(0)
        return (scores[:, seen], shown[:, seen]) if seen.any() else (scores[:0], shown[:0])

    def _nan(self) -> Tensor:
        device = self.excluded.device
        return torch.tensor(torch.nan, dtype=accumulation_dtype(device), device=device)
