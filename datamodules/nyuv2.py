"""NYU Depth v2, the labelled frames."""

from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from datamodules.base import DepthDataModule, Splits, hold_out_scenes
from datamodules.nyuv2_format import CLASS_MAPPING_FILE, LABELED_FILE, SPLITS_FILE, nyu40_lookup
from datamodules.nyuv2_reader import DepthSource, NYUv2Reader, read_splits


class NYUv2DataModule(DepthDataModule):
    """The 1449 labelled frames of NYU Depth v2, 480x640, in the official split: 795 train, 654 test.

    Silberman, Hoiem, Kohli, Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012; the 40
    classes are those of Gupta, Arbelaez, Malik, CVPR 2013.

    Args:
        root: folder of the files.
        labeled_file: name of the labelled file in it.
        splits_file: name of the splits file in it.
        class_mapping_file: name of a ``classMapping40.mat`` in it; None takes the one that is there, else the package's
            table (the same values).
        depth: ``raw`` is what was measured (``rawDepths``, with holes), ``filled`` is in-painted (``depths``), ``auto``
            is raw where the file has it.
        min_depth: metres; depth below it is invalid.
        max_depth: metres; depth above it is invalid.
        val_scenes: share of the training scenes that is held out for validation, at least one if positive; 0 trains on
            all of them and validates on nothing.
        kwargs: of :class:`DepthDataModule`.

    Raises:
        ValueError: unless 0 < min_depth < max_depth.
    """

    name = "nyuv2"

    def __init__(
        self,
        root: str,
        *,
        labeled_file: str = LABELED_FILE,
        splits_file: str = SPLITS_FILE,
        class_mapping_file: str | None = None,
        depth: DepthSource = "auto",
        min_depth: float = 1e-3,
        max_depth: float = 10.0,
        val_scenes: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 < min_depth < max_depth:
            raise ValueError(f"need 0 < `min_depth` < `max_depth`, got {min_depth} and {max_depth}")
        self.root = root
        self.labeled_file, self.splits_file, self.class_mapping_file = labeled_file, splits_file, class_mapping_file
        self.depth = depth
        self.min_depth, self.max_depth = min_depth, max_depth
        self.val_scenes = val_scenes

    @cached_property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.root).expanduser()

    @cached_property
    def class_mapping(self) -> Path | None:
        """The mapping file in use; None for the package's table."""
        path = self.folder / (self.class_mapping_file or CLASS_MAPPING_FILE)
        return path if self.class_mapping_file or path.is_file() else None

    @cached_property
    def reader(self) -> NYUv2Reader:
        """The labelled file."""
        reader = NYUv2Reader(
            self.folder / self.labeled_file,
            nyu40_lookup(self.class_mapping),
            depth=self.depth,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
        )
        if self.depth == "auto":
            nature = (
                "measured, with holes" if reader.depth_key == "rawDepths" else "in-painted; the file has no rawDepths"
            )
            rank_zero_info(f"{self.name}: depth is read from `{reader.depth_key}` ({nature})")
        return reader

    @cached_property
    def splits(self) -> Splits:
        """The official split, part of its training scenes held out as configured."""
        train, test = read_splits(self.folder / self.splits_file, len(self.reader))
        train, val = hold_out_scenes(train, self.reader.scenes, self.val_scenes, self.seed)
        return Splits(train, val, test)

    def describe(self) -> dict[str, Any]:
        """What is read and how, as plain JSON."""
        return {
            **super().describe(),
            "labeled_file": str(self.folder / self.labeled_file),
            "splits_file": str(self.folder / self.splits_file),
            "class_mapping": str(self.class_mapping or "the package's table"),
            "depth_key": self.reader.depth_key,
            "depth_range": [self.min_depth, self.max_depth],
        }
