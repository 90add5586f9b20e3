"""Further views of the same test frames, each reported as a test set of its own."""

from dataclasses import dataclass
from typing import Any, Literal

from datamodules.pipeline.corruptions import Corruption
from datamodules.pipeline.transforms import Size


@dataclass(frozen=True)
class Variant:
    """What a variant of a test set shows the network in place of what the run shows it.

    The truth, the evaluated pixels and the protocol are those of the test set itself.

    Attributes:
        eval_size: height and width that the frame is squashed to; ``whole`` keeps its own aspect ratio, at the data's
            ``resize``; None is the run's.
        corruption: of the image, before it is resized and before superpixels are made of it.
        groups: of metrics to measure, of those that the run measures (``evaluation.groups``); None for all of them.
    """

    eval_size: Size | Literal["whole"] | None = None
    corruption: Corruption | None = None
    groups: tuple[str, ...] | None = None

    def size(self, of_run: Size | None) -> Size | None:
        """Return height and width that frames are squashed to, given that of the run, ``of_run``; None for neither."""
        if self.eval_size == "whole":
            return None
        return of_run if self.eval_size is None else self.eval_size

    def describe(self) -> dict[str, Any]:
        """Return geometry and corruption as plain JSON."""
        size = list(self.eval_size) if isinstance(self.eval_size, tuple | list) else self.eval_size
        return {"eval_size": size, "corruption": None if self.corruption is None else repr(self.corruption)}
