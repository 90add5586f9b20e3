"""The shared backbone registry over timm and segmentation-models-pytorch."""

from lightning_modules.backbones import smp_backbones, timm_backbones
from lightning_modules.backbones.backbone import Backbone, FeatureInfo
from lightning_modules.backbones.hybrid import (
    HybridBackbone,
    HybridFeatures,
    HybridParts,
    class_token_start,
    create_hybrid_parts,
)
from lightning_modules.backbones.initial_weights import (
    Pretrained,
    check_sources,
    describe_sources,
    weights_left_out,
)
from lightning_modules.backbones.pretrained import PretrainedUnavailableError
from lightning_modules.backbones.registry import create_backbone, register_backbone
from lightning_modules.backbones.timm_backbones import TimmViT

__all__ = [
    "Backbone",
    "FeatureInfo",
    "HybridBackbone",
    "HybridFeatures",
    "HybridParts",
    "Pretrained",
    "PretrainedUnavailableError",
    "TimmViT",
    "check_sources",
    "class_token_start",
    "create_backbone",
    "create_hybrid_parts",
    "describe_sources",
    "register_backbone",
    "smp_backbones",
    "timm_backbones",
    "weights_left_out",
]
