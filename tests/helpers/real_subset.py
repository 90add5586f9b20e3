"""The 195 real frames of NYUv2 that the test pack has, as a labelled file.

The pack keeps them as a public dump does: pictures mirrored left to right, in-painted depth in 8 bits, NYU40 ids less
one. Here they become what the suite reads, `nyu_depth_v2_labeled.mat` with its splits and class mapping:

    python -m tests.helpers.real_subset PACK FOLDER     PACK is .../data/real/nyu_depth_v2; writes FOLDER/nyuv2
"""

import csv
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
from scipy.io import loadmat, savemat

#: Metres of the dump's brightest depth (the pack's README).
FARTHEST = 9.99547


def write_real_subset(pack: Path, folder: Path, frames: int | None = None) -> Path:
    """Write the first ``frames`` of the subset, or all.

    Depth is true to 20 mm, seldom 39 mm. Fine labels are one representative of each NYU40 class; unlabelled pixels are
    not marked in the dump, and count as `otherprop`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = pack / "subset_mirrored"
    with (source / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:frames]
    mapping = loadmat(pack / "meta" / "classMapping40.mat")
    fine = np.array([0, *(1 + np.argmax(mapping["mapClass"][0] == id_) for id_ in range(1, 41))], dtype=np.uint16)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        shape = (len(rows), 640, 480)
        images = file.create_dataset("images", (len(rows), 3, 640, 480), np.uint8)
        depths, labels = (
            file.create_dataset("depths", shape, np.float32),
            file.create_dataset("labels", shape, np.uint16),
        )
        references, cells = file.create_group("#refs#"), []
        for i, row in enumerate(rows):
            stem = row["file_stem_0based"]
            kinds = (("nyu_images", "jpg"), ("nyu_depths", "png"), ("nyu_labels40", "png"))
            image, depth, ids = (
                cv2.imread(str(source / kind / f"{stem}.{ending}"), cv2.IMREAD_UNCHANGED)[:, ::-1]
                for kind, ending in kinds
            )
            images[i] = image[..., ::-1].transpose(2, 1, 0)
            depths[i] = ((depth.astype(np.float64) + 0.5) * FARTHEST / 255).T
            labels[i] = fine[ids.astype(int) + 1].T
            name = np.array([[ord(letter)] for letter in row["scene"]], dtype=np.uint16)
            cells.append(references.create_dataset(f"scene_{i}", data=name).ref)
        file.create_dataset("scenes", data=np.array([cells], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
    savemat(folder / "classMapping40.mat", {key: mapping[key] for key in ("mapClass", "className")})
    parts = {
        f"{part}Ndxs": np.array([[i + 1] for i, row in enumerate(rows) if row["split"] == part], dtype=np.uint16)
        for part in ("train", "test")
    }
    savemat(folder / "splits.mat", parts)
    return folder


if __name__ == "__main__":
    pack, folder = map(Path, sys.argv[1:])
    print(write_real_subset(pack, folder / "nyuv2"))
