"""What learns: one LightningModule per paper method, over shared backbones, losses and metrics."""

from lightning_modules.cast import CAST
from lightning_modules.depth_anything import DepthAnythingV2
from lightning_modules.depth_module import DepthModule
from lightning_modules.dpt import DPTHybrid
from lightning_modules.mti_net import GuidedMTINet
from lightning_modules.prediction import Prediction
from lightning_modules.region_support import RegionSupportNetwork
from lightning_modules.semantic_md import SemanticMD
from lightning_modules.shed import SHED

__all__ = [
    "CAST",
    "SHED",
    "DPTHybrid",
    "DepthAnythingV2",
    "DepthModule",
    "GuidedMTINet",
    "Prediction",
    "RegionSupportNetwork",
    "SemanticMD",
]
