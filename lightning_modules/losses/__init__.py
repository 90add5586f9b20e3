"""Training losses: modules of tensors, sparse truth masked."""

from lightning_modules.losses.region_loss import IterationLoss, PixelLoss, RegionLoss
from lightning_modules.losses.silog import SILogLoss

__all__ = ["IterationLoss", "PixelLoss", "RegionLoss", "SILogLoss"]
