"""Checkpoints of earlier versions, whose options have other names."""

import os
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule

from lightning_modules.evaluation_options import by_group


class LoadsOldCheckpoints(LightningModule):
    """Base of modules whose ``load_from_checkpoint`` also reads checkpoints of earlier versions."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Build a module with the options that a checkpoint holds, and load its weights.

        Args:
            checkpoint_path: path, URL or open file; options of earlier versions are translated in a local file only.
            kwargs: see :meth:`lightning.pytorch.LightningModule.load_from_checkpoint`; they override what is stored.
        """
        if isinstance(checkpoint_path, (str, os.PathLike)) and os.path.isfile(checkpoint_path):
            trusted = kwargs.get("weights_only") or False  # as Lightning takes it
            stored = torch.load(checkpoint_path, map_location="meta", weights_only=trusted)
            options = stored.get(cls.CHECKPOINT_HYPER_PARAMS_KEY, {}).get("evaluation")
            if isinstance(options, dict):
                kwargs.setdefault("evaluation", by_group(options))
        return super().load_from_checkpoint(checkpoint_path, **kwargs)
