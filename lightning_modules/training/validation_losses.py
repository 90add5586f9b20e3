"""The loss of validation frames, each by itself: it does not depend on how frames share batches and processes."""

from collections.abc import Callable
from typing import cast

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.batch import Batch
from lightning_modules.losses.reduction import this_process_alone
from lightning_modules.prediction import Prediction

#: Maps of lines: where they shrink, a pixel has one if any pixel that falls into it has.
LINES = ("edges", "occlusion")


def mean_over_frames(
    losses: Callable[[Prediction, Batch], dict[str, Tensor]], prediction: Prediction, batch: Batch
) -> dict[str, Tensor]:
    """Return each term of a loss, taken of every frame of a batch alone, as its mean over the frames, ().

    A frame without truth adds nothing to the sum, but counts. No other process is asked: one may have a batch more.

    Args:
        losses: of a prediction and a batch, terms by name.
        prediction: for the batch.
        batch: with truth of any size.
    """
    batch = on_input_grid(batch)
    frames = []
    with this_process_alone():
        for i in range(len(batch["image"])):
            one = slice(i, i + 1)
            alone = apply_to_collection((prediction, batch), Tensor, lambda map_, one=one: map_[one])
            frames.append(losses(*alone))
    return {name: torch.stack([frame[name] for frame in frames]).mean() for name in frames[0]}


def on_input_grid(batch: Batch) -> Batch:
    """Return a batch whose truth is brought to the grid of the image, as it is in training.

    Evaluation keeps the truth at its native size, which a loss cannot compare with a prediction of another. Maps take
    the nearest pixel centre, lines stay lines.
    """
    size, native = batch["image"].shape[-2:], batch["depth"].shape[-2:]
    if size == native:
        return batch
    maps = {key: map_ for key, map_ in batch.items() if isinstance(map_, Tensor) and map_.shape[-2:] == native}
    return cast(Batch, {**batch, **{key: _resized(key, map_, size) for key, map_ in maps.items()}})


def _resized(key: str, map_: Tensor, size: torch.Size) -> Tensor:
    if map_.shape[-2:] == size:
        return map_
    channels = map_.double().reshape(len(map_), -1, *map_.shape[-2:])  # float64 holds every id that occurs
    resized = (
        F.adaptive_max_pool2d(channels, size) if key in LINES else F.interpolate(channels, size, mode="nearest-exact")
    )
    return resized.reshape(*map_.shape[:-2], *size).to(map_.dtype)
