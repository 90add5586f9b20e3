"""The tone map against its definition, computed by hand, and against a real released preview."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.hypersim.tonemap import apple_scale, tonemap

PREVIEW = Path(__file__).parents[3] / "../shared/data/real/hypersim/preview_ai_001_001/scene_cam_00_final_preview"


def hdr(seed=0, exposure=3.0):
    return (exposure * np.random.default_rng(seed).lognormal(size=(40, 50, 3))).astype(np.float32)


def test_the_90th_percentile_of_valid_brightness_becomes_four_fifths():
    image, valid = hdr(), np.ones((40, 50), bool)
    valid[:, :20] = False
    image[:, :20] *= 100  # what is not valid does not count
    brightness = np.sort((0.3 * image[..., 0] + 0.59 * image[..., 1] + 0.11 * image[..., 2])[valid].astype(np.float64))
    place = 0.9 * (len(brightness) - 1)
    low = int(place)
    percentile = brightness[low] + (place - low) * (brightness[low + 1] - brightness[low])
    scale = 0.8**2.2 / percentile
    assert apple_scale(image, valid) == pytest.approx(scale, rel=1e-6)
    expected = np.clip((scale * image.astype(np.float64)) ** (1 / 2.2), 0, 1) * 255
    assert np.abs(tonemap(image, valid) - expected).max() <= 0.5 + 1e-3


def test_the_result_does_not_depend_on_the_exposure():
    valid = np.ones((40, 50), bool)
    np.testing.assert_allclose(tonemap(hdr(), valid).astype(int), tonemap(8 * hdr(), valid), atol=1)


def test_semantic_md_does_not_expose():
    image, valid = hdr(exposure=0.3), np.ones((40, 50), bool)
    expected = np.clip(image.astype(np.float64) ** (1 / 2.2), 0, 1) * 255
    assert np.abs(tonemap(image, valid, "semantic_md") - expected).max() <= 0.5 + 1e-3


def test_black_scenes_and_scenes_without_a_surface():
    valid = np.ones((40, 50), bool)
    assert apple_scale(np.full((40, 50, 3), 5e-5, np.float32), valid) == 0
    assert tonemap(np.full((40, 50, 3), 5e-5, np.float32), valid).max() == 0
    assert apple_scale(hdr(), ~valid) == 1


def test_values_that_half_precision_cannot_hold():
    image, valid = hdr(), np.ones((40, 50), bool)
    image[0, 0] = [np.inf, np.nan, -1.0]
    assert tonemap(image, valid)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.real_data
@pytest.mark.skipif(not PREVIEW.is_dir(), reason="the pack of real frames is not here (../shared/data/real)")
def test_a_released_preview_was_exposed_so():
    rgb = cv2.imread(str(PREVIEW / "_frame.0000.tonemap.jpg"))[..., ::-1] / 255
    linear = rgb**2.2
    assert np.percentile(linear @ [0.3, 0.59, 0.11], 90) ** (1 / 2.2) == pytest.approx(0.8, abs=0.02)
