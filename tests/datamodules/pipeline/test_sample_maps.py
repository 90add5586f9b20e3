"""Edges and counts of classes against SciPy, scikit-image and counting by hand."""

import h5py
import numpy as np
import pytest
import torch
from scipy.ndimage import grey_dilation, grey_erosion

from datamodules import EdgeTarget, GridSuperpixels, NYUv2DataModule
from datamodules.pipeline.class_counts import SEMANTIC_MD_ORDER
from lightning_modules.data_checks import check_provided
from tests.helpers.tiny_nyu import write_tiny_nyu


def labels(seed=0, height=21, width=34):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 41, (height // 5 + 1, width // 5 + 1)).repeat(5, 0).repeat(5, 1)[:height, :width]


@pytest.mark.parametrize("seed", range(3))
def test_edges_of_ids_are_dilation_minus_erosion(seed):
    map_ = labels(seed)
    expected = grey_dilation(map_, size=(3, 3)) - grey_erosion(map_, size=(3, 3)) > 0
    made = EdgeTarget().make(torch.from_numpy(map_))
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made[0].numpy() > 0, expected)


def test_edges_of_large_ids_are_not_lost_to_rounding():
    map_ = torch.full((4, 4), 2**30)
    map_[:, 2:] += 1
    assert EdgeTarget().make(map_)[0, 0].tolist() == [0, 1, 1, 0]


def test_a_constant_map_has_no_edges():
    assert not EdgeTarget().make(torch.full((6, 6), 3)).any()


def test_classes_are_counted_over_the_overall_data_set_or_the_training_frames(tmp_path, monkeypatch):
    """Semantic-MD, section 3: "based on their prevalence in the overall dataset"."""
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    write_tiny_nyu(tmp_path)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as file:  # frames 0..3 train, 4..7 test; 64 x 48
        file["labels"][:4] = 21  # wall (1)
        file["labels"][:4, :20] = 3  # cabinet (3): 20 of 64 columns
        file["labels"][4:] = 3
        file["labels"][4:, :2] = 7
    module = NYUv2DataModule(str(tmp_path), crop=(32, 32), eval_size=None, num_workers=0)
    assert module.class_order("counted")[:2] == [1, 3]
    overall = module.class_order("overall")
    assert overall[:2] == [3, 1]
    assert sorted(overall) == list(range(1, 41))
    pixels = module.class_pixels("overall")
    assert (pixels[1], pixels[3], sum(pixels)) == (4 * 44 * 48, 4 * (20 + 62) * 48, 8 * 64 * 48)
    assert module.class_order("semantic_md") == list(SEMANTIC_MD_ORDER)
    assert sorted(SEMANTIC_MD_ORDER) == list(range(1, 41))
    assert sum(module.class_pixels("overall", 2)) == 2 * 64 * 48
    assert module.class_pixels("overall", None) == pixels


@pytest.mark.parametrize(("source", "key"), [("semantic", "semantics"), ("instance", "instances")])
def test_edges_of_ids(source, key):
    target = EdgeTarget(source)
    assert target.needs == key
    step = torch.zeros(5, 6, dtype=torch.int64)
    step[:, 3:] = 9
    assert target.make(step)[0, 2].tolist() == [0, 0, 1, 1, 0, 0]


def test_edges_of_depth_find_a_step_and_not_a_hole():
    depth = torch.full((1, 40, 40), 2.0)
    depth[:, :, 20:] = 4.0
    edges = EdgeTarget("canny_depth").make(depth)[0]
    assert edges[5:-5, 18:22].sum(1).min() >= 1
    assert edges[:, :15].sum() == edges[:, 26:].sum() == 0
    depth[:, 10:30, 5:12] = 0  # a hole in the flat part
    assert EdgeTarget("canny_depth").make(depth)[0, 12:28, 6:11].sum() == 0
    assert EdgeTarget("canny_depth").make(torch.zeros(1, 8, 8)).sum() == 0
    assert EdgeTarget("canny_depth").make(torch.full((1, 8, 8), 3.0)).sum() == 0


def test_edges_of_colour():
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    image[:, :, 20:] = 200
    edges = EdgeTarget("canny_rgb").make(image)[0]
    assert edges[5:-5, 18:22].sum(1).min() >= 1


def test_superpixels_are_on_the_images_grid_and_targets_on_the_truths(tmp_path):
    write_tiny_nyu(tmp_path)
    module = NYUv2DataModule(
        str(tmp_path),
        derived=[EdgeTarget()],
        superpixels=GridSuperpixels(8),
        crop=(32, 32),
        eval_size=(24, 32),
        num_workers=0,
    )
    module.setup()
    assert {"edges", "superpixels"} <= module.provides
    test = module.test_set[0]
    assert test["superpixels"].shape == (24, 32)
    assert test["edges"].shape == (1, 48, 64)
    train = module.train_set[0]
    assert train["edges"].shape == (1, 32, 32)


def test_a_map_whose_source_is_not_there_is_left_out_and_named_where_it_is_read(tmp_path):
    write_tiny_nyu(tmp_path)
    (tmp_path / "classMapping40.mat").unlink()
    module = NYUv2DataModule(str(tmp_path), derived=[EdgeTarget()], crop=(32, 32), num_workers=0)
    module.setup()
    assert "edges" not in module.provides
    assert "edges" not in module.train_set[0]
    with pytest.raises(
        ValueError, match=r"M requires edges.*EdgeTarget makes it of semantics: .*classMapping40\.mat is"
    ):
        check_provided("M", frozenset({"edges"}), module)
