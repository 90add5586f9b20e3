"""The descriptions of public sets in docs/own_data.md, on tiny sets in exactly those formats."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datamodules import FolderDataModule
from tests.helpers.own_frames import picture, save, surface

PAGE = Path(__file__).parents[3] / "docs/own_data.md"
OPEN3D = Path(__file__).parents[3] / "../shared/data/real/other_rgbd_open3d"

#: Text of each `dataset.yaml` of the page, by its folder.
WORKED = dict(re.findall(r"```yaml\n# (\w+)/dataset\.yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))

needs_pack = pytest.mark.skipif(not OPEN3D.is_dir(), reason="the pack of real frames is not here (../shared/data/real)")


def opened(root, name):
    (root / "dataset.yaml").write_text(WORKED[name], encoding="utf-8")
    data = FolderDataModule(str(root), crop=(16, 16), eval_size=None, num_workers=0, eval_batch_size=2)
    data.setup("fit")
    return data


def of_test_set(data):
    """Depth (H, W) of each test frame, by scene and name of the frame."""
    frames = (data.reader.frames[position] for position in data.splits.test)
    depths = [depth[0].numpy() for batch in data.test_dataloader() for depth in batch["depth"]]
    return {(frame.scene, frame.name): depth for frame, depth in zip(frames, depths, strict=True)}


def test_the_page_has_four():
    assert sorted(WORKED) == ["SUNRGBD", "diode", "scannet", "tum"]


def test_scannet(tmp_path):
    """As SensReader exports: colour larger than depth, depth in millimetres, a 4x4 matrix a scene."""
    for scene in ("scene0000_00", "scene0000_01", "scene0706_00"):
        for frame in (0, 2, 10):
            save(tmp_path / scene / f"color/{frame}.jpg", picture(frame, (97, 130)))
            depth = (surface(frame) * 1000).round().astype(np.uint16)
            save(tmp_path / scene / f"depth/{frame}.png", depth)
            (tmp_path / scene / "pose").mkdir(exist_ok=True)
            (tmp_path / scene / f"pose/{frame}.txt").write_text("1 0 0 0\n" * 4)
        (tmp_path / scene / "intrinsic").mkdir()
        matrix = "577.590698 0.000000 318.905426 0.000000\n0.000000 578.729797 242.683609 0.000000\n"
        (tmp_path / scene / "intrinsic/intrinsic_depth.txt").write_text(f"{matrix}0 0 1 0\n0 0 0 1\n")
        (tmp_path / scene / "intrinsic/intrinsic_color.txt").write_text(matrix)
    data = opened(tmp_path, "scannet")
    assert (data.name, len(data.splits.train), len(data.splits.test)) == ("scannet", 6, 3)
    found = of_test_set(data)
    assert list(found) == [("scene0706_00", name) for name in ("0", "2", "10")]
    np.testing.assert_allclose(found["scene0706_00", "10"], surface(10), atol=6e-4)
    frame = data.reader.read(0)
    assert frame.image.shape == (3, 48, 64)
    assert frame.intrinsics[:2].flatten().tolist() == pytest.approx(
        [577.590698, 0, 318.905426, 0, 578.729797, 242.683609]
    )
    assert "ScanNet v2" in data.remarks


def test_sun_rgbd(tmp_path):
    """A folder a frame, other names for colour and depth, sizes by sensor, bits rotated to the left by three."""
    sizes = {
        "kv2/kinect2data/000002_2014": (48, 66),
        "kv1/b3dodata/img_0063": (48, 64),
        "xtion/sun3ddata/a/b": (44, 62),
    }
    for number, (scene, size) in enumerate(sizes.items()):
        millimetres = (surface(number, size) * 1000).round().astype(np.uint32)
        rotated = ((millimetres << 3) | (millimetres >> 13)) & 0xFFFF
        save(tmp_path / scene / "image/0000103-000001.jpg", picture(number, size))
        save(tmp_path / scene / "depth_bfx/0000103-000007.png", rotated.astype(np.uint16))
        save(tmp_path / scene / "depth/0000103-000007.png", np.zeros(size, np.uint16))
        (tmp_path / scene / "intrinsics.txt").write_text("529.5 0 365 \n0 529.5 265 \n0 0 1 ")
    data = opened(tmp_path, "SUNRGBD")
    assert data.splits.train == [1]
    ((scene, _), depth) = next(iter(of_test_set(data).items()))
    assert scene == "xtion/sun3ddata/a/b"
    np.testing.assert_allclose(depth, surface(2, (44, 62)), atol=6e-4)
    assert data.reader.read(1).intrinsics.tolist() == [[529.5, 0, 365], [0, 529.5, 265], [0, 0, 1]]


def test_diode(tmp_path):
    """Image, depth (H, W, 1) and mask side by side, of one beginning."""
    for part, number in (("train", 0), ("val", 1)):
        folder = tmp_path / part / f"indoors/scene_0001{number}/scan_00183"
        mask = np.ones((48, 64))
        mask[20:30] = 0
        save(folder / f"0001{number}_00183_indoors_000_010.png", picture(number))
        save(folder / f"0001{number}_00183_indoors_000_010_depth.npy", surface(number).astype(np.float32)[..., None])
        save(folder / f"0001{number}_00183_indoors_000_010_depth_mask.npy", mask.astype(np.float32))
    save(tmp_path / "val/outdoor/scene_00020/scan_1/00020_00001_outdoor_000_010.png", picture(7))
    data = opened(tmp_path, "diode")
    assert (len(data.splits.train), len(data.splits.test)) == (1, 1)
    (depth,) = of_test_set(data).values()
    expected = surface(1)
    expected[20:30] = 0
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    assert data.reader.read(0).intrinsics.tolist() == [
        [pytest.approx(886.81), 0, 512],
        [0, pytest.approx(927.06), 384],
        [0, 0, 1],
    ]


def test_tum(tmp_path):
    """Colour and depth named by the time of each; the pairs are those of TUM's associate.py, written down by hand."""
    color = ["1305031452.791720", "1305031452.823674", "1305031452.859642", "1305031452.891726"]
    depth = ["1305031452.799000", "1305031452.830000", "1305031452.862000", "1305031453.500000"]
    for scene in ("rgbd_dataset_freiburg1_desk", "rgbd_dataset_freiburg2_xyz"):
        for number, (first, second) in enumerate(zip(color, depth, strict=True)):
            save(tmp_path / scene / f"rgb/{first}.png", picture(number))
            save(tmp_path / scene / f"depth/{second}.png", (surface(number) * 5000).round().astype(np.uint16))
        (tmp_path / scene / "rgb.txt").write_text("# color images\n")
    data = opened(tmp_path, "tum")
    assert (len(data.splits.train), len(data.splits.test)) == (3, 3)  # the fourth has no partner within 20 ms
    found = of_test_set(data)
    assert [name for _, name in found] == color[:3]
    for number, depth_found in enumerate(found.values()):
        np.testing.assert_allclose(depth_found, surface(number), atol=2e-4)


