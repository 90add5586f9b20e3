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
        """Read the predictions of the batch's frames; where their sizes differ, each at the size of its truth.

        Raises:
            ValueError: if one has not the frame's aspect ratio.
        """
        numbers = batch["index"].tolist()
        height, width = batch["depth"].shape[-2:]
        maps = [self.files.read_whole(index, (height, width)) for index in numbers]
        if len({map_.shape for map_ in maps}) > 1:  # as the protocol would do it, one by one
            maps = [self.protocol.at_size(map_[None].double(), (height, width))[0] for map_ in maps]
        return Prediction(depth=torch.stack(maps).to(batch["depth"].device))
