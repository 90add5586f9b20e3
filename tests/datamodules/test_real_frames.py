"""The real frames, read and compared with the pictures they came from."""

import csv
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datamodules import NYUv2DataModule, SeedsSuperpixels

REAL = Path(__file__).parents[2] / "../shared/data/real/nyu_depth_v2"
CONVERTED = REAL / "converted_labeled_mat"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not CONVERTED.is_dir(), reason="the pack of real frames is not here (../shared/data/real)"),
]


def real(**options):
    module = NYUv2DataModule(
        str(CONVERTED),
        labeled_file="nyu_depth_v2_labeled_mini16.mat",
        splits_file="splits_mini16.mat",
        num_workers=0,
        **options,
    )
    module.setup()
    return module


def original_index():
    with (CONVERTED / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if "mini16" in row["file"]]
    return {int(row["index_in_file_1based"]) - 1: int(row["original_matlab_index"]) for row in rows}


def test_pictures_are_the_right_way_round():
    """Pixel for pixel the lossless pictures of another source; a rotation instead of a transpose would mirror them."""
    with (REAL / "test_rgb_png_densedepth" / "index.csv").open() as file:
        pictures = {int(row["matlab_index_1based"]): row["file"] for row in csv.DictReader(file)}
    module, compared = real(), 0
    for position, idx in original_index().items():
        if idx in pictures:
            path = REAL / "test_rgb_png_densedepth" / pictures[idx]
            picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            np.testing.assert_array_equal(module.reader.read(position).image.permute(1, 2, 0).numpy(), picture)
            compared += 1
    assert compared >= 5


def test_labels_are_mapped_to_nyu40():
    import h5py

    module = real(class_mapping_file=str((REAL / "meta" / "classMapping40.mat").resolve()))
    with h5py.File(CONVERTED / "nyu_depth_v2_labeled_mini16.mat") as file:
        expected = file["labels40"][:].transpose(0, 2, 1)
    for position in range(16):
        semantics = module.reader.read(position).maps["semantics"].numpy()
        np.testing.assert_array_equal(semantics, expected[position])


def test_thirteen_classes_are_the_published_ones():
    """On the test frames, whose labels are exact."""
    mapping = {
        key: str((REAL / "meta" / name).resolve()) for key, name in [("class_mapping_file", "classMapping40.mat")]
    }
    module = real(classes=13, class13_mapping_file=str((REAL / "meta/class13Mapping.mat").resolve()), **mapping)
    compared = 0
    with tarfile.open(REAL / "labels13_test/nyuv2_test_class13.tgz") as archive:
        members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        for position, idx in original_index().items():
            if member := members.get(f"new_nyu_class13_{idx:04d}.png"):
                content = np.frombuffer(archive.extractfile(member).read(), np.uint8)
                published = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(module.reader.read(position).maps["semantics"].numpy(), published)
                compared += 1
    assert compared == 10


def test_raw_depth_equals_the_16_bit_picture():
    module = NYUv2DataModule(
        str(CONVERTED), labeled_file="nyu_depth_v2_labeled_mini3_raw.mat", splits_file="splits_mini16.mat", depth="raw"
    )
    depth = module.reader.read(2).maps["depth"][0].numpy()  # idx 1339
    millimetres = cv2.imread(str(REAL / "frame_1339_unidepth" / "depth.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(depth, millimetres / 1000, atol=1e-6)
    assert 0.3 < (depth == 0).mean() < 0.35


def test_split_scenes_and_what_is_provided():
    module = real()
    assert list(module.splits.train) == [1, 3, 8, 10, 12, 15]
    assert list(module.splits.test) == [0, 2, 4, 5, 6, 7, 9, 11, 13, 14]
    assert module.reader.scenes[0] == "kitchen_0004"
    assert "instances" not in module.provides  # the file has none
    assert module.describe()["depth_key"] == "depths"


def test_median_depth_is_numpys():
    module = real()
    depths = np.concatenate([module.reader.read_depth(i).numpy().ravel() for i in module.splits.train])
    assert module.train_depth_median() == pytest.approx(np.median(depths[depths > 0]), abs=1.01e-3)


def test_paper_preprocessing_at_full_size():
    module = real(superpixels=SeedsSuperpixels(16), batch_size=2, eval_batch_size=2)
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].shape == (2, 3, 384, 384)
    assert batch["depth"].shape == (2, 1, 384, 384)
    for ids in batch["superpixels"]:
        assert len(ids.unique()) == 576
        assert ids.max() == 575
    batch = next(iter(module.test_dataloader()))
    assert batch["image"].shape == (2, 3, 384, 384)  # squeezed
    assert batch["depth"].shape == (2, 1, 480, 640)  # the truth is not
    torch.testing.assert_close(batch["intrinsics"][0, 0, 0].item(), 518.857901, rtol=1e-6, atol=0)


def test_missing_raw_depth_says_what_to_do():
    with pytest.raises(ValueError, match=r"rawDepths.*filled"):
        real(depth="raw")
