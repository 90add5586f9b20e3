"""Rooms in other data sets' layouts: what was rendered is what plain libraries read back, to the format's quantum."""

import csv
import re
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest
import torch
from scipy.io import loadmat

from datamodules.hypersim.tonemap import tonemap
from datamodules.nyuv2.labeled_format import intrinsics
from datamodules.rooms import build_scene, render_scene
from datamodules.rooms.camera import grid
from datamodules.rooms.furniture_classes import rooms_nyu40
from datamodules.rooms.layouts import (
    film_scene,
    write_bts,
    write_hypersim,
    write_ibims,
    write_kinect_dump,
    write_marigold,
    write_occlusion,
)
from datamodules.rooms.layouts.film import film_camera
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo, measured_depth

HEIGHT, WIDTH, FRAMES = 32, 48, 2
SCENES = [
    SceneInfo("bedroom_0000", "bedroom", is_test=False),
    SceneInfo("living_room_0001", "living_room", is_test=True),
    SceneInfo("dining_room_0003", "dining_room", is_test=False),
]
INDICES = (0, 1, 3)


@pytest.fixture(scope="module")
def built():
    scenes = [build_scene(info.scene_type, 0, index) for info, index in zip(SCENES, INDICES, strict=True)]
    return [(scene, camera_walk(scene, FRAMES, 0, index)) for scene, index in zip(scenes, INDICES, strict=True)]


@pytest.fixture(scope="module")
def rendered(built):
    return [render_scene(scene, walk, HEIGHT, WIDTH, supersampling=1, seed=i) for i, (scene, walk) in enumerate(built)]


@pytest.fixture(scope="module")
def filmed(built):
    return [film_scene(scene, walk, i, HEIGHT, WIDTH, supersampling=1) for i, (scene, walk) in enumerate(built)]


def measured(images):
    return measured_depth(images.depth.numpy(), images.labels.numpy(), images.occlusion.numpy())


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image[..., ::-1] if image.ndim == 3 else image


def millimetres(depth):
    return np.minimum(np.rint(depth.astype(np.float64) * 1000), 10000)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_default_camera_given_as_a_matrix_changes_nothing(built, rendered):
    scene, walk = built[1]
    camera = torch.from_numpy(intrinsics(HEIGHT, WIDTH))
    again = render_scene(scene, walk, HEIGHT, WIDTH, camera=camera, supersampling=1, seed=1)
    for name in ("rgb", "depth", "labels", "instances", "occlusion", "radiance"):
        assert torch.equal(getattr(again, name), getattr(rendered[1], name))


def test_rays_of_any_camera_project_back_to_their_pixels():
    camera = film_camera(2, HEIGHT, WIDTH)
    assert abs(camera[2, 1] / camera[2, 2]) > 1e-6  # a tilted film
    for samples in (1, 2):
        tiles = grid(HEIGHT, WIDTH, samples, torch.device("cpu"), torch.from_numpy(camera))
        rays = tiles.image(tiles.rays.mT).double().numpy()
        image = rays @ camera.T
        expected = (np.indices((HEIGHT * samples, WIDTH * samples)) + 0.5) / samples - 0.5
        np.testing.assert_allclose(image[..., 0] / image[..., 2], expected[1], atol=1e-4)
        np.testing.assert_allclose(image[..., 1] / image[..., 2], expected[0], atol=1e-4)
        assert (rays[..., 2] == 1).all()


@pytest.mark.parametrize("camera", [torch.zeros(3, 3), torch.diag(torch.tensor([40.0, 40.0, -1.0]))])
def test_a_camera_that_sees_nothing_is_refused(built, camera):
    scene, walk = built[0]
    with pytest.raises(ValueError, match="singular, or a pixel looks backwards"):
        render_scene(scene, walk, HEIGHT, WIDTH, camera=camera)


