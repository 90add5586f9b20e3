"""Clouds of a room whose walls, floor and camera are known: what is up, what is seen from where, in which colour."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from callbacks import CloudPictures
from callbacks.pictures.cloud_sheet import (
    CUT_HEIGHT,
    chamfer_caption,
    draw_cloud_sheet,
    part_cloud,
    room_views,
    vertical_of,
)
from callbacks.pictures.colors import id_color
from callbacks.pictures.frame_result import FrameResult, frame_result
from callbacks.pictures.frame_view import FrameView
from callbacks.pictures.gravity import up_direction
from callbacks.pictures.point_clouds import colored_cloud
from datamodules.frames import FrameDataset
from lightning_modules.prediction import Prediction
from tests.helpers.tested_frames import METHOD, data_named, frame_of, output_of

HEIGHT, WIDTH, FOCAL = 60, 80, 60.0
CAMERA = torch.tensor([[FOCAL, 0, 39.5], [0, FOCAL, 29.5], [0, 0, 1]])

#: Floor 1.4 m below the camera, ceiling 1.1 m above, a wall 4 m ahead and one 2 m to the left: n x = d, y up.
SURFACES = (((0, -1, 0), 1.4), ((0, 1, 0), 1.1), ((0, 0, -1), 4.0), ((-1, 0, 0), 2.0))


def room(pitch=-15.0, roll=4.0, yaw=0.0):
    """Depth (H, W), the surface that each pixel sees, and the true vertical in the camera's axes."""
    to_room = Rotation.from_euler("YXZ", (yaw, pitch, roll), degrees=True)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(columns - 39.5) / FOCAL, -(rows - 29.5) / FOCAL, -np.ones((HEIGHT, WIDTH))], axis=-1)
    rays_in_room = to_room.apply(rays.reshape(-1, 3)).reshape(rays.shape)
    with np.errstate(divide="ignore"):
        hits = np.stack([offset / (rays_in_room @ np.array(normal, float)) for normal, offset in SURFACES])
    hits = np.where(hits > 0, hits, np.inf)
    return hits.min(0), hits.argmin(0), to_room.inv().apply([0.0, 1.0, 0.0])


def view_of(depth, predicted=None, evaluated=None, image=None):
    evaluated = np.ones(depth.shape, bool) if evaluated is None else evaluated
    image = np.full((*depth.shape, 3), 120, np.uint8) if image is None else image
    return FrameView(image, depth, depth if predicted is None else predicted, evaluated, 1.0, 5.0)


def result_of(view, segments=(), figures=None):
    return FrameResult(7, "office_0001, frame 2, index 7", view.image, view, CAMERA, tuple(segments), figures or {})


@pytest.mark.parametrize("angles", [(0, 0, 0), (-15, 4, 0), (-20, -6, 30), (12, 3, -25)])
def test_up_is_found(angles):
    depth, _, up = room(*angles)
    noisy = depth * (1 + 0.002 * np.random.default_rng(0).standard_normal(depth.shape))
    assert np.degrees(np.arccos(vertical_of(view_of(noisy), CAMERA) @ up)) < 1.5


def test_up_without_any_surface_is_the_cameras():
    points = np.zeros((5, 6, 3))
    assert up_direction(points, np.zeros((5, 6), bool)).tolist() == [0, 1, 0]
    assert up_direction(points, np.ones((5, 6), bool)).tolist() == [0, 1, 0]


def test_from_above_walls_are_lines_and_the_bar_is_a_metre():
    depth, surface, up = room()
    views = room_views(view_of(depth), CAMERA)
    cloud = colored_cloud(view_of(depth), CAMERA)[:, :3].astype(np.float64)
    pixels, _ = views.above.project(cloud)
    wall = pixels[surface.ravel() == 2]
    assert np.ptp(wall[:, 1]) < 3 < 100 < np.ptp(wall[:, 0])  # across the picture, and no thicker than a line
    assert wall[:, 1].mean() < pixels[surface.ravel() == 0, 1].mean()  # far is at the top
    level = np.cross([0, 0, -1.0], up)
    start, end = views.above.project(np.stack([np.zeros(3), level / np.linalg.norm(level)]))[0]
    assert np.linalg.norm(end - start) == pytest.approx(views.above.scale, rel=0.01)