@needs_pack
@pytest.mark.real_data
def test_real_frames_of_sun_and_tum(tmp_path):
    """One real file each: metres by the published formulas, and what a room has."""
    for name, folder, fitting in (
        ("SUN", "kv2/a", {"coding": "sun_rgbd", "scale": 1000}),
        ("TUM", "kv2/b", {"coding": "plain", "scale": 5000}),
    ):
        color = next(OPEN3D.glob(f"{name}_color.*"))
        for path, kind in ((color, "rgb"), (OPEN3D / f"{name}_depth.png", "depth")):
            target = tmp_path / name / kind / folder / f"frame{path.suffix}"
            target.parent.mkdir(parents=True)
            target.write_bytes(path.read_bytes())
        text = f"name: real\ndepth: {{coding: {fitting['coding']}, scale: {fitting['scale']}, range: [0.1, 10]}}\n"
        (tmp_path / name / "dataset.yaml").write_text(f"{text}camera: {{horizontal_fov: 63}}\n")
        depth = FolderDataModule(str(tmp_path / name)).reader.read_depth(0)[0]
        stored = cv2.imread(str(OPEN3D / f"{name}_depth.png"), cv2.IMREAD_UNCHANGED).astype(np.int64)
        metres = (stored // 8 + (stored % 8) * 8192) / 1000 if name == "SUN" else stored / 5000
        expected = torch.from_numpy(np.where(metres <= 10, metres, 0)).float()
        torch.testing.assert_close(depth, expected)
        assert 1 < depth[depth > 0].median() < 5
