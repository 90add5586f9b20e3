"""What a method may ask of the data that it is trained and tested on."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast, runtime_checkable

#: Height and width in pixels.
Size = tuple[int, int]


class View(Protocol):
    """What sets a variant of a test set apart from the set itself."""

    @property
    def groups(self) -> tuple[str, ...] | None:
        """Return the groups of metrics to measure; None for all that the run measures."""


class Parts(Protocol):
    """Who is trained on what."""

    @property
    def train(self) -> Sequence[int]:
        """Return the training frames, as positions in the data set; none for a set that is only tested on."""


@runtime_checkable
class DepthData(Protocol):
    """A data set as a method sees it; every data module of :mod:`datamodules` is one, which a test checks.

    The run's own data, each further test set, and each variant of one are all of this kind.
    """

    @property
    def name(self) -> str:
        """Return what metric keys (``test/<name>/<metric>``) and tables call the set, its variant included."""

    @property
    def set_name(self) -> str:
        """Return the name of the set whose frames are shown, without the variant."""

    @property
    def variant(self) -> View | None:
        """Return what sets a variant apart; None for a set itself."""

    @property
    def provides(self) -> frozenset[str]:
        """Return the keys of a :class:`~lightning_modules.batch.Batch` that are there."""

    @property
    def classes(self) -> int:
        """Return the number of classes of ``semantics``, whose ids are 1 to that."""

    @property
    def radial(self) -> bool:
        """Return whether depth is the distance to the optical centre instead of planar z."""

    @property
    def truth(self) -> str:
        """Return what depth is known up to: ``metric``, or a ``scale``, or ``scale_and_shift``, a frame."""

    @property
    def frame_size(self) -> Size:
        """Return height and width of the truth of every frame, its native size."""

    @property
    def input_size(self) -> Size:
        """Return height and width of the network input in evaluation."""

    @property
    def input_sizes(self) -> frozenset[Size]:
        """Return height and width of all network inputs in evaluation: one, unless frames keep several sizes."""

    @property
    def crop(self) -> Size:
        """Return height and width of the network input in training."""

    @property
    def splits(self) -> Parts:
        """Return who is trained on what."""

    def hint(self, key: str) -> str:
        """Say what to do so that a key of a batch is provided."""

    def test_sets(self) -> Sequence["DepthData"]:
        """Return the set of each test loader, in order: this one, further ones, then variants."""

    def class_pixels(
        self, order: Literal["overall", "counted", "semantic_md"] = ..., frames: int | None = ...
    ) -> list[int]:
        """Count the pixels of each class: those of id ``i`` at ``i``."""

    def class_order(
        self, order: Literal["overall", "counted", "semantic_md"] = ..., frames: int | None = ...
    ) -> list[int]:
        """Return all ids of ``semantics``, the most frequent class first."""


def data_of(trainer: Any) -> DepthData | None:
    """Return the data module of a trainer; None where it was given loaders alone."""
    return cast(DepthData | None, trainer.datamodule)  # Lightning sets it without declaring it
