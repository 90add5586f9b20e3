"""The batches of a training step, kept until it is known whether its gradient is finite."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Noted:
    """What a report needs of a batch, should its loss turn out not to be finite; all tensors are detached.

    Attributes:
        index: (B,) numbers of the frames.
        scene: their scenes.
        losses: terms of the loss, by name.
        depth: (B, 1, H, W) predicted, metres; None for a method without depth.
        valid: (B, 1, H, W) bool, pixels with truth.
        finite: () bool, whether all terms are.
    """

    index: Tensor
    scene: list[str]
    losses: dict[str, Tensor]
    depth: Tensor | None
    valid: Tensor
    finite: Tensor


def report(noted: Noted) -> dict[str, Any]:
    """Return frames, loss terms and statistics of prediction and truth of a batch, on the CPU."""
    return {
        "index": [int(index) for index in noted.index],
        "scene": list(noted.scene),
        "losses": {name: float(loss) for name, loss in noted.losses.items()},
        "prediction": None if noted.depth is None else statistics(noted.depth.float()),
        "valid_of_image": noted.valid.flatten(1).sum(1).tolist(),
    }


def statistics(depth: Tensor) -> dict[str, Any]:
    """Return shape, range and number of non-finite pixels of a predicted depth (B, 1, H, W), in metres."""
    finite = depth[depth.isfinite()]
    return {
        "shape": list(depth.shape),
        "nonfinite": int((~depth.isfinite()).sum()),
        "min": float(finite.min()) if finite.numel() else None,
        "max": float(finite.max()) if finite.numel() else None,
        "nonfinite_of_image": (~depth.isfinite()).flatten(1).sum(1).tolist(),
    }


def describe(suspect: dict[str, Any] | None) -> str:
    """Say in words which losses of which frames are not finite; ``suspect`` is a :func:`report`, None for no batch."""
    if suspect is None:
        return "the losses of this process are finite: it is the backward pass, or another process"
    terms = ", ".join(f"{name} {value:g}" for name, value in suspect["losses"].items())
    frames = ", ".join(f"{index} ({scene})" for index, scene in zip(suspect["index"], suspect["scene"], strict=True))
    return f"losses {terms} of frames {frames}"
