"""Batches and predictions mirrored left to right: where a method disagrees with itself, it is not to be trusted."""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from lightning_modules.batch import Batch
from lightning_modules.prediction import Prediction

#: Keys of a batch that hold maps (..., H, W).
MAPS = (
    "image", "depth", "valid", "semantics", "instances", "edges", "occlusion", "superpixels", "region_support",
    "regions", "planes",
)  # fmt: skip


def mirror(batch: Batch) -> Batch:
    """Return a batch of the mirrored scenes (X to -X), seen by the mirrored cameras; ids of segments stay theirs."""
    given: dict[str, Any] = {**batch}
    mirrored = {key: given[key].flip(-1) for key in MAPS if key in given}
    if "intrinsics" in given:
        width = given["depth"].shape[-1]
        edge = given["intrinsics"].new_tensor([[-1.0, 0.0, width - 1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        mirrored["intrinsics"] = edge @ given["intrinsics"] * given["intrinsics"].new_tensor([-1.0, 1.0, 1.0])
    if "plane_parameters" in given:
        parameters = given["plane_parameters"]
        mirrored["plane_parameters"] = parameters * parameters.new_tensor([-1.0, 1.0, 1.0, 1.0])
    return cast(Batch, given | mirrored)


def mirrored_back(prediction: Prediction) -> Prediction:
    """Return depth of a mirrored batch as that of the batch itself, (B, 1, H, W), without what else was predicted."""
    depth, covered = (map_ if map_ is None else map_.flip(-1) for map_ in (prediction.depth, prediction.covered))
    return Prediction(depth=depth, covered=covered)


def disagreement(depths: list[Tensor]) -> Tensor:
    """Return the standard deviation (..., H, W) of predictions of the same depth; of two it is half their difference.

    Args:
        depths: each (..., H, W), metres.
    """
    return torch.stack([depth.float() for depth in depths]).std(0, correction=0)


def with_flip_uncertainty(prediction: Prediction, mirrored: Prediction) -> Prediction:
    """Return a prediction whose ``uncertainty`` is its disagreement with that of the mirrored batch, in metres.

    Args:
        prediction: of a batch; all else of it stays as it is.
        mirrored: of the mirrored batch, as predicted.
    """
    other = mirrored_back(mirrored)
    if prediction.depth is None or other.depth is None:
        return prediction
    return replace(prediction, uncertainty=disagreement([prediction.depth, other.depth]))
