"""How right the predicted semantic classes are: pixel accuracy, mean class accuracy, mIoU."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix

from lightning_modules.metrics.exact_sums import CountedMeans
from lightning_modules.metrics.metric_info import Infos, higher
from lightning_modules.metrics.precision import accumulation_dtype
from lightning_modules.metrics.protocol import EvalProtocol

AbsentClasses = Literal["skip", "zero"]
KEYS = {name: higher() for name in ("pixel_accuracy", "mean_accuracy", "miou")}

# The ids of the truth start at 1, the channels of the logits at 0.
UNLABELLED = -1


class SegmentationAccuracy(CountedMeans):
    r"""Accuracy of semantic classes from one confusion matrix of the whole set (Long et al. 2015, section 5).

    With :math:`n_{ij}` the labelled pixels of the set that are of class i and predicted as class j,
    :math:`t_i = \sum_j n_{ij}` those of class i and :math:`p_i = \sum_j n_{ji}` those predicted as class i:

    * ``pixel_accuracy``: :math:`\sum_i n_{ii} / \sum_i t_i`.
    * ``mean_accuracy``: mean of :math:`n_{ii} / t_i` over the classes that the truth has.
    * ``miou``: mean of :math:`n_{ii} / (t_i + p_i - n_{ii})`. ``skip`` averages over the classes that are present in
      truth or prediction, as :class:`torchmetrics.classification.MulticlassJaccardIndex` does: a class that is
      predicted but nowhere true counts 0. ``zero`` divides by the number of all classes, of which those absent from
      both count 0 as well (Vandenhende et al. 2020, the code of MTI-Net).

    All are shares in [0, 1], higher is better. A mean of the mIoU of images or batches is another number, and a biased
    one: it is not offered. What is predicted on unlabelled pixels counts nowhere.

    ``excluded`` counts the images without a labelled pixel. ``nonfinite`` counts labelled pixels with a NaN or infinite
    logit in any channel: a single one makes all NaN. ``per_image`` has ``pixel_accuracy``.

    Args:
        classes: number of classes, 40 for NYU40.
        absent: what a class that is absent from truth and prediction does to ``miou``.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: if ``classes`` is below 1 or ``absent`` is unknown.
    """

    confusion: Tensor

    group = "semantic"
    reads = "semantics"
    needs = ("semantics",)
    info: ClassVar[Infos] = KEYS

    def __init__(self, classes: int = 40, absent: AbsentClasses = "skip", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if classes < 1:
            raise ValueError(f"`classes` must be at least 1, got {classes}")
        if absent not in get_args(AbsentClasses):
            raise ValueError(f"`absent` must be one of {', '.join(get_args(AbsentClasses))}, got {absent!r}")
        self.classes = classes
        self.absent = absent
        self.add_count("confusion", classes, classes)

    @classmethod
    def for_data(cls, protocol: EvalProtocol, classes: int, options: Mapping[str, Any]) -> Self:
        """Return the metric of the data's classes."""
        return cls(classes, **options)

    def update(self, logits: Tensor, semantics: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, C, h, w) of any floating dtype; channel c is class id c + 1. Resized to the truth's size
                (bilinear, in float32 at least) before the class is taken.
            semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled.

        Raises:
            ValueError: if the shapes do not fit together, there are not ``classes`` channels, or an id is out of range.
        """
        self._check(logits, semantics)
        accuracies = []
        for channels, ids in zip(logits, semantics, strict=True):  # one at a time: 40 maps of an image are 50 MB
            labelled = ids > 0
            channels = _resize(channels, ids)
            lowest, (highest, predicted) = channels.amin(0), channels.max(0)
            # NaN and both infinities show in the extremes, which are found ten times as fast as by asking every logit.
            spoilt = (labelled & ~(highest.isfinite() & lowest.isfinite())).sum()
            confusion = multiclass_confusion_matrix(
                predicted, ids.long() - 1, self.classes, ignore_index=UNLABELLED, validate_args=False
            )
            self.confusion += confusion
            self.excluded += ~labelled.any()
            self.nonfinite += spoilt
            accuracy = confusion.diagonal().sum().to(accumulation_dtype(ids.device)) / confusion.sum()
            accuracies.append(accuracy.where(spoilt == 0, torch.nan))
        self.per_image = {"pixel_accuracy": torch.stack(accuracies)}

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN if no pixel was labelled."""
        counts = self.confusion.to(accumulation_dtype(self.confusion.device))
        right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
        union = true + predicted - right
        iou = right / union
        if self.absent == "zero" and true.any():
            iou = iou.nan_to_num(0.0)
        values = (right.sum() / true.sum(), (right / true).nanmean(), iou.nanmean())
        return dict(zip(KEYS, values, strict=True))

    def _check(self, logits: Tensor, semantics: Tensor) -> None:
        if logits.ndim != 4 or semantics.ndim != 3 or len(logits) != len(semantics) or not logits.is_floating_point():
            raise ValueError(
                "logits must be floating (B, C, h, w) and semantics (B, H, W), "
                f"got {logits.dtype} {tuple(logits.shape)} and {tuple(semantics.shape)}"
            )
        if logits.shape[1] != self.classes:
            raise ValueError(
                f"the prediction has {logits.shape[1]} class channels and the metric {self.classes} classes; "
                "set `classes` to the data set's"
            )
        if semantics.is_floating_point() or semantics.min() < 0 or semantics.max() > self.classes:
            raise ValueError(
                f"semantics must be integers in 0..{self.classes}, 0 = unlabelled, "
                f"got {semantics.dtype} in {semantics.min()}..{semantics.max()}"
            )


def _resize(channels: Tensor, ids: Tensor) -> Tensor:
    """Logits (C, h, w) in float32 at least, at the size of (H, W) ids."""
    channels = channels.to(torch.promote_types(channels.dtype, torch.float32))
    if channels.shape[1:] == ids.shape:  # a resize by a factor of 1 would spread NaN to the neighbours
        return channels
    return F.interpolate(channels[None], ids.shape, mode="bilinear", align_corners=False)[0]
