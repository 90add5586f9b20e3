"""Checkpoints of earlier versions, whose options have other names."""

import os
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule

from lightning_modules.evaluation_options import by_group


class LoadsOldCheckpoints(LightningModule):
    """A module that ``load_from_checkpoint`` builds from the options of earlier versions, too."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Build the module that a checkpoint is of, and load its weights.

        Args:
            checkpoint_path: of the checkpoint; options of earlier versions are looked for in a file only.
            kwargs: see :meth:`lightning.pytorch.LightningModule.load_from_checkpoint`; they go before what is stored.
        """
        if isinstance(checkpoint_path, (str, os.PathLike)) and os.path.isfile(checkpoint_path):
            trusted = kwargs.get("weights_only") or False  # as Lightning takes it
            stored = torch.load(checkpoint_path, map_location="meta", weights_only=trusted)
            options = stored.get(cls.CHECKPOINT_HYPER_PARAMS_KEY, {}).get("evaluation")
            if isinstance(options, dict):
                kwargs.setdefault("evaluation", by_group(options))
        return super().load_from_checkpoint(checkpoint_path, **kwargs)
