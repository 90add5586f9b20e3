"""A tiny labelled file in NYUv2's format, for tests that run the whole chain."""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat


def write_tiny_nyu(folder: Path, frames: int = 8, height: int = 48, width: int = 64, *, raw: bool = False) -> Path:
    """Write the labelled file, its splits and a class mapping; the first half of the frames trains, the rest tests.

    Depth is a plane that recedes to the top, coloured by its depth: something a small network can learn. There are two
    frames a scene.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    slope = rng.uniform(1, 4, frames).astype(np.float32)
    rows = np.linspace(1, 0, height, dtype=np.float32)[:, None] * np.ones(width, dtype=np.float32)
    depth = 1 + slope[:, None, None] * rows
    image = (255 * np.stack([depth / 6, rows[None].repeat(frames, 0), 0.5 + 0 * depth], 1)).astype(np.uint8)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = image.transpose(0, 1, 3, 2)
        file["depths"] = depth.transpose(0, 2, 1)
        if raw:
            file["rawDepths"] = np.where(depth > 1.5, depth, 0).transpose(0, 2, 1)
        file["labels"] = np.full((frames, width, height), 21, dtype=np.uint16)
        file["instances"] = np.ones((frames, width, height), dtype=np.uint8)
        references = file.create_group("#refs#")
        cells = []
        for frame in range(frames):
            name = np.array([[ord(c)] for c in f"office_{frame // 2:04d}"], dtype=np.uint16)
            cells.append(references.create_dataset(f"scene_{frame}", data=name).ref)
        file.create_dataset("scenes", data=np.array([cells], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
    mapping = np.arange(894, dtype=np.uint8)[None] % 40 + 1
    mapping[0, 20] = 1  # wall
    savemat(folder / "classMapping40.mat", {"mapClass": mapping})
    half = frames // 2
    parts = {"trainNdxs": np.arange(1, half + 1), "testNdxs": np.arange(half + 1, frames + 1)}
    savemat(folder / "splits.mat", {key: value.astype(np.uint16)[:, None] for key, value in parts.items()})
    return folder
