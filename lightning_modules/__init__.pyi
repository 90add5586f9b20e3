from .cast import CAST
from .depth_anything import DepthAnythingV2
from .depth_module import DepthModule
from .dpt import DPTHybrid
from .mti_net import GuidedMTINet
from .prediction import Prediction
from .region_support import RegionSupportNetwork
from .semantic_md import SemanticMD
from .shed import SHED

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
