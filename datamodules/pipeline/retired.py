"""Steps and maps that old configurations name and no method reads: accepted with a warning, then left out."""

from collections.abc import Iterable
from typing import Any, TypeVar

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.frames import Frame
from datamodules.pipeline.preprocess import FrameStep
from datamodules.pipeline.sample_maps import DerivedMap

Part = TypeVar("Part")


class UnitDepth(FrameStep):
    """Depth scaled to [0, 1] beside the metres; losses and metrics of guided MTI-Net divide by 10 m themselves."""

    def __init__(self, divisor: float | None = 10.0):
        _warn(self)

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame as it is."""
        return frame


class _RetiredMap(DerivedMap):
    key = needs = ""

    def make(self, map_: Any) -> Any:
        """Never called: :func:`without_retired` leaves it out."""
        raise NotImplementedError


class SemanticContours(_RetiredMap):
    """Semantic contours as an input; Semantic-MD's network makes them of the batch's ``semantics``."""

    def __init__(self, mode: str = "gradient", size: int = 3):
        _warn(self)


class ClassMaps(_RetiredMap):
    """One-hot maps of the most frequent classes; Semantic-MD's network makes them of the batch's ``semantics``."""

    def __init__(self, classes: int = 40, order: str = "counted", count_frames: int | None = 2000):
        _warn(self)


def _warn(part: object) -> None:
    name = type(part).__name__
    rank_zero_warn(
        f"`data.init_args`: {name} is left out, since no method reads what it makes; take it out of the file"
    )


def without_retired(parts: Iterable[Part] | None) -> list[Part]:
    """Return those of some steps or maps that still have an effect; none where there are none."""
    return [part for part in parts or () if not isinstance(part, (UnitDepth, _RetiredMap))]
