"""What learns: one LightningModule per paper method, over shared backbones, losses and metrics."""

from lightning_modules.depth_module import DepthModule
from lightning_modules.dpt import DPTHybrid
from lightning_modules.prediction import Prediction
from lightning_modules.semantic_md import SemanticMD
from lightning_modules.shed import SHED

__all__ = ["SHED", "DPTHybrid", "DepthModule", "Prediction", "SemanticMD"]
