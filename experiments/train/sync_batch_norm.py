"""Batch norm over the frames of all processes, as one GPU with the whole batch would have it."""

from typing import Any

from lightning.pytorch.plugins import LayerSync
from timm.layers import convert_sync_batchnorm
from torch.nn import Module


class TimmSyncBatchNorm(LayerSync):
    """Synchronise batch norm in DDP training on GPUs; on CPUs torch has no such layer, and each process is by itself.

    Not by ``trainer.sync_batchnorm``: torch's conversion takes timm's batch norm with activation (EfficientNet's, for
    one) for a plain one and drops the activation. timm's own conversion keeps it.
    """

    def apply(self, model: Any) -> Module:
        """Convert the layers of a LightningModule that is about to be trained."""
        if model.trainer.strategy.root_device.type != "cuda":
            return model
        converted: Module = convert_sync_batchnorm(model)
        return converted

    def revert(self, model: Module) -> Module:
        """Leave the layers: outside training they are plain batch norm, under the same names in checkpoints."""
        return model