def test_the_frontal_view_is_from_the_right_and_above():
    depth, surface, _ = room(pitch=-10, roll=0)
    views = room_views(view_of(depth), CAMERA)
    cloud = colored_cloud(view_of(depth), CAMERA)[:, :3]
    pixels, distance = views.frontal.project(cloud)
    assert views.frontal.eye[0] > 0.3
    assert views.frontal.eye[1] > 0.3
    assert (distance > 0).all()
    left, floor, ahead = (pixels[surface.ravel() == number].mean(0) for number in (3, 0, 2))
    assert left[0] < ahead[0]
    assert floor[1] > ahead[1]


def test_parts_have_the_colours_of_their_segments():
    depth, surface, _ = room()
    view = view_of(depth)
    small = cv2.resize(surface.astype(np.uint8), (40, 30), interpolation=cv2.INTER_NEAREST).astype(np.int64) * 5
    result = replace(result_of(view), image=np.full((30, 40, 3), 120, np.uint8), segments=(small,))
    cloud = part_cloud(result, 0)
    np.testing.assert_array_equal(cloud[:, :3], colored_cloud(view, CAMERA)[:, :3])
    enlarged = small.repeat(2, 0).repeat(2, 1).ravel()
    colors = {id_: np.unique(cloud[enlarged == id_, 3:], axis=0) for id_ in np.unique(small)}
    assert all(len(found) == 1 for found in colors.values())
    for id_, found in colors.items():  # 70 % of the segment's colour over 30 % of the image's grey
        np.testing.assert_allclose(found[0], 0.7 * 255 * np.array(id_color(id_)) + 0.3 * 120, atol=1)


def titles(figure):
    return [axis.get_title().replace("\n", ", ") for axis in figure.axes if axis.get_title()]


