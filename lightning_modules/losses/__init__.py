"""Training losses: modules of tensors, sparse truth masked."""

from lightning_modules.losses.image_classes import ImageClassLoss
from lightning_modules.losses.silog import SILogLoss

__all__ = ["ImageClassLoss", "SILogLoss"]
