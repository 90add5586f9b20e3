"""A method that reads what another program predicted, so that it is evaluated exactly as the suite's own are."""

from typing import Any

import torch

from datamodules.base import IMAGENET_NORMALIZATION
from experiments.foreign.prediction_files import PredictionFiles
from lightning_modules import DepthModule
from lightning_modules.batch import Batch
from lightning_modules.prediction import Prediction


class StoredPredictions(DepthModule):
    """Predictions from files in place of a network.

    Args:
        files: the predictions.
        kwargs: protocol and options of evaluation, see :class:`DepthModule`.
    """

    def __init__(self, files: PredictionFiles, **kwargs: Any):
        super().__init__(**kwargs)
        self.files = files

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return ImageNet's: images are only shown."""
        return IMAGENET_NORMALIZATION

    def forward(self, batch: Batch) -> Prediction:
        """Read the predictions of the batch's frames.

        Raises:
            ValueError: if they differ in size, or have not the frames' aspect ratio.
        """
        numbers = batch["index"].tolist()
        height, width = batch["depth"].shape[-2:]
        maps = [self.files.read_whole(index, (height, width)) for index in numbers]
        for number, map_ in zip(numbers, maps, strict=True):
            if map_.shape != maps[0].shape:
                raise ValueError(
                    f"{self.files.source}: predictions of frames {numbers[0] + 1} and {number + 1} differ in size "
                    f"({tuple(maps[0].shape[1:])} and {tuple(map_.shape[1:])}); `--data.init_args.eval_batch_size 1`"
                )
        return Prediction(depth=torch.stack(maps).to(batch["depth"].device))
