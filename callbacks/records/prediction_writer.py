"""`segdepth predict`: one file a frame, in the form that `segdepth evaluate` reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.nn import functional as F

from callbacks.lightning_internals import datamodule_of
from datamodules.files import write_text_atomically, written_atomically
from lightning_modules.metrics.aspect import is_scaled

#: What to do if a prediction cannot be written.
FIX = "make room, or write elsewhere with `--run.root`, and predict again"

#: File beside predictions whose maps show whole frames at another aspect ratio; without it they look like crops.
SQUEEZED_FILE = "squeezed.json"


class PredictionWriter(BasePredictionWriter):
    """Write ``predictions/<data set>/<number>.npy``: depth (h, w) float32 in metres, as the method predicts it.

    They are not resized, aligned or clamped: the evaluation protocol does so later, and `segdepth evaluate` on these
    files gives the very metrics of `segdepth test`, under any protocol. The number is the frame's in its data set,
    counted from 1 as NYUv2 does. Of a method that predicts no depth, ``segments/<data set>/<number>.npz`` is written:
    its label maps (h, w) int64 as ``level0``, ``level1``, ..., fine to coarse.

    Args:
        full_size: resize depth to the size of the truth, bilinearly as the protocol does, for use in other programs.
    """

    def __init__(self, full_size: bool = False):
        super().__init__(write_interval="batch")
        self.full_size = full_size

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the frames of a batch.

        Raises:
            WriteError: if one cannot be written, naming it.
        """
        kind = "segments" if prediction.depth is None else "predictions"
        folder = Path(trainer.default_root_dir) / kind / datamodule_of(trainer).test_names()[dataloader_idx]
        if prediction.depth is None:
            for i, index in enumerate(batch["index"].tolist()):
                levels = {f"level{level}": ids[i].cpu().numpy() for level, ids in enumerate(prediction.segments)}
                with written_atomically(folder / f"{index + 1:04d}.npz", FIX) as file:
                    np.savez_compressed(file, **levels)
            return
        depth = prediction.depth.float()
        if self.full_size:
            size, align_corners = batch["depth"].shape[-2:], pl_module.protocol_of(dataloader_idx).align_corners
            depth = F.interpolate(depth, size, mode="bilinear", align_corners=align_corners)
        size = (depth.shape[-2], depth.shape[-1])
        if "depth" in batch and not is_scaled(size, tuple(batch["depth"].shape[-2:])):
            write_text_atomically(folder / SQUEEZED_FILE, json.dumps({"size": size}))
        for map_, index in zip(depth.cpu().numpy(), batch["index"].tolist(), strict=True):
            with written_atomically(folder / f"{index + 1:04d}.npy", FIX) as file:
                np.save(file, map_[0])
