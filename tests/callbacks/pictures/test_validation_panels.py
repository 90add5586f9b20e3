"""Pictures and point clouds of fixed validation frames, bounded in size."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from callbacks import ValidationPanels
from callbacks.pictures.frame_pictures import spread_frames
from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.point_clouds import MAX_POINTS, colored_cloud, write_ply
from callbacks.pictures.validation_panels import Drawn, as_jpeg
from callbacks.records.frame_callback import frames_of
from datamodules.frames import FrameDataset


def view_of(height=480, width=640, invalid=0):
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 5, (height, width))
    evaluated = np.ones((height, width), dtype=bool)
    evaluated[:invalid] = False
    image = rng.integers(0, 256, (height // 2, width // 2, 3), dtype=np.uint8)
    return FrameView(image, depth, depth + 1, evaluated, 1.0, 5.0)


def test_points_are_where_the_camera_sees_them():
    view = view_of(24, 32, invalid=6)
    camera = torch.tensor([[30.0, 0, 15.5], [0, 32.0, 11.5], [0, 0, 1]])
    cloud = colored_cloud(view, camera)
    assert len(cloud) == 18 * 32
    x, y, z = cloud[:, :3].astype(np.float64).T
    columns, rows = 30 * x / -z + 15.5, 32 * -y / -z + 11.5  # OpenGL's axes: y up, the camera looks along -z
    expected_rows, expected_columns = np.mgrid[6:24, :32].reshape(2, -1)
    np.testing.assert_allclose(columns, expected_columns, atol=0.05)
    np.testing.assert_allclose(rows, expected_rows, atol=0.05)
    np.testing.assert_allclose(-z, view.predicted[6:].ravel(), atol=6e-4)
    assert cloud[:, 3:].min() >= 0
    assert cloud[:, 3:].max() <= 255


@pytest.mark.parametrize("size", [(480, 640), (768, 1024), (141, 142), (1, 40_001)])
def test_a_cloud_is_bounded(size):
    cloud = colored_cloud(view_of(*size) if size[0] > 1 else view_of(2, size[1]), torch.eye(3))
    assert MAX_POINTS / 5 < len(cloud) <= MAX_POINTS


def test_points_without_a_finite_depth_are_left_out():
    view = view_of(24, 32)
    view.predicted[:12] = np.nan
    assert len(colored_cloud(view, torch.eye(3))) == 12 * 32
    view.predicted[:] = np.inf
    assert colored_cloud(view, torch.eye(3)).shape == (0, 6)


def test_a_ply_file_holds_the_cloud(tmp_path):
    cloud = colored_cloud(view_of(24, 32), torch.eye(3))
    write_ply(tmp_path / "cloud.ply", cloud)
    header, body = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n", 1)
    assert f"element vertex {len(cloud)}" in header.decode()
    assert header.decode().count("property") == 6
    vertex = np.dtype([("position", "<f4", 3), ("color", "u1", 3)])
    vertices = np.frombuffer(body, vertex)
    np.testing.assert_array_equal(vertices["position"], cloud[:, :3])
    np.testing.assert_array_equal(vertices["color"], cloud[:, 3:])


def test_a_panel_is_bounded():
    figure = Figure(figsize=(13, 8))
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((640, 1040)), interpolation="nearest")
    jpeg = as_jpeg(figure, limit=60_000)
    assert len(jpeg) <= 60_000 < len(as_jpeg(figure, limit=10**7))
    assert jpeg[:3] == b"\xff\xd8\xff"


def trainer_of(epoch, between=1, fn="fit", **facts):
    return SimpleNamespace(
        current_epoch=epoch,
        check_val_every_n_epoch=between,
        sanity_checking=False,
        state=SimpleNamespace(fn=fn),
        **facts,
    )


@pytest.mark.parametrize(
    ("every", "between", "epochs"),
    [(1, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (5, 1, [5, 10]), (5, 2, [6, 10]), (2, 5, [5, 10]), (20, 1, [])],
)
def test_when_it_draws(every, between, epochs):
    panels = ValidationPanels(every_n_epochs=every)
    validated = range(between - 1, 10, between)
    assert [epoch + 1 for epoch in validated if panels.is_due(trainer_of(epoch, between))] == epochs
    assert panels.is_due(trainer_of(0, fn="validate"))


@pytest.mark.parametrize("total", [1, 4, 7, 23])
def test_the_frames_are_spread_over_the_part_by_their_numbers_in_the_data_set(total):
    reader = SimpleNamespace(indices=range(100, 200))  # numbers in the data set are not positions
    dataset = FrameDataset(reader, range(50, 50 + total), None)
    expected = np.linspace(0, total - 1, min(4, total)).round()
    assert sorted(spread_frames(dataset, 4)) == [150 + place for place in expected]
    assert spread_frames(dataset, 0) == frozenset()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_same_frames_for_every_number_of_processes(world):
    chosen = {3, 4, 9}
    seen = []
    for rank in range(world):
        own = list(range(11))[rank::world]
        for start in range(0, len(own), 2):
            batch = {"index": torch.tensor(own[start : start + 2])}
            seen += [frame.index for frame in frames_of({"per_image": {}}, batch, None, None, chosen)]
    assert sorted(seen) == sorted(chosen)


def test_a_full_disk_ends_the_drawing_only(tmp_path):
    (tmp_path / "panels").write_text("a file is in the way")
    callback = ValidationPanels(every_n_epochs=1)
    trainer = trainer_of(0, default_root_dir=str(tmp_path), is_global_zero=True, logger=None)
    figure = Figure(figsize=(1, 1))
    for _ in range(2):
        callback.drawn = {3: Drawn(as_jpeg(figure), np.zeros((1, 6), np.float32))}
        if not callback.files.stopped:
            with pytest.warns(UserWarning, match="no further validation panels, training continues"):
                callback.on_validation_epoch_end(trainer, None)
        else:
            callback.on_validation_epoch_end(trainer, None)
    assert callback.files.stopped
    (tmp_path / "panels").unlink()
    fresh = ValidationPanels(every_n_epochs=1)
    fresh.drawn = {3: Drawn(as_jpeg(figure), np.zeros((1, 6), np.float32))}
    fresh.on_validation_epoch_end(trainer, None)
    Image.open(tmp_path / "panels" / "val" / "0003.jpg").verify()


@pytest.mark.parametrize("options", [{"frames": 0}, {"every_n_epochs": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ValidationPanels(**options)
