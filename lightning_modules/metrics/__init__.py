"""The metric suite: torchmetrics whose states are exact sums, under one evaluation protocol."""

from lightning_modules.metrics.depth_errors import DepthErrors, per_image_depth_errors
from lightning_modules.metrics.protocol import EvalProtocol

__all__ = ["DepthErrors", "EvalProtocol", "per_image_depth_errors"]
