"""Callbacks that look at single frames of a test, and a frame as they see it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.lightning_internals import datamodule_of, loader_of
from lightning_modules.prediction import TestOutput


@dataclass(frozen=True)
class FrameOutput:
    """One frame of a batch, with what the method made of the batch.

    Attributes:
        outputs: what the step returned for the batch.
        batch: the batch, see :class:`~datamodules.sample.Sample`.
        i: position of the frame in it.
        data: the data set that the frame is from.
        method: the module, for what is the same for all batches.
        metrics: of this frame alone, by name, NaN where it has none.
    """

    outputs: TestOutput
    batch: Mapping[str, Any]
    i: int
    data: Any
    method: Any
    metrics: Mapping[str, float]

    @property
    def index(self) -> int:
        """Return the number of the frame in its data set, 0-based."""
        return int(self.batch["index"][self.i])

    @property
    def scene(self) -> str:
        """Name of the scene."""
        return str(self.batch["scene"][self.i])

    @property
    def number(self) -> int:
        """Return the number of the frame in its scene."""
        return int(self.batch["frame"][self.i])

    @property
    def name(self) -> str:
        """Return what pictures call the frame: scene and number."""
        return f"{self.scene}, frame {self.number}"


def frames_of(
    outputs: TestOutput, batch: Mapping[str, Any], data: Any, method: Any, chosen: Collection[int] | None = None
) -> Iterator[FrameOutput]:
    """Yield the frames of a batch, in its order.

    Args:
        outputs: what the step returned for the batch.
        batch: the batch.
        data: the data set that it is from.
        method: the module.
        chosen: data set numbers of the frames wanted; None for all.
    """
    wanted = [i for i, index in enumerate(batch["index"].tolist()) if chosen is None or index in chosen]
    if not wanted:
        return
    # one transfer from the device a metric, not one a frame
    per_image = {name: values.tolist() for name, values in outputs["per_image"].items()}
    for i in wanted:
        yield FrameOutput(outputs, batch, i, data, method, {name: values[i] for name, values in per_image.items()})


class FrameCallback(Callback, ABC):
    """Look at test frames one by one, on each process at its own."""

    @abstractmethod
    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Look at a frame that was tested."""

    def chosen(self, data: Any, method: Any, dataset: Any) -> Collection[int] | None:
        """Return the data set numbers of the frames of a test set to look at, None for all.

        Args:
            data: the test set.
            method: the module.
            dataset: frames of the test set, as its loader has them.
        """
        return None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Look at the chosen frames of a batch."""
        data = datamodule_of(trainer).test_sets()[dataloader_idx]
        chosen = self.chosen(data, pl_module, loader_of(trainer.test_dataloaders, dataloader_idx).dataset)
        for frame in frames_of(outputs, batch, data, pl_module, chosen):
            self.on_frame(trainer, frame)
