"""What callbacks are given of a test batch, without a trainer that tests."""

from types import SimpleNamespace

import torch

from callbacks.records.frame_callback import frames_of
from lightning_modules.metrics import BoundaryProtocol, EvalProtocol

PLAIN = EvalProtocol("plain", 0.1, 20.0)

#: What pictures ask of a method.
METHOD = SimpleNamespace(
    normalization=((0.5,) * 3, (0.25,) * 3), evaluation=SimpleNamespace(boundary=BoundaryProtocol())
)


def output_of(prediction, batch, protocol=PLAIN, per_image=None, oracle=""):
    """What a step returns for a batch."""
    prepared = None
    if prediction.depth is not None:
        prepared = protocol.prepare(prediction.depth, batch["depth"], batch["valid"])
    return {
        "prediction": prediction, "prepared": prepared, "protocol": protocol, "per_image": per_image or {},
        "oracle": oracle,
    }  # fmt: skip


def data_named(name, classes=40):
    """A test set of this name."""
    return SimpleNamespace(name=name, class_names=tuple(map(str, range(1, classes + 1))))


def frame_of(output, batch, i=0, method=METHOD, data=None):
    """Frame ``i`` of a batch."""
    numbered = {"index": torch.arange(i + 1), **batch}
    return list(frames_of(output, numbered, data or data_named("rooms"), method))[i]
