"""Old name of :mod:`lightning_modules.networks.semantic_md.semantic_inputs`, which checkpoints hold."""

from lightning_modules.networks.semantic_md.semantic_inputs import (
    LabelContours,
    OneHotClasses,
    RawLabels,
    SemanticConvolution,
    SemanticInput,
)

__all__ = ["LabelContours", "OneHotClasses", "RawLabels", "SemanticConvolution", "SemanticInput"]