def test_a_tilted_film_sees_the_same_room(built, filmed, rendered):
    """Where both cameras look, the same surface points carry the same label and depth: the pose is one and the same."""
    image, camera = filmed[2].images, filmed[2].camera
    rows, columns = np.indices((HEIGHT, WIDTH))
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(camera).T
    seen = (rays / rays[..., 2:]) @ intrinsics(HEIGHT, WIDTH).astype(np.float64).T
    x, y = np.rint(seen[..., 0]).astype(int), np.rint(seen[..., 1]).astype(int)
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    assert inside.mean() > 0.5
    own, other = image.labels[0].numpy()[inside], rendered[2].labels[0].numpy()[y[inside], x[inside]]
    assert (own == other).mean() > 0.85  # the rest are edges: the nearest pixel is half a pixel off
    own, other = image.depth[0].numpy()[inside], rendered[2].depth[0].numpy()[y[inside], x[inside]]
    assert np.median(np.abs(own / other - 1)) < 0.02


def test_radiance_is_linear_and_finite(rendered):
    for images in rendered:
        assert images.radiance.dtype == torch.float32
        assert images.radiance.shape == (FRAMES, HEIGHT, WIDTH, 3)
        assert images.radiance.isfinite().all()
        assert (images.radiance >= 0).all()
        assert images.radiance.max() < np.finfo(np.float16).max
        brightness = torch.stack([images.radiance.mean(-1).flatten(), images.rgb.float().mean(-1).flatten()])
        ranks = brightness.argsort(1).argsort(1).double()
        assert torch.corrcoef(ranks)[0, 1] > 0.95  # the tone curve is monotone; noise is small


