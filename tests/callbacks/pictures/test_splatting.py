"""Pictures of point clouds against the camera that saw the points, and against a loop over points and pixels."""

import math

import numpy as np
import pytest
import torch

from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.point_clouds import colored_cloud
from callbacks.pictures.splatting import Viewpoint, fitted, splat

#: The axes of a viewer that looks along -z with y up.
LOOKING = np.diag([1.0, -1.0, -1.0])


def plain(size=(9, 11), scale=1.0, centre=(5.0, 4.0), *, perspective=False, eye=(0.0, 0.0, 0.0)):
    return Viewpoint(LOOKING, np.array(eye), scale, centre, size, perspective)


def cloud_of(*points):
    """Points (x, y, z, red, green, blue)."""
    return np.array(points, dtype=np.float32).reshape(-1, 6)


def test_a_known_point_lands_on_its_pixel():
    # 2 m ahead, 0.5 m to the right and 0.3 m up, seen with a focal length of 20: 5 pixels right, 3 up of the centre.
    picture = splat(cloud_of((0.5, 0.3, -2, 10, 20, 30)), plain(scale=20, perspective=True), width=1)
    assert np.argwhere((picture != 255).any(2)).tolist() == [[4 - 3, 5 + 5]]
    assert picture[1, 10].tolist() == [10, 20, 30]
    # orthographic, 4 pixels a metre: distance does not matter
    for z in (-2, 3):
        picture = splat(cloud_of((1, -0.75, z, 10, 20, 30)), plain(scale=4), width=1)
        assert np.argwhere((picture != 255).any(2)).tolist() == [[4 + 3, 5 + 4]]


def test_from_the_camera_itself_the_cloud_is_the_image():
    """The whole way: depth map, camera matrix, cloud, projection, z-buffer."""
    rng = np.random.default_rng(0)
    height, width = 24, 32
    depth = rng.uniform(1, 5, (height, width))
    evaluated = rng.random((height, width)) > 0.2
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    camera = torch.tensor([[30.0, 0, 14.6], [0, 30.0, 12.3], [0, 0, 1]])
    cloud = colored_cloud(FrameView(image, depth, depth, evaluated, 1.0, 5.0), camera)
    picture = splat(cloud, plain((height, width), 30.0, (14.6, 12.3), perspective=True), width=1)
    np.testing.assert_array_equal(picture, np.where(evaluated[..., None], image, 255))


def test_near_points_hide_far_ones_in_any_order():
    near, far = (0, 0, -1, 200, 0, 0), (0, 0, -3, 0, 200, 0)
    for cloud in (cloud_of(near, far), cloud_of(far, near)):
        for perspective in (True, False):
            picture = splat(cloud, plain(perspective=perspective), width=3)
            assert set(map(tuple, picture[3:6, 4:7].reshape(-1, 3).tolist())) == {(200, 0, 0)}
            assert (picture != 255).any(2).sum() == 9


@pytest.mark.parametrize(("width", "rows", "columns"), [(1, [4], [5]), (2, [4, 5], [5, 6]), (3, [3, 4, 5], [4, 5, 6])])
def test_a_point_is_a_square(width, rows, columns):
    picture = splat(cloud_of((0.2, -0.2, -1, 0, 0, 0)), plain(), width=width)
    covered = np.zeros((9, 11), dtype=bool)
    covered[np.ix_(rows, columns)] = True
    np.testing.assert_array_equal((picture == 0).all(2), covered)


def test_squares_are_cut_at_the_border():
    corner = cloud_of((-5, 4, -1, 0, 0, 0), (math.nan, 0, -1, 0, 0, 0), (1e9, 0, -1, 0, 0, 0))
    assert np.argwhere((splat(corner, plain(), width=3) == 0).all(2)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_what_is_behind_the_viewer_is_not_seen():
    assert (splat(cloud_of((0, 0, 1, 0, 0, 0), (0, 0, -0.01, 0, 0, 0)), plain(perspective=True)) == 255).all()
    assert (splat(cloud_of((0, 0, 1, 0, 0, 0)), plain(perspective=True, eye=(0, 0, 2))) == 0).any()
    assert (splat(np.zeros((0, 6), np.float32), plain()) == 255).all()


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("perspective", [True, False])
def test_against_a_loop_over_points(width, perspective):
    rng = np.random.default_rng(1)
    positions = rng.uniform((-3, -3, -4), (3, 3, 1), (200, 3)).round(3)
    cloud = np.column_stack([positions, rng.integers(0, 200, (200, 3))]).astype(np.float32)
    view = plain((31, 37), 8.0, (18.2, 14.7), perspective=perspective, eye=(0.1, -0.2, 0.3))
    expected, buffer = np.full((31, 37, 3), 255), np.full((31, 37), math.inf)
    for x, y, z, *color in cloud.astype(np.float64):
        right, down, ahead = x - 0.1, -(y + 0.2), -(z - 0.3)
        if perspective and ahead < 0.05:
            continue
        if perspective:
            right, down = right / ahead, down / ahead
        left = math.floor(8 * right + 18.2 - (width - 1) / 2 + 0.5)
        top = math.floor(8 * down + 14.7 - (width - 1) / 2 + 0.5)
        for row in range(max(top, 0), min(top + width, 31)):
            for column in range(max(left, 0), min(left + width, 37)):
                if ahead < buffer[row, column]:
                    buffer[row, column], expected[row, column] = ahead, color
    picture = splat(cloud, view, width=width)
    assert 0.05 < (picture != 255).any(2).mean() < 1
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("perspective", [True, False])
def test_a_fitted_view_shows_the_cloud_as_large_as_fits(perspective):
    rng = np.random.default_rng(2)
    positions = rng.uniform((-1, -3, -9), (4, 2, -6), (3000, 3))
    positions[:3] = [[500, 0, -7], [0, -900, -7], [0, 0, 40]]  # astray
    view = fitted(positions, LOOKING, np.zeros(3), (60, 100), perspective=perspective)
    pixels = view.project(positions[3:])[0]
    inside = ((pixels >= 0) & (pixels <= (99, 59))).all(1)
    assert inside.mean() > 0.98
    spans = (np.quantile(pixels, 0.995, axis=0) - np.quantile(pixels, 0.005, axis=0)) / (99, 59)
    assert spans.max() == pytest.approx(0.94, abs=0.02)
    middle = (np.quantile(pixels, 0.995, axis=0) + np.quantile(pixels, 0.005, axis=0)) / 2
    assert middle == pytest.approx((49.5, 29.5), abs=1)
