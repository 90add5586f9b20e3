"""Fixed steps: Semantic-MD's and guided MTI-Net's preprocessing."""

import cv2
import numpy as np
import pytest
import torch
from skimage.exposure import rescale_intensity

from datamodules import CLAHE, CenterCrop, ClampDepth, NYUv2DataModule, ResizeFrame
from datamodules.frames import Frame
from datamodules.splits import random_split
from tests.helpers.tiny_nyu import write_tiny_nyu


def frame(height=48, width=64):
    rng = np.random.default_rng(0)
    image = rescale_intensity(rng.normal(size=(3, height, width)), out_range=(80, 120)).astype(np.uint8)
    depth = torch.from_numpy(rng.uniform(0.5, 30, (1, height, width)).astype(np.float32))
    depth[0, :3] = 0
    return Frame(torch.from_numpy(image), {"depth": depth}, torch.eye(3), "s", 0, 0)


def test_semantic_md_takes_the_nearest_pixel_of_everything():
    """342x256 then the middle 256x256 of a 1024x768 frame: every output value is one of the input's."""
    steps = [ResizeFrame((16, 21), nearest=True), CenterCrop((16, 16)), ClampDepth(15.0)]
    made = before = frame()
    for step in steps:
        made = step(made)
    assert made.size == (16, 16)
    assert set(made.image.unique().tolist()) <= set(before.image.unique().tolist())
    assert made.maps["depth"].max() == 15.0  # clamped, not invalid
    assert set(made.maps["depth"].unique().tolist()) <= {15.0, *before.maps["depth"].unique().tolist()}


def test_center_crop_refuses_a_smaller_frame():
    with pytest.raises(ValueError, match=r"CenterCrop.*\(64, 64\).*\(48, 64\)"):
        CenterCrop((64, 64))(frame())


def test_clahe_raises_contrast_and_leaves_depth_alone():
    before = frame()
    made = CLAHE(clip_limit=2.0, tiles=4)(before)
    lightness = [
        cv2.cvtColor(f.image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB)[..., 0].std() for f in (before, made)
    ]
    assert lightness[1] > 1.5 * lightness[0]
    assert made.maps["depth"] is before.maps["depth"]


def test_a_random_split_has_the_papers_shares_and_shares_nothing():
    split = random_split(1449, seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (1159, 145, 145)
    assert sorted([*split.train, *split.val, *split.test]) == list(range(1449))
    assert random_split(1449, 0) == split
    assert random_split(1449, 1) != split


def test_steps_shape_training_and_evaluation_alike(tmp_path):
    write_tiny_nyu(tmp_path)
    module = NYUv2DataModule(
        str(tmp_path),
        preprocess=[ResizeFrame((32, 32)), CLAHE()],
        crop=(32, 32),
        eval_size=None,
        hflip=0.0,
        num_workers=0,
    )
    module.setup()
    train, test = module.train_set[0], module.test_set[0]
    for sample in (train, test):
        assert sample["image"].shape == (3, 32, 32)
        assert sample["depth"].shape == (1, 32, 32)
    assert module.describe()["frame_size"] == [32, 32]
