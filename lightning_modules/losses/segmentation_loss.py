"""Losses of semantic classes: cross entropy, and overlap losses after Dice and Tversky."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.reduction import sum_over_processes

Probabilities = Literal["softmax", "sigmoid"]
Unlabelled = Literal["ignored", "negative"]

#: Index of unlabelled pixels, whose id is 0, among channels that count from 0.
IGNORED = -1


class SegmentationLoss(nn.Module):
    r"""Weighted sum of cross entropy, Dice and focal Tversky loss: Semantic-MD, equations 6, 8 and 9.

    The paper's rows: CE alone; Dice alone; ``cross_entropy`` and ``dice`` 0.5 each; ``cross_entropy`` and
    ``focal_tversky`` 0.5 each. Soft counts of true positives, false negatives and false positives are over all classes
    and all pixels of the batches of all processes, as the equations have it; `smp.losses` averages over classes.
    By ``softmax`` over labelled pixels what one class misses another one takes: FN = FP, so that alpha and beta only
    count as their sum. By ``sigmoid`` they differ.

    Args:
        cross_entropy: weight of :math:`-\log p` of the true class.
        dice: weight of :math:`1 - 2 TP / (2 TP + FN + FP)`.
        focal_tversky: weight of :math:`(1 - TP / (TP + \alpha FN + \beta FP))^\gamma`.
        alpha: weight of false negatives in the focal Tversky loss.
        beta: weight of false positives in the focal Tversky loss.
        gamma: exponent of the focal Tversky loss.
        mean_over: cross entropy is a mean over the ``labelled`` pixels, or over ``all``, of which the unlabelled ones
            count 0, as in the authors' code.
        probabilities: of the overlap losses, ``softmax``, or ``sigmoid`` as in the authors' code.
        unlabelled: pixels without a label are ``ignored`` by the overlap losses, or ``negative`` for every class, as in
            the authors' code.
        smooth: added to both sides of an overlap's quotient; the authors' code has 1e-4.
        transposed: compare the overlap losses' prediction with the transposed truth, as the authors' code does by an
            exchange of axes; only for comparison with their results.

    Raises:
        ValueError: if an option is unknown, no weight is positive, gamma is not positive, or smooth is negative.
    """

    def __init__(
        self,
        cross_entropy: float = 1.0,
        dice: float = 0.0,
        focal_tversky: float = 0.0,
        *,
        alpha: float = 0.7,
        beta: float = 0.3,
        gamma: float = 1.5,
        mean_over: Literal["labelled", "all"] = "labelled",
        probabilities: Probabilities = "softmax",
        unlabelled: Unlabelled = "ignored",
        smooth: float = 0.0,
        transposed: bool = False,
    ):
        super().__init__()
        for name, value, known in (
            ("mean_over", mean_over, ("labelled", "all")),
            ("probabilities", probabilities, ("softmax", "sigmoid")),
            ("unlabelled", unlabelled, ("ignored", "negative")),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be {' or '.join(known)}, got {value!r}")
        if min(cross_entropy, dice, focal_tversky) < 0 or not cross_entropy + dice + focal_tversky > 0:
            raise ValueError("`cross_entropy`, `dice` and `focal_tversky` are weights: none below 0, one above")
        if not gamma > 0:
            raise ValueError(f"`gamma` must be positive, got {gamma}")
        if smooth < 0:
            raise ValueError(f"`smooth` must not be negative, got {smooth}")
        self.cross_entropy, self.dice, self.focal_tversky = cross_entropy, dice, focal_tversky
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.mean_over, self.probabilities, self.unlabelled = mean_over, probabilities, unlabelled
        self.smooth, self.transposed = smooth, transposed

    def forward(self, logits: Tensor, semantics: Tensor) -> Tensor:
        """Compute the loss, a scalar in float32 at least; 0 if no pixel is labelled.

        Args:
            logits: (B, C, H, W); channel c is class id c + 1.
            semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled.

        Raises:
            ValueError: if the shapes do not fit, or the truth is to be transposed and is not square.
        """
        if logits.ndim != 4 or semantics.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(
                f"logits must be (B, C, H, W) and semantics (B, H, W), got {tuple(logits.shape)} and "
                f"{tuple(semantics.shape)}"
            )
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        target = semantics.long() - 1
        loss = logits.new_zeros(())
        if self.cross_entropy:
            loss = loss + self.cross_entropy * self._cross_entropy(logits, target)
        if self.dice or self.focal_tversky:
            counts = self._soft_counts(logits, target)
            if self.dice:
                loss = loss + self.dice * (1 - overlap(counts, 0.5, 0.5, self.smooth))
            if self.focal_tversky:
                missing = 1 - overlap(counts, self.alpha, self.beta, self.smooth)
                loss = loss + self.focal_tversky * missing.clamp(min=0) ** self.gamma
        return loss

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        total = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
        pixels = (target != IGNORED).sum() if self.mean_over == "labelled" else torch.tensor(target.numel())
        total, pixels = sum_over_processes(torch.stack([total, pixels.to(total)]))
        return total / pixels.clamp(min=1)

    def _soft_counts(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return true positives, false negatives and false positives (3,), as sums of probabilities."""
        if self.transposed:
            if target.shape[1] != target.shape[2]:
                raise ValueError(f"`transposed` needs square images, got {tuple(target.shape[1:])}")
            target = target.mT
        probabilities = logits.softmax(1) if self.probabilities == "softmax" else logits.sigmoid()
        labelled = target != IGNORED
        of_truth = probabilities.gather(1, target.clamp(min=0)[:, None])[:, 0].where(labelled, 0.0)
        counted = labelled if self.unlabelled == "ignored" else torch.ones_like(labelled)
        predicted = probabilities.sum(1).where(counted, 0.0).sum()
        hits, pixels = of_truth.sum(), labelled.sum().to(predicted)
        return sum_over_processes(torch.stack([hits, pixels - hits, predicted - hits]))


def overlap(counts: Tensor, alpha: float, beta: float, smooth: float = 0.0) -> Tensor:
    """Return the Tversky index of soft true positives, false negatives and false positives (3,).

    With alpha = beta = 0.5 it is the Dice coefficient.

    Where there is nothing to count it is 1, with gradient 0.
    """
    hits, misses, alarms = counts
    total = hits + alpha * misses + beta * alarms
    return torch.where(total > 0, (hits + smooth) / (total + smooth).where(total > 0, 1.0), 1.0)
