"""Contours, class maps and edges against SciPy, scikit-image and counting by hand."""

import h5py
import numpy as np
import pytest
import torch
from scipy.ndimage import grey_dilation, grey_erosion

from datamodules import ClassMaps, EdgeTarget, GridSuperpixels, NYUv2DataModule, SemanticContours
from datamodules.pipeline.sample_maps import SEMANTIC_MD_ORDER
from tests.helpers.tiny_nyu import write_tiny_nyu


def labels(seed=0, height=21, width=34):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 41, (height // 5 + 1, width // 5 + 1)).repeat(5, 0).repeat(5, 1)[:height, :width]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [3, 5])
def test_contours_are_dilation_minus_erosion(seed, size):
    map_ = labels(seed)
    expected = grey_dilation(map_, size=(size, size)) - grey_erosion(map_, size=(size, size)) > 0
    made = SemanticContours(size=size).make(torch.from_numpy(map_))
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made[0].numpy() > 0, expected)


def test_contours_as_printed_are_an_opening():
    map_ = labels()
    expected = grey_dilation(grey_erosion(map_, size=(3, 3)), size=(3, 3))
    np.testing.assert_array_equal(SemanticContours("opening").make(torch.from_numpy(map_))[0].numpy(), expected)


def test_contours_of_large_ids_are_not_lost_to_rounding():
    map_ = torch.full((4, 4), 2**30)
    map_[:, 2:] += 1
    assert SemanticContours().make(map_)[0, 0].tolist() == [0, 1, 1, 0]


def test_a_constant_map_has_no_contour_and_a_border_two_pixels():
    assert not SemanticContours().make(torch.full((6, 6), 3)).any()
    step = torch.zeros(6, 6, dtype=torch.int64)
    step[:, 3:] = 1
    assert SemanticContours().make(step)[0, 0].tolist() == [0, 0, 1, 1, 0, 0]


def test_class_maps_are_zero_for_other_classes():
    maps = ClassMaps(3, order="semantic_md")
    made = maps.make(torch.tensor([[1, 2, 22, 9, 0]]))
    assert made[:, 0].tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]  # wall, floor, ceiling
    assert sorted(SEMANTIC_MD_ORDER) == list(range(1, 41))


def test_class_maps_count_the_training_split_only(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    write_tiny_nyu(tmp_path)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as file:  # frames 0..3 train, 4..7 test
        file["labels"][:4] = 21  # wall (1)
        file["labels"][:4, :20] = 3  # cabinet (3): 20 of 64 columns
        file["labels"][:4, 20:22] = 7  # (7)
        file["labels"][:4, 22:60] = 0  # unlabelled, and the most frequent
        file["labels"][4:] = 7
    maps = ClassMaps(2)
    options = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "hflip": 0.0}
    NYUv2DataModule(str(tmp_path), derived=[maps], **options).setup()
    assert maps.ids.tolist() == [3, 1]
    again = ClassMaps(2)
    NYUv2DataModule(str(tmp_path), derived=[again], **options).setup()
    assert again.ids.tolist() == [3, 1]  # remembered
    with pytest.raises(ValueError, match="`classes` is 5, but the training frames have 3"):
        NYUv2DataModule(str(tmp_path), derived=[ClassMaps(5)], **options).setup()


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


def test_inputs_are_on_the_images_grid_and_targets_on_the_truths(tmp_path):
    write_tiny_nyu(tmp_path)
    module = NYUv2DataModule(
        str(tmp_path),
        derived=[SemanticContours(), ClassMaps(1, order="semantic_md"), EdgeTarget()],
        superpixels=GridSuperpixels(8),
        crop=(32, 32),
        eval_size=(24, 32),
        num_workers=0,
    )
    module.setup()
    assert {"contours", "class_maps", "edges", "superpixels"} <= module.provides
    test = module.test_set[0]
    assert test["contours"].shape == test["class_maps"].shape == (1, 24, 32)
    assert test["edges"].shape == (1, 48, 64)
    train = module.train_set[0]
    assert train["contours"].shape == train["edges"].shape == (1, 32, 32)


def test_what_a_map_needs_is_named(tmp_path):
    write_tiny_nyu(tmp_path)
    (tmp_path / "classMapping40.mat").unlink()
    module = NYUv2DataModule(str(tmp_path), derived=[SemanticContours()], crop=(32, 32), num_workers=0)
    with pytest.raises(ValueError, match=r"SemanticContours needs semantics: .*classMapping40\.mat is missing"):
        module.setup()
