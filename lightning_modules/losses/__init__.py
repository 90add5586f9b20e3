"""Training losses: modules of tensors, sparse truth masked."""

from lightning_modules.losses.absolute import BerHuLoss, L1Loss
from lightning_modules.losses.classification import BalancedBCELoss, SemanticCrossEntropy
from lightning_modules.losses.image_class_loss import ImageClassLoss
from lightning_modules.losses.region_loss import IterationLoss, PixelLoss, RegionLoss
from lightning_modules.losses.scale_and_shift import ScaleAndShiftInvariantLoss
from lightning_modules.losses.segmentation_loss import SegmentationLoss
from lightning_modules.losses.silog import SILogLoss
from lightning_modules.losses.sobel import SobelCorrelationLoss
from lightning_modules.losses.structured_depth import StructuredDepthLoss
from lightning_modules.losses.task_weights import LearnedTaskWeights

__all__ = [
    "BalancedBCELoss",
    "BerHuLoss",
    "ImageClassLoss",
    "IterationLoss",
    "L1Loss",
    "LearnedTaskWeights",
    "PixelLoss",
    "RegionLoss",
    "SILogLoss",
    "ScaleAndShiftInvariantLoss",
    "SegmentationLoss",
    "SemanticCrossEntropy",
    "SobelCorrelationLoss",
    "StructuredDepthLoss",
]
