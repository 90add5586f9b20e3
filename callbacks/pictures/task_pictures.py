"""Pictures of predictions besides the depth: semantic classes, edges and intermediate depths, beside their truth."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from callbacks.pictures.class_colors import RGB, ClassColors
from callbacks.pictures.colors import Picture, depth_picture


def semantic_pictures(
    prediction: Any, batch: Any, i: int, colors: ClassColors
) -> tuple[dict[str, Picture], dict[str, RGB]]:
    """Draw true and predicted classes of a frame on the truth's grid.

    Args:
        prediction: the method's, for the batch.
        batch: the batch; without ``semantics`` only the prediction is shown.
        i: position of the frame in the batch.
        colors: of the data set's classes.

    Returns:
        Pictures by title, and the legend of the classes in them; both empty where no classes are predicted.
    """
    if prediction.semantics is None:
        return {}, {}
    logits = enlarged(prediction.semantics[i : i + 1], batch["depth"].shape[-2:])
    predicted = 1 + logits.argmax(1)[0].cpu().numpy()
    if "semantics" not in batch:
        return {"predicted classes": colors.picture(predicted)}, colors.legend(predicted)
    truth = batch["semantics"][i].cpu().numpy()
    labelled = truth > 0
    share = float((predicted == truth)[labelled].mean()) if labelled.any() else float("nan")
    pictures = {
        "true classes (black: unlabelled)": colors.picture(truth),
        f"predicted classes, {100 * share:.0f} % of pixels right": colors.picture(predicted),
    }
    return pictures, colors.legend(truth, predicted)


def read_semantics(batch: Any, i: int, colors: ClassColors) -> tuple[dict[str, Picture], dict[str, RGB]]:
    """Draw the true classes of a frame, for a method that reads them instead of predicting any.

    Args:
        batch: the batch.
        i: position of the frame in the batch.
        colors: of the data set's classes.

    Returns:
        The picture by title, and the legend of the classes in it.
    """
    truth = batch["semantics"][i].cpu().numpy()
    return {"true classes, which the method reads": colors.picture(truth)}, colors.legend(truth)


def edge_pictures(prediction: Any, batch: Any, i: int) -> dict[str, Picture]:
    """Draw true edges, and the probability of predicted ones, of a frame on the truth's grid.

    Args:
        prediction: the method's, for the batch.
        batch: the batch; without ``edges`` only the prediction is shown.
        i: position of the frame in the batch.

    Returns:
        Pictures by title; none where no edges are predicted.
    """
    if prediction.edges is None:
        return {}
    probability = enlarged(prediction.edges[i : i + 1], batch["depth"].shape[-2:]).sigmoid()[0, 0].cpu().numpy()
    predicted = {"predicted edges (probability)": gray(probability)}
    if "edges" not in batch:
        return predicted
    return {"true edges": gray(batch["edges"][i, 0].float().cpu().numpy())} | predicted


def region_support_pictures(prediction: Any, batch: Any, i: int, scale: tuple[float, float]) -> dict[str, Picture]:
    """Draw the region support of a frame, and the intermediate depths that its prediction was refined from.

    Args:
        prediction: the method's, for the batch.
        batch: the batch; without ``region_support`` only the intermediate depths are shown.
        i: position of the frame in the batch.
        scale: metres where the colours begin and end.

    Returns:
        Pictures by title; none where there are no intermediate depths.
    """
    if not prediction.aux:
        return {}
    support: dict[str, Picture] = {}
    if "region_support" in batch:
        truth = batch["region_support"][i, 0].float().cpu().numpy()
        support["true region support (black: none)"] = depth_picture(truth, *scale, truth > 0)
    steps = [depth[i, 0].detach().float().cpu().numpy() for depth in prediction.aux]
    names = ["what refinement begins with", *(f"iteration {number}" for number in range(1, len(steps)))]
    return support | {name: depth_picture(step, *scale) for name, step in zip(names, steps, strict=True)}


def enlarged(logits: Tensor, size: torch.Size) -> Tensor:
    """Return logits (1, C, h, w) in float32 at the truth's size, resized bilinearly, as they are evaluated."""
    logits = logits.detach().float()
    return logits if logits.shape[-2:] == size else F.interpolate(logits, size, mode="bilinear")


def gray(values: NDArray[np.floating]) -> Picture:
    """Return values (H, W) in [0, 1] in grey levels (H, W, 3): 1 is white, NaN is black."""
    levels = (np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)