def test_a_sheet_of_two_methods():
    depth, surface, _ = room()
    figures = {"chamfer3d_precision": 0.1234, "chamfer3d_recall": 0.2}
    shed = result_of(view_of(depth, 1.1 * depth), (surface, surface // 2), figures)
    figure = draw_cloud_sheet({"shed": shed, "dpt": result_of(view_of(depth, 1.2 * depth))})
    clouds = ["ground truth, {}", "shed, chamfer 0.123 / 0.200 m, {}", "dpt, {}"]
    assert titles(figure) == [
        "office_0001, frame 2, index 7",
        *(title.format("frontal") for title in clouds),
        *(title.format("from above") for title in clouds),
        "shed, level 0: 3 parts",  # the ceiling is not seen
        "shed, level 1: 2 parts",
    ]


def test_what_is_high_is_cut_away_from_above():
    depth, surface, up = room(pitch=10, roll=0)
    image = np.where((surface == 1)[..., None], (250, 0, 0), (0, 0, 250)).astype(np.uint8)
    figure = draw_cloud_sheet({"method": result_of(view_of(depth, image=image))})
    pictures = {axis.get_title(): axis.get_images()[0].get_array() for axis in figure.axes if axis.get_title()}
    ceiling = colored_cloud(view_of(depth), CAMERA)[surface.ravel() == 1, :3]
    assert ceiling @ up == pytest.approx(np.full(len(ceiling), 1.1), abs=0.01)
    assert CUT_HEIGHT < 1.1
    assert (pictures["ground truth\nfrontal"] == (250, 0, 0)).all(2).any()
    assert not (pictures["ground truth\nfrom above"] == (250, 0, 0)).all(2).any()


@pytest.mark.parametrize(("nearer", "length"), [(1, 1.0), (4, 0.5), (10, 0.2)])
def test_the_bar_is_as_long_as_it_says(nearer, length):
    depth = room()[0] / nearer
    metre = room_views(view_of(depth), CAMERA).above.scale
    figure = draw_cloud_sheet({"method": result_of(view_of(depth))})
    axis = next(axis for axis in figure.axes if axis.get_title() == "ground truth\nfrom above")
    assert [text.get_text() for text in axis.texts] == [f"{length:g} m"]
    assert np.ptp(axis.lines[0].get_xdata()) == pytest.approx(length * metre)
    assert axis.get_xlim() == (-0.5, 479.5)


def test_walls_are_flat_where_depth_is_the_distance_to_the_camera():
    """As in Semantic-MD's data; the length of a pixel's ray takes the place of its z."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wall = np.full((HEIGHT, WIDTH), 4.0)
    distance = 4.0 * np.sqrt(((columns - 39.5) / FOCAL) ** 2 + ((rows - 29.5) / FOCAL) ** 2 + 1)
    flat = colored_cloud(replace(view_of(distance), radial=True), CAMERA)
    assert np.allclose(flat, colored_cloud(view_of(wall), CAMERA), atol=1e-3)
    assert np.ptp(colored_cloud(view_of(distance), CAMERA)[:, 2]) > 0.5  # taken for z, it bends


def test_without_an_evaluated_pixel_there_is_no_sheet():
    depth, _, _ = room()
    assert draw_cloud_sheet({"method": result_of(view_of(depth, evaluated=np.zeros(depth.shape, bool)))}) is None
    assert chamfer_caption(result_of(view_of(depth), figures={"chamfer3d_precision": np.nan})) == ""


def batch_of(depth, count=3):
    depth = torch.from_numpy(depth).float()[None, None].repeat(count, 1, 1, 1)
    return {
        "image": torch.zeros(count, 3, HEIGHT, WIDTH), "depth": depth, "valid": depth > 0,
        "intrinsics": CAMERA.repeat(count, 1, 1), "index": torch.arange(count) + 40,
        "scene": ["office_0001"] * count, "frame": torch.arange(count),
    }  # fmt: skip


def read_ply(path):
    """Positions and colours of a file, by what its header says."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    names = [(name, kinds[kind]) for _, kind, name in (line.split() for line in lines if line.startswith("property"))]
    vertices = np.frombuffer(body, np.dtype(names))
    assert f"element vertex {len(vertices)}" in lines
    return [np.stack([vertices[name] for name in keys], 1) for keys in (("x", "y", "z"), ("red", "green", "blue"))]


def test_the_callback_writes_picture_and_clouds(tmp_path):
    depth, surface, _ = room()
    batch = batch_of(depth)
    segments = torch.from_numpy(surface).repeat(3, 1, 1)
    outputs = output_of(Prediction(1.5 * batch["depth"], segments=[segments]), batch)
    dataset = FrameDataset(SimpleNamespace(indices=range(40, 43)), range(3), None)
    barriers = []
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(test_sets=lambda: [data_named("rooms")]), default_root_dir=str(tmp_path),
        is_global_zero=True, logger=None, strategy=SimpleNamespace(barrier=barriers.append),
        test_dataloaders=SimpleNamespace(dataset=dataset),
    )  # fmt: skip
    callback = CloudPictures(frames=2)
    method = SimpleNamespace(**vars(METHOD))
    method.evaluations = {"test/rooms": SimpleNamespace(metrics={"depth": None})}
    callback.on_test_batch_end(trainer, method, outputs, batch, 0)
    assert not (tmp_path / "clouds").exists()  # point clouds are not measured
    method.evaluations = {"test/rooms": SimpleNamespace(metrics={"depth": None, "cloud": None})}
    callback.on_test_batch_end(trainer, method, outputs, batch, 0)
    callback.on_test_epoch_end(trainer, method)
    files = sorted(path.name for path in (tmp_path / "clouds").iterdir())
    parts = (".png", "_prediction.ply", "_truth.ply")
    assert files == [f"rooms_{index:04d}{part}" for index in (40, 42) for part in parts]
    assert barriers
    assert cv2.imread(str(tmp_path / "clouds" / "rooms_0040.png")).std() > 10
    truth, colors = read_ply(tmp_path / "clouds" / "rooms_0040_truth.ply")
    np.testing.assert_allclose(-truth[:, 2], depth.ravel(), atol=1e-3)
    predicted, _ = read_ply(tmp_path / "clouds" / "rooms_0040_prediction.ply")
    np.testing.assert_allclose(predicted, 1.5 * truth, atol=2e-3)
    assert np.unique(colors).tolist() == [128]


def test_a_method_without_depth_has_no_clouds(tmp_path):
    batch = batch_of(room()[0])
    prediction = Prediction(None, segments=[batch["depth"][:, 0].long()])
    frame = frame_of(output_of(prediction, batch, per_image={"x": torch.ones(3)}), batch, 1)
    result = frame_result(frame)
    assert result.view is None
    assert (result.index, result.metrics, result.segments[0].shape) == (41, {"x": 1.0}, (HEIGHT, WIDTH))
    CloudPictures().draw(frame, tmp_path / "clouds" / "rooms_0041")
    assert not list(tmp_path.iterdir())
