"""NYUv2-OC and NYUv2-OC++: NYUv2's test frames with occlusion boundaries drawn by hand."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from datamodules.files import printable
from datamodules.frames import Frame, FrameReader, WrappedReader
from datamodules.nyuv2.nyuv2_datamodule import NYUv2DataModule
from datamodules.splits import Splits
from datamodules.storage.file_state import file_states
from datamodules.storage.images import decode_image

Convention = Literal["auto", "oc++", "oc"]

#: Folder of the maps, and the names of the files, which carry the 0-based index into the 1449 labelled frames.
CONVENTIONS = {
    "oc++": ("NYUv2_OCpp/oc", re.compile(r"(\d{4})_oc\.png")),
    "oc": ("occlusion_boundaries", re.compile(r"(\d+)_ob\.png")),
}

ORIGIN = (
    "put the maps of NYUv2-OC++ (michaelramamonjisoa.github.io/projects/DisplacementFields), or of NYUv2-OC (SharpNet) "
    "there"
)


class NYUv2OCDataModule(NYUv2DataModule):
    """NYUv2 with the occlusion boundaries of its test frames, as ``occlusion``.

    Ramamonjisoa, Du, Lepetit, "Predicting Sharp and Accurate Occlusion Boundaries in Monocular Depth Estimation Using
    Displacement Fields", CVPR 2020 (OC++, all 654 test frames); Ramamonjisoa, Lepetit, "SharpNet", ICCVW 2019 (OC, part
    of them). Test frames without a map are left out, and reported; a training frame without one has an empty map.

    Args:
        root: folder of NYUv2.
        boundaries: folder of the boundary maps; None takes `nyuv2_oc` beside ``root``.
        convention: ``oc++``, files `NYUv2_OCpp/oc/0000_oc.png`; ``oc``, files `occlusion_boundaries/0_ob.png`; ``auto``
            takes what is there.
        kwargs: of :class:`NYUv2DataModule`.
    """

    data_set = "nyuv2_oc"

    def __init__(self, root: str, *, boundaries: str | None = None, convention: Convention = "auto", **kwargs: Any):
        super().__init__(root, **kwargs)
        self.boundaries = boundaries
        self.convention = convention

    @cached_property
    def boundary_folder(self) -> Path:
        """Return the folder that the maps are looked for in."""
        return self.folder.parent / "nyuv2_oc" if self.boundaries is None else Path(self.boundaries).expanduser()

    @cached_property
    def maps(self) -> dict[int, Path]:
        """Return the map file of each annotated frame, by 0-based index into the 1449 labelled frames.

        Raises:
            FileNotFoundError: if there is none, saying where they come from.
        """
        for name, (folder, pattern) in CONVENTIONS.items():
            if self.convention not in ("auto", name):
                continue
            for place in (self.boundary_folder / folder, self.boundary_folder / folder.split("/")[-1]):
                if place.is_dir():
                    files = ((pattern.fullmatch(path.name), path) for path in sorted(place.iterdir()))
                    if found := {int(match[1]): path for match, path in files if match}:
                        return found
        folder = CONVENTIONS["oc++" if self.convention == "auto" else self.convention][0]
        raise FileNotFoundError(f"{printable(self.boundary_folder / folder)} has no boundary maps: {ORIGIN}")

    def open_reader(self) -> FrameReader:
        """Return NYUv2's frames, joined with the maps that there are."""
        reader = super().open_reader()
        return OcclusionReader(reader, {p: self.maps[i] for p, i in enumerate(reader.indices) if i in self.maps})

    def read_splits(self, reader: FrameReader) -> Splits:
        """Return NYUv2's split, its test part without the frames that nobody annotated.

        Raises:
            ValueError: if that leaves none.
        """
        splits = super().read_splits(reader)
        test = [position for position in splits.test if reader.indices[position] in self.maps]
        if not test:
            raise ValueError(f"{printable(self.boundary_folder)}: none of the test frames has a boundary map; {ORIGIN}")
        if missing := sorted({reader.indices[p] for p in splits.test} - {reader.indices[p] for p in test}):
            rank_zero_warn(
                f"{self.name}: {len(missing)} of {len(splits.test)} test frames have no boundary map and are left out: "
                f"{', '.join(map(str, missing[:8]))}{', ...' if len(missing) > 8 else ''} (0-based)"
            )
        return Splits(splits.train, splits.val, test)


class OcclusionReader(WrappedReader):
    """Another reader's frames with occlusion boundaries.

    Args:
        reader: the frames.
        maps: file of each annotated frame's map, by position; the others get an empty map.
    """

    def __init__(self, reader: FrameReader, maps: Mapping[int, Path]):
        super().__init__(reader)
        self.maps = dict(maps)
        self.provides = reader.provides | {"occlusion"}

    @cached_property
    def identity(self) -> str:
        """Return the wrapped reader's identity, followed by names, sizes and modification times of the maps."""
        maps = sorted((p, str(path)) for p, path in self.maps.items())
        return f"{self.reader.identity}\n{maps} {file_states(path for _, path in maps)}"

    def source(self, position: int) -> str:
        """Return the wrapped reader's source of a frame, followed by the file of its boundary map, for messages."""
        with_map = f", {printable(self.maps[position])}" if position in self.maps else ""
        return super().source(position) + with_map

    def read(self, position: int) -> Frame:
        """Return the frame with ``occlusion``, (1, H, W) bool.

        Raises:
            FileNotFoundError: if a file of the frame, or its boundary map, is missing.
            ValueError: if one is damaged, or the map has another size than the frame.
        """
        frame = self.reader.read(position)
        if position in self.maps:
            occlusion = read_boundaries(self.maps[position], frame.size)
        else:
            occlusion = torch.zeros(1, *frame.size, dtype=torch.bool)
        return replace(frame, maps={**frame.maps, "occlusion": occlusion})


def read_boundaries(path: Path, size: tuple[int, int]) -> Tensor:
    """Return the boundary map (1, H, W) bool of a PNG: grey, RGB or palette, coded 0/255, 0/1, or with values between.

    Values above 127, in a 16-bit file above 32767, are boundary; where none is above 1, all above 0 are.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or of another size than the frame.
    """
    grey = decode_image(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if grey.shape != size:
        raise ValueError(
            f"{printable(path)}: is {grey.shape[0]}x{grey.shape[1]} pixels, the frame {size[0]}x{size[1]}; take the "
            "maps at the frames' full size (cropped repackagings exist)"
        )
    return torch.from_numpy(grey > (np.iinfo(grey.dtype).max // 2 if grey.max() > 1 else 0))[None]
