"""What networks said of the frames of a video so far: a video that was stopped is resumed from there."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.files import names_in, write_text_atomically, written_atomically
from experiments.inference.photo_files import FIX
from lightning_modules.prediction import Prediction

#: File that says of what video and of which networks the frames are.
PLAN = "plan.json"

#: File with the ends of the colours.
SCALES = "scales.json"

_FRAME = re.compile(r"\d+\.npz")

#: Of each network, of a frame and its tiles.
Predictions = list[list[Prediction]]


class FinishedFrames:
    """Depth of frames as networks predict it, a file each, beside the folder that the video gets.

    Whatever is made of it (smoothing, colours, files) is made anew, from the very same numbers.

    Args:
        folder: for the files.
        plan: what predictions depend on, as plain JSON; those of another plan are removed.

    Raises:
        WriteError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]):
        self.folder = folder
        content = json.dumps(plan, sort_keys=True, indent=1)
        if _text(folder / PLAN) != content:
            self.remove()
            write_text_atomically(folder / PLAN, content)
        self.count = sum(1 for name in names_in(folder) if _FRAME.fullmatch(name))

    @property
    def scales(self) -> list[Any] | None:
        """Return what was kept by :meth:`keep_scales`; None where that was never done."""
        try:
            found = json.loads(_text(self.folder / SCALES) or "")
        except ValueError:
            return None
        return found if isinstance(found, list) else None

    def keep_scales(self, scales: list[Any]) -> None:
        """Keep the ends of the colours; raises WriteError if that fails."""
        write_text_atomically(self.folder / SCALES, json.dumps(scales))

    def read(self, number: int) -> Predictions | None:
        """Return the predictions of a frame; None where they are not there, or damaged."""
        try:
            with np.load(self._path(number), allow_pickle=False) as file:
                arrays = {key: torch.from_numpy(file[key]) for key in file.files}
            networks, parts = arrays.pop("counts").tolist()
            return [[_prediction(arrays, f"{n}_{p}") for p in range(parts)] for n in range(networks)]
        except Exception:  # NumPy raises another class for every way in which a file is damaged; it is made again
            return None

    def write(self, number: int, predictions: Predictions) -> None:
        """Keep the predictions of a frame; raises WriteError if that fails."""
        arrays: dict[str, Any] = {"counts": np.array([len(predictions), len(predictions[0])])}
        for n, network in enumerate(predictions):
            for p, part in enumerate(network):
                maps = {"depth": part.depth, "covered": part.covered}
                arrays |= {f"{key}_{n}_{p}": _array(map_) for key, map_ in maps.items() if map_ is not None}
        with written_atomically(self._path(number), FIX) as file:
            np.savez(file, **arrays)

    def remove(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _array(map_: Tensor) -> np.ndarray[Any, Any]:
    return (map_ if map_.dtype == torch.bool else map_.float()).cpu().numpy()


def _prediction(arrays: Mapping[str, Tensor], place: str) -> Prediction:
    return Prediction(depth=arrays[f"depth_{place}"], covered=arrays.get(f"covered_{place}"))
