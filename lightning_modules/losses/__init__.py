"""Training losses: modules of tensors, sparse truth masked."""

from lightning_modules.losses.absolute import BerHuLoss, L1Loss
from lightning_modules.losses.segmentation import SegmentationLoss
from lightning_modules.losses.silog import SILogLoss
from lightning_modules.losses.sobel import SobelCorrelationLoss

__all__ = ["BerHuLoss", "L1Loss", "SILogLoss", "SegmentationLoss", "SobelCorrelationLoss"]
