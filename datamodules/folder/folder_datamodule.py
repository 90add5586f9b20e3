"""Frames of one's own: a folder that a `dataset.yaml` describes."""

from functools import cached_property
from typing import Any

from datamodules.base import DepthDataModule
from datamodules.classes import NAMES40, class_names
from datamodules.files import printable
from datamodules.folder.description import DESCRIPTION_FILE, Description, read_description
from datamodules.folder.folder_reader import FolderReader
from datamodules.folder.split_rule import Divided
from datamodules.frames import FrameReader
from datamodules.splits import Splits


class FolderDataModule(DepthDataModule):
    """Images with depth in a folder: `rgb/`, `depth/`, if there are any `semantics/`, `instances/` and `masks/`.

    A `dataset.yaml` there says what they are, see `docs/own_data.md`; the name that it gives stands in metric keys,
    tables and run names.

    Args:
        root: the folder.
        min_depth: metres; depth below it is invalid. None takes that of `dataset.yaml`.
        max_depth: metres; depth above it is invalid. None takes that of `dataset.yaml`.
        kwargs: of :class:`DepthDataModule`.

    Raises:
        FileNotFoundError: if there is no folder, or no `dataset.yaml` in it.
        ValueError: if something is wrong with that: one line with file, key and fix.
    """

    data_set = "folder"

    def __init__(self, root: str, *, min_depth: float | None = None, max_depth: float | None = None, **kwargs: Any):
        self.root = root
        if min_depth is None or max_depth is None:  # a run has both on record, and may have moved away from its data
            nearest, farthest = self.description.depth.range
            min_depth = nearest if min_depth is None else min_depth
            max_depth = farthest if max_depth is None else max_depth
        super().__init__(root, min_depth=min_depth, max_depth=max_depth, **kwargs)

    @cached_property
    def description(self) -> Description:
        """Return what `dataset.yaml` says."""
        return read_description(self.folder)

    @property
    def claimed_name(self) -> str:
        """Return the name that `dataset.yaml` gives."""
        return self.description.name

    @property
    def truth(self) -> str:
        """Return what depth is known up to: ``metric``, or a ``scale``, or ``scale_and_shift``, a frame."""
        return self.description.truth

    @property
    def classes(self) -> int:  # type: ignore[override]  # other sets take the number as an argument
        """Return how many classes `dataset.yaml` names; without any, as many as NYUv2 has."""
        return self.description.classes or len(NAMES40)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names that `dataset.yaml` gives the classes; those of NYU40 or numbers where it gives none."""
        return self.description.class_names or class_names(self.classes)

    def recorded_class_names(self, options: dict[str, Any]) -> tuple[str, ...]:
        """Return the names that `dataset.yaml` gave the classes when a run was trained; no folder is needed."""
        return tuple(options.get("class_names") or class_names(options.get("classes") or len(NAMES40)))

    @property
    def options(self) -> dict[str, Any]:
        """Return what `dataset.yaml` says, and the range of depth."""
        return {**self.description.as_json(), "min_depth": self.min_depth, "max_depth": self.max_depth}

    def open_reader(self) -> FrameReader:
        """Return the frames."""
        return FolderReader(self.folder, self.description, min_depth=self.min_depth, max_depth=self.max_depth)

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return the parts as `dataset.yaml` divides the frames; without `splits` all are tested on."""
        if not isinstance(reader, FolderReader):
            reader = getattr(reader, "reader", reader)  # of frames that are prepared
        assert isinstance(reader, FolderReader)
        file = self.folder / DESCRIPTION_FILE
        names = [frame.names for frame in reader.frames]
        return Divided(self.folder, file, reader.scenes, names).by(self.description.splits)

    @property
    def has_validation_part(self) -> bool:
        """Return whether `dataset.yaml` gives frames to validation."""
        return self.description.splits is not None and "val" in self.description.splits.parts

    def check_training_part(self) -> None:
        """Check that there are frames to train on.

        Raises:
            FileNotFoundError: if `dataset.yaml` gives none to training.
        """
        if not len(self.splits.train):
            raise FileNotFoundError(
                f"{printable(self.folder / DESCRIPTION_FILE)}: key `splits` gives training no frame; set, for example, "
                "`splits: {fractions: {val: 0.1, test: 0.2}}`, or test on the set alone (`segdepth test`)"
            )

    def hint(self, key: str) -> str:
        """Return what to do so that a key is provided."""
        if key in ("semantics", "instances") and self.store is None:
            named = f", and name the `classes` in {DESCRIPTION_FILE}" if key == "semantics" else ""
            return f"put a file of ids for each image into {printable(self.folder / key)}/{named}"
        return super().hint(key)
