"""A folder of frames of one's own, written with PIL and NumPy."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

DESCRIPTION = {
    "name": "own",
    "depth": {"unit": "mm", "range": [0.1, 10]},
    "camera": {"fx": 60, "fy": 60, "cx": 31.5, "cy": 23.5},
}


def surface(number, size=(48, 64)):
    """Depth (H, W) of frame ``number`` in metres, rising to the right, with its first rows empty."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    depth = 1.5 + 0.1 * number + 0.02 * x + 0.01 * y
    depth[:4] = 0
    return depth


def picture(number, size=(48, 64)):
    """RGB (H, W, 3) uint8 that shows it, more or less."""
    noise = np.random.default_rng(number).integers(0, 30, (*size, 3))
    return np.clip(60 * surface(number, size)[..., None] + noise, 0, 255).astype(np.uint8)


def millimetres(depth):
    """16-bit steps of a millimetre."""
    return (depth * 1000).round().astype(np.uint16)


def describe(root: Path, **keys):
    """Write a `dataset.yaml`; a key that is None is left out."""
    root.mkdir(parents=True, exist_ok=True)
    said = {key: value for key, value in {**DESCRIPTION, **keys}.items() if value is not None}
    (root / "dataset.yaml").write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    return root


def save(path: Path, values):
    """Write an image or array by its ending, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


def write_frames(root: Path, scenes=("attic", "cellar", "hall"), frames=2, size=(48, 64), **keys):
    """Write frames into folders of scenes, and their `dataset.yaml`."""
    for number in range(len(scenes) * frames):
        scene, name = scenes[number // frames], f"frame {number % frames}"
        save(root / "rgb" / scene / f"{name}.png", picture(number, size))
        save(root / "depth" / scene / f"{name}.png", millimetres(surface(number, size)))
    return describe(root, **keys)
