"""`segdepth predict`: one file a frame, in the form that `segdepth evaluate` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BasePredictionWriter


class PredictionWriter(BasePredictionWriter):
    """Write ``predictions/<data set>/<number>.npy``: float32 metres (H, W), at the size of the truth.

    The number is the frame's own in its data set, counted from 1 as NYUv2 does.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

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
        """Write the frames of a batch."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        folder = Path(trainer.default_root_dir) / "predictions" / datamodule.test_names()[dataloader_idx]
        folder.mkdir(parents=True, exist_ok=True)
        depth, _, _ = pl_module.protocol.prepare(prediction.depth, batch["depth"], batch["valid"])
        for frame, index in zip(depth.float().cpu().numpy(), batch["index"].tolist(), strict=True):
            np.save(folder / f"{index + 1:04d}.npy", frame[0])
