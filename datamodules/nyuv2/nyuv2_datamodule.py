"""NYU Depth v2, in the layouts that it is kept in."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from numpy.typing import NDArray

from datamodules.base import DepthDataModule
from datamodules.classes import FINE_CLASSES
from datamodules.files import printable
from datamodules.frames import FrameReader
from datamodules.nyuv2.labeled_format import (
    CLASS13_MAPPING_FILE,
    CLASS_MAPPING_FILE,
    CROP_WINDOW,
    LABELED_FILE,
    ORIGINS,
    SPLITS_FILE,
    Border,
    DepthSource,
    read_class13_mapping,
    read_class_mapping,
    scaled_window,
)
from datamodules.nyuv2.labeled_reader import UNKNOWN_SCENE, NYUv2Reader, read_splits
from datamodules.nyuv2.official import LABELED_FRAMES, is_test_frame, other_scenes, other_tests
from datamodules.nyuv2.trees import BTS_LISTS, MARIGOLD_LISTS, TreeFrame, TreeReader, find_list, read_bts, read_marigold
from datamodules.set_names import is_reserved
from datamodules.splits import Splits, random_split

Layout = Literal["auto", "labeled", "bts", "marigold"]

#: What each layout trains on, when it is whole.
LAYOUTS = {
    "labeled": "the labelled file: 795 frames train", "bts": "BTS's tree: the frames of its list train, 24,231 in all",
    "marigold": "Marigold's tree: the frames of its list train, 795 in all",
}  # fmt: skip


class NYUv2DataModule(DepthDataModule):
    """NYU Depth v2, 480x640: the 1449 labelled frames in the official split (795 train, 654 test), or a tree of files.

    Silberman, Hoiem, Kohli, Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012; the 40
    classes are those of Gupta, Arbelaez, Malik, CVPR 2013, the 13 those of Couprie et al., ICLR 2013.

    Args:
        root: folder of the files.
        layout: ``labeled``, the authors' `.mat` files; ``bts``, the 24K training frames and 654 test frames of BTS,
            NeWCRFs and AdaBins; ``marigold``, the labelled frames as PNGs; ``auto`` takes the first that is there, and
            says which, and what else is.
        labeled_file: name of the labelled file.
        splits_file: name of the splits file.
        class_mapping_file: name of the 894 to 40 class mapping; None takes `classMapping40.mat` if it is there, and
            leaves ``semantics`` out where it is not.
        class13_mapping_file: name of the 40 to 13 class mapping; None for `class13Mapping.mat`.
        train_list: name of a tree's training list; None for the layout's own.
        test_list: name of its test list; None for the layout's own.
        classes: of ``semantics``: NYU40, 13 (needs the second mapping too), or the 894 that annotators told apart.
        depth: ``raw`` is what was measured (with holes), ``filled`` is in-painted (not in a BTS tree), ``auto`` is raw
            where the layout has it.
        border: of the colour image, white in the labelled file: ``keep`` it, make it ``black`` as in BTS's test
            images, or ``crop``: training crops are drawn from inside it.
        split: ``official``, or ``random801010``: 80 % of the labelled frames train, 10 % validate, 10 % test, drawn by
            seed. Frames of one scene are then on several sides, as in guided MTI-Net, whose split that is.
        kwargs: of :class:`DepthDataModule`.

    Raises:
        ValueError: if a layout does not have what is asked for.
    """

    data_set = "nyuv2"

    def __init__(
        self,
        root: str,
        *,
        layout: Layout = "auto",
        labeled_file: str = LABELED_FILE,
        splits_file: str = SPLITS_FILE,
        class_mapping_file: str | None = None,
        class13_mapping_file: str | None = None,
        train_list: str | None = None,
        test_list: str | None = None,
        classes: Literal[40, 13, 894] = 40,
        depth: DepthSource = "auto",
        border: Border = "keep",
        split: Literal["official", "random801010"] = "official",
        **kwargs: Any,
    ):
        super().__init__(root, **kwargs)
        self.layout = layout
        self.labeled_file, self.splits_file, self.class_mapping_file = labeled_file, splits_file, class_mapping_file
        self.class13_mapping_file = class13_mapping_file or CLASS13_MAPPING_FILE
        self.lists = {"train": train_list, "test": test_list}
        self.classes = classes
        self.depth = depth
        self.border = border
        self.split = split

    @property
    def options(self) -> dict[str, Any]:
        """Return arguments that shape frames and splits."""
        names = ("classes", "depth", "border", "split", "min_depth", "max_depth")
        seed = {"seed": self.seed} if self.split != "official" else {}
        return {name: getattr(self, name) for name in names} | seed

    @cached_property
    def found_layout(self) -> str:
        """Return the layout in use.

        Raises:
            FileNotFoundError: if ``auto`` finds none, saying what would be one.
        """
        if self.layout != "auto":
            return self.layout
        if there := self._layouts_there():
            taken, *others = there
            more = f"there too: {', '.join(others)} (`data.init_args.layout`)" if others else "there is no other"
            rank_zero_info(f"{self.claimed_name}: layout `{taken}` is read ({LAYOUTS[taken]}); {more}")
            return taken
        raise FileNotFoundError(
            f"{printable(self.folder / self.labeled_file)} is missing: take it (2.97 GB) from the NYU Depth Dataset V2 "
            f"page and put it there, or a tree with its lists ({BTS_LISTS['test']} or {MARIGOLD_LISTS['test']}) "
            "(DATA_ROOT is the folder that holds `nyuv2/`)"
        )

    def _layouts_there(self) -> list[str]:
        """Layouts whose labelled file, or list of test frames, is there, the one that ``auto`` takes first."""
        there = ["labeled"] if (self.folder / self.labeled_file).exists() else []
        for layout, lists in (("bts", BTS_LISTS), ("marigold", MARIGOLD_LISTS)):
            try:
                find_list(self.folder, [self.lists["test"] or lists["test"]], "")
            except FileNotFoundError:
                continue
            there.append(layout)
        return there

    @property
    def set_name(self) -> str:
        """Return the data set's name: NYUv2 only for its own frames; those of others are named by their folder."""
        name = super().set_name
        if self.store is not None or name.startswith("rooms") or self._stranger is None:
            return name
        folder = re.sub(r"\W+", "_", self.folder.resolve().name).strip("_") or "frames"
        own = f"not_{folder}" if is_reserved(folder) else folder
        return own + self.data_set.removeprefix(NYUv2DataModule.data_set)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Return remarks as for all sets, and whether the file's test part has frames that officially train."""
        said = super().remarks
        whole = self.split == "official" and len(self.reader) == LABELED_FRAMES
        if whole and not all(is_test_frame(self.reader.indices[position]) for position in self.splits.test):
            return (*said, "a test part other than the official one")
        return said

    @cached_property
    def _stranger(self) -> str | None:
        """A frame or scene that is not NYUv2's, if there is one in what is there to be read."""
        try:
            if self.found_layout == "labeled":
                scenes = [scene for scene in self._labeled.scenes if scene != UNKNOWN_SCENE]
                found = other_scenes(scenes) or (f"{len(scenes):,} frames" if len(scenes) > LABELED_FRAMES else None)
            else:
                test, train = self._tree["test"], self._tree["train"]
                found = other_tests((frame.scene, frame.index) for frame in test)
                found = found or other_scenes(frame.scene for frame in train)
                if self.found_layout == "marigold" and found is None:
                    found = next((f"{f.index + 1} to train on" for f in train if is_test_frame(f.index)), None)
        except (FileNotFoundError, ValueError):  # said when they are read
            return None
        if found:
            rank_zero_info(
                f"{printable(self.folder)}: not NYUv2's official frames ({found}): metrics bear the folder's name"
            )
        return found

    @cached_property
    def class_mapping(self) -> Path | None:
        """Return the 894 to 40 mapping file in use, if there is one."""
        path = self.folder / (self.class_mapping_file or CLASS_MAPPING_FILE)
        return path if self.class_mapping_file or path.exists() else None

    def class_table(self) -> NDArray[np.integer[Any]] | None:
        """Return the table from fine class id 0..894 to the ids of ``semantics``; None where no file says."""
        if self.classes == FINE_CLASSES:
            return np.arange(FINE_CLASSES + 1)
        if self.class_mapping is None:
            return None
        table = read_class_mapping(self.class_mapping)
        return read_class13_mapping(self.folder / self.class13_mapping_file)[table] if self.classes == 13 else table

    def hint(self, key: str) -> str:
        """Return what to do so that a key is provided."""
        if key == "semantics" and self.store is None and self.found_layout == "labeled":
            return f"{printable(self.folder / CLASS_MAPPING_FILE)} is missing: {ORIGINS[CLASS_MAPPING_FILE]}"
        if key in ("semantics", "instances") and self.store is None and self.found_layout != "labeled":
            return f"a {self.found_layout} tree has no labels: put {LABELED_FILE} there and set `layout: labeled`"
        return super().hint(key)

    def open_reader(self) -> FrameReader:
        """Return the labelled file, or the tree: training frames, then test frames."""
        if self.found_layout == "labeled":
            return self._open_labeled()
        if self.split != "official":
            raise ValueError(f"`split: {self.split}` is of the labelled file; a tree has its lists: `split: official`")
        if self.found_layout == "bts" and self.depth == "filled":
            raise ValueError("`depth: filled` is not in a BTS tree, which holds measured depth; set `depth: raw`")
        frames = [frame for part in ("train", "test") for frame in self._tree[part]]
        return TreeReader(frames, min_depth=self.min_depth, max_depth=self.max_depth, border=self.border)

    @cached_property
    def _tree(self) -> dict[str, list[TreeFrame]]:
        tree = {"test": self._read_part("test")}
        try:
            tree["train"] = self._read_part("train")
        except FileNotFoundError:  # said by `check_training_part` where it is needed
            tree["train"] = []
        return tree

    def _read_part(self, part: str) -> list[TreeFrame]:
        name = self.lists[part]
        if self.found_layout == "bts":
            return read_bts(self.folder, part, name)
        return read_marigold(self.folder, part, self.depth, name)

    def check_training_part(self) -> None:
        """Check that a tree's training list is there; without it the tree can be tested on."""
        if self.store is None and self.found_layout != "labeled" and not self._tree["train"]:
            self._read_part("train")

    @cached_property
    def _labeled(self) -> NYUv2Reader:
        return NYUv2Reader(
            self.folder / self.labeled_file,
            self.class_table(),
            depth=self.depth,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
            border=self.border,
        )

    def _open_labeled(self) -> NYUv2Reader:
        reader = self._labeled
        if self.depth == "auto":
            nature = (
                "measured, with holes" if reader.depth_key == "rawDepths" else "in-painted; the file has no rawDepths"
            )
            rank_zero_info(f"{self.name}: depth is read from `{reader.depth_key}` ({nature})")
        return reader

    @property
    def has_validation_part(self) -> bool:
        """Return whether there is a validation part: a random split has one, the official split has not."""
        return self.split != "official"

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return the official split, the tree's lists, or a random split."""
        if self.found_layout != "labeled":
            train = len(self._tree["train"])
            return Splits(range(train), [], range(train, len(reader)))
        if self.split == "random801010":
            return random_split(len(reader), self.seed)
        train_frames, test_frames = read_splits(self.folder / self.splits_file, len(reader))
        return Splits(train_frames, [], test_frames)

    @property
    def train_window(self) -> tuple[int, int, int, int] | None:
        """Return BTS's window inside the border, where training crops are drawn from it."""
        return scaled_window(CROP_WINDOW, *(self.resize or self.reader.size)) if self.border == "crop" else None

    def describe(self) -> dict[str, Any]:
        """Return what is read and how, as plain JSON."""
        files = (
            {} if self.store is not None else {"layout": self.found_layout, "class_mapping": str(self.class_mapping)}
        )
        if isinstance(self.reader, NYUv2Reader):
            files["depth_key"] = self.reader.depth_key
        return {**super().describe(), **files}
