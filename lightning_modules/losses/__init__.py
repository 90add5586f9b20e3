"""Training losses: modules of tensors, sparse truth masked."""

from lightning_modules.losses.silog import SILogLoss

__all__ = ["SILogLoss"]