def test_bts(tmp_path, rendered):
    write_bts(tmp_path, SCENES, rendered)
    focal = f"{518.857901 * WIDTH / 640:.4f}"
    train = (tmp_path / "nyudepthv2_train_files_with_gt.txt").read_text().splitlines()
    test = (tmp_path / "nyudepthv2_test_files_with_gt.txt").read_text().splitlines()
    assert train == [
        f"/{scene}/rgb_{k:05d}.jpg /{scene}/sync_depth_{k:05d}.png {focal}"
        for scene in ("bedroom_0000", "dining_room_0003")
        for k in range(FRAMES)
    ]
    assert test == [f"living_room/rgb_{i:05d}.jpg living_room/sync_depth_{i:05d}.png {focal}" for i in (2, 3)]
    for lines, root, scenes in ((train, "sync", (0, 2)), (test, "official_splits/test", (1,))):
        for k, line in enumerate(lines):
            images, frame = rendered[scenes[k // FRAMES]], k % FRAMES
            rgb, depth, _ = line.split()
            error = read(tmp_path / root / rgb.lstrip("/")).astype(int) - images.rgb[frame].numpy()
            assert np.abs(error).mean() < 6  # JPEG halves the resolution of colour differences
            stored = read(tmp_path / root / depth.lstrip("/"))
            assert stored.dtype == np.uint16
            np.testing.assert_array_equal(stored, millimetres(measured(images)[frame]))
            assert (stored == 0).any()
    assert "not NYU Depth v2" in (tmp_path / "ROOMS.txt").read_text()
    assert len(files(tmp_path)) == 3 + 2 * len(SCENES) * FRAMES


def test_millimetres_stop_at_ten_metres(tmp_path, rendered):
    far = [replace(images, depth=images.depth * 4) for images in rendered]
    write_bts(tmp_path, SCENES, far)
    stored = read(tmp_path / "sync/bedroom_0000/sync_depth_00000.png")
    assert stored.max() == 10000
    assert (stored == 10000).sum() > 10


def test_marigold(tmp_path, rendered):
    write_marigold(tmp_path, SCENES, rendered)
    expected = {"train": [(0, 0), (0, 1), (2, 0), (2, 1)], "test": [(1, 0), (1, 1)]}
    for part, frames in expected.items():
        lines = (tmp_path / f"filename_list_{part}.txt").read_text().splitlines()
        assert len(lines) == len(frames)
        for line, (scene, frame) in zip(lines, frames, strict=True):
            stem, number = f"{part}/{SCENES[scene].name}", scene * FRAMES + frame + 1
            assert line.split() == [f"{stem}/{kind}_{number:04d}.png" for kind in ("rgb", "depth", "filled")]
            rgb, depth, filled = (read(tmp_path / name) for name in line.split())
            np.testing.assert_array_equal(rgb, rendered[scene].rgb[frame].numpy())
            np.testing.assert_array_equal(depth, millimetres(measured(rendered[scene])[frame]))
            np.testing.assert_array_equal(filled, millimetres(rendered[scene].depth[frame].numpy()))
            assert depth.dtype == filled.dtype == np.uint16
    assert (tmp_path / "ROOMS.txt").is_file()


def test_kinect_dump(tmp_path, rendered):
    write_kinect_dump(tmp_path, SCENES, iter(rendered))
    for scene, images in zip(SCENES, rendered, strict=True):
        names = {kind: sorted(path.name for path in (tmp_path / scene.name).glob(f"{kind}-*")) for kind in "rd"}
        assert len(names["d"]) == FRAMES
        assert len(names["r"]) == FRAMES + 1
        assert all(re.fullmatch(r"r-\d{10}\.\d{6}-\d+\.ppm", name) for name in names["r"])
        assert all(re.fullmatch(r"d-\d{10}\.\d{6}-\d+\.pgm", name) for name in names["d"])
        times = {kind: np.array([float(name.split("-")[1]) for name in listed]) for kind, listed in names.items()}
        assert np.allclose(np.diff(times["d"]), 1 / 30, atol=1e-3)
        lag = times["r"][:FRAMES] - times["d"]
        assert ((lag > 0) & (lag < 1 / 60)).all()
        assert np.abs(times["r"][-1] - times["d"]).min() > 1 / 60  # the last one belongs to no depth frame
        for frame in range(FRAMES):
            content = (tmp_path / scene.name / names["d"][frame]).read_bytes()
            header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()
            assert content.startswith(header)
            codes = np.frombuffer(content[len(header) :], dtype="<u2").reshape(HEIGHT, WIDTH).astype(float)
            assert codes.max() == 2047
            truth = measured(images)[frame].astype(np.float64)
            answered = codes != 2047
            np.testing.assert_array_equal(answered, truth > 0)
            depth = 351.3 / (1092.5 - codes[answered])
            quantum = truth[answered] ** 2 / 351.3  # d(depth) / d(code)
            assert (np.abs(depth - truth[answered]) < 0.52 * quantum * (1 + truth[answered] / 351.3)).all()
            colour = read(tmp_path / scene.name / names["r"][frame])
            np.testing.assert_array_equal(colour, images.rgb[frame].numpy())


@pytest.mark.parametrize(
    ("convention", "names", "listed"),
    [
        ("oc++", ["NYUv2_OCpp/oc/0002_oc.png", "NYUv2_OCpp/oc/0003_oc.png"], "NYUv2_OCpp/boundaries_list.txt"),
        ("oc", ["occlusion_boundaries/2_ob.png", "occlusion_boundaries/3_ob.png"], "boundaries_list.txt"),
    ],
)
def test_occlusion(tmp_path, rendered, convention, names, listed):
    write_occlusion(tmp_path, SCENES, rendered, convention)
    assert files(tmp_path) == sorted(["ROOMS.txt", listed, *names])
    lines = (tmp_path / listed).read_text().splitlines()
    assert [((tmp_path / listed).parent / line) for line in lines] == [tmp_path / name for name in names]
    for frame, name in enumerate(names):
        stored = read(tmp_path / name)
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, rendered[1].occlusion[frame].numpy() * 255)
        assert stored.any()


@pytest.fixture(scope="module")
def hypersim(tmp_path_factory, filmed):
    folder = tmp_path_factory.mktemp("hypersim")
    write_hypersim(folder, SCENES, filmed)
    return folder


def dataset(path):
    with h5py.File(path) as file:
        assert list(file) == ["dataset"]
        return file["dataset"][:]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def uv_matrix(folder, scene):
    row = next(r for r in rows(folder / "metadata_camera_parameters.csv") if r["scene_name"] == scene)
    assert float(row["settings_output_img_height"]) == HEIGHT
    assert float(row["settings_output_img_width"]) == WIDTH
    return np.array([[float(row[f"M_cam_from_uv_{i}{j}"]) for j in range(3)] for i in range(3)]), row


def test_hypersim_split(hypersim):
    table = rows(hypersim / "metadata_images_split_scene_v1.csv")
    released = [row for row in table if row["included_in_public_release"] == "True"]
    assert {row["included_in_public_release"] for row in table} == {"True", "False"}
    assert [(row["scene_name"], row["split_partition_name"]) for row in released] == [
        (f"ai_001_{k:03d}", part) for k, part in ((1, "train"), (2, "test"), (3, "val")) for _ in range(FRAMES)
    ]
    (secret,) = (row for row in table if row not in released)
    assert secret["split_partition_name"] == ""
    assert secret["exclude_reason"]
    for row in table:
        images = hypersim / row["scene_name"] / "images"
        stem = f"frame.{int(row['frame_id']):04d}"
        found = sorted(path.name.removeprefix(stem + ".") for path in images.rglob(f"{stem}.*"))
        geometry = [f"{name}.hdf5" for name in ("depth_meters", "render_entity_id", "semantic", "semantic_instance")]
        assert found == (sorted(["color.hdf5", "tonemap.jpg", *geometry]) if row in released else [])


def test_hypersim_cameras(hypersim):
    matrix, _ = uv_matrix(hypersim, "ai_001_001")
    half = np.tan(np.radians(30))
    np.testing.assert_allclose(matrix, np.diag([half, half * HEIGHT / WIDTH, -1]), atol=1e-12)
    for scene in ("ai_001_002", "ai_001_003"):
        matrix, _ = uv_matrix(hypersim, scene)
        assert abs(matrix[2, 1]) > 1e-3  # tilt
        assert (np.abs(matrix[:2, 2]) > 0.03).all()  # shift


def test_hypersim_distances_are_those_of_the_rendered_planes(hypersim, filmed):
    """An independent way from the stored distance to planar depth: pixel by pixel through M_cam_from_uv."""
    for number, take in enumerate(filmed):
        scene = f"ai_001_{number + 1:03d}"
        matrix, _ = uv_matrix(hypersim, scene)
        for frame in range(FRAMES):
            stored = dataset(
                hypersim / scene / f"images/scene_cam_00_geometry_hdf5/frame.{frame:04d}.depth_meters.hdf5"
            )
            assert stored.dtype == np.float16
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    ray = matrix @ [(x + 0.5) / WIDTH * 2 - 1, 1 - (y + 0.5) / HEIGHT * 2, 1]
                    planar = -float(stored[y, x]) * ray[2] / np.sqrt((ray**2).sum())
                    if number == frame == 0 and y < 2 and x < 3:
                        assert np.isnan(stored[y, x])
                    else:
                        assert planar == pytest.approx(take.images.depth[frame, y, x].item(), rel=2**-11 * 1.01)


def test_hypersim_points_lie_on_the_rooms_walls(hypersim, built):
    """Distance, matrix, pose and unit together: wall, floor and ceiling pixels lie on the faces of the room's box."""
    for number, (scene, _) in enumerate(built):
        folder = hypersim / f"ai_001_{number + 1:03d}"
        matrix, row = uv_matrix(hypersim, folder.name)
        (parameter,) = rows(folder / "_detail/metadata_scene.csv")
        assert parameter["parameter_name"] == "meters_per_asset_unit"
        unit = float(parameter["parameter_value"])
        assert unit == float(row["settings_units_info_meters_scale"]) == (0.0254, 0.01, 0.0254)[number]
        positions = dataset(folder / "_detail/cam_00/camera_keyframe_positions.hdf5")
        orientations = dataset(folder / "_detail/cam_00/camera_keyframe_orientations.hdf5")
        assert positions.shape == (FRAMES, 3)
        assert positions.dtype == orientations.dtype == np.float64
        np.testing.assert_allclose(np.linalg.det(orientations), 1, atol=1e-5)
        geometry = folder / "images/scene_cam_00_geometry_hdf5"
        distance = dataset(geometry / "frame.0001.depth_meters.hdf5").astype(np.float64)
        semantic = dataset(geometry / "frame.0001.semantic.hdf5")
        v, u = np.indices((HEIGHT, WIDTH))
        uv1 = np.stack([(u + 0.5) / WIDTH * 2 - 1, 1 - (v + 0.5) / HEIGHT * 2, np.ones((HEIGHT, WIDTH))], -1)
        rays = uv1 @ matrix.T
        points = rays / np.linalg.norm(rays, axis=-1, keepdims=True) * distance[..., None]
        world = points @ orientations[1].T + positions[1] * unit
        centre, half = scene.centre[-1].double().numpy(), scene.half[-1].double().numpy()
        gap = np.abs(np.abs(world - centre) - half)  # to the nearer of two opposite faces
        assert gap[semantic == 1][:, :2].min(-1).max() < 5e-3
        if (semantic == 2).any():
            assert np.abs(world[semantic == 2][:, 2]).max() < 5e-3


def test_hypersim_maps(hypersim, filmed):
    table = rooms_nyu40()
    for number, take in enumerate(filmed):
        images = hypersim / f"ai_001_{number + 1:03d}" / "images"
        background = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
        background[0, :2, :3] = number == 0
        maps = {
            name: np.stack(
                [dataset(images / f"scene_cam_00_geometry_hdf5/frame.{k:04d}.{name}.hdf5") for k in range(FRAMES)]
            )
            for name in ("semantic", "semantic_instance", "render_entity_id")
        }
        labels, instances = take.images.labels.numpy(), take.images.instances.numpy()
        np.testing.assert_array_equal(maps["semantic"], np.where(background, -1, table[labels].astype(int)))
        np.testing.assert_array_equal(maps["render_entity_id"] == -1, background)
        structure = np.isin(maps["semantic"], (-1, 1, 2, 22))
        np.testing.assert_array_equal(maps["semantic_instance"] == -1, structure)
        for name, where in (("semantic_instance", ~structure), ("render_entity_id", ~background)):
            assert maps[name].dtype == np.int16
            ids = maps[name][where]
            assert ids.min() == 1
            # one to one with the pairs (label, instance)
            triples = np.unique(np.stack([ids, labels[where], instances[where]]), axis=1)
            assert triples.shape[1] == len(np.unique(ids)) == len(np.unique(triples[1:], axis=1).T)
        for k in range(FRAMES):
            colour = dataset(images / f"scene_cam_00_final_hdf5/frame.{k:04d}.color.hdf5")
            assert colour.dtype == np.float16
            np.testing.assert_array_equal(colour, take.images.radiance[k].numpy().astype(np.float16))
            preview = read(images / f"scene_cam_00_final_preview/frame.{k:04d}.tonemap.jpg").astype(int)
            expected = tonemap(colour.astype(np.float32), ~background[k])
            assert np.abs(preview - expected).mean() < 6


def test_hypersim_files_are_compressed_as_the_original(hypersim):
    for path in (hypersim / "ai_001_001/images").rglob("*.hdf5"):
        with h5py.File(path) as file:
            assert file["dataset"].compression == "gzip"
            assert file["dataset"].compression_opts == 9
    assert "not HyperSim" in (hypersim / "ROOMS.txt").read_text()


@pytest.fixture(scope="module")
def ibims(tmp_path_factory, rendered):
    folder = tmp_path_factory.mktemp("ibims")
    write_ibims(folder, SCENES, rendered)
    return folder


def matrix_file(folder, name):
    data = loadmat(folder / "ibims1_core_mat" / f"{name}.mat")["data"]
    return {key: data[key][0][0] for key in data.dtype.names}


def test_ibims_frames(ibims, rendered):
    names = (ibims / "imagelist.txt").read_text().splitlines()
    assert names == ["livingroom_01", "livingroom_02"]
    assert "not iBims-1" in (ibims / "ROOMS.txt").read_text()
    for frame, name in enumerate(names):
        data, raw = matrix_file(ibims, name), ibims / "ibims1_core_raw"
        exact, classes = rendered[1].depth[frame].numpy(), rooms_nyu40()[rendered[1].labels[frame].numpy()]
        np.testing.assert_array_equal(data["rgb"], rendered[1].rgb[frame].numpy())
        np.testing.assert_array_equal(read(raw / f"rgb/{name}.png"), data["rgb"])
        present = data["depth"] > 0
        assert 0.5 < present.mean() < 1
        np.testing.assert_array_equal(data["depth"][present], exact[present])
        assert (measured(rendered[1])[frame] > 0)[~present].sum() == 0
        codes = read(raw / f"depth/{name}.png")
        assert codes.dtype == np.uint16
        np.testing.assert_allclose(codes * 50.0 / 65535, data["depth"], atol=25.1 / 65535)
        np.testing.assert_array_equal(codes > 0, present)
        np.testing.assert_array_equal(data["mask_transp"] == 0, np.isin(classes, (9, 19)))
        np.testing.assert_array_equal(data["edges"], rendered[1].occlusion[frame].numpy())
        assert not data["mask_invalid"][~present].any()
        for key in ("edges", "mask_invalid", "mask_transp"):
            np.testing.assert_array_equal(read(raw / key / f"{name}.png"), data[key] * 255)
        fx, fy, cx, cy = map(float, (raw / f"calib/{name}.txt").read_text().strip().split(","))
        np.testing.assert_allclose(data["calib"], [[fx, 0, 0], [0, fy, 0], [cx, cy, 1]])
        # NYUv2's camera for this size; pixel centres count from 1
        expected = (518.857901 * WIDTH / 640, (325.582449 + 0.5) * WIDTH / 640 + 0.5)
        assert (fx, cx) == pytest.approx(expected, rel=1e-6)


def test_ibims_planes(ibims, rendered):
    found = 0
    for frame, name in enumerate((ibims / "imagelist.txt").read_text().splitlines()):
        data = matrix_file(ibims, name)
        exact, classes = rendered[1].depth[frame].double().numpy(), rooms_nyu40()[rendered[1].labels[frame].numpy()]
        fx, fy, (cx, cy) = data["calib"][0, 0], data["calib"][1, 1], data["calib"][2, :2]
        row, column = np.indices(exact.shape) + 1
        x, y = (column - cx) * exact / fx, (row - cy) * exact / fy
        for kind, ids in (("wall", (1,)), ("table", (7, 14)), ("floor", (2,))):
            mask, planes = data[f"mask_{kind}"], data[f"mask_{kind}_paras"]
            assert set(np.unique(mask)) - {0} == set(range(1, len(planes) + 1))
            assert np.isin(classes[mask > 0], ids).all()
            for number, (a, b, c, d, *normal) in enumerate(planes, start=1):
                on = mask == number
                residual = a * x[on] + b * y[on] + c * exact[on] + d
                assert np.abs(residual).max() < 0.01
                assert np.hypot(np.hypot(a, b), c) == pytest.approx(1)
                # the authors' frame: x right, y forward, z up
                assert np.std(np.stack([x[on], exact[on], -y[on]], 1) @ normal) < 0.01
                found += 1
        walls = np.isin(classes, (1,))
        if walls.mean() > 0.1:
            assert (data["mask_wall"] > 0)[walls].mean() > 0.7
    assert found >= 3
