"""Several predictions of one image: their mean is the depth, and where they disagree it is not to be trusted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from experiments.config.error import ConfigError
from experiments.inference.cameras import Camera, Size
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.predictor import Predictor, Shown, infer_with
from experiments.inference.predictor import load as load_one
from experiments.inference.released_model import ReleasedModel
from lightning_modules.mirrored import mirror, mirrored_back
from lightning_modules.prediction import Prediction


class Ensemble:
    """Trained methods, one or several, whose mean is the depth of an image.

    It has the three steps of a :class:`~.predictor.Predictor`. Segments, classes and edges are those of the first
    method, of the image as it is.

    Args:
        members: the methods; each sees images as its own run's test frames were seen.
        mirrored: whether each predicts the mirrored image as well.

    Raises:
        ConfigError: if several predictions cannot be averaged.
    """

    def __init__(self, members: Sequence[Predictor], *, mirrored: bool = False):
        self.members, self.mirrored = tuple(members), mirrored
        self.count = len(self.members) * (2 if mirrored else 1)
        if self.count > 1:
            self._check()

    @property
    def method(self) -> str:
        """Return the name of the first method."""
        return type(self.members[0].method).__name__

    @property
    def sources(self) -> list[str]:
        """Return what names the weights of each."""
        return [member.source for member in self.members]

    def infer(
        self, image: Any, *, camera: Camera | None = None, fov: float | None = None, tiles: int = 1
    ) -> DepthPrediction | list[DepthPrediction]:
        """Return the mean depth of an image, and where predictions disagree, ``uncertainty``; see Predictor.infer."""
        return infer_with(self, image, camera, fov, tiles)

    def show(self, image: Tensor, *, camera: Camera | None = None, tiles: int = 1) -> list[Shown]:
        """Return an image (3, H, W) uint8 as each method reads it; raises as :meth:`Predictor.infer` does."""
        return [member.show(image, camera=camera, tiles=tiles) for member in self.members]

    @torch.inference_mode()
    def forward(self, shown: Sequence[Shown]) -> list[list[Prediction]]:
        """Return what each method predicts, then what each predicts of the mirrored image, turned back."""
        pairs = list(zip(self.members, shown, strict=True))
        predictions = [member.forward(one) for member, one in pairs]
        if self.mirrored:
            for member, one in pairs:
                predictions.append([mirrored_back(part) for part in member.forward(mirrored_view(one))])
        return predictions

    def restore(self, shown: Sequence[Shown], predictions: Sequence[list[Prediction]]) -> DepthPrediction:
        """Return the prediction at the image's own size, see :meth:`Predictor.restore`."""
        runs = len(self.members)
        results = [
            self.members[number % runs].restore(shown[number % runs], parts) for number, parts in enumerate(predictions)
        ]
        depths = [result.depth for result in results if result.depth is not None]
        if len(depths) < 2:
            return results[0]
        stacked = np.stack(depths)
        notes = dict.fromkeys(result.scale_note for result in results)
        return replace(
            results[0],
            depth=stacked.mean(axis=0),
            uncertainty=stacked.std(axis=0),
            scale_note="; ".join([*notes, f"depth is the mean of {self.describe()}"]),
        )

    def describe(self) -> str:
        """Return what is averaged, in words."""
        if len(self.members) == 1:
            return "the photo's and the mirrored photo's"
        return f"{len(self.members)} runs" + (", of the photo and the mirrored photo each" if self.mirrored else "")

    def _check(self) -> None:
        for member in self.members:
            if not member.method.predicts_depth:
                raise ConfigError(f"--confidence and --ensemble are of depth, and {member.source} predicts none")
        if len(self.members) > 1 and (fitted := [one for one in self.members if one.scale.alignment != "none"]):
            raise ConfigError(
                f"--ensemble: {fitted[0].source} is evaluated after a fit to the truth, and predicts no metres: it has "
                "no mean with others; name other runs"
            )
        if len({member.radial for member in self.members}) > 1:
            raise ConfigError(
                "--ensemble: some runs predict the distance to the camera and some planar depth; name runs of one kind"
            )


def mirrored_view(shown: Shown) -> Shown:
    """Return an image as the network reads it, and its tiles, each mirrored left to right."""
    batch, *tiles = (mirror(part) for part in (shown.batch, *shown.tile_batches))  # type: ignore[arg-type]
    return replace(shown, batch=batch, tile_batches=tiles)  # type: ignore[arg-type]


Run = str | Path | ReleasedModel


def load(
    run: Run | Sequence[Run],
    *,
    confidence: bool = False,
    checkpoint: Literal["best", "last"] | None = None,
    runs_root: str | Path = "runs",
    size: Size | None = None,
    device: str = "auto",
) -> Predictor | Ensemble:
    """Return the trained method of a run, or of several as one; the data that it was trained on need not be there.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run under ``runs_root``; or a released
            model, or the folder of one. Of a list of these depth is the mean, and the predictions' standard deviation
            its ``uncertainty``.
        confidence: predict each image mirrored left to right as well, with mean and ``uncertainty`` over both.
        checkpoint: ``best`` or ``last`` of a run; None takes the one that the run itself was tested with, if there.
        runs_root: folder of all runs.
        size: height and width that the network sees all images at; None as it saw the run's test frames.
        device: torch's name of where to run it; ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: if there is no such run, it cannot be used on images, or several have no mean, in one line.
    """
    alone = isinstance(run, str | Path | ReleasedModel)
    runs = [run] if isinstance(run, str | Path | ReleasedModel) else list(run)
    if not runs:
        raise ConfigError("name a run, or several: the list is empty")
    members = [load_one(one, checkpoint=checkpoint, runs_root=runs_root, size=size, device=device) for one in runs]
    return members[0] if alone and not confidence else Ensemble(members, mirrored=confidence)
