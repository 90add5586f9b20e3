"""Recognition as a loss: which classes an image shows, wherever in it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.losses.reduction import sum_over_processes


def shown_classes(semantics: Tensor, classes: int, min_share: float = 0.0) -> Tensor:
    """Find which classes each image shows.

    Args:
        semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled.
        classes: C.
        min_share: share of an image's labelled pixels that a class has to cover; with 0 a single pixel is enough.

    Returns:
        (B, C) bool.
    """
    ids = semantics.flatten(1)
    pixels = torch.zeros(len(ids), classes + 1, device=ids.device)
    pixels = pixels.scatter_add(1, ids, torch.ones_like(ids, dtype=pixels.dtype))[:, 1:]
    return (pixels > 0) & (pixels >= min_share * pixels.sum(1, keepdim=True))


class ImageClassLoss(nn.Module):
    """Binary cross-entropy of every class's presence, mean over classes and over images with any label.

    The mean is over the images of all processes.

    Args:
        min_share: share of an image's labelled pixels that a class has to cover to count as shown, [0, 1).

    Raises:
        ValueError: if ``min_share`` is out of range.
    """

    def __init__(self, min_share: float = 0.0):
        super().__init__()
        if not 0 <= min_share < 1:
            raise ValueError(f"`min_share` must be in [0, 1), got {min_share}")
        self.min_share = min_share

    def forward(self, logits: Tensor, semantics: Tensor) -> Tensor:
        """Compute the loss in float32 at least.

        Args:
            logits: (B, C); channel c is class id c + 1.
            semantics: (B, H, W) int64 ids 1..C; 0 = unlabelled. Of any size.

        Returns:
            Scalar; 0 with zero gradients if no pixel of the batch is labelled.
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        shown = shown_classes(semantics, logits.shape[1], self.min_share)
        losses = F.binary_cross_entropy_with_logits(logits, shown.to(logits.dtype), reduction="none").mean(1)
        labelled = shown.any(1)
        total, images = sum_over_processes(torch.stack([losses[labelled].sum(), labelled.sum().to(losses.dtype)]))
        return total / images.clamp(min=1)
