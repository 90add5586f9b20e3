"""HyperSim, as released."""

from functools import cached_property
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray

from datamodules.base import DepthDataModule
from datamodules.frames import FrameReader
from datamodules.hypersim.scene_format import (
    CAMERA_FILE,
    FLAGGED_FILE,
    SPLIT_FILE,
    HyperSimFrame,
    constant_camera,
    incomplete_frames,
    read_cameras,
    read_flagged,
    read_frame_list,
    read_official_split,
)
from datamodules.hypersim.scene_reader import ColorSource, DepthKind, HyperSimReader, file_kinds
from datamodules.hypersim.tonemap import ToneMap
from datamodules.splits import Splits

Selection = Literal["official", "marigold", "semantic_md", "depth_anything_v2"]

#: List files of the published selections by part, and where they come from.
LISTS: dict[str, tuple[dict[str, str], str]] = {
    "marigold": (
        {part: f"filename_list_{part}_filtered.txt" for part in ("train", "val", "test")},
        "it comes with prs-eth/Marigold (data_split/hypersim_depth/); put it beside the ai_* folders",
    ),
    "semantic_md": (
        {part: f"{part}_imgPath.txt" for part in ("train", "val", "test")},
        "it comes with charyyev/semantic_md (source/datasets/paths/); put it beside the ai_* folders",
    ),
    "depth_anything_v2": (
        {"train": "train.txt", "test": "val.txt"},
        "it comes with Depth-Anything-V2 (metric_depth/dataset/splits/hypersim/); put it beside the ai_* folders",
    ),
}


class HyperSimDataModule(DepthDataModule):
    """HyperSim, 768x1024: 74,619 released frames of 457 synthetic scenes.

    Args:
        root: folder of the ``ai_*`` scenes and of the metadata tables.
        frames: which ones, in which split: ``official`` (59,543 / 7,386 / 7,690), or one of the published selections,
            read from its authors' list files: ``marigold`` (53,885 / 7,370 / 7,682), ``semantic_md`` (19,399 / 1,203 /
            933, scenes of its own split), ``depth_anything_v2`` (tests on the official validation part).
        cameras: ``csv``, each scene's own, or ``constant``, the default camera for all, as Depth Anything v2 and
            Marigold have it: wrong for 277 of 482 cameras, by 2.3 % on average where it is.
        depth: ``planar``, or the ``distance`` to the optical centre, which is what the files hold.
        color: tone-mapped from the ``hdr`` files, or the released 8-bit ``preview``.
        tone_map: of HDR colour: ``apple``, the release's own, or ``semantic_md``.
        labels: whether to read semantics and instances; without them their files are not needed.
        test_part: ``test``, or ``val``: Semantic-MD reports metrics of the frames that it validates on.
        missing: ``error`` where a frame's file is missing, or ``skip`` such frames, with a warning that counts them:
            many keep a part of the release only.
        max_depth: metres; depth above it is invalid.
        kwargs: of :class:`DepthDataModule`.
    """

    data_set = "hypersim"

    def __init__(
        self,
        root: str,
        *,
        frames: Selection = "official",
        cameras: Literal["csv", "constant"] = "csv",
        depth: DepthKind = "planar",
        color: ColorSource = "hdr",
        tone_map: ToneMap = "apple",
        labels: bool = True,
        test_part: Literal["test", "val"] = "test",
        missing: Literal["error", "skip"] = "error",
        max_depth: float = 20.0,
        **kwargs: Any,
    ):
        super().__init__(root, max_depth=max_depth, **kwargs)
        self.frames = frames
        self.cameras = cameras
        self.depth, self.color, self.tone_map = depth, color, tone_map
        self.labels = labels
        self.test_part = test_part
        self.missing = missing

    @property
    def options(self) -> dict[str, Any]:
        """Return arguments that shape frames and splits."""
        names = ("frames", "test_part", "cameras", "depth", "color", "tone_map", "labels", "min_depth", "max_depth")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def parts(self) -> dict[str, list[HyperSimFrame]]:
        """Return frames of the selection by part, flagged ones left out, and incomplete ones as configured.

        A part that is not tested on may lack its list, and is then empty.

        Raises:
            FileNotFoundError: if a table, or the list of the frames to test on, is missing.
        """
        if self.frames == "official":
            parts = read_official_split(self.folder / SPLIT_FILE)
        else:
            parts = {part: self._read_list(part) for part in LISTS[self.frames][0]}
        if (flagged_file := self.folder / FLAGGED_FILE).is_file():
            flagged = read_flagged(flagged_file)
            parts = {part: [frame for frame in frames if frame not in flagged] for part, frames in parts.items()}
        return self._present(parts) if self.missing == "skip" else parts

    def _read_list(self, part: str, *, needed: bool = False) -> list[HyperSimFrame]:
        lists, origin = LISTS[self.frames]
        try:
            return read_frame_list(self.folder / lists[part], origin)
        except FileNotFoundError:  # said by `check_training_part` where it is needed
            if needed or part == self.test_part:
                raise
            return []

    def check_training_part(self) -> None:
        """Check that the lists of all parts are there; without the others the test part can be tested on."""
        if self.store is None and self.frames != "official":
            for part in LISTS[self.frames][0]:
                if not self.parts[part]:
                    self._read_list(part, needed=True)

    def _present(self, parts: dict[str, list[HyperSimFrame]]) -> dict[str, list[HyperSimFrame]]:
        """The frames without those that lack a file, if any is complete."""
        frames = [frame for part in parts.values() for frame in part]
        absent = incomplete_frames(self.folder, frames, file_kinds(self.color, self.labels))
        if len(absent) in (0, len(frames)):
            return parts
        rank_zero_warn(
            f"{self.name}: {len(absent)} of {len(frames)} frames are incomplete and left out (`missing: skip`)"
        )
        return {part: [frame for frame in own if frame not in absent] for part, own in parts.items()}

    def open_reader(self) -> FrameReader:
        """Return the frames of all parts: train, then val, then test."""
        frames = [frame for part in self.parts.values() for frame in part]
        return HyperSimReader(
            self.folder,
            frames,
            self._read_cameras({frame.scene for frame in frames}),
            depth=self.depth,
            color=self.color,
            tone_map=self.tone_map,
            labels=self.labels,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
        )

    def _read_cameras(self, scenes: set[str]) -> dict[str, NDArray[np.float64]]:
        if self.cameras == "constant":
            return dict.fromkeys(sorted(scenes), constant_camera())
        return read_cameras(self.folder / CAMERA_FILE, sorted(scenes))

    @property
    def radial(self) -> bool:
        """Return whether depth is the distance to the optical centre."""
        return self.depth == "distance"

    @property
    def has_validation_part(self) -> bool:
        """Return whether there is a validation part: the selections have one."""
        return True

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return the selection's parts."""
        ranges, first = {}, 0
        for part in ("train", "val", "test"):
            count = len(self.parts.get(part, ()))
            ranges[part] = range(first, first + count)
            first += count
        return Splits(ranges["train"], ranges["val"], ranges[self.test_part])
